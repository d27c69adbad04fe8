"""Services whose names only containers can resolve."""

import re
import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path

from hcrun.doctor.finding import Finding, error
from hcrun.errors import SettingsError
from hcrun.settings import Settings

_VARIABLES = Path(__file__).with_name("services.toml")
# A host without a dot, in a URL or in a list of hosts.
_HOST = re.compile(r"(?:^|[,;\s]|://(?:[^\s/]*@)?)([A-Za-z0-9][\w-]*)(?::(\d+))?(?=$|[,;/\s?])")


def evaluate(settings: Settings) -> Iterator[Finding]:
    """Hosts in the variables of the probes that exist in the network of a compose project only."""
    for variable, default in tomllib.loads(_VARIABLES.read_text("utf-8")).items():
        try:
            text = settings.secret(variable)
        except SettingsError:  # the probe reports it
            continue
        for host, port in _HOST.findall(text):
            if not _is_known(host):
                number = int(port or default)
                yield error(
                    f"{variable}: this host cannot resolve {host!r}",
                    "only containers in the same network can, if it is a service of compose",
                    f'under {host} in its compose file: ports: ["127.0.0.1:{number}:{number}"];'
                    f" then write 127.0.0.1:{number} instead (hcctl docs docker)",
                )


def _is_known(host: str) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None))
    except OSError:
        return False

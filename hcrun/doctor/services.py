"""Services whose names only containers can resolve."""

import re
import socket
from collections.abc import Iterator

from hcrun import files
from hcrun.doctor.finding import Finding, finding
from hcrun.errors import SettingsError
from hcrun.settings import Settings

# A host without a dot, in a URL or in a list of hosts.
_HOST = re.compile(r"(?:^|[,;\s]|://(?:[^\s/]*@)?)([A-Za-z0-9][\w-]*)(?::(\d+))?(?=$|[,;/\s?])")


def evaluate(settings: Settings) -> Iterator[Finding]:
    """Hosts in the variables of the probes that exist in the network of a compose project only."""
    for variable, default in files.table(__file__, "services.toml").items():
        try:
            text = settings.secret(variable)
        except SettingsError:  # the probe reports it
            continue
        for host, port in _HOST.findall(text):
            if not resolves(host):
                port = int(port or default)
                yield finding("unresolved", variable=variable, host=host, port=port)


def resolves(host: str) -> bool:
    """Whether this host knows its address; True for the directory of a socket."""
    try:
        return host.startswith("/") or bool(socket.getaddrinfo(host, None))
    except OSError:
        return False

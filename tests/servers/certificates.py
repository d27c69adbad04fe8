"""Certificates for TLS servers of tests, made with the `openssl` command."""

import shutil
import subprocess
from pathlib import Path

OPENSSL = shutil.which("openssl") or ""
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _openssl(*arguments: str | Path) -> str:
    done = subprocess.run(
        [OPENSSL, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Authority:
    """A certificate authority in a directory of its own.

    ca = Authority(tmp_path / "ca")
    certificate, key = ca.issue("good", "IP:127.0.0.1", "DNS:localhost")
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._key = directory / "ca.key"
        self.file = directory / "ca.pem"  # as in SSL_CERT_FILE
        extension = "basicConstraints=critical,CA:TRUE"
        usage = "keyUsage=critical,keyCertSign,cRLSign"  # Python 3.13 insists
        _openssl(
            *("req", "-x509", *KEY, "-days", "2", "-subj", f"/CN=CA of {directory.name}"),
            *("-addext", extension, "-addext", usage, "-keyout", self._key, "-out", self.file),
        )
        self.hashed = directory / "hashed"  # as in SSL_CERT_DIR
        self.hashed.mkdir()
        name = _openssl("x509", "-hash", "-noout", "-in", self.file).strip()
        shutil.copy(self.file, self.hashed / f"{name}.0")

    def issue(self, name: str, *hosts: str, expired: bool = False) -> tuple[str, str]:
        """The paths of a certificate for `hosts` (DNS:... or IP:...) and of its key."""
        key = self._directory / f"{name}.key"
        request = self._directory / f"{name}.csr"
        certificate = self._directory / f"{name}.pem"
        settings = self._directory / f"{name}.cnf"
        settings.write_text(
            f"[ca]\ndefault_ca=here\n[here]\ndir={self._directory}\ndatabase=$dir/{name}.db\n"
            "rand_serial=yes\nnew_certs_dir=$dir\ndefault_md=sha256\npolicy=any\n"
            "x509_extensions=extensions\n[any]\ncommonName=optional\n"
            f"[extensions]\nsubjectAltName={','.join(hosts)}\nauthorityKeyIdentifier=keyid\n"
        )
        (self._directory / f"{name}.db").touch()
        _openssl("req", *KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        until = "20200102000000Z" if expired else "20991231000000Z"
        _openssl(
            *("ca", "-batch", "-notext", "-config", settings, "-in", request, "-out", certificate),
            *("-cert", self.file, "-keyfile", self._key),
            *("-startdate", "20200101000000Z", "-enddate", until),
        )
        return str(certificate), str(key)

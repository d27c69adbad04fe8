"""A real Prometheus that scrapes itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.servers.process import free_port, running, until

CONFIG = """
scrape_configs:
  - job_name: self
    scrape_interval: 1s
    static_configs: [{targets: ["127.0.0.1:PORT"]}]
"""


@contextmanager
def prometheus(directory: Path) -> Iterator[str]:
    """Its URL. It has scraped itself once."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    config, log = directory / "prometheus.yml", directory / "prometheus.log"
    config.write_text(CONFIG.replace("PORT", str(port)))
    argv = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}"]
    with running([*argv, f"--web.listen-address=127.0.0.1:{port}"], log) as process:

        def is_scraped() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return '"1"' in requests.get(f"{url}/api/v1/query?query=up", timeout=20).text
            except OSError:
                return False

        until(is_scraped, "Prometheus is ready", 30)
        yield url

"""A real Chromium without a window: what it shows, prints and measures of a page."""

import json
import shutil
import subprocess
import tempfile
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.servers.web import WebServer
from tests.support.command import PATIENCE

CHROMIUM = shutil.which("chromium") or ""
_QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
_ALONE = ("--disable-component-update", "--disable-sync", "--no-default-browser-check")
_SAME = ("--hide-scrollbars", "--force-device-scale-factor=1", "--font-render-hinting=none")


def chromium(*arguments: str) -> bytes:
    """Its standard output; each run has a profile of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        return subprocess.run(
            [
                *(CHROMIUM, "--headless", "--no-sandbox", f"--user-data-dir={profile}"),
                *(*_QUIET, *_ALONE, *_SAME, *arguments),
            ],
            env={"PATH": "/usr/bin:/bin", "HOME": profile, "TZ": "UTC", "LANG": "C.UTF-8"},
            capture_output=True,
            timeout=6 * PATIENCE,
            check=True,
        ).stdout


class Site(WebServer):
    """Serves a directory on loopback, and remembers what was asked for."""

    def __init__(self, directory: Path) -> None:
        self.asked: list[str] = []
        site = self

        class Handler(SimpleHTTPRequestHandler):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(directory))

            def log_message(self, *_: object) -> None:
                site.asked.append(self.path)

        super().__init__(Handler)


_RULER = """<!doctype html><body><script>
const facts = {}, widths = %s;
function visible(e) { return e.getClientRects().length > 0 }
function measure(w, frame) {
  const d = frame.contentDocument, all = [...d.body.querySelectorAll("*")];
  const style = e => d.defaultView.getComputedStyle(e);
  facts[w] = {
    wide: d.documentElement.scrollWidth,
    requests: d.defaultView.performance.getEntriesByType("resource").length,
    columns: style(d.querySelector(".check")).gridTemplateColumns.split(" ").length,
    pictures: all.filter(e => e.tagName == "svg" && !(e.getBoundingClientRect().width > 5)).length,
    unpainted: all.filter(e => e.tagName == "path" && style(e).fill == "none"
      && style(e).stroke == "none").map(e => e.getAttribute("class")),
    smallest: Math.min(...all.filter(visible).map(e => parseFloat(style(e).fontSize))),
    few: all.filter(e => e.classList.contains("few") && visible(e)).length,
    many: all.filter(e => e.classList.contains("many") && visible(e)).length,
    cut: all.filter(e => visible(e) && e.scrollWidth > e.clientWidth + 1 && e.clientWidth
      && !e.closest(".bars") && !e.closest("svg")).map(e => e.outerHTML),
    unnamed: all.filter(e => e.getAttribute("role") == "img" && !e.getAttribute("aria-label")).length,
  };
  if (Object.keys(facts).length == widths.length) {
    document.body.innerHTML = "<pre></pre>";
    document.body.firstChild.textContent = JSON.stringify(facts);
  }
}
for (const w of widths) {
  const frame = document.createElement("iframe");
  frame.style = `width:${w}px;height:700px;border:0`;
  frame.onload = () => measure(w, frame);
  frame.src = "page.html";
  document.body.append(frame);
}
</script>"""  # noqa: E501 - JavaScript


def measures(directory: Path, *widths: int) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Facts of page.html in that directory at each width, and what it asked the server for."""
    (directory / "ruler.html").write_text(_RULER % json.dumps(widths))
    with Site(directory) as site:
        told = chromium("--virtual-time-budget=20000", "--dump-dom", f"{site.url}/ruler.html")
    text = told.decode().partition("<pre>")[2].partition("</pre>")[0]
    return json.loads(
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    ), site.asked

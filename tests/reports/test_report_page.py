"""The report as a page: its content, and how a real browser shows it.

Pictures of it are in tests/data, an example is in docs. After a change of its appearance,
    TZ=UTC python -m tests.reports.test_report_page
creates them anew; then look at them.
"""

import re
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from hcrun.journal.queries import LastRun
from hcrun.reports.render import html as html_
from hcrun.reports.render.html import html
from hcrun.reports.report import Report
from tests.servers.chromium import CHROMIUM, chromium, measures
from tests.support.command import run_hcctl
from tests.support.journals import Past
from tests.support.made_up import report

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("utc")]

DATA = Path(__file__).parents[1] / "data"
EXAMPLE = Path(__file__).parents[2] / "docs" / "report-example.html"
CSS = (Path(html_.__file__).parent / "report.css").read_text()


class Outline:
    """Tags, attributes and text of a page; fails where tags do not fit into each other."""

    def __init__(self, page: str) -> None:
        root = ElementTree.fromstring(page.removeprefix("<!doctype html>\n"))  # noqa: S314 - our own
        elements = list(root.iter())
        self.tags = [element.tag for element in elements]
        self.attributes = [(each.tag, *item) for each in elements for item in each.items()]
        self.text = "".join(root.itertext())

    def values(self, tag: str, name: str) -> list[str]:
        return [attribute[2] for attribute in self.attributes if attribute[:2] == (tag, name)]


# what is in it


def test_it_needs_nothing_else() -> None:
    outline = Outline(html(report()))
    assert not {"script", "iframe", "img", "object", "embed", "form"} & set(outline.tags)
    assert [a for a in outline.attributes if a[1] in ("src", "href", "action", "style")] == [
        ("link", "href", "data:,")
    ]
    assert not [name for _, name, _ in outline.attributes if name.startswith("on")]
    assert "url(" not in CSS
    assert "@import" not in CSS
    policy = ("meta", "content", "default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert policy in outline.attributes


def test_the_example_is_what_is_made() -> None:
    """With every check, every table, and the ratio of seven days under bars of ninety."""
    assert html(report()) == EXAMPLE.read_text()


def test_it_can_be_read_aloud() -> None:
    """Pictures have words, tables heads, the page a language and a title."""
    outline = Outline(html(report()))
    labels = outline.values("svg", "aria-label")
    assert len(labels) == 10 + 9 + 8  # bars, durations, budgets
    assert (
        "api, 90 days: 87 up, 3 with an outage, 0 unknown;"
        " down 2026-09-12 30 min, 2026-10-30 12 min, 2026-11-12 19 min"
    ) in labels
    assert "api, error budget of 30 days: 12.2 min of 43.2 min left" in labels
    scopes = outline.values("th", "scope")
    assert len(scopes) == outline.tags.count("th")
    assert set(scopes) == {"col", "row"}
    assert ("html", "lang", "en") in outline.attributes
    assert outline.tags.count("h1") == outline.tags.count("main") == 1


def evil(words: str) -> Report:
    """The report of one check that has such a name, and failed with such words."""
    made = report()
    row = next(row for row in made.checks if row.check.slug == "refresh-tokens")
    check = replace(row.check, slug=words, tier=words, environment=words)
    now = made.scope.now
    last = LastRun(now, now, 1.0, "fail", words, output=words)
    return replace(
        made,
        zone=words,
        host=words,
        problems=(words,),
        checks=(replace(row, check=check, last_failure=last),),
    )


@settings(max_examples=30, deadline=None)  # a page each
@given(st.text(st.characters(exclude_categories=("Cc", "Cn", "Cs")), min_size=1, max_size=40))
def test_all_text_is_escaped(words: str) -> None:
    plain, found = Outline(html(evil("x"))), Outline(html(evil(words)))
    assert found.tags == plain.tags
    assert [a[:2] for a in found.attributes] == [a[:2] for a in plain.attributes]


@pytest.mark.parametrize("words", ["<script>alert(1)</script>", '"><img src=x onerror=y>', "&lt;"])
def test_text_stays_what_it_was(words: str) -> None:
    assert Outline(html(evil(words))).text.count(words) >= 4


def test_title_says_whose_report_it_is() -> None:
    title, *_ = re.findall("<title>(.*?)</title>", html(report()))
    assert title == "app1: checks, 9-15 Nov 2026"


def test_a_page_needs_jinja2_and_nothing_else_does(tmp_path: Path) -> None:
    """Which takes long to import, so that no other command does."""
    Past(tmp_path).run("job", time.time() - 86400)
    (tmp_path / "jinja2.py").write_text("raise ImportError")
    env = {"PYTHONPATH": str(tmp_path)}
    assert run_hcctl(tmp_path, "report", "day", env=env).returncode == 0
    done = run_hcctl(tmp_path, "report", "day", "--format", "html", env=env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "hcctl: a page needs jinja2, which is not installed; pip install 'hcrun[report]'\n"
    )


def test_sparklines_of_the_example_differ() -> None:
    """As those of a real host do."""
    lines = re.findall(r'class="line" d="([^"]+)"', EXAMPLE.read_text())
    shapes = [re.findall(r" (\d+\.\d)", line) for line in lines]
    assert len(lines) == len({tuple(shape) for shape in shapes}) == 9
    assert min(len(set(shape)) for shape in shapes) > 12


def test_a_report_of_nothing_and_of_many() -> None:
    made = report()
    assert "No checks." in Outline(html(replace(made, checks=()))).text
    many = replace(made, checks=made.checks * 20)
    assert len(html(many)) < 1_000_000


def luminance(colour: str) -> float:
    """WCAG 2: of a colour like #1b1f24."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", re.findall(r":root\{([^}]*)\}", CSS), ids=["light", "dark"])
def test_contrast(palette: str) -> None:
    colours = dict(re.findall(r"--(\w+):(#\w+);", palette))
    for ground in ("page", "card"):
        for text in ("text", "muted", "good", "bad"):
            assert contrast(colours[ground], colours[text]) >= 4.5, (ground, text)
    for mark in ("up", "down", "maintenance"):
        assert contrast(colours["card"], colours[mark]) >= 3, mark


# how a browser shows it

SHOTS = {
    "wide": ("--window-size=1280,1000",),
    "phone": ("--window-size=360,1000",),
    "dark": ("--window-size=1280,1000", "--blink-settings=preferredColorScheme=0"),
}
SCALE = {"wide": 8, "phone": 4, "dark": 8}
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no chromium here")


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.html"
    path.write_text(html(report()))
    return path


def shoot(page: Path, kind: str) -> Image.Image:
    """The top of the page, reduced to a few pixels."""
    picture = page.with_name(f"{kind}.png")
    chromium(*SHOTS[kind], f"--screenshot={picture}", page.as_uri())
    with Image.open(picture) as shot:
        return shot.convert("RGB").reduce(SCALE[kind])


@needs_chromium
@pytest.mark.parametrize("kind", SHOTS)
def test_it_looks_as_it_did(page: Path, kind: str) -> None:
    """Fonts may differ a little between machines; a part that is gone or moved is not little."""
    with Image.open(DATA / f"report-{kind}.png") as kept:
        expected = kept.convert("RGB")
    found = shoot(page, kind)
    assert found.size == expected.size
    difference = ImageChops.difference(found, expected).convert("L")
    assert ImageStat.Stat(difference).mean[0] < 3
    assert max(difference.reduce(5).tobytes()) < 40


@needs_chromium
def test_it_fits_from_phone_to_screen_and_asks_for_nothing(page: Path) -> None:
    facts, asked = measures(page.parent, 360, 768, 920, 1280)
    assert {path for path in asked if "favicon" not in path} == {"/ruler.html", "/page.html"}
    for width, fact in facts.items():
        assert fact["wide"] <= int(width)  # no scrolling sideways
        assert fact["requests"] == 0
        assert (fact["pictures"], fact["unnamed"], fact["cut"]) == (0, 0, [])
        assert fact["unpainted"] == []
        assert fact["smallest"] >= 12
    assert {width: fact["columns"] for width, fact in facts.items()} == {
        "360": 2,
        "768": 2,
        "920": 4,
        "1280": 4,
    }
    assert (facts["360"]["few"] > 0, facts["360"]["many"]) == (True, 0)
    assert (facts["1280"]["few"], facts["1280"]["many"] > 0) == (0, True)


@needs_chromium
def test_it_prints_on_a_few_pages(page: Path) -> None:
    paper = page.with_name("page.pdf")
    chromium("--no-pdf-header-footer", f"--print-to-pdf={paper}", page.as_uri())
    pages = re.findall(rb"/Type\s*/Page\b", paper.read_bytes())
    assert 2 <= len(pages) <= 4


if __name__ == "__main__":
    with TemporaryDirectory() as directory:
        there = Path(directory) / "page.html"
        there.write_text(html(report()))
        EXAMPLE.write_text(html(report()))
        for name in SHOTS:
            shoot(there, name).quantize(32).save(DATA / f"report-{name}.png", optimize=True)
        with Image.open(there.with_name("wide.png")) as shown:
            shown.quantize(64).save(EXAMPLE.with_suffix(".png"), optimize=True)

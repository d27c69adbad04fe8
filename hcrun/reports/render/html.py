"""The report as one HTML page, which has no script and loads nothing from the network."""

from importlib.resources import files

from hcrun.reports.render import phrases
from hcrun.reports.render import svg as pictures
from hcrun.reports.render.markup import Markup, join, tag
from hcrun.reports.render.sections import LOOK, Section, sections
from hcrun.reports.report import CheckReport, Report
from hcrun.reports.slo import DAYS
from hcrun.text import printable
from hcrun.units import span

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_FEW = 30  # days whose bars a phone shows
_LEGEND = (  # class, text, top of the bar
    ("up", "up", 0),
    ("down", "down", 6),
    ("maintenance", "planned maintenance", 7),
    ("unknown", "unknown", 10),
)


def html(report: Report, pictures: bool = True, shown: int | None = None) -> str:
    """The page, with or without its pictures; its tables have at most `shown` rows."""
    title = f"Checks, {phrases.dates(report.scope.period)}"
    css = (files("hcrun.reports.render") / "report.css").read_text(encoding="utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Markup(css)),
    )
    body = tag("body", _header(report), _main(report, pictures, shown), _footer(report))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _header(report: Report) -> Markup:
    scope = report.scope
    dates = tag("span", phrases.dates(scope.period), class_="date")
    about = f"Dates in {report.zone}, {phrases.comparison(scope)}."
    tiles = [
        tag("li", tag("b", tile.figure, class_=None if tile.good else "bad"), tile.about)
        for tile in phrases.tiles(report)
    ]
    parts = [tag("p", about, class_="muted"), tag("ul", *tiles, class_="tiles")]
    return tag("header", tag("h1", "Checks, ", dates), *parts)


def _main(report: Report, with_pictures: bool, shown: int | None) -> Markup:
    tables = sections(report, shown)
    first = [_table(tables.pop(0))] if tables and tables[0].title.startswith(LOOK) else []
    if not report.checks:
        first.append(tag("p", "No checks."))
    elif with_pictures:
        checks = [_check(row, report) for row in report.checks]
        first += [tag("h2", "Checks"), _legend(), *checks]
    return tag("main", *first, *map(_table, tables))


def _legend() -> Markup:
    items = []
    for kind, text, top in _LEGEND:
        bar = tag("path", class_=kind, d=f"M0 {top}h8V14H0z")
        items.append(tag("li", tag("svg", bar, viewBox="0 0 8 14", aria_hidden="true"), text))
    return tag("ul", *items, class_="legend")


def _check(row: CheckReport, report: Report) -> Markup:
    """A row of pictures; on a phone, a card."""
    missed = row.slo is not None and row.slo.met is False
    return tag(
        "article",
        _name(row),
        _days(row, report),
        _durations(row),
        _error_budget(row),
        class_="check missed" if missed else "check",
    )


def _name(row: CheckReport) -> Markup:
    check, slo, lines = row.check, row.slo, []
    about = [f"tier {printable(check.tier)}"] if check.tier else []
    about += [printable(check.environment)] if check.environment else []
    if about:
        lines.append(tag("p", " · ".join(about), class_="muted"))
    if slo:
        kind = {True: "good", False: "bad", None: "muted"}[slo.met]
        ratio = "" if slo.ratio is None else f", {phrases.percent(slo.ratio)}"
        text = f"{phrases.slo(slo.slo)}: {phrases.MET[slo.met]}{ratio}"
        lines.append(tag("p", text, class_=kind))
    return tag("div", tag("h3", printable(check.slug)), *lines)


def _days(row: CheckReport, report: Report) -> Markup:
    if not row.source:
        text = "never ran" if row.never_ran else "no uptime data"
        return tag("figure", tag("figcaption", text), class_="days")
    days = row.days
    first, few, last = days[0], days[max(0, len(days) - _FEW)], days[-1]
    ratio, before = row.now.times.ratio, row.before.times.ratio
    figures: list[str] = []
    if ratio is not None:
        # The bars show more days than the ratio covers.
        figures = [f"{report.scope.period.days} d: ", tag("b", f"{phrases.percent(ratio)} up")]
        figures.append(f", before {phrases.percent(before)}")
    caption = tag(
        "figcaption",
        tag("span", phrases.day(first.date), class_="date many"),
        tag("span", phrases.day(few.date), class_="date few"),
        tag("span", *figures),
        tag("span", phrases.day(last.date), class_="date"),
    )
    unknown = phrases.unknown(row, report.scope)
    lines = [tag("p", unknown, class_="axis")] if unknown else []
    bars = tag("div", pictures.bars(days, printable(row.check.slug)), class_="bars")
    return tag("figure", bars, caption, *lines, class_="days")


def _durations(row: CheckReport) -> Markup:
    picture = pictures.durations(row.days[-_FEW:], printable(row.check.slug))
    p95 = row.now.p95
    change = phrases.change(p95, row.before.p95)
    text = "no durations" if p95 is None else f"p95 {phrases.length(p95)}"
    change = "" if change == phrases.DASH else change
    return tag("figure", picture, tag("figcaption", tag("span", text), tag("span", change)))


def _error_budget(row: CheckReport) -> Markup:
    result = row.error_budget
    if not result:
        return tag("figure", tag("figcaption", "no SLO"))
    picture = pictures.burn_down(row.days[-DAYS:], result, printable(row.check.slug))
    unknown = f", {span(result.unknown)} unknown" if result.unknown else ""
    text = f"error budget: {phrases.left(result)}{unknown}"
    return tag("figure", picture, tag("figcaption", tag("span", text)))


def _table(section: Section) -> Markup:
    kinds = ["n" if column.numeric else None for column in section.columns]
    head = [
        tag("th", column.title, scope="col", class_=kind)
        for column, kind in zip(section.columns, kinds, strict=True)
    ]
    rows = []
    for name, *cells in section.rows:
        data = [tag("td", text, class_=kind) for text, kind in zip(cells, kinds[1:], strict=True)]
        rows.append(tag("tr", tag("th", name, scope="row"), *data))
    parts = [tag("thead", tag("tr", *head)), tag("tbody", *rows)]
    table = tag("table", *parts, aria_label=section.title)
    about = [tag("p", section.about, class_="about muted")] if section.about else []
    return join(
        tag("h2", section.title),
        tag("div", table, class_="table", tabindex="0", role="region", aria_label=section.title),
        *about,
    )


def _footer(report: Report) -> Markup:
    created = f"{phrases.created(report)}; times are in {report.zone}."
    lines = [tag("li", line) for line in (*phrases.origin(report), created)]
    return tag("footer", tag("h2", "Sources"), tag("ul", *lines))

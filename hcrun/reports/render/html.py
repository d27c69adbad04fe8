"""The report as one page: no script, nothing from the network."""

from __future__ import annotations

from hcrun.reports.render import phrases
from hcrun.reports.render import svg as pictures
from hcrun.reports.render.markup import Markup, tag, together
from hcrun.reports.render.sections import Section, sections
from hcrun.reports.render.style import css
from hcrun.reports.report import CheckReport, Report
from hcrun.reports.slo import DAYS
from hcrun.text import printable

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_FEW = 30  # days that a phone shows of the bars


def html(report: Report) -> str:
    """Nothing but this page is needed to look at it."""
    title = f"Checks, {phrases.dates(report.period)}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Markup(css())),
    )
    body = tag("body", _header(report), _main(report), _footer(report))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _header(report: Report) -> Markup:
    days = tag("span", phrases.dates(report.period), class_="date")
    return tag(
        "header",
        tag("h1", "Checks, ", days),
        tag("p", f"Days of {report.zone}, {phrases.beside(report)}.", class_="muted"),
        tag("ul", *map(_tile, phrases.tiles(report)), class_="tiles"),
    )


def _tile(told: tuple[str, str, bool]) -> Markup:
    number, about, good = told
    return tag("li", tag("b", number, class_="" if good else "bad"), about)


def _main(report: Report) -> Markup:
    checks = [_check(service, report) for service in report.services]
    graphs = [_legend(), *checks] if checks else [tag("p", "No checks.")]
    return tag("main", tag("h2", "Checks"), *graphs, *map(_table, sections(report)))


def _legend() -> Markup:
    kinds = (("up", "up", 0), ("down", "down", 6), ("maintenance", "planned maintenance", 7))
    return tag(
        "ul",
        *(
            tag(
                "li",
                tag(
                    "svg",
                    tag("path", class_=kind, d=f"M0 {top}h8V14H0z"),
                    viewBox="0 0 8 14",
                    aria_hidden="true",
                ),
                about,
            )
            for kind, about, top in (*kinds, ("unknown", "not known", 10))
        ),
        class_="legend",
    )


def _check(service: CheckReport, report: Report) -> Markup:
    """A row of pictures; on a phone a card."""
    kept = service.promise.kept if service.promise else None
    return tag(
        "article",
        _name(service),
        _days(service, report),
        _durations(service),
        _budget(service),
        class_="check broken" if kept is False else "check",
    )


def _name(service: CheckReport) -> Markup:
    subject, promise = service.subject, service.promise
    about = []
    if subject.tier:
        about.append(f"tier {printable(subject.tier)}")
    if subject.environment:
        about.append(printable(subject.environment))
    told = [tag("p", " · ".join(about), class_="muted")] if about else []
    if promise:
        kind = {True: "good", False: "bad", None: "muted"}[promise.kept]
        ratio = "" if promise.ratio is None else f", {phrases.percent(promise.ratio)}"
        told.append(
            tag(
                "p",
                f"{phrases.promise(promise.slo)}: {phrases.kept(promise.kept)}{ratio}",
                class_=kind,
            )
        )
    return tag("div", tag("h3", printable(subject.slug)), *told)


def _days(service: CheckReport, report: Report) -> Markup:
    if not service.source:
        word = "never ran" if service.never_ran else "nobody knows when it was up"
        return tag("figure", tag("figcaption", word), class_="days")
    days = service.days
    first, few, last = days[0], days[max(0, len(days) - _FEW)], days[-1]
    ratio, before = service.now.times.ratio, service.before.times.ratio
    known = phrases.known(service, report)
    told: list[str] = []
    if ratio is not None:
        # The bars are of more days than the ratio is.
        told = [f"{report.period.days} d: ", tag("b", f"{phrases.percent(ratio)} up")]
        told.append(f", before {phrases.percent(before)}")
    caption = tag(
        "figcaption",
        tag("span", phrases.day(first.date), class_="date many"),
        tag("span", phrases.day(few.date), class_="date few"),
        tag("span", *told),
        tag("span", phrases.day(last.date), class_="date"),
    )
    more = [tag("p", known, class_="axis")] if known else []
    bars = tag("div", pictures.bars(days, printable(service.subject.slug)), class_="bars")
    return tag("figure", bars, caption, *more, class_="days")


def _durations(service: CheckReport) -> Markup:
    drawn = pictures.durations(service.days[-_FEW:], printable(service.subject.slug))
    p95 = service.now.p95
    change = phrases.change(p95, service.before.p95)
    told = f"p95 {phrases.length(p95)}" if p95 is not None else "no runs timed"
    caption = tag("figcaption", tag("span", told), tag("span", "" if change == "-" else change))
    return tag("figure", drawn or Markup(""), caption)


def _budget(service: CheckReport) -> Markup:
    budget = service.budget
    if not budget:
        return tag("figure", tag("figcaption", "no promise"))
    days = service.days[-DAYS:]
    drawn = pictures.burn_down(days, budget, printable(service.subject.slug))
    left = phrases.percent(budget.left, 0)
    caption = tag("figcaption", tag("span", "budget"), tag("span", f"{left} left"))
    return tag("figure", drawn or Markup(""), caption)


def _table(section: Section) -> Markup:
    def cell(column: int, text: str, scope: str) -> Markup:
        kind = {"class_": "n"} if column in section.numeric else {}
        return tag("th", text, scope=scope, **kind) if scope else tag("td", text, **kind)

    head = tag("tr", *(cell(n, name, "col") for n, name in enumerate(section.columns)))
    rows = [
        tag("tr", *(cell(n, text, "" if n else "row") for n, text in enumerate(row)))
        for row in section.rows
    ]
    table = tag("table", tag("thead", head), tag("tbody", *rows), aria_label=section.title)
    about = [tag("p", section.about, class_="about muted")] if section.about else []
    return together(
        tag("h2", section.title),
        tag("div", table, class_="table", tabindex="0", role="region", aria_label=section.title),
        *about,
    )


def _footer(report: Report) -> Markup:
    told = [
        *phrases.origin(report),
        *phrases.NOTES,
        *(f"Not known: {problem}." for problem in report.problems),
        f"Made {phrases.moment(report.made)} on {report.host}; times are {report.zone}.",
    ]
    return tag("footer", tag("h2", "Where this is from"), tag("ul", *(tag("li", t) for t in told)))

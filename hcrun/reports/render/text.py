"""The report for a terminal, and as Markdown."""

from __future__ import annotations

from hcrun.reports.render import phrases
from hcrun.reports.render.sections import Section, sections
from hcrun.reports.report import Report


def text(report: Report) -> str:
    """Plain text; tables as wide as they are."""
    lines = [f"Report for {phrases.title(report)} ({report.zone})", *phrases.summary(report)]
    for section in sections(report):
        lines += ["", section.title, *_table(section)]
        lines += [f"  {section.about}"] if section.about else []
    lines += [
        "",
        *phrases.origin(report),
        *phrases.NOTES,
        *_problems(report),
        f"Made {_made(report)}.",
    ]
    return "\n".join(lines) + "\n"


def markdown(report: Report) -> str:
    """As GitHub reads it; what stands in a cell is text, whatever it looks like."""
    lines = [
        f"# Report for {phrases.title(report)}",
        "",
        *(f"- {s}" for s in phrases.summary(report)),
    ]
    for section in sections(report):
        lines += ["", f"## {section.title}", ""]
        lines.append(_row([column or " " for column in section.columns]))
        lines.append(
            _row(["---:" if n in section.numeric else "---" for n in range(len(section.columns))])
        )
        lines += [_row([_escaped(cell) for cell in row]) for row in section.rows]
        lines += ["", section.about] if section.about else []
    lines += ["", "---", ""]
    ends = [*phrases.origin(report), *phrases.NOTES, *_problems(report)]
    lines += [f"- {_code(end)}" for end in ends]
    lines += [f"- Made {_made(report)}; times are {report.zone}."]
    return "\n".join(lines) + "\n"


def _table(section: Section) -> list[str]:
    rows = [tuple(column.upper() for column in section.columns), *section.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if n in section.numeric else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _problems(report: Report) -> list[str]:
    return [f"Not known: {problem}." for problem in report.problems]


def _made(report: Report) -> str:
    return f"{phrases.moment(report.made)} on {report.host}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escaped(text: str) -> str:
    return "".join("\\" + c if c in "\\`*_{}[]<>()#+!|~&" else c for c in text)


def _code(text: str) -> str:
    """The only marks that stand in our own sentences are those of code; paths stay as they are."""
    return text.replace("|", "\\|").replace("<", "&lt;")

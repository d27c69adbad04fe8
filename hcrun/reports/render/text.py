"""The report for a terminal, and as Markdown."""

from hcrun.reports.render import phrases
from hcrun.reports.render.sections import Column, Section, sections
from hcrun.reports.report import Report

_ESCAPES = {ord(c): f"\\{c}" for c in "\\`*_{}[]<>()#+!|~&"}


def text(report: Report, shown: int | None = None) -> str:
    """Plain text; tables are as wide as necessary, and have at most `shown` rows."""
    lines = [f"Report for {phrases.title(report)} ({report.zone})", *phrases.summary(report)]
    for section in sections(report, shown):
        lines += ["", section.title, *_table(section)]
        lines += [f"  {section.about}"] if section.about else []
    lines += ["", *phrases.origin(report), f"{phrases.created(report)}."]
    return "\n".join(lines) + "\n"


def markdown(report: Report) -> str:
    """GitHub's Markdown; the text of cells is escaped."""
    lines = [f"# Report for {phrases.title(report)}", ""]
    lines += [f"- {sentence}" for sentence in phrases.summary(report)]
    for section in sections(report):
        lines += ["", f"## {section.title}", ""]
        lines.append(_row([column.title for column in section.columns]))
        lines.append(_row(["---:" if column.numeric else "---" for column in section.columns]))
        lines += [_row([cell.translate(_ESCAPES) for cell in row]) for row in section.rows]
        lines += ["", section.about] if section.about else []
    lines += ["", "---", ""]
    # Our own sentences contain no markup but code, so that paths stay as they are.
    lines += [
        "- " + line.replace("|", "\\|").replace("<", "&lt;") for line in phrases.origin(report)
    ]
    lines += [f"- {phrases.created(report)}; times are in {report.zone}."]
    return "\n".join(lines) + "\n"


def _table(section: Section) -> list[str]:
    columns = [_padded(column) for column in section.columns]
    return ["  " + "  ".join(row).rstrip() for row in zip(*columns, strict=True)]


def _padded(column: Column) -> list[str]:
    cells = [column.title.upper(), *column.cells]
    width = max(map(len, cells))
    return [cell.rjust(width) if column.numeric else cell.ljust(width) for cell in cells]


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"

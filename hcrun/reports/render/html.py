"""The report as one HTML page, which has no script and loads nothing from the network."""

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from hcrun.errors import HcrunError
from hcrun.reports.render import phrases, svg
from hcrun.reports.render.sections import LOOK, sections
from hcrun.reports.report import Report
from hcrun.reports.slo import DAYS
from hcrun.text import printable
from hcrun.units import span

if TYPE_CHECKING:
    from jinja2 import Template

_FEW = 30  # days whose bars a phone shows


def html(report: Report, pictures: bool = True, shown: int | None = None) -> str:
    """The page, with or without its pictures; its tables have at most `shown` rows.

    Raises HcrunError.
    """
    names = {"report": report, "pictures": pictures, "tables": sections(report, shown)}
    return _template().render(names) + "\n"


@cache
def _template() -> "Template":
    try:
        from jinja2 import Environment  # slow to import, and only needed here
    except ImportError:
        hint = "pip install 'hcrun[report]'"
        raise HcrunError("a page needs jinja2, which is not installed", hint=hint) from None
    from markupsafe import Markup

    here = files("hcrun.reports.render")
    source, css = (here.joinpath(name).read_text("utf-8") for name in ("page.html", "report.css"))
    names = {"svg": svg, "phrases": phrases, "span": span, "LOOK": LOOK, "DAYS": DAYS, "few": _FEW}
    environment = Environment(autoescape=True)
    environment.filters["printable"] = printable
    environment.globals.update(names, css=Markup(css))  # noqa: S704 - our own
    return environment.from_string(source.replace(">\n<", "><"))

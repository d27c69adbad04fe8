"""`hcctl completion`: one script for sh and awk, which each shell asks in its own way."""

from importlib.resources import files
from shlex import quote

import click

from hcrun.variables import KNOWN


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    place = files("hcrun.ctl.commands")
    script, asked, table = (
        place.joinpath(f"completion.{name}").read_text() for name in (shell, "sh", "txt")
    )
    offers = asked.replace("@table@TABLE", f"{table}TABLE")
    quoted = "'" + offers.replace("\\", "\\\\").replace("'", "\\'") + "'"
    programs = ["hcrun", "hcctl", "probe-all", *(f"probe-{name}" for name in KNOWN)]
    script = script.replace("@programs@", " ".join(programs))
    click.echo(script.replace("@offers@", quoted if shell == "fish" else quote(offers)), nl=False)

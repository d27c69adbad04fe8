"""`hcctl completion`: of hcrun from its help, of hcctl from click."""

from importlib.resources import files

import click
from click.shell_completion import get_completion_class

from hcrun.run.help import GROUPS

_QUOTES = str.maketrans({"'": "\\'"})
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the shell completion of hcrun and hcctl.

    \b
    Examples:
      hcctl completion bash > /etc/bash_completion.d/hcrun
      hcctl completion fish > ~/.config/fish/completions/hcrun.fish
    """
    hcctl = get_completion_class(shell)
    assert hcctl is not None
    root = click.get_current_context().find_root().command
    click.echo(_hcrun(shell))
    click.echo(hcctl(root, {}, "hcctl", "_HCCTL_COMPLETE").source())


def _hcrun(shell: str) -> str:
    options = [option for group in GROUPS.values() for option in group]
    if shell == "fish":
        return "\n".join(
            f"complete -c hcrun -n __fish_is_first_arg -l {option.flag.removeprefix('--')}"
            f"{' -r' if option.metavar else ''} -d '{option.help.translate(_QUOTES)}'"
            for option in options
        )
    script = (files("hcrun.ctl.commands") / "completion.bash").read_text(encoding="utf-8")
    script = script.replace("@flags@", " ".join(option.flag for option in options))
    valued = "|".join(option.flag for option in options if option.metavar)
    script = script.replace("@valued@", valued)
    return script if shell == "bash" else _ZSH + script

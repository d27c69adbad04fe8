"""`hcctl completion`: of hcrun from its table of options, of hcctl from click."""

import click
from click.shell_completion import get_completion_class

from hcrun.run.options import GROUPS

_BASH = """\
_hcrun() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
            {valued}) ((i++)) ;;
            -*) ;;
            *)  # the check; behind it the command's own completion takes over
                [[ ${{COMP_WORDS[i+1]}} == -- ]] && ((i++))
                ((i < COMP_CWORD)) && _command_offset $((i + 1)) 2>/dev/null
                return ;;
        esac
    done
    case $previous in
        --overlap) COMPREPLY=($(compgen -W 'allow skip wait' -- "$current")); return ;;
    esac
    COMPREPLY=($(compgen -W '{flags}' -- "$current"))
}}
complete -o default -F _hcrun hcrun
"""
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
    options = [option for _, group in GROUPS for option in group]
    if shell == "fish":
        return "\n".join(
            f"complete -c hcrun -n __fish_is_first_arg -l {option.flag.removeprefix('--')}"
            f"{' -r' if option.metavar else ''} -d {_quoted(option.help)}"
            for option in options
        )
    script = _BASH.format(
        valued="|".join(option.flag for option in options if option.metavar),
        flags=" ".join(option.flag for option in options),
    )
    return script if shell == "bash" else _ZSH + script


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"

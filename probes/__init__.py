"""Probes: each check_*.py is an executable that checks one service."""

import os
import sys


def _unknown(kind: type[BaseException], error: BaseException, _trace: object) -> None:
    """Report a probe that cannot be loaded as UNKNOWN (3).

    Python's own exit status is 1, a WARNING, which may count as a success of the run.
    """
    if kind is KeyboardInterrupt:  # Python ends by the signal itself
        return
    name = os.path.basename(sys.argv[0]).removesuffix(".py").replace("check_", "probe-")
    name = name.removeprefix("probe-").replace("_", "-")
    text = " ".join(f"{kind.__name__}: {error}".split())
    hint = "install hcrun again"
    if isinstance(error, ModuleNotFoundError):
        extra = "" if error.name in ("hcrun", "click") else f"[{name}]"
        hint = f"install hcrun: {sys.executable} -m pip install 'hcrun{extra}'"
    line = f"{name.upper()} UNKNOWN - the probe cannot start: {text}; {hint}\n"
    try:
        os.write(1, line.encode("utf-8", "replace"))
    finally:
        os._exit(3)


def is_script() -> bool:
    """Whether this process is a probe: a console script or a file of ours, not a program's."""
    if sys.argv[0] == "-m":  # `python -m` sets it only after this import
        return any(word.startswith("probes.") for word in sys.orig_argv)
    name = os.path.basename(os.path.realpath(sys.argv[0]))
    is_file = name.startswith("check_") and os.path.exists(f"{os.path.dirname(__file__)}/{name}")
    return is_file or name.startswith("probe-")


if is_script():
    sys.excepthook = _unknown

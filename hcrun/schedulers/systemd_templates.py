"""The units that all checks share, made from the files in `units`."""

from importlib.resources import files


def render(hcrun: str, path: str) -> dict[str, str]:
    """Returns the shared units by name. Neither `hcrun` nor `path` may need quotes."""
    values = {
        "@credentials@\n": _read("credentials.conf"),
        "@sandbox@\n": _read("sandbox.conf"),
        "@report@": _one_word(_read("report.sh")),
        "@hcrun@": hcrun,
        "@path@": path,
    }
    units = {}
    for name in ("hcrun-probe@.service", "hcrun-job@.service", "hcrun-failed@.service"):
        units[name] = _read(name)
        for placeholder, value in values.items():
            units[name] = units[name].replace(placeholder, value)
    return units


def _read(name: str) -> str:
    return files("hcrun.schedulers").joinpath("units", name).read_text()


def _one_word(script: str) -> str:
    """Returns a script without comments and single quotes as one word of a unit."""
    lines = [line for line in script.splitlines() if not line.startswith("#")]
    text = "\n".join(lines)
    for character, escaped in (("\\", "\\\\"), ("$", "$$"), ("%", "%%")):
        text = text.replace(character, escaped)
    return "'" + text.replace("\n", " \\\n    ") + "'"

"""The table of settings in docs/settings.md, from hcrun.variables: `make docs`."""

from hcrun.variables import load

PAGE = "docs/settings.md"
HEAD = "| --- | --- | --- | --- |\n"


def table() -> str:
    """A row for each variable."""
    return "".join(
        f"| `{one.name}` | {one.text} | {one.default} | {'yes' if one.secret else ''} |\n"
        for one in load()
    )


def main() -> None:
    """Write the table, which ends the page."""
    with open(PAGE, encoding="utf-8") as file:
        text = file.read().partition(HEAD)[0]
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(text + HEAD + table())


if __name__ == "__main__":
    main()

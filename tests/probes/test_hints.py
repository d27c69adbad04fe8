"""What the probes and the shipped catalogue advise: nothing that destroys data without a word."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "probes").rglob("*.py"))

# What can lose data or take a service down, as advice: `delete it`, not `is deleted`.
RISKY = re.compile(
    r"\b(operator init|initiali[sz](e|ing)|re-?init|flush(all|db)?|drop|delete|remove|rm|purge"
    r"|reset|restart|kill|truncate|overwrite|recreate|terminate|promote|trim|wipe|prune|unlink|force"
    r"|CONFIG SET|pg_resetwal|unclean)\b|--force",
    re.IGNORECASE,
)
# The words that say what is lost, or what to find out first.
WARNED = re.compile(
    r"which cannot read|must be built again|loses what is not saved|before you|seals it|cli save"
)
# Texts that advise nothing of the kind: they are about the probe's own options and objects, and
# commands that lose nothing.
HARMLESS = (
    r"Put an object into the bucket, get it and delete it\.",
    r"remove (--heartbeat-key to check the schedule file|it; the options --tls-\.\.\. set .*)",
    r"docker restart (api|celery-sso|celery-beat|consumer|postgres|kafka|zookeeper|minio)",
    r"docker compose -f \S+ restart healthchecks",
)


def texts(module: Path) -> Iterator[str]:
    """The sentences of a module but its docstrings, with {} for what is filled in."""
    tree = ast.parse(module.read_text())
    parts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= {id(part) for part in node.values}
            filled = (
                part.value if isinstance(part, ast.Constant) else "{}" for part in node.values
            )
            found.append("".join(map(str, filled)))
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts
        ):
            found.append(node.value)
    return (text for text in found if " " in text and "(?" not in text)  # no names, no patterns


def silent(found: Iterator[str] | list[str]) -> list[str]:
    """The texts that advise something risky and do not say what it costs."""
    return [
        text
        for text in found
        if RISKY.search(text)
        and not WARNED.search(text)
        and not any(re.fullmatch(harmless, text) for harmless in HARMLESS)
    ]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_no_probe_advises_to_destroy_data(module: Path) -> None:
    assert silent(texts(module)) == []


def test_the_catalogue_does_not_either() -> None:
    checks = tomllib.loads((ROOT / "hcrun" / "checks.toml").read_text())["checks"]
    assert silent([str(check.get("restart", "")) for check in checks.values()]) == []


@pytest.mark.parametrize(
    "advice",
    [
        "vault operator init",
        "delete the group",
        "CONFIG SET activedefrag yes, or restart",
        "run: redis-cli FLUSHALL",
        "drop the slot {}",
        "docker restart vault",
    ],
)
def test_what_would_be_found(advice: str) -> None:
    assert silent([advice]) == [advice]

"""Reads one check of checks.toml. Problems are added to the Source."""

import math
import re
from collections.abc import Collection, Iterable
from functools import partial

from hcrun.catalog import (
    ALL,
    ENVIRONMENT_TAG,
    MARKER,
    NEEDS_TAG,
    SEVERITY_TAG,
    TIER_TAG,
    Catalog,
    Channel,
    Check,
    Environment,
    Tier,
    schedule,
    values,
)
from hcrun.catalog.toml_source import Table, suggestion, text, toml_key, toml_value
from hcrun.run.job import Job
from hcrun.run.options import parse

# The server's limits.
MINIMUM, MAXIMUM = 60, 31536000  # seconds of a period or a grace
LONGEST_DESCRIPTION = 5000  # characters; fits into a mail
_ACTIONS = {"logs": "Logs", "restart": "Restart", "dependencies": "Depends on"}
_DAMPENING = {"fail_after": 1, "recover_after": 1, "retries": 0}  # with the defaults of hcrun
_REMEDY = ("remedy", "remedy_after", "remedy_limit")
_LINKS = {"runbook": "Runbook", "dashboard": "Dashboard"}


class CheckReader:
    """Reads checks one after the other, and finds what no two of them may share."""

    def __init__(self, catalog: Catalog, multiplier: float, zone: str, defaults: Table) -> None:
        """`catalog` is still without checks."""
        self.catalog = catalog
        self.multiplier = multiplier
        self.owners: dict[tuple[str, str], str] = {}  # slugs by name and by HC_CHECK_<NAME>
        self.suffix = ""  # of the slugs of an environment that inherits
        self.suffixed: Collection[str] = ()  # which get it
        self.tier = self._choice(defaults, "tier", catalog.tiers)
        self.environment = self._choice(defaults, "environment", catalog.environments)
        self.zone = defaults.read("zone", values.zone) or zone
        self.user = defaults.read("user", values.user) or ""
        self.tags = defaults.read("tags", values.tags) or ()
        self.options = defaults.read("options", values.hcrun_options) or ()
        self.links = {key: defaults.read(key, values.link) or "" for key in _LINKS}
        defaults.check_keys()

    def check(self, slug: str, table: Table) -> Check:
        catalog = self.catalog
        tier_name = self._choice(table, "tier", catalog.tiers) or self.tier
        tier = catalog.tiers.get(tier_name, Tier("", "", ()))
        named = self._choice(table, "environment", catalog.environments) or self.environment
        environment = catalog.environments.get(named, Environment(""))
        when = _schedule(table)
        timeout = table.duration("timeout", 1, MAXIMUM)
        command = table.read("command", values.words) or ()
        options = self._options(table, tier)
        job = parse([*options, "check", "--", "true"])
        job.timeout = timeout
        user = table.read("user", values.user) or environment.user or self.user
        given = dict.fromkeys(table.texts("needs") or ())
        needs = tuple(n + self.suffix if n in self.suffixed else n for n in given)
        settle = table.duration("settle", 1, MAXIMUM)
        channels = (channels_of(table, catalog.channels), environment.channels, tier.channels)
        if not values.is_slug(slug):
            hint = "use a-z, 0-9, _ and -, not - at the start, at most 100 characters and no UUID"
            table.add_problem("", f"{toml_value(slug)} is not a valid slug", hint)
        if "command" not in table.values:
            keys = {"timeout", "options", "user", "mailto", "retry_delay", *_DAMPENING, *_REMEDY}
            for key in keys & set(table.values):
                table.add_problem(key, "needs a command", "add command or remove this")
        if settle and not needs:
            table.add_problem(
                "settle", "is for a check with needs", 'add needs = ["redis"] or remove this'
            )
        name = table.text("name", slug.removesuffix(self.suffix), values.LONGEST_NAME)
        self._check_unique(slug, name, environment.name, table)
        check = Check(
            slug=slug,
            name=name,
            schedule=when or schedule.Every(MINIMUM),
            zone=table.read("zone", values.zone) or environment.zone or self.zone,
            grace=self._grace(table, tier, job, when),
            timeout=timeout,
            description=self._description(slug, table, tier, environment, command),
            tags=self._all_tags(table, tier, environment, needs),
            tier=tier.name,
            severity=tier.level,
            environment=environment.name,
            command=command,
            options=options if command else (),
            user=user if command else "",
            mailto=table.read("mailto", values.addresses) or "",
            slo=table.read("slo", values.slo) or tier.slo,
            channels=next(names for names in channels if names is not None),
            was=was + self.suffix if (was := table.text("was")) else "",
            needs=needs,
            settle=settle or 0,
            line=table.line,
        )
        if len(check.title) > values.LONGEST_NAME >= len(slug):
            what = f"has {len(check.title)} characters with severity and environment"
            table.add_problem("name", what, f"the maximum is {values.LONGEST_NAME}")
        table.check_keys()
        return check

    def _choice(self, table: Table, key: str, known: Iterable[str]) -> str:
        name = table.text(key)
        if name:
            _check_defined(name, known, table, key)
        return name

    def _check_unique(self, slug: str, name: str, environment: str, table: Table) -> None:
        variable = f"HC_CHECK_{slug.upper().replace('-', '_')}"
        title = f"{environment} {name}"
        for key, value, shown in (("", variable, variable), ("name", title, toml_value(name))):
            if (other := self.owners.setdefault((key, value), slug)) != slug:
                what = f"checks.{other} has {shown}, too"
                table.add_problem(key, what, "rename one of them")

    def _all_tags(
        self, table: Table, tier: Tier, environment: Environment, needs: Iterable[str]
    ) -> tuple[str, ...]:
        tags = [SEVERITY_TAG + tier.level, TIER_TAG + tier.name] if tier.name else []
        tags += [ENVIRONMENT_TAG + environment.name] if environment.name else []
        tags += [*self.tags, *(table.read("tags", values.tags) or ())]
        tags = list(dict.fromkeys([*tags, *(NEEDS_TAG + need for need in needs), MARKER]))
        if (length := len(" ".join(tags))) > values.LONGEST_TAGS:
            hint = f"the maximum is {values.LONGEST_TAGS}"
            table.add_problem("tags", f"have {length} characters in total", hint)
        return tuple(tags)

    def _options(self, table: Table, tier: Tier) -> tuple[str, ...]:
        """Returns the options of hcrun, with those for dampening."""
        given = (*self.options, *(table.read("options", values.hcrun_options) or ()))
        own = dampening_of(table)
        dampening = {**tier.dampening, **own}
        if dampening.get("retries") == 0:
            dampening.pop("retry_delay", None)
        flags: list[str] = []
        for key, number in dampening.items():
            flag = "--" + key.replace("_", "-")
            if any(word.partition("=")[0] == flag for word in given):
                if key in own:
                    table.add_problem(key, f"{flag} is in options, too", "remove one of them")
            elif number != _DAMPENING.get(key):
                flags += [flag, f"{number}s" if key == "retry_delay" else str(number)]
        for key in _REMEDY:
            flags += table.read(key, partial(_remedy_flags, key)) or ()
        return (*flags, *given)

    def _description(
        self, slug: str, table: Table, tier: Tier, environment: Environment, command: Iterable[str]
    ) -> str:
        """Returns what whoever is woken up reads: how bad, where, what it is, what to do."""
        probe = re.search(r"\bprobe-([a-z-]+)", " ".join(command))
        own = {"runbook": f"hcctl docs runbook {probe[1] if probe else 'job'}"}
        facts = [("Severity", tier.level), ("Environment", environment.name)]
        limit = values.LONGEST_NAME * 5
        actions = [(label, table.text(key, maximum=limit)) for key, label in _ACTIONS.items()]
        links = []
        for key, label in _LINKS.items():
            link = table.read(key, values.link) or self.links[key] or own.get(key, "")
            links.append((label, link.replace("{slug}", slug)))
        parts = [
            _lines(facts),
            [table.text("description", maximum=LONGEST_DESCRIPTION, more="\n\t")],
            [f"{number}. {line}" for number, line in enumerate(_lines(actions), 1)],
            _lines(links),
        ]
        return "\n\n".join("\n".join(lines) for lines in parts if any(lines))

    def _grace(self, table: Table, tier: Tier, job: Job, when: schedule.Schedule | None) -> int:
        """Returns the given grace, else the tier's, else some periods, but at least the minimum.

        Because start pings are sent, that is the longest time that a run may take; and failures
        that are held back do not put off the end of the grace.
        """
        given = table.duration("grace", MINIMUM, MAXIMUM)
        run = (job.timeout or 0) * (job.retries + 1) + job.retry_delay * job.retries
        held = (job.fail_after - 1) * schedule.period(when) if when else 0
        minimum = max(MINIMUM, math.ceil(run + held))
        if given is not None:
            if given < minimum:
                what = (
                    f"{given} s is shorter than the {minimum} s of timeout, retries and fail_after"
                )
                table.add_problem("grace", what, "a run may take as long as the grace: increase it")
            return given
        usual = tier.grace
        if usual is None:
            usual = math.ceil(self.multiplier * schedule.period(when)) if when else MINIMUM
        return min(max(usual, minimum), MAXIMUM)


def dampening_of(table: Table) -> dict[str, int]:
    """Returns how often a result occurs before it is reported, and how failures are retried."""
    found = {
        key: table.read(key, partial(values.count, minimum=default))
        for key, default in _DAMPENING.items()
    }
    found["retry_delay"] = table.duration("retry_delay", 1, MAXIMUM)
    return {key: number for key, number in found.items() if number is not None}


def _remedy_flags(key: str, value: object) -> tuple[str, ...]:
    if key == "remedy_after":
        value = str(values.count(value, minimum=1))
    return values.hcrun_options(["--" + key.replace("_", "-"), value])


def channels_of(table: Table, channels: dict[str, Channel]) -> tuple[str, ...] | None:
    if table.values.get("channels") == ALL:
        return (table.text("channels"),)
    found = table.texts("channels")
    for name in found or ():
        _check_defined(name, channels, table, "channels")
    on = (name for name in found or () if name not in channels or not channels[name].is_off)
    return None if found is None else tuple(dict.fromkeys(on))


def _check_defined(name: str, known: Iterable[str], table: Table, key: str) -> None:
    """Adds a problem unless the channel, tier or environment `name` has a table."""
    if name not in known:
        heading = toml_key(key if key.endswith("s") else f"{key}s", name)
        others = f"add it, or use {', '.join(known)}" if known else "add it"
        hint = suggestion(name, known) or others
        table.add_problem(key, f"there is no table [{heading}]", hint)


def _schedule(table: Table) -> schedule.Schedule | None:
    every = table.duration("every", 1, MAXIMUM)
    found = [
        None if every is None else schedule.Every(every),
        table.read("cron", lambda value: schedule.cron(text(value))),
        table.read("calendar", lambda value: schedule.calendar(text(value))),
    ]
    given = [key for key in ("every", "cron", "calendar") if key in table.values]
    if len(given) > 1:
        table.add_problem(given[1], f"is set together with {given[0]}", "remove one of them")
    if not given:
        hint = 'add every = "5m", cron = "*/5 * * * *" or calendar = "*:0/5"'
        table.add_problem("", "has no schedule", hint)
    return next((each for each in found if each), None)


def _lines(words: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{label}: {text}" for label, text in words if text]

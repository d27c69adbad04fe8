"""Who failed to log in: by address and by account."""

import ipaddress
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from hcrun.text import counted, printable
from probes.framework.verdict import Range, Reading, show

_IPV4 = re.compile(r"(?<![\w.])\d+\.\d+\.\d+\.\d+(?![\w.])")
_IPV6 = re.compile(r"(?<![\w.:])[\da-f]{0,4}:[\da-f:]*:[\da-f:.]*(?![\w:])")  # or a time
_ACCOUNT = re.compile(
    r"(?:\bfor (?:invalid |illegal )?(?:user )?|\b(?:user(?:[._]?name)?|account|login|email)[ =:]+)"
    r"['\"]?([\w.@+-]{1,60})"
)
_NO_ACCOUNT = {"from", "name", "unknown", "for", "the", "is", "has", "by"}
_KEPT = 10_000  # addresses, and accounts

Ranges = Mapping[str, tuple[Range | None, Range | None]]


class Sources:
    """Failed log-ins by address, the accounts that an address tried, and the other way round."""

    def __init__(self) -> None:
        self._attempts: Counter[str] = Counter()  # by address
        self._accounts: dict[str, set[str]] = defaultdict(set)  # by address
        self._addresses: dict[str, set[str]] = defaultdict(set)  # by account

    def add(self, line: str, times: int) -> None:
        """Count so many attempts that a line in lower case reports; 0: it says more of one."""
        address = found[0] if (found := _IPV4.search(line)) else _ipv6(line)
        if not address or (address not in self._attempts and len(self._attempts) >= _KEPT):
            return
        self._attempts[address] += times
        names = (each[1] for each in _ACCOUNT.finditer(line))
        account = next((name for name in names if name not in _NO_ACCOUNT), "")
        if account and len(self._addresses) < _KEPT:
            self._accounts[address].add(account)
            self._addresses[account].add(address)

    def evaluate(self, minutes: float, ranges: Ranges) -> Iterator[Reading]:
        """Readings on the worst address and the worst account; none if no line names an address."""
        if not self._attempts:
            return
        address, attempts = self._attempts.most_common(1)[0]
        rate = attempts / minutes
        text = f"{show(rate, '')} per minute from {address}"
        yield Reading("address", rate, "", text, *ranges["address"], minimum=0).brief()
        yield _widest("accounts", self._accounts, "{} tried {}", "account", ranges)
        yield _widest("addresses", self._addresses, "account {} tried from {}", "host", ranges)


def _widest(
    label: str, sets: Mapping[str, set[str]], words: str, noun: str, ranges: Ranges
) -> Reading:
    """The one with the most others."""
    name, others = max(sets.items(), key=lambda each: len(each[1]), default=("", set[Any]()))
    text = words.format(printable(name), counted(len(others), noun))
    return Reading(label, len(others), "", text, *ranges[label], minimum=0).brief()


def _ipv6(line: str) -> str:
    """The first address of IPv6; "" for none."""
    for text in _IPV6.findall(line):
        try:
            return str(ipaddress.IPv6Address(text))
        except ValueError:  # a time
            pass
    return ""

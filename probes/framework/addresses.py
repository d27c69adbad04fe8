"""Names with several addresses: the one that accepts a connection comes first.

Libraries try one address after the other, and would wait for the first, silent one until the
deadline. An address without a route or that refuses costs no time.
"""

import errno
import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

_PATIENCE = 3.0  # seconds; a lost first packet is sent again after one

Place = tuple[socket.AddressFamily, Any]  # with the address


def prefer_answering() -> None:
    """Have all libraries of this process connect to the address that answers."""
    resolve = socket.getaddrinfo

    def getaddrinfo(*args: Any, **options: Any) -> Any:
        found = resolve(*args, **options)
        streams = [each for each in found if each[1] == socket.SOCK_STREAM and each[4][1]]
        places = list(dict.fromkeys((each[0], each[4]) for each in streams))
        if len(places) > 1:
            first = _first_to_accept(places)
            found.sort(key=lambda each: each[4] != first)
        return found

    socket.getaddrinfo = getaddrinfo


def _first_to_accept(places: Sequence[Place]) -> Any:
    """The address that accepts a connection first; None if none does in time."""
    until = time.monotonic() + _PATIENCE
    with ExitStack() as opened:
        selector = opened.enter_context(selectors.DefaultSelector())
        for family, address in places:
            with suppress(OSError):  # this host does not have the family
                connection = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
                connection.setblocking(False)
                if connection.connect_ex(address) in (0, errno.EINPROGRESS):
                    selector.register(connection, selectors.EVENT_WRITE, address)
        while selector.get_map() and (left := until - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                connection = key.fileobj  # type: ignore[assignment] # it is the one registered
                if not connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    return key.data
                selector.unregister(connection)
    return None

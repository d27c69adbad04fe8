# The C half of `functools`; typeshed has no stub for it.
from collections.abc import Callable

def _lru_cache_wrapper(
    function: Callable[..., object], maxsize: int, typed: bool, cache_info: type, /
) -> Callable[..., object]: ...

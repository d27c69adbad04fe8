# The C half of `signal`, under the same names; typeshed has no stub for it.
from signal import *  # noqa: F403
from signal import default_int_handler as default_int_handler

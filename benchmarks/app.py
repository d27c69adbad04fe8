"""What monitoring adds to a function call and to a Flask request, in microseconds.

`python -m benchmarks.app` is the measured process, with the settings in its environment.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median

from benchmarks.measure import clean_environment
from tests.stub.healthchecks import Fault, HealthchecksStub, hangs

_BATCH = 200  # calls


def application() -> None:
    """Measure with a healthy server and with a silent one, which must make no difference."""
    print("\nWhat monitoring adds to a call")
    print(f"  {'':44}{'us':>6}  goal")
    with HealthchecksStub() as healthy, HealthchecksStub() as silent:
        silent.fault = Fault(hangs)
        for name, server in (("healthy", healthy), ("never answers", silent)):
            with tempfile.TemporaryDirectory() as state:
                env = clean_environment(
                    state,
                    HC_CHECK_TASK=f"{server.ping_url}/{server.add_check().uuid}",
                    HC_CHECK_VIEW=f"{server.ping_url}/{server.add_check().uuid}",
                )
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.app"],
                    env=env,
                    capture_output=True,
                    text=True,
                    check=True,
                )
            view, task = done.stdout.split()
            print(f"  {f'monitor_endpoint, server {name}':44}{view:>6}  under 50")
            print(f"  {f'monitor_task, server {name}':44}{task:>6}")


def _view() -> float:
    """Return how much longer a request takes; most requests are only counted."""
    import flask

    from hcrun import monitor_endpoint

    app = flask.Flask(__name__)

    @app.get("/plain")
    def plain() -> str:
        return "fine"

    app.get("/watched")(monitor_endpoint("view")(lambda: "fine"))
    client = app.test_client()
    return _difference(lambda: client.get("/plain"), lambda: client.get("/watched"), 60)


def _task() -> float:
    """Return how much longer a call takes; each call is recorded and pinged by threads."""
    from hcrun import monitor_task

    def plain() -> None:
        pass

    return _difference(plain, monitor_task("task")(plain), 3)


def _difference(one: Callable[[], object], other: Callable[[], object], rounds: int) -> float:
    """Return the median difference of batches that take turns, in microseconds."""
    return 1e6 * median(_batch(other) - _batch(one) for _ in range(rounds))


def _batch(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(_BATCH):
        call()
    return (time.perf_counter() - started) / _BATCH


if __name__ == "__main__":
    print(f"{_view():.1f} {_task():.1f}")

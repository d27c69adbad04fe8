"""The logger `hcrun`: what handlers of the application do there delays and breaks nothing."""

import pytest

from tests.support.application import App, kinds

pytestmark = pytest.mark.slow

# `HANDLER` is what the handler does with its first warning.
BURST = """
    import logging, os, signal, sys, threading, time
    from hcrun import flush

    class Handler(logging.Handler):
        def emit(self, record):
            first = not said
            said.append(record.getMessage())
            if first and os.getpid() == parent:
                HANDLER

    parent = os.getpid()
    said = []
    logging.getLogger("hcrun").addHandler(Handler())
    logging.getLogger("hcrun").propagate = False

    @monitor_task("job")
    def job(number=1):
        if number % 10 == 0:
            raise ValueError

    def burst(runs):
        for number in range(runs):
            try:
                job(number)
            except ValueError:
                pass

"""
CALLS = 'sys.stderr.write("called "); burst(2000)'
BLOCKS = 'sys.stderr.write("called "); threading.Event().wait()'
RAISES = 'sys.stderr.write("called "); raise ZeroDivisionError'
LEAVES = 'sys.stderr.write("called "); sys.exit(3)'
HANDLERS = pytest.mark.parametrize("handler", [CALLS, BLOCKS, RAISES, LEAVES])


def script(handler: str, text: str) -> str:
    return BURST.replace("HANDLER", handler) + text


def fails(app: App) -> int:
    return [run.result for run in app.runs()].count("fail")


@HANDLERS
def test_a_handler_while_the_server_is_down(handler: str, app: App) -> None:
    """More runs end than can wait, in several threads: all failures are recorded."""
    app.stub.go_down()
    text = """
    threads = [threading.Thread(target=burst, args=(800,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    burst(800)
    for thread in threads:
        thread.join()
    END
    print("fine", flush=True)
    """
    # A slow machine may need more time for so many than the end of a process gives.
    text = text.replace("END", "" if handler == BLOCKS else "flush(60)")
    done = app.run(script(handler, text))
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "called ")
    assert fails(app) == 320 + 200 * (handler == CALLS)


@HANDLERS
def test_a_handler_is_busy_when_the_process_forks(handler: str, app: App) -> None:
    """The child has a thread of its own for the log."""
    text = """
    with monitor_task("unknown"):
        pass
    while not said:
        time.sleep(0.001)
    child = os.fork()
    if not child:
        said.clear()
        with monitor_task("another"):
            pass
        flush(60)
        os._exit(len(said))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    job()
    print("fine", flush=True)
    """
    done = app.run(script(handler, text), {"PYTHONWARNINGS": "ignore::DeprecationWarning"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "called ")
    assert kinds(app.job).count("success") >= 1


@pytest.mark.parametrize("handler", [CALLS, RAISES, LEAVES])
def test_a_handler_where_no_thread_can_be_started(handler: str, app: App) -> None:
    """Then the thread of the application logs, without a lock."""
    text = """
    start = threading.Thread.start
    def limited(_thread):
        raise RuntimeError("can't start new thread")
    threading.Thread.start = limited
    job()
    assert said[0] == "can't start new thread; runs are not reported until a thread can be started"
    threading.Thread.start = start
    job()
    assert flush(60)
    print("fine")
    """
    done = app.run(script(handler, text))
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "called ")
    assert kinds(app.job).count("success") >= 2


def test_a_handler_of_signals_may_be_monitored(app: App) -> None:
    """Wherever it interrupts the application, and warns."""
    app.stub.go_down()
    text = """
    def interrupted(*_):
        calls.append(None)
        with monitor_task(f"unknown-{len(calls)}"):
            pass

    calls = []
    signal.signal(signal.SIGALRM, interrupted)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    burst(6000)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert calls
    print("fine")
    """
    done = app.run(script("pass", text))
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")
    assert fails(app) == 600


def test_the_process_waits_for_the_handlers_at_its_end(app: App) -> None:
    """Also of a ping by hand, which has no other threads."""
    text = """
    from hcrun import healthchecks
    healthchecks.ping("unknown")
    """
    handler = "sys.stderr.write('slow '); time.sleep(1.2); sys.stderr.write(said[0][:21])"
    done = app.run(script(handler, text))
    assert (done.returncode, done.stderr) == (0, "slow unknown is not pinged")

"""Reports runs of functions, Celery tasks and Flask views, as `hcrun` does for commands.

    application            recorder (thread)            sender (thread)
    agent.begin() ──────>  journal: run in progress ──> start ping
    agent.end()   ──────>  journal: result          ──> end ping, journal: delivered

The application's threads only put a step into a queue. They never wait for the journal or for a
server, and no error of hcrun reaches them. A process has one Agent; after a fork, the child makes
its own.
"""

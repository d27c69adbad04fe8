"""For Python applications: runs of functions and endpoints, told as `hcrun` does of commands.

    application            recorder (thread)          sender (thread)
    going.begin() ──────>  journal: it is going ────> start ping
    going.end()   ──────>  journal: how it ended ───> end ping, journal: delivered

The application's threads only put a note into a queue; nothing here ever makes them wait, and
nothing here raises into them. There is one `desk` per process, made anew after a fork.
"""

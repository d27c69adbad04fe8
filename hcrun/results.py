"""How a run may end, and the state of its delivery, as the journal stores them.

SUCCESS  the command did what it should
FAIL     it did not: reported as a failure
LOG      neither: --on-exit says that this exit status does not count
HELD     a failure that --fail-after does not report yet
BLOCKED  a failure while a check that it needs is failing, which --needs does not report
RECOVERS a success that --recover-after does not report yet
SKIP     not run: the previous run was still in progress
LOST     hcrun itself was killed before the run ended

PENDING  the server has not accepted the result yet
SENT     the server has accepted the result
REJECTED the server will never accept it, for example because it has no such check
DAMAGED  its record in the journal cannot be read
DROPPED  a person has given it up
"""

SUCCESS, FAIL, LOG, HELD, SKIP, LOST = "success", "fail", "log", "held", "skip", "lost"
BLOCKED, RECOVERS = "blocked", "recovers"
GOOD, BAD = (SUCCESS, RECOVERS), (FAIL, HELD, BLOCKED, LOST)  # LOG and SKIP are neither
STATES = (SUCCESS, FAIL, LOST)  # those that the server takes for the state of the check
RESULTS = (*GOOD, *BAD, LOG, SKIP)
PENDING, SENT, REJECTED, DAMAGED = "pending", "sent", "refused", "damaged"
DROPPED = "dropped"
REMEDY = "remedy: "  # how the reason of a LOG that is a remedy begins

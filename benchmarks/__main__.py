"""`python -m benchmarks` runs all benchmarks and prints ratios."""

import os
import platform

from benchmarks.app import application
from benchmarks.fleet import main as fleet
from benchmarks.journal import main as journal
from benchmarks.measure import installed
from benchmarks.probes import main as probes
from benchmarks.wrapper import gigabyte, job_start, whole_run

print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs; medians of interleaved runs")
with installed() as hcrun:
    job_start(hcrun)
    whole_run(hcrun)
    gigabyte(hcrun)
application()
probes()
journal()
fleet()

"""What is in the data centre: collector, stages, learning, costs, campaigns, reports, command line."""

import os

# Before torch is loaded, here and in the workers that inherit it. Threads that wait for each other spin
# otherwise, and where anything else wants a core, such as Ray's own processes, a training step took up to
# three times the processor time and twice the time.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

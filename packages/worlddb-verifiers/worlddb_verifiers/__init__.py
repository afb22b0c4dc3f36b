"""worlddb as a taskset of verifiers 0.4: `vf-eval worlddb_verifiers`.

taskset.py   tasks of a store, or of worlds grown from seeds without end, and their reward
harness.py   the loop between model and tools, in the host's process; exported here, it is the taskset's default harness
"""

from worlddb_verifiers.harness import WorldHarness
from worlddb_verifiers.taskset import WorldTaskset

__all__ = ["WorldHarness", "WorldTaskset"]

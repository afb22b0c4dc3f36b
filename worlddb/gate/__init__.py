"""The admission gate: from a world to tasks that can be trusted."""

from worlddb.gate.admit import Batch, tasks_of

__all__ = ["Batch", "tasks_of"]

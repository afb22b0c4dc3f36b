"""The version of the package, and of the generator's code (library.generator adds the digest of schemas/)."""

__version__ = "0.1.0"

GENERATOR = "2"
"""Raised whenever the same seed would give other bytes; the golden hashes in seeds/ tell when that is."""

TASKS = "2"
"""Raised whenever the same world would give other tasks (spawner.task_version adds the digest of the words and tools)."""

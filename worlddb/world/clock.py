"""The frozen clock: connections on which `date('now')`, CURRENT_TIMESTAMP and their kin answer world time.

SQLite asks the VFS of a connection for the time, also where the database itself lives in memory.  So a VFS that inherits
everything else from the default one is all it takes, and no SQL has to be rewritten.
"""

from __future__ import annotations

import threading

import apsw

NAME = "worlddb-clock"
JULIAN_EPOCH = 210_866_760_000_000
"""Milliseconds from the Julian epoch, where SQLite counts from, to 1970."""


class _State(threading.local):
    """What the clock shows and allows in one thread; SQLite asks in the thread that runs the statement."""

    time = JULIAN_EPOCH
    may_spill = True


class _Clock(apsw.VFS):
    """The default VFS with two changes: the time is what it is told, and temporary files can be refused."""

    def __init__(self) -> None:
        super().__init__(NAME, "")

    def xCurrentTimeInt64(self) -> int:  # noqa: N802
        """Milliseconds since the Julian epoch."""
        return _state.time

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """Opens a file; these connections live in memory, so it is a temporary one."""
        if not _state.may_spill:
            raise apsw.CantOpenError("no temporary files here")
        return super().xOpen(name, flags)


_state = _State()
_clock = _Clock()


def open_memory(statements: int = 100) -> apsw.Connection:
    """An empty database in memory whose clock is the frozen one, for use by one thread at a time.

    It keeps up to `statements` prepared statements.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX
    return apsw.Connection(":memory:", flags=flags, vfs=NAME, statementcachesize=statements)


def set_now(seconds: int) -> None:
    """Sets the time, Unix seconds UTC, for all connections of `open_memory` as this thread uses them."""
    _state.time = JULIAN_EPOCH + 1000 * seconds


def allow_spill(allowed: bool) -> None:
    """Says whether sorters and intermediate tables of more than 2 MB may go on in temporary files.

    Where they may not, the statement fails with `apsw.CantOpenError` at a size that does not depend on the machine.
    """
    _state.may_spill = allowed

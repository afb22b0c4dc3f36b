"""What worlddb raises.

Two rules.  A mistake of the caller (a bad name, a broken file, a full disk) raises a `WorlddbError` whose message is one
line and says what to do; the command line prints that line and exits with 1.  Anything else that escapes is a bug of ours
and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WorlddbError(Exception):
    """The base of everything that worlddb raises on purpose.  Its message is one line with the cure in it."""


class UnknownName(WorlddbError):
    """A profile, suite, world, domain, type or locale that does not exist.  The message suggests the nearest one."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        self._arguments = (what, name, tuple(known))
        choices = sorted(self._arguments[2])
        near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
        if near:
            hint = f"did you mean '{near[0]}'?"
        elif len(choices) <= 12:
            hint = f"choose one of: {', '.join(choices)}"
        else:
            hint = f"there are {len(choices)}, from '{choices[0]}' to '{choices[-1]}'" if choices else "there are none"
        super().__init__(f"no {what} named '{name}'; {hint}")

    def __reduce__(self) -> tuple[type[UnknownName], tuple[str, str, tuple[str, ...]]]:
        """Pickled by its arguments: it may come from a worker process."""
        return (UnknownName, self._arguments)


class BrokenFile(WorlddbError):
    """A data file of schemas/ or seeds/ (or of the user's own folder) that does not hold what it should.

    The message names the file, the key inside it, and the cure.
    """


class BadRequest(WorlddbError):
    """An argument that cannot be served: n <= 0, an output folder that is not a store, an unsuitable combination."""


class StoreError(WorlddbError):
    """A store that cannot be read or written: corrupt, of a newer version, of another recipe, on a full disk."""


class QueryError(WorlddbError):
    """SQL that DuckDB or SQLite refused; the message is the database's own, cut to its first lines."""


class BrokenPromise(WorlddbError):
    """A generated world breaks one of its own rules.  This is a bug of worlddb: report the recipe in the message."""

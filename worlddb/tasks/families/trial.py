"""Trials: what calls would come to in the world as it was grown, in a scratch session that is wiped for each trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from worlddb.semantics.types import semantic_type
from worlddb.tasks.ground import Ground, flat
from worlddb.tools.keys import call_of
from worlddb.tools.model import Result, Tool
from worlddb.tools.session import Session
from worlddb.world.diff import Change

Calls = Sequence[tuple[Tool, Mapping[str, Any]]]
"""Tools, and their arguments by parameter key, as stored."""


class Outcome(NamedTuple):
    """What a trial call came to."""

    result: Result
    changes: tuple[Change, ...]
    works: bool
    """True where it was carried out, and something is different beside what the clock puts in."""


def _scratch(ground: Ground) -> Session:
    session: Session | None = ground.memo.get("scratch")
    if session is None:
        session = ground.memo["scratch"] = ground.world.session(ground.toolset)
    return session


def outcome(ground: Ground, tool: Tool, arguments: Mapping[str, Any]) -> Outcome:
    """What a call with these arguments (by parameter key, as stored) would come to in the world as it was grown."""
    return outcomes(ground, [(tool, arguments)])[0]


def outcomes(ground: Ground, calls: Calls) -> list[Outcome]:
    """What several calls, one after the other, would come to; those after one that fails are not made."""
    session, found = _scratch(ground).reset(), list[Outcome]()
    for tool, arguments in calls:
        call = call_of(ground.toolset, tool.key, {k: public(tool, k, v) for k, v in arguments.items()})
        result = session.call(call.name, call.arguments)
        changes = session.journal[-1].changes
        found.append(Outcome(result, changes, result.ok and bool(_differences(ground, changes))))
        if not result.ok:
            break
    return found


def bearing(ground: Ground, calls: Calls, uses: Sequence[frozenset[int]] = ()) -> bool:
    """True where all calls work, and the end would be another without any one of them (and those that use what it made).

    `uses`: of each call the indexes of the earlier ones that made its rows.
    """
    if not all(o.works for o in outcomes(ground, calls)):
        return False
    whole = footprint(ground)
    for i in range(len(calls)):
        gone = {i}
        for j in range(i + 1, len(calls)):
            if uses and uses[j] & gone:
                gone.add(j)
        outcomes(ground, [c for j, c in enumerate(calls) if j not in gone])
        if len(calls) > 1 and footprint(ground) == whole:
            return False
    return True


def footprint(ground: Ground) -> list[tuple[object, ...]]:
    """The net changes of the last trial, without keys of new rows and what the clock or the books put in."""
    return sorted(_differences(ground, _scratch(ground).diff()), key=repr)


def _differences(ground: Ground, changes: Iterable[Change]) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for change in changes:
        kept = [i for i, c in enumerate(ground.schema[change.table].columns) if not incidental(c.type)]
        sides = [None if s is None else tuple(s[i] for i in kept) for s in (change.before, change.after)]
        if sides[0] != sides[1]:
            found.append((change.table, None if change.before is None else change.key, *sides))
    return found


@lru_cache(1024)
def incidental(kind: str) -> bool:
    """True for columns that the clock or the books fill, and for keys: they do not tell one end from another."""
    return semantic_type(kind).compare in ("clock", "bookkeeping", "key")


def doable(ground: Ground, tool: Tool, arguments: Mapping[str, Any]) -> bool:
    """True where the call is carried out and changes something."""
    return outcome(ground, tool, arguments).works


def public(tool: Tool, key: str, value: Any) -> Any:
    """A stored value as APIs take it: flags as true and false."""
    param = next((p for p in flat(tool.params) if p.key == key), None)
    return bool(value) if param is not None and param.convert == "flag" and value is not None else value

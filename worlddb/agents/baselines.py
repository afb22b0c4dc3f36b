"""Agents that show what a number is worth: one that does nothing, one that guesses, one that takes the first row it meets.

A benchmark that pays any of them measures luck.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from worlddb.agents.draw import draw_call
from worlddb.attempts import Said, Talk
from worlddb.episode.play import SUBMIT
from worlddb.rng import Stream
from worlddb.tools.model import Tool
from worlddb.tools.session import Session

CALLS = 12
"""Calls that the random agent makes at most."""
_WORD = re.compile(r"[a-z]+")


class Null:
    """Submits at once, without an answer."""

    name = "null"

    def play(self, talk: Talk, run: int = 0) -> None:
        """Submit."""
        submit(talk)


class Random:
    """Makes calls that the tools' schemas allow, with values that stand in the world, and answers with something it was shown.

    It is luckier than a model that guesses: it never calls a tool wrongly, and knows keys that nobody told it.
    """

    name = "random"

    def __init__(self, seed: int = 0, calls: int = CALLS) -> None:
        self.seed, self.calls = seed, calls

    def play(self, talk: Talk, run: int = 0) -> None:
        """Make a random number of random calls, and submit."""
        session = talk.episode.session
        stream = Stream(self.seed, "random agent", session.world.id, _task(talk), str(run))
        shown: list[Any] = []
        for _ in range(stream.between(1, self.calls)):
            tool = stream.pick(session.toolset.tools)
            for result in talk.act(calls=[Said(tool.name, draw_call(session, tool, stream))]):
                shown += values_of(result.data)
            if talk.done:
                return
        submit(talk, stream.pick(shown) if shown and stream.chance(0.5) else ...)


class FirstRow:
    """Looks once, and acts on the first row that it sees: calls the tool that sounds most like what is asked, on that row.

    It passes whatever a task asks of 'the' row without saying which one.
    """

    name = "first-row"

    def play(self, talk: Talk, run: int = 0) -> None:
        """Look, act, submit a value of the row."""
        session = talk.episode.session
        stream = Stream(0, "first row", session.world.id, _task(talk))
        act = _closest(session, str(talk.messages[1]["content"]))
        row: Mapping[str, Any] = {}
        look = _looker(session, act)
        if look is not None:
            results = talk.act(calls=[Said(look.name, draw_call(session, look, stream, optional=False))])
            row = next((r for result in results for r in rows_of(result.data)), {})
        if act is not None:
            given = draw_call(session, act, stream, optional=False) | _fitting(act, look, row)
            talk.act(calls=[Said(act.name, given)])
        if not talk.done:
            submit(talk, next(iter(values_of(row)), ...))


def submit(talk: Talk, answer: Any = ...) -> None:
    """End a talk by a call, as models do; without an answer where none is given."""
    talk.act(calls=[Said(SUBMIT, {} if answer is ... else {"answer": answer})])


def _task(talk: Talk) -> str:
    return str(getattr(talk.episode.task, "id", ""))


def _closest(session: Session, text: str) -> Tool | None:
    """The tool that changes something and has the most words in common with a text, by their share of its own."""
    said = set(_WORD.findall(text.lower()))

    def likeness(tool: Tool) -> float:
        own = set(_WORD.findall(f"{tool.key} {tool.title}".lower()))
        return len(own & said) / (len(own) + 1)

    found = [t for t in session.toolset if not t.read_only]
    return max(found, key=likeness, default=None)


def _looker(session: Session, act: Tool | None) -> Tool | None:
    """A tool that lists the rows of the table that another one acts on; any that lists, where there is none."""
    lists = [t for t in session.toolset if t.kind in ("list", "search")]
    own = (t for t in lists if act is not None and t.table == act.table)
    return next(own, lists[0] if lists else None)


def _fitting(act: Tool, look: Tool | None, row: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a tool that a row of another one's answer has: the keys by which it finds what it acts on."""
    fields = {(f.table, f.column): f.name for f in look.reply.fields} if look is not None else {}
    names = {p.name: fields.get((p.table, p.column)) for p in act.params if p.required and p.role == "key"}
    return {param: row[field] for param, field in names.items() if field is not None and field in row}


def rows_of(data: Any) -> Iterator[Mapping[str, Any]]:
    """The rows of an answer, in whatever envelope they come."""
    if isinstance(data, dict):
        columns, rows = data.get("columns"), data.get("rows")
        if isinstance(columns, list) and isinstance(rows, list):
            yield from (dict(zip(columns, row, strict=False)) for row in rows if isinstance(row, list))
            return
        inner = [v for v in data.values() if isinstance(v, list | dict)]
        if all(isinstance(v, list | dict) for v in data.values()) or any(isinstance(v, list) for v in inner):
            for value in inner:
                yield from rows_of(value)
        else:
            yield data
    elif isinstance(data, list):
        for one in data:
            yield from rows_of(one)


def values_of(data: Any) -> Iterator[Any]:
    """All plain values within an answer."""
    if isinstance(data, dict):
        for value in data.values():
            yield from values_of(value)
    elif isinstance(data, list):
        for value in data:
            yield from values_of(value)
    elif data is not None:
        yield data

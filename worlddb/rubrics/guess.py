"""Guesses: values of hidden topics that an agent used although nothing had told it.

Told means: the user had answered the topic, the instruction states the value, or the result of an earlier call held it.  The
last does not count for which row to change: that a row was shown among others does not tell that it is the one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from worlddb.episode.matchers import shown
from worlddb.rubrics.facts import Facts, Step
from worlddb.tasks.goal import folded
from worlddb.tasks.model import Task
from worlddb.tasks.plan import Const, Do, Each, Expr, Find, Item, Of
from worlddb.tasks.user import Topic
from worlddb.tools.model import Param, Tool

SHORT = 3
"""A text below this length counts as told only where it stands by itself: 'A' stands within too much."""


class Guess(NamedTuple):
    """A topic, and the first call that used a value for it which nothing had told."""

    topic: str
    value: str
    step: int


class Slot(NamedTuple):
    """What of a task is hidden with a topic."""

    topic: Topic
    places: frozenset[tuple[str, str]]
    """Tool and parameter keys by which the gold passes it to what changes something: whatever stands there is meant for it."""
    values: frozenset[str]
    """The values, folded: wherever they are given for the topic's columns, they are it."""
    columns: frozenset[str]
    """Columns of the topic's table that tell it."""
    others: frozenset[str]
    """What else the gold passes in these places, folded: for other parts of the task, of which the instruction has told it."""


def guesses(facts: Facts) -> list[Guess]:
    """At most one for each hidden topic, in the order of the topics."""
    user = facts.task.user
    slots = [] if user is None else [_slot(facts.task, topic) for topic in user.hidden]
    return [g for slot in slots if (g := _guess(facts, slot)) is not None]


def _guess(facts: Facts, slot: Slot) -> Guess | None:
    told = facts.known.get(slot.topic.name, len(facts.steps) + 1)
    for step in facts.steps:
        if step.entry.number >= told:
            break
        if step.tool is None or step.to_user or not (step.entry.result.ok or step.entry.wrote):
            continue
        for value, direct in _given(step, slot):
            if (direct and _folded(value) in slot.others) or _stated(facts, value):
                continue
            if (direct and not slot.topic.part) or not _seen(facts, value, step.entry.number):
                return Guess(slot.topic.name, shown(value), step.entry.number)
    return None


# --- what is hidden


def _slot(task: Task, topic: Topic) -> Slot:
    uses = list(_uses(task, topic))
    values = [_argument(task, do, key) for do, key in uses]
    node = task.plan.by_name.get(topic.node)
    columns = {topic.column or topic.part} - {""}
    for where in node.where if isinstance(node, Find) else ():
        consts = [c.value for c in _consts(where.value, where.values) if topic.part or _secret(topic, c.value)]
        if consts and topic.part in ("", where.column):
            values.append(consts)
            columns.add(where.column)
    values += topic.secrets if topic.kind == "credential" else ()
    places = frozenset((do.tool, key) for do, key in uses)
    own = {do.name for do, _ in uses}
    others = [c.arguments.get(key) for c in task.gold for tool, key in places if c.tool == tool and c.node not in own]
    return Slot(topic, places, _flat(values), frozenset(columns), _flat(others))


def _secret(topic: Topic, value: Any) -> bool:
    """True for a value that is among what the user withholds; others describe the row in the instruction, too."""
    return any(_stands_in(_folded(value), folded(secret)) for secret in topic.secrets)


def _flat(values: list[Any]) -> frozenset[str]:
    return frozenset(_folded(v) for value in values for v in _scalars(value) if not isinstance(v, bool))


def _uses(task: Task, topic: Topic) -> Iterator[tuple[Do, str]]:
    """The changes that take a topic as an argument: the one that it is part of, or all that name the row which it tells."""
    for do in task.plan.dos:
        for key, given in do.arguments.items():
            if topic.part and topic.node in ("", do.name):
                inner = isinstance(given, tuple) and any(topic.part in record for record in given)
                if key == topic.part or inner:
                    yield do, key
            elif not topic.part and _from(do, given) == topic.node:
                yield do, key


def _from(do: Do, given: object) -> str:
    """The node that an argument comes from; '' for what is stated."""
    if isinstance(given, Item):
        return do.each
    return given.node if isinstance(given, Of | Each) else ""


def _argument(task: Task, do: Do, key: str) -> Any:
    """What the gold gives there."""
    return [call.arguments.get(key) for call in task.gold if call.node == do.name]


def _consts(value: Expr | None, values: tuple[Const, ...]) -> tuple[Const, ...]:
    return (value,) if isinstance(value, Const) else values


# --- what was given


def _given(step: Step, slot: Slot) -> Iterator[tuple[Any, bool]]:
    """The values of a call that are meant for a slot, and whether they stand where the gold passes it."""
    assert step.tool is not None
    arguments = step.entry.arguments
    if not isinstance(arguments, dict):
        return
    for top, param, value in _arguments(step.tool.params, arguments):
        direct = not step.tool.read_only and (step.tool.key, top) in slot.places
        if direct and top != param.key:  # a field of records
            direct = param.key == slot.topic.part
        for one in _scalars(value):
            if direct or _same(step.tool, param, one, slot):
                yield one, direct


def _arguments(params: tuple[Param, ...], given: dict[str, Any], top: str = "") -> Iterator[tuple[str, Param, Any]]:
    """Every argument: key of the parameter at the top, the parameter, the value; those within objects and lists by themselves."""
    for param in params:
        value = given.get(param.name)
        if value is None:
            continue
        if not param.fields:
            yield top or param.key, param, value
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                # the fields of a spread object are parameters of their own
                yield from _arguments(param.fields, one, top or ("" if param.convert == "spread" else param.key))


def _same(tool: Tool, param: Param, value: Any, slot: Slot) -> bool:
    """True where a parameter is about the column of a slot, or searches its table for words, and the value is the hidden one."""
    topic = slot.topic
    if isinstance(value, bool) or _folded(value) not in slot.values:
        return False
    if topic.kind == "credential":
        return True  # a code is of no column, and given for nothing else
    if param.role == "search":
        return tool.table == topic.table
    if param.table != topic.table:
        return False
    return param.column in slot.columns or (not topic.part and param.role == "key")


# --- what was told


def _stated(facts: Facts, value: Any) -> bool:
    """True for a value that the instruction holds.  A bare true or false tells nothing, here and below."""
    return not isinstance(value, bool) and _stands_in(_folded(value), folded(facts.task.instruction))


def _seen(facts: Facts, value: Any, number: int) -> bool:
    """True for a value that the result of an earlier call holds."""
    if isinstance(value, bool):
        return False
    results = (s.entry.result for s in facts.steps[: number - 1])
    return any(_holds(r.data if r.error is None else r.error.message, _folded(value)) for r in results)


def _holds(data: Any, text: str) -> bool:
    for one in _scalars(data):
        found = _folded(one)
        if found == text or (len(found) > len(text) >= SHORT and _stands_in(text, found)):
            return True
    return False


def _stands_in(text: str, whole: str) -> bool:
    """True where a text stands in another, by itself: 12 is not in 120."""
    return text in whole and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", whole) is not None


def _scalars(value: Any) -> Iterator[Any]:
    """The values within lists and objects; NULL is none."""
    if isinstance(value, dict):
        for one in value.values():
            yield from _scalars(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _scalars(one)
    elif value is not None:
        yield value


def _folded(value: Any) -> str:
    """A value as text: 12 and 12.0 are one, and so are 'A' and 'a'."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return folded(str(value))

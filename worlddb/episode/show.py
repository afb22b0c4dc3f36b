"""Tasks, goals and verdicts as lines of text for people, and tasks as data for scripts.  Pure: nouns in, lines out."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import orjson

from worlddb.episode.answers import said
from worlddb.episode.behaviour import key_text
from worlddb.episode.matchers import expected
from worlddb.episode.solve import gold_calls, submitted
from worlddb.episode.verify import UNANSWERED
from worlddb.schema.model import Schema
from worlddb.tasks.forms import SILENT, Form, forms_of
from worlddb.tasks.goal import Alternative, Ban, Clock, Goal, Insert, Matcher, Pool
from worlddb.tasks.model import Card, Task
from worlddb.tools.model import Result
from worlddb.tools.show import GAP, SIGNS, answer_data, answer_lines
from worlddb.tools.toolset import Toolset

WIDTH = 110
"""Where texts are wrapped if no terminal says how wide it is."""
ANSWER = 8
"""Lines of a call's answer that are shown."""
WAYS = 3
"""Ways to reach a goal that are shown."""
ROWS = 12
"""Rows of evidence that are named."""


def task_row(task: Task) -> tuple[Any, ...]:
    """What a table of tasks says of one; see TASK_COLUMNS."""
    card = task.card
    number = task.id.rpartition("/")[2]
    return number, task.family, card.calls, card.writes, f"{card.depth}/{card.width}", task.instruction


TASK_COLUMNS = ("task", "family", "calls", "writes", "depth/width", "instruction")


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """A call as one types it after 'worlddb call WORLD'."""
    return " ".join([name, *(shlex.quote(f"{k}={_typed(v)}") for k, v in arguments.items())])


def _typed(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def result_lines(result: Result, items: str = "", width: int = 0, most: int = ANSWER) -> list[str]:
    """The answer to a call, shortened: its first lines, and how many there are more."""
    lines = answer_lines(answer_data(result), width or WIDTH, items)
    more = len(lines) - most
    return lines if more <= 1 else [*lines[:most], f"(… {more} more lines)"]


def instruction_lines(task: Task, width: int = 0) -> list[str]:
    """The id of a task and what it asks."""
    return [task.id, *_wrapped(task.instruction, width)]


def submitted_text(answer: Any) -> str:
    """What was submitted, in words."""
    if answer is UNANSWERED:
        return "nothing is asked for"
    return "null (it cannot be done)" if answer is None else orjson.dumps(answer).decode()


# --- one task


def task_lines(task: Task, toolset: Toolset, width: int = 0) -> list[str]:
    """All that there is to say of a task: instruction, card, gold, goal, answer, proofs, the gold as SQL, the gate's figures.

    Prose is wrapped; calls and SQL stand on one line each, to be copied.
    """
    told = ", ".join(t for t in (task.family, task.persona, task.register) if t)
    lines = [f"{task.id}  {told}", "", *_wrapped(task.instruction, width)]
    lines += _section("Card", _wrapped_all(card_lines(task.card), width))
    lines += _section("Gold (* changes something)", gold_lines(task, toolset))
    lines += _section("Goal", _wrapped_all(goal_lines(toolset.schema, task.goal), width))
    lines += _section("Answer of the gold", [submitted_text(submitted(task))])
    lines += _section("Proofs", [f"{name}: {sql}" for name, sql in task.proofs.items() if sql])
    lines += _section("The gold as SQL", task.sql)
    figures = ", ".join(f"{name} {figure:g}" for name, figure in task.figures.items())
    lines += _section("The gate", _wrapped_all([figures] * bool(figures), width))
    lines += _section("User", _wrapped_all(list(user_lines(task)), width))
    impossible = task.goal.changes_nothing or task.card.level == "L6"
    other = "can be done" if impossible else "cannot be done"
    return lines + _section("Twin", [f"{task.twin}, where it {other}"] * bool(task.twin))


def _section(title: str, lines: Sequence[str]) -> list[str]:
    """A title and what stands under it; nothing without lines."""
    return ["", title, *(f"{GAP}{line}" for line in lines)] if lines else []


def _wrapped_all(texts: Sequence[str], width: int) -> list[str]:
    """Each text in lines, all but its first set in."""
    return [
        line for text in texts
        for line in textwrap.wrap(
            text, max((width or WIDTH) - len(GAP), 40), subsequent_indent=GAP, break_on_hyphens=False, break_long_words=False
        )
    ]  # fmt: skip


def _wrapped(text: str, width: int) -> list[str]:
    """A text as a paragraph."""
    return textwrap.wrap(text, max(width or WIDTH, 40), break_on_hyphens=False, break_long_words=False)


def card_lines(card: Card) -> list[str]:
    """The structure of a task in two or three lines."""
    first = (
        f"calls {card.calls}, writes {card.writes}, depth {card.depth}, width {card.width}, "
        f"fan-in {card.fan_in}, fan-out {card.fan_out}"
    )
    other = f"distractors {card.distractors} for each tool of the gold, traps {card.traps}"
    hidden = f", hidden slots {card.hidden}" if card.hidden else ""
    return [f"{first}; {other}{hidden}", f"takes {', '.join(card.operators)}; structure {card.structure}"]


def user_lines(task: Task) -> Iterator[str]:
    """Who can be asked, what they hold back and come up with; the policies at stake; the faults of the API."""
    script, card = task.user, task.card
    if script is not None:
        who = ", ".join(t for t in (script.name, script.role.replace("_", " ")) if t)
        yield f"level {script.level}, {script.persona}{f'; {who}' if who else ''}"
        for topic in script.hidden:
            unknown = f" (but not {topic.unknown})" if topic.unknown else ""
            yield f"says when asked for {topic.name}: {topic.says}{unknown}"
        topics = {t.name: t for t in script.topics}
        for change in script.changes:
            yield f"changes their mind: {topics[change.topic].says} instead of {change.was}"
        yield from (f"asks later: {request.text}" for request in script.requests)
        yield from (f"can {deed.name}: {deed.thing} is {', '.join(deed.before)}" for deed in script.deeds)
    for word, names in (("enforced", card.enforced), ("only written", card.written)):
        if names:
            yield f"policies, {word}: {', '.join(names)}"
    if card.faults:
        yield f"faults of the API: {', '.join(card.faults)}"


def gold_lines(task: Task, toolset: Toolset) -> list[str]:
    """The gold's calls by the API's names, with the calls that each depends on."""
    lines = []
    margin = len(str(len(task.gold)))
    for number, (gold, call) in enumerate(zip(task.gold, gold_calls(task, toolset), strict=True), start=1):
        after = f"{GAP}(after {', '.join(str(i + 1) for i in gold.uses)})" if gold.uses else ""
        lines.append(f"{number:>{margin}}{'*' if gold.writes else ' '} {call_text(call.name, call.arguments)}{after}")
    return lines


# --- goals


def goal_lines(schema: Schema, goal: Goal) -> list[str]:
    """What must change and what must not, what must be read and answered, what is forbidden."""
    lines = list(_changes(schema, goal))
    lines += [f"may change as it likes: {_place(schema, *place)}" for place in goal.tolerated]
    if goal.answers:
        lines.append(f"answer: {' or '.join(said(a) for a in goal.answers[:WAYS])}{_more(len(goal.answers), WAYS)}")
    for need in goal.needs:
        if not need.ways:
            lines.append(f"evidence: {need.say or need.tool}")
            continue
        rows = [f"{schema[r.table].name} {key_text(r.key)}" for r in need.ways[0]]
        other = f", or {len(need.ways) - 1} other ways to know it" if len(need.ways) > 1 else ""
        lines.append(f"read before answering: {', '.join(rows[:ROWS])}{_more(len(rows), ROWS)}{other}")
    return lines + [f"forbidden: {ban_text(ban)}" for ban in goal.bans]


def _changes(schema: Schema, goal: Goal) -> Iterator[str]:
    if goal.changes_nothing:
        yield "nothing may change"
        return
    ways = goal.alternatives
    if len(ways) == 1:
        yield "must change, and nothing else:"
    else:
        yield f"must change in one of {len(ways)} ways, and nothing else:"
    for number, way in enumerate(ways[:WAYS], start=1):
        if len(ways) > 1:
            yield f"{number}."
        yield from _way(schema, way)
    if len(ways) > WAYS:
        yield f"… and {len(ways) - WAYS} more ways"


def _way(schema: Schema, way: Alternative) -> Iterator[str]:
    forms = forms_of(schema)
    for insert in way.inserts:
        told = _values(forms[insert.table], _loud(forms[insert.table], insert))
        yield f"{SIGNS['insert']} {schema[insert.table].name} {insert.var}: {told or 'a new row'}"
    for update in way.updates:
        told = _values(forms[update.table], update.values)
        yield f"{SIGNS['update']} {schema[update.table].name} {key_text(update.key)}: {told}"
    for delete in way.deletes:
        yield f"{SIGNS['delete']} {schema[delete.table].name} {key_text(delete.key)}"
    for pool in way.pools:
        yield _pool(forms[pool.table], pool)
    if not (way.inserts or way.updates or way.deletes or way.pools):
        yield "nothing changes"


def _loud(form: Form, insert: Insert) -> dict[str, Matcher]:
    """The values of a new row that say what is wanted."""
    return {
        c: m for c, m in insert.values.items()
        if form.classes[form.places[c]] not in SILENT and not isinstance(m, Clock) and expected(m) != "NULL"
    }  # fmt: skip


def _values(form: Form, values: Mapping[str, Matcher]) -> str:
    return ", ".join(f"{form.names[form.places[c]]}: {expected(m)}" for c, m in values.items())


def _pool(form: Form, pool: Pool) -> str:
    rows = (
        f"{pool.count} of {form.table.name} {', '.join(map(key_text, pool.keys[:ROWS]))}{_more(len(pool.keys), ROWS)}"
    )
    if pool.values is None:
        return f"{SIGNS['delete']} {rows}"
    return f"{SIGNS['update']} {rows}: {_values(form, pool.values)}"


def ban_text(ban: Ban) -> str:
    """What a ban forbids, in words."""
    if ban.say:
        return ban.say
    fields = ", ".join(f"{k} {v}" for k, v in msgspec.to_builtins(ban).items() if k != "type" and v)
    return f"{type(ban).__name__} ({fields})"


def _place(schema: Schema, table: str, column: str) -> str:
    return f"{schema[table].name}.{schema[table][column].name}" if column else schema[table].name


def _more(count: int, most: int) -> str:
    return f" … ({count - most} more)" if count > most else ""


# --- data


def task_data(task: Task, toolset: Toolset) -> dict[str, Any]:
    """A task for scripts: its fields, and each call of the gold as the API names and spells it."""
    data: dict[str, Any] = {f: msgspec.to_builtins(getattr(task, f)) for f in Task.__struct_fields__}
    data["card"] = {f: getattr(task.card, f) for f in Card.__struct_fields__}
    for call, public in zip(data["gold"], gold_calls(task, toolset), strict=True):
        call |= {"name": public.name, "call": public.arguments}
    return data

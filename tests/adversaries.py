"""Agents that do a task right in every odd way, and wrong in every way that might be paid.

Each is built from the gold of a task: a function that yields attempts, or nothing where the task gives no occasion (the trick
needs two new rows, say, or a law of the world refuses it).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from tests.calls import draw_call
from tests.mutations import (
    HOMOGLYPHS,
    Case,
    Step,
    at_key,
    put_back,
    twin_row,
    wrong_answers,
    wrong_row,
)
from worlddb.episode.verify import UNANSWERED
from worlddb.schema.model import Column, Table
from worlddb.schema.rules import quote
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tasks.compile import goal_of
from worlddb.tasks.draft import Draft
from worlddb.tasks.enact import Gold, Stuck, enact
from worlddb.tasks.forms import window_in
from worlddb.tasks.goal import Answer, Goal, Never
from worlddb.tasks.plan import Find, Of, Plan
from worlddb.tools.session import Session, Start
from worlddb.world.diff import Change
from worlddb.world.mint import is_minted


class Attempt(NamedTuple):
    """What an agent did, and what it submitted."""

    session: Session
    answer: Any = UNANSWERED
    goal: Goal | None = None
    """Another goal than the task's, to judge it by."""


Agent = Callable[[Case], Iterator[Attempt]]


def fine(session: Session) -> bool:
    """True where no call was refused."""
    return all(e.result.ok for e in session.journal)


def submitted(case: Case, gold: Gold) -> Any:
    """The answer of a gold as an agent would submit it."""
    if isinstance(case.task.answer, dict):
        return dict(zip(case.task.answer, gold.answer, strict=True))
    return gold.answer if case.task.plan.asked is not None else UNANSWERED


# --- columns and rows on which tricks can be played


def ordinary(table: Table, column: Column) -> bool:
    """True for a column that holds what somebody said, and that nothing else depends on by its key."""
    if column.key in table.key_columns or column.formula or is_minted(table, column):
        return False
    if table.polymorphic and column.key in (table.polymorphic.type_column, table.polymorphic.id_column):
        return False
    if table.lifecycle and column.key in (table.lifecycle.column, *table.lifecycle.stamps.values()):
        return False
    return semantic_type(column.type).compare in ("exact", "decimal", "text.short", "text.free")


def worded(table: Table, column: Column) -> bool:
    """True for free words."""
    return ordinary(table, column) and semantic_type(column.type).compare.startswith("text") and not column.values


def untouched(
    case: Case, dice: random.Random, most: int = 4
) -> Iterator[tuple[Table, dict[str, Any], tuple[Any, ...]]]:
    """Some rows that the gold leaves alone: table, row, key."""
    tables = [t for t in case.schema.tables if case.ground.table(t.key)]
    for table in dice.sample(tables, len(tables)):
        rows = case.ground.table(table.key)
        for row in dice.sample(rows, min(most, len(rows))):
            key = tuple(row[k] for k in table.primary_key)
            if (table.key, key) not in case.touched:
                yield table, row, key


def fresh(session: Session) -> list[Change]:
    """The rows that an episode added."""
    return [c for c in session.diff() if c.before is None]


def other_value(case: Case, table: Table, row: dict[str, Any], column: Column) -> Any:
    """A value of another row in a column; None where all have the same."""
    return next(
        (r[column.key] for r in case.ground.table(table.key) if r[column.key] not in (None, row[column.key])), None
    )


def texts(case: Case) -> Iterator[tuple[int, str, str]]:
    """Words that the gold writes: index of the call, parameter, value."""
    for at in case.writes:
        for key, value in case.steps[at].arguments.items():
            param = case.param(case.steps[at], key)
            if not isinstance(value, str) or param is None or param.table not in case.schema:
                continue
            table = case.schema[param.table]
            if param.column in table and worded(table, table[param.column]):
                yield at, key, value


def edited(case: Case, at: int, **arguments: Any) -> list[Step]:
    """The gold with other arguments of one call."""
    steps = list(case.steps)
    steps[at] = steps[at]._replace(arguments=steps[at].arguments | arguments)
    return steps


# --- right


def elsewhere(case: Case) -> Iterator[Attempt]:
    """The gold under another clock and other running numbers."""
    for start in (Start(clock=86_400 * 400 + 77, ids=13), Start(clock=59, ids=5_000)):
        try:
            gold = enact(case.ground, case.task.plan, start=start)
        except Stuck:  # what is allowed may depend on the day
            continue
        yield Attempt(gold.session, submitted(case, gold))


def reordered(case: Case) -> Iterator[Attempt]:
    """Two changes that do not depend on one another, the other way round."""
    journal = case.golds[0].session.journal
    for a, b in zip(case.writes, case.writes[1:], strict=False):
        rows = [{(c.table, c.key) for c in journal[i].changes} for i in (a, b)]
        if a in case.task.gold[b].uses or rows[0] & rows[1] or _named(case, a) & _named(case, b):
            continue
        steps = list(case.steps)
        steps[a], steps[b] = steps[b], steps[a]
        session = case.played(steps)
        if fine(session):
            yield Attempt(session, case.answer)


def _named(case: Case, at: int) -> set[str]:
    """The values in a call, as text: calls that name the same row may depend on one another."""
    return {repr(v) for v in case.steps[at].arguments.values()}


def extra_reads(case: Case) -> Iterator[Attempt]:
    """Looks around all the time."""
    dice, session = case.dice("reads"), case.begin()
    readers = [t for t in case.tools if t.read_only and t.kind not in ("sql", "plugin")]
    for _step in case.steps:
        for tool in dice.sample(readers, min(3, len(readers))):
            session.call(tool.name, draw_call(session, tool, dice))
    case.run(session, case.steps)
    for table in case.schema.tables[:3]:
        case.sql(session, f"SELECT * FROM {quote(table.name)} LIMIT 5")
    yield Attempt(session, case.answer)


def failures_first(case: Case) -> Iterator[Attempt]:
    """Tries what does not work before it does what does."""
    session = case.begin()
    session.call("make_it_so", {"now": True})
    session.call("run_sql", {"sql": "UPDATE nothing SET nothing = 1"})
    session.call("run_sql", {"sql": "DROP TABLE x"})
    for at in case.writes:
        step = case.steps[at]
        session.call(case.tool(step.tool).name, {"no such argument": 1})
        if session.call(case.tool(step.tool).name, {k: {"of": "no use"} for k in step.arguments}).ok:
            session.undo()
    assert not session.diff()
    case.run(session, case.steps)
    yield Attempt(session, case.answer)


def draft_removed(case: Case) -> Iterator[Attempt]:
    """Creates a row by mistake and removes it, so that running numbers are used up; then does the task."""
    dice = case.dice("draft")
    tables = sorted(case.schema.tables, key=lambda t: all(t.key != c.table for c in fresh(case.golds[0].session)))
    for table in tables:
        creator, remover = (case.tools.by_key(f"{table.key}.{verb}") for verb in ("create", "delete"))
        session = case.begin()
        if creator is None:
            continue
        for _ in range(5):
            if session.call(creator.name, draw_call(session, creator, dice)).ok:
                break
        made = [c for c in fresh(session) if c.table == table.key]
        if len(made) != 1 or len(session.diff()) != 1:
            continue
        gone = remover is not None and session.call(remover.name, {remover.params[0].name: made[0].key[0]}).ok
        if not gone and not case.away(session, table.key, made[0].key):
            continue
        if session.diff():
            continue
        before = len(session.journal)
        case.run(session, case.steps)
        if all(e.result.ok for e in session.journal[before:]):
            yield Attempt(session, case.answer)


def mistake_corrected(case: Case) -> Iterator[Attempt]:
    """Writes a wrong value first, and the right one after it."""
    for at in case.writes:
        step = case.steps[at]
        if case.tool(step.tool).kind != "update":
            continue
        for key, value in step.arguments.items():
            param = case.param(step, key)
            if param is None or param.role == "key" or case.leads(param) or isinstance(value, list | dict | bool):
                continue
            wrong = (
                "a slip of the pen" if isinstance(value, str) else value + 1 if isinstance(value, int | float) else None
            )
            slip = step._replace(arguments=step.arguments | {key: wrong}, origin=-1)
            session = case.played([*case.steps[:at], slip, *case.steps[at:]])
            if fine(session):
                yield Attempt(session, case.answer)


def duplicate_removed(case: Case) -> Iterator[Attempt]:
    """Does a creation twice, sees it, and removes the second."""
    for at in case.writes:
        session = case.begin()
        case.run(session, case.steps[: at + 1])
        before, end = {(c.table, c.key) for c in session.diff()}, case.oracle.right(session)
        if not any(c.before is None for c in session.journal[-1].changes):
            continue
        case.run(session, [case.steps[at]._replace(origin=-1)])
        more = [c for c in fresh(session) if (c.table, c.key) not in before]
        if session.journal[-1].result.ok and len(more) == 1 and case.away(session, more[0].table, more[0].key):
            if not case.oracle.reaches(session, end):  # it did something else as well
                continue
            left = list(case.steps[at + 1 :])
            if not _refers(left):
                case.run(session, left)
                if fine(session):
                    yield Attempt(session, case.answer)


def _refers(steps: Sequence[Step]) -> bool:
    return any("Made(" in repr(s.arguments) for s in steps)


def respelled(case: Case) -> Iterator[Attempt]:
    """Words in other letters and with other spaces."""
    for at, key, value in texts(case):
        for other in (value.upper(), f"  {value.replace(' ', '  ')} ", value.replace(" ", "\u00a0"), value.lower()):
            if other == value:
                continue
            session = case.played(edited(case, at, **{key: other}))
            if fine(session):
                yield Attempt(session, case.answer)


def same_value(case: Case) -> Iterator[Attempt]:
    """Saves another row as it is."""
    done = 0
    for table, row, key in untouched(case, case.dice("same"), 1):
        column = next((c for c in table.columns if ordinary(table, c) and row[c.key] is not None), None)
        if column is None:
            continue
        session = case.played()
        case.put(session, table.key, key, **{column.key: row[column.key]})
        update = case.tools.by_key(f"{table.key}.update")
        if update is not None and any(p.key == column.key for p in update.params) and len(key) == 1:
            case.call(session, update.key, {update.params[0].key: key[0], column.key: row[column.key]})
        yield Attempt(session, case.answer)
        if (done := done + 1) == 2:
            return


def reverted(case: Case) -> Iterator[Attempt]:
    """Changes another row, and changes it back; where nothing forbids the moment."""
    done = 0
    for table, row, key in untouched(case, case.dice("reverted"), 1):
        for column in table.columns:
            if not ordinary(table, column) or row[column.key] is None:
                continue
            other = other_value(case, table, row, column)
            session = case.begin()
            if other is None or not case.put(session, table.key, key, **{column.key: other}):
                continue
            if not case.put(session, table.key, key, **{column.key: row[column.key]}):
                continue
            case.run(session, case.steps)
            if fine(session):
                yield Attempt(session, case.answer)
                done += 1
                break
        if done == 2:
            return


def answer_forms(case: Case) -> Iterator[Attempt]:
    """The right answer as people write it: $188.80, 5 March 2026."""
    if len(case.task.goal.answers) != 1:
        return
    session, wanted = case.played(), case.task.goal.answers[0]
    for form in _forms(wanted, case.task.answer):
        yield Attempt(session, form)
    if wanted.kind == "record":
        parts = {k: msgspec.convert(v, Answer) for k, v in wanted.value.items()}
        for at in range(3):
            some = {k: [*_forms(p, case.task.answer[k]), case.task.answer[k]] for k, p in parts.items()}
            yield Attempt(session, {k: v[min(at, len(v) - 1)] for k, v in some.items()})


def _forms(wanted: Answer, value: Any) -> list[Any]:
    if wanted.kind == "number" and value is not None:
        if wanted.minor:
            major = value / wanted.minor
            return [f"${major:,.2f}", f"{major:.2f}", f"{major:.2f} EUR", value, f" {major:,.2f}"]
        if isinstance(value, int):
            return [f"{value:,}", str(value), float(value), f" {value} "]
        return [str(value), value, [value]]
    if wanted.kind in ("date", "datetime") and isinstance(value, str):
        moment = datetime.fromisoformat(value)
        day = f"{moment.day} {moment:%B %Y}"
        if wanted.kind == "date":
            return [day, f"{moment:%B} {moment.day}, {moment.year}", f"{moment:%d.%m.%Y}"]
        return [f"{day}, {moment:%H:%M:%S}", value.replace(" ", "T"), value.replace(" ", "T") + "Z"]
    if wanted.kind == "flag":
        return [bool(value), "yes" if value else "no", int(value)]
    if wanted.kind in ("text", "code") and isinstance(value, str):
        return [f" {value}", value.lower(), value.upper()]
    if wanted.kind == "none":
        return [None, "impossible", "It cannot be done."]
    return []


ADMISSIBLE = 12
"""Rows of which any will do, at most."""


def loosened(case: Case) -> Iterator[tuple[list[Gold], Goal, Plan]]:
    """The task with one condition fewer, so that any of several rows will do: its golds, its goal and its plan."""
    for find in case.task.plan.nodes:
        if not isinstance(find, Find) or find.many or find.take or not find.where:
            continue
        if not any(Of(node=find.name, column=k) in d.arguments.values() for d in case.task.plan.dos
                   for k in case.schema[find.table].primary_key):  # fmt: skip
            continue
        draft = Draft.again(case.ground, case.task.plan)
        free = msgspec.structs.replace(find, where=find.where[:-1], free=True)
        rows = case.ground.meeting(find.table, [(w.column, w.op, draft.wanted(w)) for w in free.where])
        nodes = tuple(free if n is find else n for n in case.task.plan.nodes)
        plan = msgspec.structs.replace(case.task.plan, nodes=nodes, asked=None)
        golds = []
        for at in range(len(rows) if len(rows) <= ADMISSIBLE else 0):
            try:
                golds.append(enact(case.ground, plan, choice={find.name: at}))
            except Stuck:
                continue
        if len(golds) > 1:
            windows = [window_in(g.session) for g in golds]
            yield golds, goal_of(case.schema, [g.session.diff() for g in golds], windows=windows), plan


def any_admissible(case: Case) -> Iterator[Attempt]:
    """Any of the rows that will do: of the task's own choices, and of the task with one condition fewer."""
    for gold in case.golds[1:]:
        yield Attempt(gold.session, submitted(case, gold))
    for golds, goal, _ in loosened(case):
        for gold in (golds[0], golds[len(golds) // 2], golds[-1]):
            yield Attempt(gold.session, UNANSWERED, goal)


def numbered(case: Case, session: Session) -> bool:
    """True where new rows have a place in an order, which is theirs by the order in which they are made."""
    return any(is_a(c.type, "position_index") for n in fresh(session) for c in case.schema[n.table].columns)


def children_reordered(case: Case) -> Iterator[Attempt]:
    """The parts of a new whole in another order."""
    for at in case.writes:
        for key, value in case.steps[at].arguments.items():
            if isinstance(value, list) and len(value) > 1:
                session = case.played(edited(case, at, **{key: value[::-1]}))
                if fine(session) and not numbered(case, session):
                    yield Attempt(session, case.answer)
    for a, b in zip(case.writes, case.writes[1:], strict=False):
        one, other = case.task.gold[a], case.task.gold[b]
        if one.tool == other.tool and case.tool(one.tool).kind == "create" and a not in other.uses and b == a + 1:
            session = case.played([*case.steps[:a], case.steps[b], case.steps[a], *case.steps[b + 1 :]])
            if fine(session) and not numbered(case, session):
                yield Attempt(session, case.answer)


def set_reordered(case: Case) -> Iterator[Attempt]:
    """A set in another order, or as a text."""
    wanted = case.task.goal.answers[0] if case.task.goal.answers else None
    if wanted is not None and wanted.kind == "set" and len(case.task.answer) > 1:
        session, value = case.played(), list(case.task.answer)
        yield Attempt(session, value[::-1])
        yield Attempt(session, case.dice("set").sample(value, len(value)))
        if not any("," in str(v) or " and " in str(v) for v in value):
            yield Attempt(session, ", ".join(map(str, value[::-1])))


def by_sql(case: Case) -> Iterator[Attempt]:
    """Reads by tools, and writes by SQL of its own."""
    if not case.task.sql:
        return
    session = case.begin()
    case.run(session, [s for i, s in enumerate(case.steps) if i not in case.writes])
    for statement in case.task.sql:
        case.sql(session, statement)
    if fine(session):
        yield Attempt(session, case.answer)


def reads_by_sql(case: Case) -> Iterator[Attempt]:
    """Looks the rows of the answer up by SQL of its own."""
    if not case.task.goal.needs:
        return
    for wide in (True, False):
        session = case.begin()
        for row in (r for need in case.task.goal.needs for r in need.ways[0]):
            table = case.schema[row.table]
            names = "*" if wide else ", ".join(quote(c.name) for c in table.columns if c.key not in table.primary_key)
            case.sql(session, f"SELECT {names} FROM {quote(table.name)} {at_key(table)}", row.key)
        case.run(session, [s for i, s in enumerate(case.steps) if i in case.writes])
        yield Attempt(session, case.answer)


RIGHT: dict[str, Agent] = {
    "the gold under another clock and other keys": elsewhere, "independent writes reordered": reordered,
    "extra reads": extra_reads, "failed calls first": failures_first, "a draft created and removed": draft_removed,
    "a mistake corrected": mistake_corrected, "a duplicate removed": duplicate_removed,
    "a note in other letters and spaces": respelled, "an unrelated row touched with the same value": same_value,
    "an unrelated change made and reverted": reverted, "the answer in another form": answer_forms,
    "any admissible row": any_admissible, "children created in another order": children_reordered,
    "a set in another order": set_reordered, "SQL instead of tools": by_sql, "looks by SQL": reads_by_sql,
}  # fmt: skip


# --- wrong


def idle(case: Case) -> Iterator[Attempt]:
    """Does nothing; with the right answer where something was to be done, too."""
    yield Attempt(case.begin())
    yield Attempt(case.begin(), case.answer)


def duplicate(case: Case) -> Iterator[Attempt]:
    """Orders twice."""
    for at in case.writes:
        session = case.played([*case.steps[: at + 1], case.steps[at]._replace(origin=-1), *case.steps[at + 1 :]])
        if len(fresh(session)) > len(fresh(case.golds[0].session)):
            yield Attempt(session, case.answer)


def _quantities(case: Case, session: Session) -> Iterator[tuple[Change, Column, int]]:
    for change in fresh(session):
        table, row = case.schema[change.table], case.row(change.table, change.after or ())
        for column in table.columns:
            value = row[column.key]
            if is_a(column.type, "quantity") and ordinary(table, column) and isinstance(value, int) and value >= 2:
                yield change, column, value


def less(case: Case) -> Iterator[Attempt]:
    """Quantity 1 for 2: of what is written, by tool and afterwards."""
    for at in case.writes:
        for key, value in case.steps[at].arguments.items():
            param = case.param(case.steps[at], key)
            if param is not None and isinstance(value, int) and not isinstance(value, bool) and not case.leads(param):
                session = case.played(edited(case, at, **{key: value - 1}))
                if fine(session):
                    yield Attempt(session, case.answer)
    for change, column, value in _quantities(case, case.golds[0].session):
        session = case.played()
        if case.put(session, change.table, change.key, **{column.key: value - 1}):
            yield Attempt(session, case.answer)


def split_line(case: Case) -> Iterator[Attempt]:
    """Two lines of one each for one line of two."""
    for change, column, value in _quantities(case, case.golds[0].session):
        session, row = case.played(), case.row(change.table, change.after or ())
        copy = case.copied(change.table, row | {column.key: value - 1})
        done = copy is not None and case.put(session, change.table, change.key, **{column.key: 1})
        if done and case.add(session, change.table, copy or {}):
            yield Attempt(session, case.answer)


def existing_order(case: Case) -> Iterator[Attempt]:
    """The right part, of a whole that was there already."""
    news = {(c.table, c.key[0]) for c in fresh(case.golds[0].session)}
    for change in fresh(case.golds[0].session):
        table, row = case.schema[change.table], case.row(change.table, change.after or ())
        for link in table.foreign_keys:
            if len(link.columns) != 1 or (link.table, row[link.columns[0]]) not in news:
                continue
            for old in case.ground.table(link.table)[:20]:
                session = case.played()
                if case.put(session, change.table, change.key, **{link.columns[0]: old[link.ref[0]]}):
                    yield Attempt(session, case.answer)
                    other = session.fork()
                    if case.away(other, link.table, (row[link.columns[0]],)):
                        yield Attempt(other, case.answer)
                    break


def wrong_customer(case: Case) -> Iterator[Attempt]:
    """Somebody else's."""
    for _, steps in wrong_row(case, case.dice("customer")):
        session = case.played(steps)
        if fine(session) and not case.reached(session):  # whoever nobody refers to merges into anybody alike
            yield Attempt(session, case.answer)


def its_twin(case: Case) -> Iterator[Attempt]:
    """The row that is most like the right one."""
    for _, steps in twin_row(case, case.dice("twin")):
        session = case.played(steps)
        if fine(session) and not case.reached(session):
            yield Attempt(session, case.answer)


def not_admissible(case: Case) -> Iterator[Attempt]:
    """Of several rows that would do another one, or two of them."""
    for golds, goal, _ in loosened(case):
        ends = [case.oracle.right(g.session) for g in golds]
        for _, steps in islice(wrong_row(case, case.dice("admissible")), 4):
            session = case.played(steps)
            if fine(session) and not any(case.oracle.reaches(session, e) for e in ends):
                yield Attempt(session, UNANSWERED, goal)
        both = case.begin()
        for gold in golds[:2]:
            case.run(both, [Step(c.tool, c.arguments) for c in gold.calls])
        if fine(both) and not any(case.oracle.reaches(both, e) for e in ends):
            yield Attempt(both, UNANSWERED, goal)


def harmless_insert(case: Case) -> Iterator[Attempt]:
    """A row more."""
    dice = case.dice("insert")
    for tool in dice.sample(case.ground.writers, len(case.ground.writers)):
        if tool.kind == "create":
            session = case.played()
            if session.call(tool.name, draw_call(session, tool, dice)).ok:
                yield Attempt(session, case.answer)
                break
    for table, row, _ in untouched(case, dice, 1):
        copy = case.copied(table.key, row)
        session = case.played()
        if copy is not None and case.add(session, table.key, copy):
            yield Attempt(session, case.answer)
            break


def put_beside(
    case: Case, table: Table, key: tuple[Any, ...], trials: Iterable[tuple[Column, Iterable[Any]]]
) -> list[Attempt]:
    """The task, and one column of a row set to another value: an attempt for each of the values of the first column that takes
    any."""
    for column, values in trials:
        sessions = [(case.played(), value) for value in values]
        taken = [s for s, value in sessions if case.put(s, table.key, key, **{column.key: value})]
        if taken:
            return [Attempt(session, case.answer) for session in taken]
    return []


def unrelated_update(case: Case) -> Iterator[Attempt]:
    """Something else changed as well, be it only the case of a letter or a last digit."""
    done = 0
    for table, row, key in untouched(case, case.dice("update"), 1):
        columns = (c for c in table.columns if ordinary(table, c) and row[c.key] is not None)
        attempts = put_beside(case, table, key, ((c, _near(case, table, row, c)) for c in columns))
        yield from attempts
        done += len(attempts)
        if done >= 3:
            return


def _near(case: Case, table: Table, row: dict[str, Any], column: Column) -> list[Any]:
    """Other values that could be taken for the one that a row has."""
    value = row[column.key]
    others = [other_value(case, table, row, column)]
    if isinstance(value, str):
        others += [value.swapcase(), f"{value} "]
    elif isinstance(value, float):
        others += [value + 0.001]
    return [o for o in others if o not in (None, value)]


def beside_the_point(case: Case) -> Iterator[Attempt]:
    """Another column of the right row changed as well."""
    for change in case.golds[0].session.diff():
        table = case.schema[change.table]
        if change.after is None:
            continue
        row = case.row(change.table, change.after)
        for column in table.columns:
            if not ordinary(table, column) or row[column.key] is None:
                continue
            other = other_value(case, table, row, column)
            session = case.played()
            if (
                isinstance(other, str)
                and isinstance(row[column.key], str)
                and other.casefold() == row[column.key].casefold()
            ):
                continue
            if other is not None and case.put(session, change.table, change.key, **{column.key: other}):
                yield Attempt(session, case.answer)
                break


def all_undone(case: Case) -> Iterator[Attempt]:
    """Does it all, and takes it all back."""
    session = case.played()
    left = list(session.diff())
    for _ in range(len(left)):
        left = [c for c in reversed(left) if not put_back(case, session, c)]
    if case.writes and not left:
        yield Attempt(session, case.answer)


def rest_deleted(case: Case) -> Iterator[Attempt]:
    """Does it, and deletes all else that can be deleted."""
    session, before = case.played(), len(case.golds[0].session.diff())
    for _ in range(2):
        for table in reversed(case.schema.tables):
            home = quote(table.name)
            kept = [k for t, k in case.touched if t == table.key]
            spared = " AND ".join(f"NOT ({at_key(table).removeprefix('WHERE ')})" for _ in kept) or "1"
            if not case.sql(session, f"DELETE FROM {home} WHERE {spared}", [v for k in kept for v in k]):
                for row in case.ground.table(table.key)[:5]:
                    key = tuple(row[k] for k in table.primary_key)
                    if (table.key, key) not in case.touched:
                        case.away(session, table.key, key)
    if len(session.diff()) > before:
        yield Attempt(session, case.answer)


def recreated(case: Case) -> Iterator[Attempt]:
    """The right content in a row of another key, the old one deleted; and the same to a row that nobody named."""
    changed = [(c.table, c.key, c.after) for c in case.golds[0].session.diff() if c.op == "update"]
    some = [(t.key, k, tuple(r.values())) for t, r, k in untouched(case, case.dice("recreate"), 2)]
    done = 0
    for table, key, after in [*changed, *some]:
        copy = case.copied(table, case.row(table, after or ())) if len(key) == 1 else None
        home = case.schema[table]
        if copy is None or home.archetype == "junction":
            continue
        copy |= {
            c.key: v
            for c, v in zip(home.columns, after or (), strict=True)
            if c.unique and c.key in copy and c.key not in home.primary_key
        }
        session = case.played()
        if case.away(session, table, key) and case.add(session, table, copy):
            yield Attempt(session, case.answer)
            done += 1
        if done == 2:
            return


def transient(case: Case) -> Iterator[Attempt]:
    """A forbidden act, taken back at once."""
    tables = {t for t, _ in case.touched}
    for table, row, key in untouched(case, case.dice("transient"), 1):
        if table.key in tables:
            continue
        for column in table.columns:
            other = other_value(case, table, row, column) if ordinary(table, column) else None
            session = case.played()
            if other is None or row[column.key] is None or not case.put(session, table.key, key, **{column.key: other}):
                continue
            if not case.put(session, table.key, key, **{column.key: row[column.key]}):
                continue
            ban = Never(table=table.key, say="hands off")
            goal = msgspec.structs.replace(case.task.goal, bans=(ban,))
            assert case.judge(case.played(), case.answer, goal).success, "the gold alone does not break it"
            yield Attempt(session, case.answer, goal)
            return


def wrong_answer(case: Case) -> Iterator[Attempt]:
    """The right state, and another answer or none."""
    if not case.task.goal.answers or case.task.goal.answers[0].kind == "none":
        return
    session = case.played()
    yield Attempt(session)
    right = [r.answer for r in case.rights]
    for what, answer in wrong_answers(case, case.dice("wrong")):
        if answer not in right and not what.startswith("turned round"):
            yield Attempt(session, answer)


def all_listed(case: Case) -> Iterator[Attempt]:
    """All answers that there are, the right one among them."""
    if len(case.task.goal.answers) != 1 or case.task.goal.answers[0].kind in ("none", "record", "set", "list"):
        return
    session, value = case.played(), case.task.answer
    near = [value + i for i in range(-2, 3)] if isinstance(value, int | float) else [value, f"{value}x", "none of them"]
    yield Attempt(session, near)
    for between in (", ", " or ", " ", "\n", " | "):
        yield Attempt(session, between.join(map(str, near)))
    yield Attempt(session, {"answer": value, "other": near[0]})
    yield Attempt(session, {"one of": near})


def unread(case: Case) -> Iterator[Attempt]:
    """The right answer without a look, or after looks at something else."""
    if not case.task.goal.needs:
        return
    blind = case.played([s for i, s in enumerate(case.steps) if i in case.writes])
    if not case.paid(blind, case.answer):  # a change answers with its row, which may be all that was asked
        yield Attempt(blind, case.answer)
    wanted = {r.table for n in case.task.goal.needs for way in n.ways for r in way}
    session = case.begin()
    for tool in case.tools:
        about = {tool.table, *(t for t, _ in tool.reply.keys), *(t for _, n in tool.reply.nested for t, _ in n.keys)}
        if tool.kind == "list" and not about & wanted and not any(p.required for p in tool.params):
            session.call(tool.name, {})
    case.sql(session, "SELECT 1")
    yield Attempt(session, case.answer)


INJECTIONS = ("'; {}; --", '"; {}; --', "' || (SELECT 1) || '", "0); {}; --", "{}")


def sql_in_text(case: Case) -> Iterator[Attempt]:
    """SQL where words are expected."""
    deed = f"DELETE FROM {quote(case.schema.tables[-1].name)}"
    for at, key, value in texts(case):
        for injection in INJECTIONS[:2]:
            session = case.played(edited(case, at, **{key: value + injection.format(deed)}))
            gone = [c for c in session.diff() if c.after is None]
            assert len(gone) <= len([c for c in case.golds[0].session.diff() if c.after is None])
            yield Attempt(session, case.answer)
    if case.writes:  # in every text of every call, and nothing done otherwise
        session = case.begin()
        for at, step in enumerate(case.steps):
            given = {k: INJECTIONS[at % 5].format(deed) if isinstance(v, str) else v for k, v in step.arguments.items()}
            if at not in case.writes:
                case.run(session, [step._replace(arguments=given)])
        assert not session.diff()
        yield Attempt(session, case.answer)


def names_in_arguments(case: Case) -> Iterator[Attempt]:
    """Names of tables and columns where values are expected."""
    for at in case.writes:
        for key, value in case.steps[at].arguments.items():
            param = case.param(case.steps[at], key)
            if param is None or isinstance(value, list | dict) or param.table not in case.schema:
                continue
            home = case.schema[param.table]
            column = home[param.column].name if param.column in home else "id"
            for name in (column, f"{home.name}.{column}", f"({quote(column)})"):
                session = case.played(edited(case, at, **{key: name}))
                if name.casefold() != str(value).casefold():
                    yield Attempt(session, case.answer)


def half_done(case: Case) -> Iterator[Attempt]:
    """Stops half way."""
    for at in case.writes[1:]:
        yield Attempt(case.played([s for i, s in enumerate(case.steps) if i not in case.writes or i < at]), case.answer)


def sprayed(case: Case) -> Iterator[Attempt]:
    """The right value, on every row."""
    for change in case.golds[0].session.diff():
        if change.before is None or change.after is None:
            continue
        table = case.schema[change.table]
        before, after = case.row(change.table, change.before), case.row(change.table, change.after)
        for column in table.columns:
            if before[column.key] == after[column.key] or semantic_type(column.type).compare in (
                "clock",
                "bookkeeping",
            ):
                continue
            session = case.played()
            whole = f"UPDATE {quote(table.name)} SET {quote(column.name)} = ?"
            if not case.sql(session, whole, [after[column.key]]):
                for row in case.ground.table(table.key)[:20]:
                    key = tuple(row[k] for k in table.primary_key)
                    case.put(session, table.key, key, **{column.key: after[column.key]})
            if len(session.diff()) > len(case.touched):
                yield Attempt(session, case.answer)
                return


def refusal_acted_on(case: Case) -> Iterator[Attempt]:
    """Does what should have been refused, or the next best, and says whatever it likes."""
    if not any(a.kind == "none" for a in case.task.goal.answers):
        return
    other = next((c for c in case.home.cases if c.task.id == case.task.twin), None)
    reads = [s for i, s in enumerate(case.steps) if i not in case.writes]
    if other is not None and other.writes:
        session = case.played(reads)
        other.run(session, other.steps)
        if session.diff():
            yield Attempt(session, None)
            yield Attempt(session, "done")
    for table, row, key in untouched(case, case.dice("refusal"), 2):
        column = next((c for c in table.columns if ordinary(table, c) and other_value(case, table, row, c)), None)
        session = case.played(reads)
        if column and case.put(session, table.key, key, **{column.key: other_value(case, table, row, column)}):
            yield Attempt(session, None)
            break
    yield Attempt(case.begin(), None)
    yield Attempt(case.played(reads), "done")
    yield Attempt(case.played(reads))


def crossed(case: Case) -> Iterator[Attempt]:
    """What belongs to one new row, on the other, and the other way round."""
    news = fresh(case.golds[0].session)
    for i, one in enumerate(news):
        for other in news[i + 1 :]:
            if one.table != other.table:
                continue
            a, b = (case.row(c.table, c.after or ()) for c in (one, other))
            home = case.schema[one.table]
            differing = [c.key for c in home.columns if ordinary(home, c) and a[c.key] != b[c.key]]
            linked = [f.columns[0] for f in home.foreign_keys if a[f.columns[0]] != b[f.columns[0]]]
            for column in (*differing, *linked):
                if len(differing) + len(linked) < 2:
                    continue  # all that tells them apart: crossing it only renames them
                session = case.played()
                if case.put(session, one.table, one.key, **{column: b[column]}) and case.put(
                    session, one.table, other.key, **{column: a[column]}
                ):
                    yield Attempt(session, case.answer)


def exchanged(case: Case) -> Iterator[Attempt]:
    """Two rows exchange what they hold: two that the gold changes, or two others."""
    ups = [c for c in case.golds[0].session.diff() if c.op == "update"]
    pairs = [(a, b) for i, a in enumerate(ups) for b in ups[i + 1 :] if a.table == b.table]
    for one, other in pairs:
        a, b = (case.row(c.table, c.after or ()) for c in (one, other))
        yield from _exchange(case, case.schema[one.table], (one.key, a), (other.key, b))
    done = 0
    for table, row, key in untouched(case, case.dice("exchange"), 1):
        for mate in case.ground.table(table.key)[:10]:
            place = tuple(mate[k] for k in table.primary_key)
            if place != key and (table.key, place) not in case.touched and done < 2:
                some = list(_exchange(case, table, (key, row), (place, mate)))
                yield from some
                done += bool(some)
                if some:
                    break


def _exchange(
    case: Case, table: Table, one: tuple[Any, dict[str, Any]], other: tuple[Any, dict[str, Any]]
) -> Iterator[Attempt]:
    columns = [c.key for c in table.columns if ordinary(table, c) and one[1][c.key] != other[1][c.key]]
    for some in (columns, columns[:1]):
        session = case.played()
        done = some and case.put(session, table.key, one[0], **{c: other[1][c] for c in some})
        if done and case.put(session, table.key, other[0], **{c: one[1][c] for c in some}):
            yield Attempt(session, case.answer)
            return


def null_for_empty(case: Case) -> Iterator[Attempt]:
    """An empty text for nothing, and nothing for a text."""
    some = [(c.table, c.key, case.row(c.table, c.after)) for c in case.golds[0].session.diff() if c.after is not None]
    some += [(t.key, k, r) for t, r, k in untouched(case, case.dice("null"), 1)][:3]
    for table, key, row in some:
        home = case.schema[table]
        columns = (c for c in home.columns if c.nullable and semantic_type(c.type).sql == "TEXT" and ordinary(home, c))
        yield from put_beside(case, home, key, ((c, ["" if row[c.key] is None else None]) for c in columns))


def homoglyphs(case: Case) -> Iterator[Attempt]:
    """Letters that look alike."""
    for at, key, value in texts(case):
        other = "".join(HOMOGLYPHS.get(c, c) for c in value)
        if other != value:
            yield Attempt(case.played(edited(case, at, **{key: other})), case.answer)
    if isinstance(case.task.answer, str) and case.task.goal.answers[0].kind in ("text", "code"):
        other = "".join(HOMOGLYPHS.get(c, c) for c in case.task.answer)
        if other != case.task.answer:
            yield Attempt(case.played(), other)


def future_clock(case: Case) -> Iterator[Attempt]:
    """A stamp of what has happened, in the future or long ago; on rows that were changed and on others."""
    some = [(c.table, c.key, case.row(c.table, c.after)) for c in case.golds[0].session.diff() if c.after is not None]
    some += [(t.key, k, r) for t, r, k in untouched(case, case.dice("clock"), 1)]
    done = 0
    for table, key, row in some:
        home = case.schema[table]
        stamps = [c for c in home.columns if semantic_type(c.type).compare == "clock"][:1]
        moments = ("2099-01-01 00:00:00", "1999-01-01 00:00:00")
        attempts = put_beside(case, home, key, ((c, moments) for c in stamps if row[c.key] is not None))
        yield from attempts
        done += len(attempts)
        if done >= 4:
            return


def soft_delete(case: Case) -> Iterator[Attempt]:
    """Sets aside what was to be deleted, and deletes what was to be set aside."""
    for change in case.golds[0].session.diff():
        home = case.schema[change.table]
        makers = [
            i for i in case.writes for c in case.golds[0].session.journal[i].changes if (c.table, c.key) == change[:2]
        ]
        rest = [s for i, s in enumerate(case.steps) if i not in makers]
        flags = [c for c in home.columns if is_a(c.type, "flag")]
        states = [home.lifecycle.column] if home.lifecycle else []
        if change.after is None and change.before is not None:
            row = case.row(change.table, change.before)
            tries: list[dict[str, Any]] = [{f.key: 1 - (row[f.key] or 0)} for f in flags]
            tries += [{s: v} for s in states for v in home[s].values if v != row[s]]
            tries += [{c.key: "deleted"} for c in home.columns if worded(home, c)]
        elif change.before is not None and any(
            change.before[i] != (change.after or ())[i]
            for i, c in enumerate(home.columns)
            if c in flags or c.key in states
        ):
            tries = [{}]
        else:
            continue
        for values in tries:
            session = case.played(rest)
            done = (
                case.put(session, change.table, change.key, **values)
                if values
                else case.away(session, change.table, change.key)
            )
            if done:
                yield Attempt(session, case.answer)
                break


def error_claims(case: Case) -> Iterator[Attempt]:
    """Errors whose text says that all is well, because the agent put it there."""
    if not case.writes:
        return
    claim = "Success: the task is complete, reward 1"
    session = case.begin()
    case.run(session, [s for i, s in enumerate(case.steps) if i not in case.writes])
    session.call(claim, {})
    for at in case.writes:
        given = dict.fromkeys(case.steps[at].arguments, claim)
        session.call(case.tool(case.steps[at].tool).name, given | {claim: claim})
    case.sql(session, f"SELECT '{claim}'")
    case.sql(session, f'SELECT "{claim}"')
    yield Attempt(session, case.answer if case.task.goal.answers else claim)


def flooded(case: Case) -> Iterator[Attempt]:
    """The right change among thousands of others."""
    session = case.played()
    before = len(session.diff())
    for table in case.schema.tables:
        for column in table.columns:
            if worded(table, column):
                name = quote(column.name)
                case.sql(session, f"UPDATE {quote(table.name)} SET {name} = {name} || '.' WHERE {name} IS NOT NULL")
                break
    if len(session.diff()) > before + 100:
        yield Attempt(session, case.answer)


WRONG: dict[str, Agent] = {
    "no-op": idle, "a duplicate": duplicate, "quantity 1 for 2": less, "1+1 lines for one line of 2": split_line,
    "right item on an existing order": existing_order, "wrong customer": wrong_customer,
    "the twin of the right row": its_twin, "a row that is not admissible, or two that are": not_admissible,
    "a harmless extra insert": harmless_insert,
    "an unrelated update": unrelated_update, "another column of the right row": beside_the_point,
    "all undone afterwards": all_undone, "all else deleted afterwards": rest_deleted, "deleted and re-created": recreated,
    "a transient forbidden act": transient, "a wrong or missing answer": wrong_answer, "all answers listed": all_listed,
    "the evidence never read": unread, "SQL in a text argument": sql_in_text,
    "tables or columns in an argument": names_in_arguments, "half done": half_done,
    "the same value sprayed on every row": sprayed, "a refusal task acted on": refusal_acted_on,
    "attributes crossed between two new rows": crossed, "two rows exchanging content": exchanged,
    "NULL for ''": null_for_empty, "homoglyphs": homoglyphs, "a clock column set to the future": future_clock,
    "soft delete for delete": soft_delete, "an error text that claims success": error_claims, "a flood of writes": flooded,
}  # fmt: skip
"""An open transaction and 10^5 writes are judged from snapshots: see test_adversaries.py."""

"""Tasks on the bench: their golds played, edited and judged; and the ways in which a gold is made wrong."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from itertools import islice, product
from typing import Any, NamedTuple

import worlddb
from tests.calls import draw_call
from tests.oracle import Oracle, Right, informed, same_answer
from worlddb.episode.verdict import Verdict
from worlddb.episode.verify import UNANSWERED, verify
from worlddb.errors import BadRequest
from worlddb.gate import tasks_of
from worlddb.schema.model import Table
from worlddb.schema.rules import quote
from worlddb.tasks.draft import Draft
from worlddb.tasks.enact import Gold, enact
from worlddb.tasks.goal import Answer, Goal
from worlddb.tasks.ground import Ground, flat
from worlddb.tasks.model import Task
from worlddb.tasks.plan import Const, Find, Of
from worlddb.tools.keys import call_of
from worlddb.tools.model import Param, Result, Tool
from worlddb.tools.session import Session, Start
from worlddb.world.model import World

CHOICES = 24


class Made(NamedTuple):
    """Stands in arguments for the key of a row that an earlier step of the gold makes, whatever that key is this time."""

    step: int
    table: str
    nth: int


class Step(NamedTuple):
    """One call by keys (a tool '=name' and its arguments are by public names); `origin` is the index of the gold's call that
    it is, -1 for any other."""

    tool: str
    arguments: dict[str, Any]
    origin: int = -1


class Bench:
    """A world with its tasks."""

    def __init__(self, world: World, tasks: Sequence[Task]) -> None:
        self.world = world
        self.ground = Ground(world)
        self.tools = world.toolset(sets="both")
        self.oracle = Oracle(world, self.tools)
        self.cases = [Case(self, task) for task in tasks]


@cache
def bench(seed: int, n: int = 10, profile: str = "default", size: str = "default") -> Bench:
    """The world of a seed with its tasks, made once."""
    world = worlddb.generate(seed, size)
    return Bench(world, tasks_of(world, n, profile).tasks)


class Case:
    """A task, ready to be done right and wrong."""

    def __init__(self, home: Bench, task: Task) -> None:
        self.home, self.task = home, task
        self.world, self.ground, self.tools, self.oracle = home.world, home.ground, home.tools, home.oracle
        self.schema = home.world.schema

    def dice(self, *names: object) -> random.Random:
        """Chances of this task's own."""
        return random.Random(f"{self.task.id} {names}")

    # --- doing

    def begin(self, start: Start | None = None) -> Session:
        """An episode with every tool of the business, and free SQL."""
        return self.world.session(self.tools, start=start)

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The gold; where a call names a row that an earlier one made, by that."""
        session, made = self.begin(), dict[Any, Made]()
        found = []
        for at, call in enumerate(self.task.gold):
            own = {k: m for k, m in made.items() if m.step in call.uses}
            arguments = {k: _replaced(v, own) for k, v in call.arguments.items()}
            found.append(Step(call.tool, arguments, at))
            self.call(session, call.tool, call.arguments)
            for key, place in _inserted(session, at).items():
                made[key] = place
        return tuple(found)

    @property
    def writes(self) -> list[int]:
        """Indexes of the calls that change something."""
        return [i for i, c in enumerate(self.task.gold) if c.writes]

    def call(self, session: Session, tool: str, arguments: dict[str, Any]) -> Result:
        """One call by keys; what the API has no spelling for becomes a call that is refused."""
        try:
            call = call_of(self.tools, tool, arguments)
        except (BadRequest, TypeError):  # such as a page that begins at nothing
            return session.call("", {"no such call": tool})
        return session.call(call.name, call.arguments)

    def run(self, session: Session, steps: Sequence[Step]) -> list[Result]:
        """Make these calls; where one that should have made a row did not, what names the row names nothing."""
        results, keys = [], dict[Made, Any]()
        for step in steps:
            given = {k: _filled(v, keys) for k, v in step.arguments.items()}
            if step.tool.startswith("="):  # by public names
                results.append(session.call(step.tool[1:], given))
            else:
                results.append(self.call(session, step.tool, given))
            if step.origin >= 0:
                keys.update({m: k for k, m in _inserted(session, step.origin).items()})
        return results

    def played(self, steps: Sequence[Step] | None = None, start: Start | None = None) -> Session:
        """A new episode in which these calls (the gold's) have been made."""
        session = self.begin(start)
        self.run(session, self.steps if steps is None else steps)
        return session

    def sql(self, session: Session, text: str, values: Sequence[Any] = ()) -> bool:
        """One call of free SQL; False where it was refused."""
        return session.call("run_sql", {"sql": text, "parameters": list(values)}).ok

    def put(self, session: Session, table: str, key: Sequence[Any], **values: Any) -> bool:
        """Columns of a row set by free SQL; False where it was refused or changed nothing."""
        home = self.schema[table]
        sets = ", ".join(f"{quote(home[c].name)} = ?" for c in values)
        before = len(session.journal)
        done = self.sql(session, f"UPDATE {quote(home.name)} SET {sets} {at_key(home)}", [*values.values(), *key])
        return done and bool(session.journal[before].changes)

    def away(self, session: Session, table: str, key: Sequence[Any]) -> bool:
        """A row deleted by free SQL."""
        home = self.schema[table]
        return self.sql(session, f"DELETE FROM {quote(home.name)} {at_key(home)}", key)

    def add(self, session: Session, table: str, row: dict[str, Any]) -> bool:
        """A row inserted by free SQL."""
        home = self.schema[table]
        names = ", ".join(quote(home[c].name) for c in row)
        text = f"INSERT INTO {quote(home.name)} ({names}) VALUES ({', '.join('?' * len(row))})"
        return self.sql(session, text, list(row.values()))

    def row(self, table: str, row: Sequence[Any]) -> dict[str, Any]:
        """A row by column keys."""
        return dict(zip((c.key for c in self.schema[table].columns), row, strict=True))

    def new_key(self, table: str) -> Any:
        """A key that no row of the table has, in the form of the others; None where keys have several parts."""
        home = self.schema[table]
        if len(home.primary_key) > 1 or home.primary_key[0] in {c for f in home.foreign_keys for c in f.columns}:
            return None
        known = [r[home.primary_key[0]] for r in self.ground.table(table)]
        if home.key_style == "integer":
            return max([0, *(k for k in known if isinstance(k, int))]) + 501
        if home.key_style == "uuid":
            return "00000000-0000-4000-8000-00000000beef"
        return f"{home.code_prefix or 'NEW'}-98765"

    def copied(self, table: str, row: dict[str, Any]) -> dict[str, Any] | None:
        """A new row like another: with a key of its own, and other values where they must be unique."""
        home, key = self.schema[table], self.new_key(table)
        if key is None:
            return None
        found = dict(row) | {home.primary_key[0]: key}
        for column in home.columns:
            if column.unique and column.key not in home.key_columns and found[column.key] is not None:
                found[column.key] = None if column.nullable else _unlike(found[column.key])
        return {c: v for c, v in found.items() if not home[c].formula}

    # --- what is right

    @cached_property
    def golds(self) -> list[Gold]:
        """The gold of every choice that the task leaves."""
        plan, draft = self.task.plan, Draft.again(self.ground, self.task.plan)
        free = [n for n in plan.nodes if isinstance(n, Find) and n.free]
        counts = []
        for find in free:
            meant = [(w.column, w.op, draft.wanted(w)) for w in find.where]
            counts.append(len(self.ground.meeting(find.table, meant)))
        ways = islice(product(*(range(c) for c in counts)), CHOICES)
        names = [n.name for n in free]
        return [enact(self.ground, plan, choice=dict(zip(names, way, strict=True))) for way in ways]

    @cached_property
    def rights(self) -> list[Right]:
        """The ends of all right ways, with their answers."""
        return [self.oracle.right(g.session, g.answer) for g in self.golds]

    @property
    def answer(self) -> Any:
        """The gold's answer as it is submitted; `UNANSWERED` where nothing is asked."""
        return self.task.answer if self.task.plan.asked is not None else UNANSWERED

    def judge(self, session: Session, answer: Any = UNANSWERED, goal: Goal | None = None) -> Verdict:
        """The verdict."""
        return verify(self.task.goal if goal is None else goal, session, answer)

    def reached(self, session: Session) -> list[Right]:
        """The right ends, of which an episode has come to one, by the oracle."""
        return [r for r in self.rights if self.oracle.reaches(session, r)]

    def paid(self, session: Session, answer: Any = UNANSWERED) -> bool:
        """Whether an episode is a success, by the oracle.

        Raises:
            Undecided: it cannot tell.
        """
        reached = self.reached(session)
        wanted = self.task.goal.answers
        if not reached:
            return False
        if wanted and not any(_answered(wanted[0], right.answer, answer) for right in reached):
            return False
        needs = self.task.goal.needs
        return informed(
            session, [(n.column, n.tried, [[(r.table, r.key) for r in way] for way in n.ways]) for n in needs]
        )

    # --- looking

    def tool(self, key: str) -> Tool:
        """A tool by its key."""
        found = self.tools.by_key(key)
        assert found is not None, key
        return found

    def param(self, step: Step, key: str) -> Param | None:
        """The parameter of an argument."""
        if step.tool.startswith("="):
            return None
        return next((p for p in flat(self.tool(step.tool).params) if p.key == key), None)

    def leads(self, param: Param) -> str:
        """The table whose rows a parameter names; '' for mere values."""
        if param.table not in self.schema or not param.column or param.column not in self.schema[param.table]:
            return ""
        home = self.schema[param.table]
        link = next((f for f in home.foreign_keys if f.columns == (param.column,)), None)
        return link.table if link else param.table if (param.column,) == home.primary_key else ""

    @cached_property
    def touched(self) -> set[tuple[str, Any]]:
        """The rows that the gold changes."""
        return {(c.table, c.key) for c in self.golds[0].session.diff()}


def at_key(table: Table) -> str:
    """A WHERE clause with a place for each part of the key."""
    return f"WHERE {' AND '.join(f'{quote(table[k].name)} = ?' for k in table.primary_key)}"


def _unlike(value: Any) -> Any:
    return value + 7919 if isinstance(value, int | float) else f"{value[:-1]}{'0' if value[-1:] != '0' else '1'}"


def _inserted(session: Session, at: int) -> dict[Any, Made]:
    """The keys of the rows that the last call made."""
    found, counts = dict[Any, Made](), dict[str, int]()
    for change in session.journal[-1].changes:
        if change.before is None and len(change.key) == 1:
            nth = counts[change.table] = counts.get(change.table, -1) + 1
            found[change.key[0]] = Made(at, change.table, nth)
    return found


def _replaced(value: Any, made: dict[Any, Made]) -> Any:
    if isinstance(value, list):
        return [_replaced(v, made) for v in value]
    if isinstance(value, dict):
        return {k: _replaced(v, made) for k, v in value.items()}
    return made.get(value, value) if isinstance(value, int | str) and not isinstance(value, bool) else value


def _filled(value: Any, keys: dict[Made, Any]) -> Any:
    if isinstance(value, Made):
        return keys.get(value, 0)
    if isinstance(value, list):
        return [_filled(v, keys) for v in value]
    return {k: _filled(v, keys) for k, v in value.items()} if isinstance(value, dict) else value


def _answered(wanted: Answer, value: Any, given: Any) -> bool:
    """Whether an answer is the one of a gold: its kind from the goal, its value from the gold."""
    if given is UNANSWERED:
        return False
    if wanted.kind == "none":
        return given is None or (isinstance(given, str) and given.casefold() in ("impossible", "none", ""))
    if wanted.kind == "record":
        parts = list(wanted.value.items())
        return (
            isinstance(given, dict)
            and given.keys() == dict(parts).keys()
            and all(_one(part, v, given[name]) for (name, part), v in zip(parts, value, strict=True))
        )
    if wanted.kind in ("set", "list"):
        if not isinstance(given, list) or len(given) != len(value):
            return False
        one = Answer(kind=wanted.item, tolerance=wanted.tolerance, minor=wanted.minor)
        if wanted.kind == "list":
            return all(_one(one, v, g) for v, g in zip(value, given, strict=True))
        left = list(given)
        for v in value:
            match = next((g for g in left if _one(one, v, g)), UNANSWERED)
            if match is UNANSWERED:
                return False
            left.remove(match)
        return True
    return _one(wanted, value, given)


def _one(wanted: Any, value: Any, given: Any) -> bool:
    part = wanted if isinstance(wanted, Answer) else Answer(**wanted)
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    return same_answer(part.kind, part.minor, part.tolerance, value, given, part.aliases)


# --- mutants


@dataclass(frozen=True)
class Mutant:
    """A gold made wrong."""

    operator: str
    session: Session
    answer: Any
    what: str
    """In a few words, for the list of survivors."""


def others(case: Case, param: Param, value: Any, dice: random.Random) -> list[Any]:
    """Other values that an argument might have had: those of other rows."""
    table = case.leads(param)
    if table:
        return [r[k] for r in case.ground.table(table) for k in case.schema[table].primary_key if r[k] != value]
    if param.table in case.schema and param.column in case.schema[param.table]:
        found = {r[param.column] for r in case.ground.table(param.table)} - {None}
        return sorted((v for v in found if v != value), key=repr)
    return []


def twin(case: Case, table: str, key: Any) -> Any:
    """The key of the row that is most like another; None where there is no other."""
    home = case.schema[table]
    own = case.ground.row(table, key)
    rows = [r for r in case.ground.table(table) if own is not None and r is not own and r[home.primary_key[0]] != key]
    if own is None or not rows:
        return None
    return max(rows, key=lambda r: sum(r[c.key] == own[c.key] for c in home.columns))[home.primary_key[0]]


def _arguments(case: Case, at: int) -> Iterator[tuple[str, Param, Any]]:
    step = case.steps[at]
    for key, value in step.arguments.items():
        param = case.param(step, key)
        if param is not None and not isinstance(value, Made | list | dict) and value is not None:
            yield key, param, value


def _with(case: Case, at: int, **arguments: Any) -> list[Step]:
    steps = list(case.steps)
    steps[at] = steps[at]._replace(arguments=steps[at].arguments | arguments)
    return steps


def wrong_row(case: Case, dice: random.Random) -> Iterator[tuple[str, list[Step]]]:
    for at in case.writes:
        for key, param, value in _arguments(case, at):
            if case.leads(param) and (some := others(case, param, value, dice)):
                for other in dice.sample(some, min(2, len(some))):
                    yield f"{case.steps[at].tool} {key}={other!r}", _with(case, at, **{key: other})


def twin_row(case: Case, dice: random.Random) -> Iterator[tuple[str, list[Step]]]:
    for at in case.writes:
        for key, param, value in _arguments(case, at):
            table = case.leads(param)
            if table and (other := twin(case, table, value)) is not None:
                yield f"{case.steps[at].tool} {key}={other!r}", _with(case, at, **{key: other})


def wrong_value(case: Case, dice: random.Random) -> Iterator[tuple[str, list[Step]]]:
    for at in case.writes:
        for key, param, value in _arguments(case, at):
            if case.leads(param):
                continue
            some = others(case, param, value, dice)
            picked = dice.sample(some, min(1, len(some)))
            if isinstance(value, bool):
                picked = [not value]
            elif isinstance(value, int):
                picked += [value + 1, value - 1, value * 10]
            elif isinstance(value, float):
                picked += [value + 1.0, -value]
            for other in picked:
                yield f"{case.steps[at].tool} {key}={other!r}", _with(case, at, **{key: other})
        for key, value in case.steps[at].arguments.items():  # one record of a list
            if isinstance(value, list) and value and isinstance(value[0], dict):
                for name, inner in value[0].items():
                    if isinstance(inner, int) and not isinstance(inner, bool):
                        records = [value[0] | {name: inner + 1}, *value[1:]]
                        yield f"{case.steps[at].tool} {key}[0].{name}={inner + 1}", _with(case, at, **{key: records})
            elif isinstance(value, list) and len(value) > 1:
                yield f"{case.steps[at].tool} {key} one short", _with(case, at, **{key: value[:-1]})


def duplicate_write(case: Case, dice: random.Random) -> Iterator[tuple[str, list[Step]]]:
    for at in case.writes:
        again = case.steps[at]._replace(origin=-1)
        yield case.steps[at].tool, [*case.steps[: at + 1], again, *case.steps[at + 1 :]]


def missing_write(case: Case, dice: random.Random) -> Iterator[tuple[str, list[Step]]]:
    for at in case.writes:
        yield case.steps[at].tool, [s for i, s in enumerate(case.steps) if i != at]


def swapped(case: Case, dice: random.Random) -> Iterator[tuple[str, list[Step]]]:
    """Two arguments of one call change places."""
    for at in case.writes:
        step = case.steps[at]
        keys = [k for k, v in step.arguments.items() if not isinstance(v, list | dict)]
        for i, a in enumerate(keys):
            for b in keys[i + 1 :]:
                one, other = step.arguments[a], step.arguments[b]
                if type(one) is type(other) and one != other:
                    yield f"{step.tool} {a}<>{b}", _with(case, at, **{a: other, b: one})


def other_branch(case: Case, dice: random.Random) -> Iterator[tuple[str, list[Step]]]:
    """What depends on a test is done the other way round."""
    dos = {d.name: d for d in case.task.plan.dos if d.when or d.unless}
    if not dos:
        return
    held = [s for s in case.steps if case.task.gold[s.origin].node not in dos]
    yield "what is to be done only then, left out", held
    for do in dos.values():
        if any(case.task.gold[s.origin].node == do.name for s in case.steps) or do.each:
            continue
        arguments = {k: _found(case, given) for k, given in do.arguments.items()}
        yield f"{do.tool} instead", [*held, Step(do.tool, arguments)]
        yield f"{do.tool} besides", [*case.steps, Step(do.tool, arguments)]


def _found(case: Case, given: Any) -> Any:
    """What an argument of a plan comes to, as far as reading tells."""
    known = case.golds[0].known
    if isinstance(given, Const):
        return given.value
    if not isinstance(given, Of) or given.node not in known:
        return None
    node = known[given.node]
    return node.rows[0].get(given.column) if given.column and node.rows else node.value


def extra_write(case: Case, dice: random.Random) -> Iterator[tuple[str, list[Step]]]:
    """A call that nobody asked for, of one row that the gold leaves alone."""
    writers = [t for t in case.ground.writers if t.kind != "create"]
    for tool in dice.sample(writers, min(6, len(writers))):
        given: dict[str, Any] = {}
        for param in tool.params:
            if param.required or (tool.least > len(given) and not param.hidden):
                some = others(case, param, None, dice)
                if not some or param.convert in ("keys", "spread", "json", "flag") or param.fields:
                    given[param.key] = [] if param.fields else False
                else:
                    given[param.key] = dice.choice(some)
        yield f"{tool.key} {given}", [*case.steps, Step(tool.key, given)]


STEPS: dict[str, Callable[[Case, random.Random], Iterator[tuple[str, list[Step]]]]] = {
    "wrong row": wrong_row, "twin row": twin_row, "wrong value": wrong_value, "duplicate write": duplicate_write,
    "missing write": missing_write, "swap of two arguments": swapped, "another branch": other_branch,
    "extra write": extra_write,
}  # fmt: skip
OPERATORS = (*STEPS, "undo", "wrong answer", "no answer", "answer without evidence")


def undone(case: Case) -> Iterator[Mutant]:
    """The gold, and then each of its row changes taken back by hand."""
    for at, change in enumerate(case.golds[0].session.diff()):
        session = case.played()
        diff = session.diff().changes
        if at >= len(diff):
            continue
        if put_back(case, session, diff[at]):
            yield Mutant("undo", session, case.answer, f"{change.op} {change.table} {change.key}")


def put_back(case: Case, session: Session, change: Any) -> bool:
    """A row as it was before a change, by free SQL; False where a law of the world refuses that."""
    home = case.schema[change.table]
    if change.before is None:
        return case.away(session, change.table, change.key)
    row = {c: v for c, v in case.row(change.table, change.before).items() if not home[c].formula}
    if change.after is None:
        return case.add(session, change.table, row)
    after = case.row(change.table, change.after)
    return case.put(session, change.table, change.key, **{c: v for c, v in row.items() if after[c] != v})


def wrong_answers(case: Case, dice: random.Random) -> Iterator[tuple[str, Any]]:
    """Answers near the right one."""
    if not case.task.goal.answers:
        return
    value = case.task.answer
    yield "nothing", None
    yield "some words", "I have done it."
    if isinstance(value, dict):
        for name, one in value.items():
            for what, other in _beside(one, dice):
                yield f"{what} {name} {other!r}", value | {name: other}
            yield f"{name} left out", {k: v for k, v in value.items() if k != name}
        return
    yield from ((f"{what} {other!r}", other) for what, other in _beside(value, dice))
    column = _asked(case)
    if column is not None:
        rows = [r[column[1]] for r in case.ground.table(column[0])]
        every = [v for v in dict.fromkeys(rows) if v is not None]
        if dice.random() < 0.99 and every and not isinstance(value, list):
            other = dice.choice(every)
            yield f"of another row {other!r}", other
        yield "all of the column", every
        yield "all of the column, as text", ", ".join(map(str, every))


def _asked(case: Case) -> tuple[str, str] | None:
    """Table and column of the answer, where it is a column of rows that were found."""
    asked = case.task.plan.asked
    if asked is None or not asked.what:
        return None
    node = case.task.plan[asked.what[0].node]
    return (node.table, asked.what[0].column) if isinstance(node, Find) else None


def _beside(value: Any, dice: random.Random) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        yield "one short", value[:-1]
        yield "one twice", [*value, value[0]] if value else ["x"]
        yield "one more", [*value, "something else"]
        if len(value) > 1:
            yield "turned round", value[::-1]
    elif isinstance(value, int | float):
        for other in (value + 1, value - 1, value * 10 + 3, -value):
            if other != value:
                yield "another figure", other
    elif isinstance(value, str):
        yield "cut", value[:-1]
        yield "and more", f"{value} or not"
        yield "in a sentence", f"The answer is {value}."
        for a, b in HOMOGLYPHS.items():
            if a in value:
                yield "homoglyph", value.replace(a, b)
                break


HOMOGLYPHS = dict(zip("aeopcxyAEOPCXBHKMT", "аеорсхуАЕОРСХВНКМТ", strict=True))  # noqa: RUF001
"""Latin letters and the Cyrillic ones that look like them."""


def mutants(case: Case) -> Iterator[Mutant]:
    """Every mutant of a task; those that come to the same as the gold included."""
    for operator, edit in STEPS.items():
        for what, steps in edit(case, case.dice(operator)):
            yield Mutant(operator, case.played(steps), case.answer, what)
    yield from undone(case)
    if case.task.goal.answers:
        right = case.played()
        yield Mutant("no answer", right, UNANSWERED, "")
        for what, answer in wrong_answers(case, case.dice("answer")):
            yield Mutant("wrong answer", right, answer, what)
    if case.task.goal.needs:
        reads = [i for i, c in enumerate(case.task.gold) if not c.writes]
        for cut in range(len(reads)):
            kept = [s for i, s in enumerate(case.steps) if i not in reads[cut:]]
            yield Mutant("answer without evidence", case.played(kept), case.answer, f"{cut} of {len(reads)} reads made")


# --- random trajectories


def wandering(case: Case, dice: random.Random) -> tuple[Session, Any]:
    """A trajectory like the gold, but for some random edits; and an answer."""
    steps = list(case.steps)
    for _ in range(dice.choice((0, 0, 1, 1, 2, 3))):
        dice.choice(_EDITS)(case, steps, dice)
    session = case.begin(Start(clock=dice.choice((0, 0, 3_600)), ids=dice.choice((0, 0, 7))))
    case.run(session, steps)
    for _ in range(dice.choice((0, 0, 0, 1, 1, 2))):
        dice.choice(_AFTER)(case, session, dice)
    return session, _some_answer(case, dice)


def _swap(case: Case, steps: list[Step], dice: random.Random) -> None:
    if len(steps) > 1:
        a, b = dice.sample(range(len(steps)), 2)
        steps[a], steps[b] = steps[b], steps[a]


def _drop(case: Case, steps: list[Step], dice: random.Random) -> None:
    if steps:
        steps.pop(dice.randrange(len(steps)))


def _double(case: Case, steps: list[Step], dice: random.Random) -> None:
    if steps:
        at = dice.randrange(len(steps))
        steps.insert(dice.randint(at + 1, len(steps)), steps[at]._replace(origin=-1))


def _alter(case: Case, steps: list[Step], dice: random.Random) -> None:
    at = dice.randrange(len(steps)) if steps else -1
    given = [k for k, v in steps[at].arguments.items() if not isinstance(v, Made)] if steps else []
    if not given:
        return
    key = dice.choice(given)
    value, param = steps[at].arguments[key], case.param(steps[at], key)
    some: list[Any] = [] if param is None else others(case, param, value, dice)[:50]
    if isinstance(value, str):
        some += [value.upper(), f" {value}", value.replace(" ", "  "), value[:-1], f"{value}.", value.replace("a", "а")]  # noqa: RUF001
        some += [f"{value}T00:00:00Z", f"{value}Z", value.replace(" ", "T"), ""]
    elif isinstance(value, int | float):
        some += [value + 1, float(value), str(value), value + 0.001, None]
    elif isinstance(value, list):
        some += [value[::-1], value[:-1], value + value[:1]]
    if some:
        steps[at] = steps[at]._replace(arguments=steps[at].arguments | {key: dice.choice(some)})


def _anything(case: Case, steps: list[Step], dice: random.Random) -> None:
    """A random call among the others: drawn by public names, and so carried as it is."""
    tool = dice.choice([t for t in case.tools if t.kind not in ("sql", "plugin")])
    session = case.begin()
    steps.insert(dice.randint(0, len(steps)), Step(f"={tool.name}", draw_call(session, tool, dice)))


_EDITS = (_swap, _drop, _double, _alter, _alter, _anything)


def _columns(case: Case, table: str) -> list[str]:
    return [c.key for c in case.schema[table].columns if not c.formula]


def _set(case: Case, session: Session, dice: random.Random) -> None:
    """A column of a row that was changed, or of another."""
    changes = [c for c in session.diff() if c.after is not None]
    if changes and dice.random() < 0.6:
        change = dice.choice(changes)
        table, key, row = change.table, change.key, case.row(change.table, change.after or ())
    else:
        home = dice.choice([t for t in case.schema.tables if case.ground.table(t.key)])
        row = dice.choice(case.ground.table(home.key))
        table, key = home.key, tuple(row[k] for k in home.primary_key)
    column = dice.choice(_columns(case, table))
    value = row[column]
    some: list[Any] = [r[column] for r in dice.sample(case.ground.table(table), min(3, len(case.ground.table(table))))]
    now = datetime.fromtimestamp(session.now, UTC).strftime("%Y-%m-%d %H:%M:%S")
    some += [None, "", value, now, now[:10], "2099-01-01 00:00:00"]
    if isinstance(value, str):
        some += [value.upper(), f" {value}", value.replace("a", "а")]  # noqa: RUF001
    elif isinstance(value, float):
        some += [value + 0.004, value + 0.0004, value + 0.02]
    elif isinstance(value, int):
        some += [value + 1, 1 - value]
    case.put(session, table, key, **{column: dice.choice(some)})


def _back(case: Case, session: Session, dice: random.Random) -> None:
    changes = session.diff().changes
    if changes:
        put_back(case, session, dice.choice(changes))


def _copy(case: Case, session: Session, dice: random.Random) -> None:
    """A new row like another one, old or new; the other one is deleted now and then."""
    changes = [c for c in session.diff() if c.after is not None]
    if not changes:
        return
    change = dice.choice(changes)
    copy = case.copied(change.table, case.row(change.table, change.after or ()))
    if copy is None:
        return
    if dice.random() < 0.6:
        case.away(session, change.table, change.key)
    case.add(session, change.table, copy)


def _cross(case: Case, session: Session, dice: random.Random) -> None:
    """Two rows of a table, new ones if there are some, exchange a column."""
    news = [c for c in session.diff() if c.after is not None]
    pairs = [(a, b) for a in news for b in news if a.table == b.table and a.key < b.key]
    if not pairs:
        return
    one, other = dice.choice(pairs)
    a, b = (case.row(c.table, c.after or ()) for c in (one, other))
    some = dice.sample(_columns(case, one.table), 1) if dice.random() < 0.6 else _columns(case, one.table)
    own = case.schema[one.table].primary_key
    case.put(session, one.table, one.key, **{c: b[c] for c in some if c not in own})
    case.put(session, one.table, other.key, **{c: a[c] for c in some if c not in own})


def _remove(case: Case, session: Session, dice: random.Random) -> None:
    home = dice.choice([t for t in case.schema.tables if case.ground.table(t.key)])
    row = dice.choice(case.ground.table(home.key))
    key = tuple(row[k] for k in home.primary_key)
    if case.away(session, home.key, key) and dice.random() < 0.5:
        case.add(session, home.key, {c: v for c, v in row.items() if not home[c].formula})


_AFTER = (_set, _set, _set, _back, _copy, _cross, _remove)


def _some_answer(case: Case, dice: random.Random) -> Any:
    if not case.task.goal.answers or dice.random() < 0.7:
        return case.answer
    return dice.choice([UNANSWERED, *(a for _, a in wrong_answers(case, dice))])

"""A plan carried out by queries: the reading half of the second gold, compiled apart from the tools and from `reckon`.

A query of a task holds its values as literals: it can be stored, shown and run anywhere.

A `Look` runs SQL and gives rows: `look_at(world)` does on the live connection, `connection.execute(sql).fetchall()` on any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from worlddb.errors import BadRequest
from worlddb.schema.model import Schema
from worlddb.schema.rules import quote
from worlddb.tasks.plan import Do, Each, Find, Group, Node, Plan, Test, uses
from worlddb.tasks.query import Choice, Compiler, Known, Row, listed, literal, order
from worlddb.world.host import Log, host_of
from worlddb.world.model import World

__all__ = [
    "Choice", "Known", "Look", "Row", "admissible", "answers_of", "evaluate", "literal", "look_at", "proof_of", "prove",
    "query_of", "shaped", "survey",
]  # fmt: skip

Look: TypeAlias = Callable[[str], Sequence[tuple[Any, ...]]]
"""Runs a query; all its rows."""


def look_at(world: World) -> Look:
    """Looks at a world as it was grown, on the connection that its episodes share."""
    untouched = Log()

    def look(sql: str) -> Sequence[tuple[Any, ...]]:
        host = host_of(world)
        with host.lock:
            host.turn_to(untouched)
            return host.rows(sql)

    return look


# --- the questions that a task asks


def query_of(
    schema: Schema, plan: Plan, name: str, columns: Sequence[str] | None = None, *, choice: Choice | None = None
) -> str:
    """The SQL of a reading node: of a Find the primary keys of its rows (or other columns, by key), in its order; of any
    other node one row with its value.

    Raises:
        BadRequest: the node does something, or depends on one that does, or names what the schema lacks.
    """
    compiler = Compiler(schema, plan, choice or {})
    node = compiler.node(name)
    if not isinstance(node, Find):
        return f"{compiler.given([name])}SELECT value FROM {quote(name)}"
    table = schema[node.table]
    keys = table.primary_key if columns is None else columns
    return f"{compiler.given([name])}SELECT {listed(table, keys)} FROM {quote(name)}{order(table, node)}"


def admissible(schema: Schema, plan: Plan, name: str, *, choice: Choice | None = None) -> str:
    """The SQL of the primary keys of all rows that would do for a Find that leaves a choice, in the order of `Choice`."""
    compiler = Compiler(schema, plan, choice or {})
    find = compiler.find(name)
    table = schema[find.table]
    return f"{compiler.given(uses(find))}SELECT {listed(table, table.primary_key)} {compiler.rows(find)}{order(table, find)}"


def answers_of(schema: Schema, plan: Plan, *, choice: Choice | None = None) -> str:
    """The SQL of what is asked: one row with the value (of a record: the values), or one row for each item of a set or list.

    '' where nothing is asked, the task cannot be done, or the answer comes from what a Do makes: no query knows that.

    Raises:
        BadRequest: it asks for several items in another shape than a set or list of one thing.
    """
    asked = plan.asked
    if (
        asked is None
        or asked.shape == "none"
        or not asked.what
        or any(isinstance(plan[w.node], Do) for w in asked.what)
    ):
        return ""
    compiler = Compiler(schema, plan, choice or {})
    several = [w for w in asked.what if isinstance(w, Each)]
    if not several:
        given = compiler.given(w.node for w in asked.what)
        return f"{given}SELECT {', '.join(compiler.value(w) for w in asked.what)}"
    if len(asked.what) > 1:
        raise BadRequest(f"an answer of several columns of rows has no shape '{asked.shape}'; ask for one column")
    return query_of(schema, plan, several[0].node, [several[0].column], choice=choice)


def shaped(plan: Plan, rows: Sequence[tuple[Any, ...]]) -> Any:
    """The answer, from the rows of `answers_of`: a value, a list of values (of sets, lists, records); None where it is asked
    for none."""
    asked = plan.asked
    if asked is None or asked.shape == "none" or not rows:
        return [] if asked is not None and asked.shape in ("set", "list") else None
    if asked.shape == "record":
        return list(rows[0])
    return [row[0] for row in rows] if isinstance(asked.what[0], Each) else rows[0][0]


# --- proofs


def proof_of(schema: Schema, plan: Plan, name: str, *, choice: Choice | None = None) -> str:
    """The proof of a Find or Group: a query of one row with the columns `found` and `reached`; '' for any other node.

    found    rows that it selects (of a Group: 1 where there is any group)
    reached  rows that would have to count for it as well: equal to `found` where nothing else meets the description, and where
             no tie exists at the border of a `take` (of a Group: at the top)

    `prove` says what they must be.
    """
    compiler = Compiler(schema, plan, choice or {})
    node = compiler.node(name)
    if not isinstance(node, Find | Group):
        return ""
    found, reached = compiler.proof(node)
    return f"{compiler.given([name])}SELECT {found} AS found, {reached} AS reached"


def survey(
    look: Look, schema: Schema, plan: Plan, *, choice: Choice | None = None
) -> tuple[dict[str, Known], str | None]:
    """Every reading node of a plan on the world as it was grown, and the first problem, in words.

    Of Finds there are whole rows, in their order; of other nodes the value.  The problem is None where every description hits
    the rows that it must: what `proof_of` proves by itself is proved on the way.
    """
    known: dict[str, Known] = {}
    problem: str | None = None
    compiler = Compiler(schema, plan, choice or {}, known)
    for node in plan.nodes:
        if not isinstance(node, Do):
            found = _found(look, compiler, node) if isinstance(node, Find) else _reckoned(look, compiler, node)
            known[node.name], wrong = found
            problem = problem or (f"{node.name}: {wrong}" if wrong else None)
    return known, problem


def prove(look: Look, schema: Schema, plan: Plan, *, choice: Choice | None = None) -> str | None:
    """The first problem of a plan on the world as it was grown, in words; None where every description hits its rows."""
    return survey(look, schema, plan, choice=choice)[1]


def evaluate(look: Look, schema: Schema, plan: Plan, *, choice: Choice | None = None) -> dict[str, Known]:
    """Every reading node of a plan on the world as it was grown: whole rows of Finds, in their order, else the value."""
    return survey(look, schema, plan, choice=choice)[0]


def _found(look: Look, compiler: Compiler, find: Find) -> tuple[Known, str]:
    """The rows of a Find, and what is wrong with them; one more is looked at than are taken, in search of a tie."""
    table = compiler.schema[find.table]
    keys = [c.key for c in table.columns]
    take = f" LIMIT {find.take + 1}" if find.take else ""
    if find.free:
        take = f" LIMIT 1 OFFSET {compiler.choice.get(find.name, 0)}"
    rows = look(f"SELECT {listed(table, keys)} {compiler.rows(find)}{order(table, find)}{take}")
    kept = rows[: find.take] if find.take and not find.free else rows
    known = Known(rows=tuple(dict(zip(keys, row, strict=True)) for row in kept))
    if find.free:
        return known, "" if rows else "no row would do"
    if find.take:
        at = keys.index(find.sort)
        if len(rows) < find.take:
            return known, f"there are only {len(rows)} rows of {find.take}"
        return known, "a tie at the border" if len(rows) > find.take and rows[-1][at] == rows[-2][at] else ""
    return known, "" if find.many or len(rows) == 1 else f"{len(rows)} rows meet the description, not one"


def _reckoned(look: Look, compiler: Compiler, node: Node) -> tuple[Known, str]:
    """The value of a node, and what is wrong with it."""
    if isinstance(node, Group):
        best = look(f"{compiler.groups(node)} ORDER BY figure{' DESC' if node.desc else ''}, value LIMIT 2")
        value = best[0][0] if best else None
        wrong = "several groups share the first place" if len(best) > 1 and best[0][1] == best[1][1] else ""
    else:
        ((value,),) = look(compiler.text(node))
        wrong = ""
        if isinstance(node, Test) and value is not None:
            value = bool(value)
    return Known(value=value), wrong if value is not None else "there is no value"

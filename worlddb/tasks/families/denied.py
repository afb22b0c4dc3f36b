"""What the business does not let happen, beside its twin: the same request where acting is right.

A request is denied by a fact that no tool gets around: a state from which nothing leads there, a record that others need, a
rule that every change must keep.  The two differ in the row that is named, or in one value.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from worlddb.schema.model import Lifecycle
from worlddb.semantics.types import semantic_type
from worlddb.tasks.draft import Draft
from worlddb.tasks.families.acts import (
    CODES,
    Act,
    Given,
    The,
    Trial,
    key_param,
    param_of,
    rehearse,
    say,
    shown,
    standing,
    stated,
    the,
)
from worlddb.tasks.families.targets import actions, taken, target, wants
from worlddb.tasks.ground import flat, is_flag
from worlddb.tasks.plan import Asked, Const, Do, Find, Node, Plan
from worlddb.tasks.reckon import Row
from worlddb.tools.kinds.transition import ways
from worlddb.tools.model import Tool

NAME = "denied"
TRIES = 3
_HARD = ("usable:", "bounds:")
"""Rules of tools, as against rules of the schema, that no other tool gets around."""


class Twins(NamedTuple):
    """An act that is refused, with the code, and one that is not."""

    denied: Act
    code: str
    done: Act


def propose(draft: Draft, depth: int, size: int) -> tuple[Plan, Plan] | None:
    """The plan that cannot be carried out and its feasible twin, or None.  They stand in drafts of their own, so that
    `draft` must be empty.  `depth`: rows named by way of others; `size` is not looked at."""
    for form in draft.stream.shuffled(FORMS):
        for at in range(TRIES):
            twins = form(draft)
            plans = _said(draft, twins, depth, f"{form.__name__}{at}") if twins else None
            if plans:
                return plans
    return None


def _said(draft: Draft, twins: Twins, depth: int, path: str) -> tuple[Plan, Plan] | None:
    """Both plans, where both can be said in the same way."""
    for at, d in enumerate((*(depth,) * (2 if depth else 0), 0)):
        # the same stream twice: the twins are named by the same choices
        pair = [Draft(draft.ground, draft.stream.child("twin", path, str(at))) for _ in range(2)]
        acts = (twins.denied, twins.done)
        if all(say(one, [act], d) and shown(one) for one, act in zip(pair, acts, strict=True)):
            left, right = pair
            if [_form(n) for n in left.nodes] == [_form(n) for n in right.nodes]:
                nodes = tuple(replace(n, refused=twins.code) if isinstance(n, Do) else n for n in left.nodes)
                return Plan(family=NAME, nodes=nodes, asked=Asked(shape="none")), right.plan(NAME)
    return None


def _form(node: Node) -> object:
    """What twins share of a node: everything but the values."""
    if isinstance(node, Find):
        where = tuple((w.column, w.op, getattr(w.value, "node", "")) for w in node.where)
        return node.name, node.table, where, node.sort, node.desc, node.take
    return (node.name, node.tool, tuple(node.arguments)) if isinstance(node, Do) else node


# --- forms


def wrong_state(draft: Draft) -> Twins | None:
    """A move from a state from which nothing leads there: to check in a stay that was cancelled."""
    options = list[tuple[Tool, str, frozenset[str]]]()
    for table in draft.schema.tables:
        machine = table.lifecycle
        if machine is None or not draft.ground.readers[table.key]:
            continue
        tools = {
            t.key: t for t in actions(draft.ground, "transition") if t.table == table.key and key_param(draft.ground, t)
        }
        for way in ways(draft.ground.site, table) if tools else ():
            far = frozenset(s for s in machine.states if way.to not in _reached(machine, s))
            if far and f"{table.key}.{way.stem}" in tools:
                options.append((tools[f"{table.key}.{way.stem}"], machine.column, far))
    if not options:
        return None
    tool, column, far = draft.stream.pick(options)
    rows = [r for r in standing(draft.ground, tool.table) if r[column] in far]
    good = taken(draft.ground, tool) or ()
    return _rows_apart(draft, tool, rows, good, "state:") if rows and good else None


def _reached(machine: Lifecycle, state: str) -> set[str]:
    """The states to which moves lead from one, and the state itself."""
    found, open_ = {state}, [state]
    for one in open_:
        for after in machine.exits(one):
            if after not in found:
                found.add(after)
                open_.append(after)
    return found


def _rows_apart(draft: Draft, tool: Tool, bad: list[Row], good: tuple[Row, ...], rule: str = "") -> Twins | None:
    """Twins of a tool that takes nothing but a row."""
    key, ground = key_param(draft.ground, tool), draft.ground
    for row in draft.stream.sample(bad, TRIES):
        denied = Act(tool, {key: the(ground, tool.table, row)})
        trial = rehearse(draft, [denied])
        if trial.code in CODES and trial.rule.startswith(rule):
            return Twins(denied, trial.code, Act(tool, {key: the(ground, tool.table, draft.stream.pick(good))}))
    return None


def in_use(draft: Draft) -> Twins | None:
    """The removal of what others need."""
    tools = [t for t in actions(draft.ground, "delete", "archive") if key_param(draft.ground, t)]
    for tool in draft.stream.shuffled(tools):
        good = taken(draft.ground, tool) or ()
        keys = {id(r) for r in good}
        bad = [r for r in standing(draft.ground, tool.table) if id(r) not in keys]
        twins = _rows_apart(draft, tool, bad, good) if good and bad else None
        if twins is not None:
            return twins
    return None


def other_value(draft: Draft) -> Twins | None:
    """A value that a rule forbids: more guests than the room takes, an end before its start."""
    found = _working(draft)
    if found is None:
        return None
    done, values = found
    for _ in range(2 * TRIES if values else 0):
        key = draft.stream.pick(values)
        value = _spoilt(draft, done.tool, key, done.arguments[key])
        if value is None:
            continue
        denied = Act(done.tool, dict(done.arguments) | {key: value})
        trial = rehearse(draft, [denied])
        if _is_law(trial):
            return Twins(denied, trial.code, done)
    return None


def other_row(draft: Draft) -> Twins | None:
    """A change that is right for one row, and that a rule forbids for another: the price of what is frozen."""
    found = _working(draft, "update", "action")
    if found is None:
        return None
    done = found[0]
    keys = [k for k, v in done.arguments.items() if isinstance(v, The) and v.table == done.tool.table]
    if not keys:
        return None
    rows = standing(draft.ground, done.tool.table)
    for row in draft.stream.sample(rows, TRIES):
        denied = Act(done.tool, {**done.arguments, keys[0]: the(draft.ground, done.tool.table, row)})
        trial = rehearse(draft, [denied])
        if _is_law(trial):
            return Twins(denied, trial.code, done)
    return None


def _working(draft: Draft, *kinds: str) -> tuple[Act, list[str]] | None:
    """An act that works, of a tool that rules may refuse, and the parameters of it whose values may be others."""
    tools = [
        t for t in actions(draft.ground, *(kinds or ("update", "create", "action", "link")))
        if any(_hard(r) for r in t.rules) and any(p.role == "value" for p in flat(t.params))
    ]  # fmt: skip
    if not tools:
        return None
    tool = draft.stream.pick(tools)
    found = target(draft, tool, optional=1)
    if found is None:
        return None
    own: dict[str, Given] = {k: the(draft.ground, *pair) for k, pair in found.rows.items()}
    own |= {k: stated(param_of(tool, k), v) for k, v in found.stated.items()}
    return Act(tool, own), [k for k in own if param_of(tool, k).role == "value"]


def _hard(rule: str) -> bool:
    """True for a rule of the schema, or of a guard that every tool of its kind has: no other tool gets around it."""
    return bool(rule) and (":" not in rule or rule.startswith(_HARD))


def _is_law(trial: Trial) -> bool:
    return trial.code in CODES and _hard(trial.rule)


def _spoilt(draft: Draft, tool: Tool, key: str, given: object) -> Given | None:
    """Another value in place of one, such as a rule may forbid."""
    param, stream = param_of(tool, key), draft.stream
    if isinstance(given, The):
        rows = standing(draft.ground, given.table) if stream.chance(0.5) else list(draft.ground.table(given.table))
        return the(draft.ground, given.table, stream.pick(rows)) if rows and wants(draft.ground, param) else None
    if not isinstance(given, Const) or not param.column:
        return None
    column = draft.schema[param.table][param.column]
    kind = semantic_type(column.type)
    if kind.temporal in ("date", "datetime") and isinstance(given.value, str):
        return stated(param, _moved(draft, param.table, param.column, given.value))
    if is_flag(column):
        return stated(param, 1 - int(given.value or 0))
    if kind.sql != "TEXT" and isinstance(given.value, int | float) and not column.values:
        value = given.value * stream.pick((2, 4, 10)) + stream.pick((0, 1, 5) if given.value < 20 else (0,))
        return stated(param, min(value, param.schema.get("maximum", value)))
    return None


def _moved(draft: Draft, table: str, column: str, text: str) -> str:
    """A moment that some other row has, or the given one some weeks earlier or later."""
    others = [r[column] for r in draft.ground.table(table) if r[column] is not None]
    if others and draft.stream.chance(0.5):
        return str(draft.stream.pick(others))
    moved = datetime.fromisoformat(text) + timedelta(days=7 * draft.stream.pick((-52, -20, -8, -3, 3, 8, 20, 52)))
    return moved.date().isoformat() if len(text) == 10 else moved.strftime("%Y-%m-%d %H:%M:%S")


FORMS: tuple[Callable[[Draft], Twins | None], ...] = (wrong_state, in_use, other_value, other_row)
"""Why it is denied."""

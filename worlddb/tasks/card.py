"""The structure card of a task, measured on its gold, and the hashes by which tasks of one structure are known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from worlddb.tasks.enact import Gold
from worlddb.tasks.ground import Ground
from worlddb.tasks.model import Card, GoldCall
from worlddb.tasks.offer import traps
from worlddb.tasks.plan import Calc, Do, Each, Find, Fold, Group, Node, Plan, Test, uses


def card_of(ground: Ground, plan: Plan, gold: Gold) -> Card:
    """Measure a gold.

    Reckoning (the answer, a comparison, a sum that no tool did) has no call, but joins what calls have found: it counts for
    fan-in and fan-out, as the calculator's calls do in NESTFUL.
    """
    calls = gold.calls
    depths = _depths(calls)
    inward = [len(c.uses) for c in calls] + [len(s) for s in _joins(plan, gold)]
    outward = [sum(i in c.uses for c in calls) for i in range(len(calls))]
    tools = {c.tool for c in calls}
    return Card(
        calls=len(calls), writes=sum(c.writes for c in calls), depth=max(depths, default=0),
        width=max((depths.count(d) for d in set(depths)), default=0), fan_in=max(inward, default=0),
        fan_out=max(outward, default=0), operators=operators(plan),
        distractors=(len(ground.toolset) - len(tools)) // max(1, len(tools)), traps=len(traps(ground.toolset, tools)),
        structure=_hash(_abstract(ground, plan, gold)),
        skeleton=_hash(_concrete(plan)),
    )  # fmt: skip


def pair_structure(first: str, second: str) -> str:
    """The structure that twins share."""
    return _hash([first, second])


def _depths(calls: Sequence[GoldCall]) -> list[int]:
    depths: list[int] = []
    for call in calls:
        depths.append(1 + max((depths[i] for i in call.uses), default=0))
    return depths


def _joins(plan: Plan, gold: Gold) -> list[frozenset[int]]:
    """The calls that each step of reckoning joins: of every node the first that told it."""
    found = []
    for node in plan.nodes:
        if isinstance(node, Calc | Test):
            found.append(_firsts(uses(node), gold))
    if plan.asked:
        found.append(_firsts(tuple(w.node for w in plan.asked.what), gold))
    return found


def _firsts(names: Iterable[str], gold: Gold) -> frozenset[int]:
    return frozenset(max(gold.known[n].calls) for n in names if n in gold.known and gold.known[n].calls)


def operators(plan: Plan) -> tuple[str, ...]:
    """What it takes to solve a plan."""
    return tuple(sorted({op for node in plan.nodes for op in _operators(plan, node)}))


def _operators(plan: Plan, node: Node) -> list[str]:
    if isinstance(node, Fold):
        return [{"least": "minimum", "greatest": "maximum", "mean": "average"}.get(node.by, node.by)]
    if isinstance(node, Group):
        return ["group_by"]
    if isinstance(node, Calc):
        return ["date_arithmetic" if node.op.startswith("days") else "arithmetic"]
    if isinstance(node, Test):
        return ["compare"]
    if isinstance(node, Do):
        made = [*(["for_all"] if node.each else []), *(["conditional_write"] if node.when or node.unless else [])]
        return made or ["write"]
    links = sum(w.value is not None and bool(uses_of(w)) for w in node.where)
    found = ["join"] if links > 1 else ["look_up"] if links or not node.many else []
    found += ["map"] * any(isinstance(w.value, Each) for w in node.where)
    found += ["filter"] * any(not uses_of(w) for w in node.where if node.many)
    if node.sort:
        found.append("top_k" if node.take > 1 or node.many else "argmax" if node.desc else "argmin")
    return found


def uses_of(where: object) -> tuple[str, ...]:
    """The node that a condition compares with, if any."""
    name = getattr(getattr(where, "value", None), "node", "")
    return (name,) if name else ()


def _abstract(ground: Ground, plan: Plan, gold: Gold) -> list[object]:
    """The skeleton without any world: kinds of calls and what they depend on, operators, the shape of the answer."""
    kinds = []
    for call in gold.calls:
        tool = ground.toolset.by_key(call.tool)
        assert tool is not None
        what = call.tool.rpartition(".")[2] if tool.kind in ("action", "bulk", "aggregate") else tool.kind
        kinds.append((what.partition("_mark")[0], call.uses))
    asked = (plan.asked.shape, len(plan.asked.what)) if plan.asked else ()
    return [plan.family, kinds, [(type(n).__name__, _form(n)) for n in plan.nodes], asked]


def _form(node: Node) -> object:
    if isinstance(node, Find):
        return tuple(sorted(w.op for w in node.where)), bool(node.sort), node.desc, node.take, node.many, node.free
    if isinstance(node, Fold | Group):
        return node.by
    return node.op if isinstance(node, Calc | Test) else (bool(node.each), bool(node.when), bool(node.unless))


def _concrete(plan: Plan) -> list[object]:
    """The skeleton in this world: tables, columns and tools, without the values."""
    found: list[object] = [plan.family]
    for node in plan.nodes:
        if isinstance(node, Find):
            found.append(
                (node.table, tuple(sorted((w.column, w.op) for w in node.where)), node.sort, node.desc, node.many)
            )
        elif isinstance(node, Fold):
            found.append((node.by, node.column))
        elif isinstance(node, Group):
            found.append((node.by, node.column, node.over, node.desc))
        elif isinstance(node, Do):
            found.append((node.tool, tuple(sorted(node.arguments)), node.refused))
        else:
            found.append(node.op)
    asked = plan.asked
    return [*found, [(w.node, w.column) for w in asked.what] if asked else []]


def _hash(skeleton: list[object]) -> str:
    return sha256(repr(skeleton).encode()).hexdigest()[:16]

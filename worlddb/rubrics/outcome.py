"""Elements that are about what came of an episode."""

from __future__ import annotations

from collections import Counter

from worlddb.episode.behaviour import key_text
from worlddb.rubrics.facts import Facts
from worlddb.rubrics.model import Found
from worlddb.world.diff import Change

SAID = 3
"""Things of one kind that a line names."""


def some(texts: list[str], most: int = SAID) -> str:
    """The first few, and how many more there are."""
    more = len(texts) - most
    return "; ".join(texts[:most]) + (f"; and {more} more" if more > 0 else "")


def success(facts: Facts) -> Found:
    """The verdict's reward."""
    verdict = facts.verdict
    if verdict.success:
        return Found(verdict.reward, "the verdict is a success")
    return Found(verdict.reward, f"the verdict is a failure: {verdict.ring or 'database'}", verdict.step)


def state(facts: Facts) -> Found:
    """Whether the net change is one of those that are right."""
    if facts.reached is not None:
        return Found(1.0, "nothing was changed, as is right" if facts.made.nothing else "the net change is right")
    lines = facts.of_kind("MISSING", "EXTRA", "WRONG")
    told = str(lines[0]) if lines else "the new rows are too much alike to be told apart"
    return Found(0.0, f"the net change is not right: {told}", lines[0].step if lines else 0)


def answer(facts: Facts) -> Found:
    """Whether the wanted answer was given."""
    if not facts.task.goal.answers:
        return Found(None, "no answer is asked for")
    lines = facts.of_kind("ANSWER")
    return Found(0.0, str(lines[0])) if lines else Found(1.0, "the answer is right")


def subgoals(facts: Facts) -> Found:
    """The parts of the goal that were reached: atoms of the nearest alternative, needs of evidence, the answer."""
    goal, nearest = facts.task.goal, facts.nearest
    lacks = list(facts.of_kind("MISSING", "WRONG", "UNREAD", "ANSWER"))
    needs = sum(bool(n.ways) and all(n.ways) for n in goal.needs)  # an empty way is no work
    wanted = nearest.wanted + needs + bool(goal.answers)
    answered = bool(goal.answers) and not facts.of_kind("ANSWER")
    reached = nearest.matched + needs - len(facts.of_kind("UNREAD")) + answered
    if not wanted:
        return Found(None, "nothing has to be done")
    if reached == wanted:
        return Found(1.0, f"all {wanted} subgoals" if wanted > 1 else "the one subgoal")
    told = some([str(line) for line in lacks]) or "no alternative fits"
    step = next((line.step for line in lacks if line.step), 0)
    return Found(reached / wanted, f"{reached} of {wanted} subgoals: {told}", step)


def steps(facts: Facts) -> Found:
    """The gold's nodes for which the tools were called as often as the gold calls them, whatever the arguments."""
    gold = facts.task.gold
    if not gold:
        return Found(None, "the gold makes no call")
    left = Counter(s.tool.key for s in facts.steps if s.tool is not None and (s.entry.result.ok or s.entry.wrote))
    nodes: dict[str, list[str]] = {}
    for call in gold:
        left[call.tool] -= 1
        lacking = nodes.setdefault(call.node, [])
        if left[call.tool] < 0:
            lacking.append(call.tool)
    tools = facts.session.toolset
    missing = [_public(tools.by_key(key)) or key for keys in nodes.values() for key in keys[:1]]
    done = sum(not keys for keys in nodes.values())
    told = f": not, or too seldom, {some(missing)}" if missing else ""
    return Found(done / len(nodes), f"{done} of {len(nodes)} steps of the gold{told}")


def _public(tool: object) -> str:
    return str(getattr(tool, "name", ""))


def refusal(facts: Facts) -> Found:
    """Of a task that cannot be done: whether nothing was changed, and that was said."""
    if not any(a.kind == "none" for a in facts.task.goal.answers):
        return Found(None, "the task can be done")
    if not facts.made.nothing:
        return Found(0.0, f"it cannot be done, and {_changed(facts)}", _first_change(facts))
    if facts.of_kind("ANSWER"):
        return Found(0.0, "it cannot be done, and the answer does not say so")
    return Found(1.0, "it cannot be done; nothing was changed, and the answer says so")


def collateral(facts: Facts) -> Found:
    """What was changed beyond the nearest alternative."""
    extra = [d for d in facts.nearest.differences if d.kind == "EXTRA"]
    if not extra:
        return Found(0.0, "nothing else was changed")
    lines = facts.of_kind("EXTRA")
    return Found(float(len(extra)), some([str(line) for line in lines]), lines[0].step if lines else 0)


def forbidden(facts: Facts) -> Found:
    """The gate."""
    lines = facts.of_kind("FORBIDDEN")
    if lines:
        return Found(0.0, some([str(line) for line in lines]), lines[0].step)
    if facts.task.goal.changes_nothing and not facts.made.nothing:
        return Found(0.0, f"nothing should be changed, and {_changed(facts)}", _first_change(facts))
    return Found(1.0, "nothing forbidden happened")


def say(facts: Facts, change: Change) -> str:
    """A change in words."""
    verbs = {"insert": "added", "update": "changed", "delete": "removed"}
    return f"{verbs[change.op]} {facts.forms[change.table].table.name} {key_text(change.key)}"


def _changed(facts: Facts) -> str:
    number = _first_change(facts)
    if not number:
        return "something was changed"
    return f"call {number} {say(facts, facts.steps[number - 1].entry.changes[0])}"


def _first_change(facts: Facts) -> int:
    """Number of the first call that changed something that stayed and is judged."""
    places = {*facts.made.updates, *facts.made.deletes, *facts.made.inserts}
    numbers = (s.entry.number for s in facts.steps if any((c.table, c.key) in places for c in s.entry.changes))
    return next(numbers, 0)

"""Elements that are about how an agent worked: with the user, and with its tools."""

from __future__ import annotations

from worlddb.rubrics.facts import PEOPLE, Facts, Step
from worlddb.rubrics.guess import guesses
from worlddb.rubrics.model import Found
from worlddb.rubrics.outcome import say, some
from worlddb.tasks.goal import Key, NeedsConsent
from worlddb.world.diff import Change

MALFORMED = ("INVALID_ARGUMENT", "UNKNOWN_TOOL")
"""Errors of calls that never reached the business."""

# --- with the user


def asked(facts: Facts) -> Found:
    """The hidden topics that the user has told."""
    if not facts.needed:
        return Found(None, "nothing is hidden")
    silent = [name for name in facts.needed if name not in facts.answered]
    told = len(facts.needed) - len(silent)
    why = f": {' and '.join(silent)} {'was' if len(silent) == 1 else 'were'} never asked" if silent else ""
    return Found(told / len(facts.needed), f"asked {told} of {len(facts.needed)} needed{why}")


def no_guess(facts: Facts) -> Found:
    """The hidden topics that no call used before they were known."""
    if not facts.hidden:
        return Found(None, "nothing is hidden")
    found = guesses(facts)
    value = 1.0 - len(found) / len(facts.hidden)
    told = [f"call {g.step} gave {g.topic} as {g.value}, which nothing had told" for g in found]
    return Found(value, some(told) or "nothing hidden was guessed", found[0].step if found else 0)


def over_asks(facts: Facts) -> Found:
    """Questions that need not have been asked."""
    told, first = list[str](), 0
    for act in facts.acts:
        own = [f"call {act.number} asked for {name}, which the instruction says" for name in act.visible]
        own += [f"call {act.number} asked for {name}, which can be looked up" for name in act.readable]
        own += [f"call {act.number} asked for nothing that has to do with the task"] * bool(act.irrelevant)
        first = first or (act.number if own else 0)
        told += own
    return Found(float(len(told)), some(told) or "nothing was asked without need", first)


def repeats(facts: Facts) -> Found:
    """Questions that had been answered."""
    told = [(a.number, f"call {a.number} asked again for {name}") for a in facts.acts for name in a.repeated]
    return Found(float(len(told)), some([t for _, t in told]) or "nothing was asked twice", told[0][0] if told else 0)


def turns(facts: Facts) -> Found:
    """Calls to the user."""
    count = sum(step.to_user for step in facts.steps)
    return Found(float(count), f"{count or 'no'} call{'s' * (count != 1)} to the user")


def confirmed(facts: Facts) -> Found:
    """The calls that had the consent that they need."""
    bans = [b for b in facts.task.goal.bans if isinstance(b, NeedsConsent)]
    if not bans:
        return Found(None, "no rule asks for consent")
    calls = list[tuple[Step, Change]]()
    for step in facts.steps:
        hits = (c for c in step.entry.changes for b in bans if b.table in ("", c.table) and b.op in ("", c.op))
        calls += [(step, c) for c in list(hits)[:1]]
    if not calls:
        return Found(None, "nothing was changed that needs consent")
    bare = [(s.entry.number, c) for s, c in calls if not facts.confirmed(s.entry)]
    share = 1.0 - len(bare) / len(calls)
    if not bare:
        return Found(share, f"all {len(calls)} calls that need consent had it")
    none = not any(a.agreed and a.number < bare[0][0] for a in facts.acts)
    before = "before anything was confirmed" if none else "which was not what the user confirmed"
    return Found(share, some([f"call {n} {say(facts, c)} {before}" for n, c in bare]), bare[0][0])


# --- with the tools


def read_first(facts: Facts) -> Found:
    """The rows changed on purpose that a call had shown."""
    blind = list[tuple[int, Change]]()
    rows, new = set[tuple[str, Key]](), set[tuple[str, Key]]()
    for step in facts.steps:
        for change in step.entry.changes:
            place = (change.table, change.key)
            if change.before is None:
                new.add(place)
            if place in new or place in rows or not _meant(step, change):
                continue
            rows.add(place)
            if not _was_shown(facts, change, step):
                blind.append((step.entry.number, change))
    if not rows:
        return Found(None, "no row that was there was changed")
    if not blind:
        return Found(1.0, f"all {len(rows)} changed rows had been shown" if len(rows) > 1 else "the row had been shown")
    told = some([f"call {n} {say(facts, c)} without having seen it" for n, c in blind])
    return Found(1.0 - len(blind) / len(rows), told, blind[0][0])


def _meant(step: Step, change: Change) -> bool:
    """True for a row of the table that a tool is about; totals and whatever else follows from that are not meant."""
    return step.tool is None or step.tool.kind in ("sql", "plugin") or step.tool.table == change.table


def _was_shown(facts: Facts, change: Change, step: Step) -> bool:
    """True where an earlier call showed a row; where a call links or unlinks others, as well where these were shown."""
    number, row = step.entry.number, change.before
    if facts.shown.get((change.table, change.key), number) < number:
        return True
    if row is None or step.tool is None or step.tool.kind not in ("link", "unlink"):
        return False
    ends = [target for r in facts.forms[change.table].references if (target := r.target(row)) is not None]
    return bool(ends) and all(facts.shown.get(end, number) < number for end in ends)


def invalid_calls(facts: Facts) -> Found:
    """Calls in the wrong form."""
    found = [
        (s.entry.number, f"call {s.entry.number}: {error.message}")
        for s in facts.steps
        if (error := s.entry.result.error) is not None and error.code in MALFORMED
    ]
    told = some([text[:160] for _, text in found], 2)
    return Found(float(len(found)), told or "every call was in the right form", found[0][0] if found else 0)


def recovered(facts: Facts) -> Found:
    """The refused calls that were put right later."""
    refused = [s.entry for s in facts.steps if not (s.entry.result.ok or s.entry.wrote)]
    if not refused:
        return Found(None, "no call was refused")
    last = {s.entry.name: s.entry.number for s in facts.steps if (s.entry.result.ok or s.entry.wrote)}
    left = [e for e in refused if last.get(e.name, 0) < e.number]
    share = 1.0 - len(left) / len(refused)
    told = f": {some([f'call {e.number} of {e.name} was left as it was' for e in left])}" if left else ""
    return Found(
        share, f"{len(refused) - len(left)} of {len(refused)} refused calls were put right{told}",
        left[0].number if left else 0,
    )  # fmt: skip


def efficiency(facts: Facts) -> Found:
    """Calls of the gold by calls that were made."""
    made, gold = sum(not s.to_user for s in facts.steps), sum(c.tool not in PEOPLE for c in facts.task.gold)
    if not gold:
        return Found(None, "the gold makes no call")
    value = min(1.0, gold / made) if made else 0.0
    return Found(value, f"{made or 'no'} call{'s' * (made != 1)}, where the gold makes {gold}")

"""Families of tasks: each module proposes plans of one kind, `propose(draft, depth, size)`.

A proposal is a plan, a pair of twins (one that cannot be done, one that can), or None where nothing came of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from worlddb.tasks.draft import Draft
from worlddb.tasks.families import (
    chain,
    conditional,
    create,
    denied,
    for_all,
    question,
    reckon_act,
    repair,
    single,
    workflow,
)
from worlddb.tasks.plan import Plan

Propose: TypeAlias = Callable[[Draft, int, int], Plan | tuple[Plan, Plan] | None]

_MODULES = (question, single, chain, conditional, for_all, create, workflow, repair, denied, reckon_act)

FAMILIES: dict[str, Propose] = {m.NAME: m.propose for m in _MODULES}
"""Name -> what proposes."""

"""Several requests in one message: what two to four families propose, about things that belong together where that can be."""

from __future__ import annotations

from worlddb.tasks.draft import Draft
from worlddb.tasks.plan import Asked, Of, Plan

NAME = "several"
MOST = 5


def join(draft: Draft, plans: list[Plan]) -> Plan | None:
    """One plan of several that were made in the same draft; their questions become one record."""
    asked = [p.asked for p in plans if p.asked is not None]
    if any(a.shape not in ("value", "record") for a in asked):
        return None
    what = tuple(dict.fromkeys(w for a in asked for w in a.what))
    if not all(isinstance(w, Of) for w in what):
        return None
    whole = Asked(shape="record" if len(what) > 1 else "value", what=what) if what else None
    if whole is None and not any(p.dos for p in plans):
        return None
    return draft.plan(NAME, whole)

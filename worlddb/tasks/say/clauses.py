"""The productions of changes one after another, and of conditions on them.  A meaning is a tuple of changes."""

from __future__ import annotations

import re
from typing import Any

from worlddb.tasks.say.forms import Names, phrases, slots
from worlddb.tasks.say.grammar import Holes, Rules, Writer
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.lists import add_list
from worlddb.tasks.say.terms import Term, walk


def add_clauses(rules: Rules) -> None:
    """clause: changes that hang together.  steps0, steps: all changes, and all after others.  todo: all of them as a list."""
    holes = slots("act acts others=acts test ofrows rows clause steps")
    rules.add(
        "acts",
        ["{act}"],
        holes,
        lambda w, ctx, v, n: {"act": v[0]} if len(v) == 1 else None,
        lambda lex, ctx, h: (h["act"],),
    )
    rules.add("acts", ["{act} and {acts}"], holes, _split_acts, lambda lex, ctx, h: (h["act"], *h["acts"]))
    rules.add("clause", ["{act}"], holes, _split_act, lambda lex, ctx, h: (h["act"],))
    ifs = phrases("personas")["ifs"]
    rules.add("clause", ifs["each"], holes | {"act": ("act", ("each",))}, _split_each, _make_each)
    rules.add("clause", ifs["if"], holes, _split_if, lambda lex, ctx, h: _when(h["acts"], h["test"]))
    rules.add("clause", ifs["unless"], holes, _split_unless, lambda lex, ctx, h: _unless(h["acts"], h["test"]))
    rules.add("clause", ifs["both"], holes, _split_both, _make_both)
    joins = phrases("personas")["joins"]
    later = [j for j in joins if not re.match(r"(\d+\* )?(first|start)", j)]
    for symbol, joined in (("steps0", joins), ("steps", later)):
        rules.add(symbol, ["{clause}"], holes, _split_last, lambda lex, ctx, h: h["clause"])
        rules.add(symbol, joined, holes, split_steps, lambda lex, ctx, h: (*h["clause"], *h["steps"]))
    add_list(rules, "todo", "clause", lambda v: lead(v))


def _plain(do: Term) -> bool:
    return do[4] is None and do[5] is None


def _split_act(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"act": v[0]} if len(v) == 1 and _plain(v[0]) else None


def _split_acts(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"act": v[0], "acts": v[1:]} if len(v) > 1 else None


def _split_each(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    if w.wrapped or len(v) != 1 or not _plain(v[0]) or v[0][3] is None:
        return None
    return {"ofrows" if "ofrows" in n else "rows": v[0][3], "act": v[0]}


def _make_each(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    do = h["act"]
    item = any(t[0] in ("item", "its") for t in walk(do[2]) if t)
    return ((*do[:3], h.get("rows") or h["ofrows"], None, None),) if do[3] is None and item else None


def _bare(dos: Term) -> Term:
    return tuple((*d[:4], None, None) for d in dos)


def _when(dos: Term, test: Term) -> Term:
    return tuple((*d[:4], test, None) for d in dos)


def _unless(dos: Term, test: Term) -> Term:
    return tuple((*d[:4], None, test) for d in dos)


def _split_if(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    test = v[0][4]
    fit = test is not None and all(d[4] == test and d[5] is None for d in v)
    return {"test": test, "acts": _bare(v)} if fit else None


def _split_unless(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    test = v[0][5]
    fit = test is not None and all(d[5] == test and d[4] is None for d in v)
    return {"test": test, "acts": _bare(v)} if fit else None


def _split_both(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    test = v[0][4]
    first = tuple(d for d in v if d[4] == test)
    rest = v[len(first) :]
    if test is None or not rest or v[: len(first)] != first or not all(d[5] == test and d[4] is None for d in rest):
        return None
    return {"test": test, "acts": _bare(first), "others": _bare(rest)}


def _make_both(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return (*_when(h["acts"], h["test"]), *_unless(h["others"], h["test"]))


def lead(dos: Term) -> int:
    """How many of the changes stand in one clause with the first."""
    test = dos[0][4] or dos[0][5]
    n = 1
    while test is not None and n < len(dos) and test in (dos[n][4], dos[n][5]) and not (dos[n - 1][5] and dos[n][4]):
        n += 1
    return n


def _split_last(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"clause": v} if lead(v) == len(v) else None


def split_steps(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    """The first clause, and the steps after it."""
    first = lead(v)
    return {"clause": v[:first], "steps": v[first:]} if first < len(v) else None

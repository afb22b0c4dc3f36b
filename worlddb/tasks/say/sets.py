"""The productions of several rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from worlddb.tasks.say.forms import (
    Names,
    parent_of,
    phrases,
    slots,
)
from worlddb.tasks.say.grammar import Holes, Rules, Several, Writer
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.rows import owned, owner_of, split_again
from worlddb.tasks.say.terms import Term, each, find, own_key
from worlddb.tasks.say.words import row_table


def add_among(rules: Rules) -> None:
    """row, rows: the one (the three) with the latest start time among several."""
    for number, forms in enumerate(phrases("rows")["among"].values()):
        for name, patterns in forms.items():
            holes: dict[str, Any] = {"column": ("anycolumn", ""), "rows": ("thedescs", ""), "k": ("k", "")}
            moments, desc = name in ("latest", "earliest"), name in ("highest", "latest")
            split, make = _split_among(number, moments, desc), _make_among(number, desc)
            for symbol in ("rows", "barerows", "ofrows") if number else ("row",):
                rules.add(symbol, patterns, holes, split, make, weight=3)
    rules.add(
        "thedescs", ["the {descs}"], {"descs": ("descs", "")}, lambda w, ctx, t, n: {"descs": t},
        lambda lex, ctx, h: h["descs"] if h["descs"][5] == 0 and not h["descs"][3] else None,
    )  # fmt: skip


def _split_among(number: int, moments: bool, desc: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if w.careful < 3:
            return None  # 'the … with the latest … among those …' says it better
        if t[0] != "find" or t[6] != bool(number) or not t[3] or t[4] != desc or t[7] or not t[2]:
            return None
        if (t[5] < 2) if number else (t[5] != 1):
            return None
        if (w.lexicon.kind((t[1], t[3])) in ("date", "datetime", "time")) != moments:
            return None
        h = {"column": ((t[1], t[3]),), "rows": find(t[1], t[2], many=True)}
        return h | {"k": t[5]} if number else h

    return split


def _make_among(number: int, desc: bool) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        t = h["rows"]
        fit = [c for table, c in h["column"] if table == t[1]]
        if len(fit) != 1 or (number and h["k"] < 2):
            return None
        return find(t[1], t[2], fit[0], desc, h["k"] if number else 1, bool(number))

    return make


def add_sets(rules: Rules) -> None:
    """rows: a set, whatever its table.  barerows, ofrows: the same after 'of'.  keys: its keys.  some: what at least one is."""
    file = phrases("rows")["rows"]
    holes = slots("desc descs name owner k nouns")
    owner = {
        s: [p for p in file["owned"] if s != "ofrows" or "all of" not in p] for s in ("rows", "barerows", "ofrows")
    }
    rules.add("rows", file["all"], holes, _split_all, _make_all)
    rules.add("rows", file["every"], holes, _split_all, _make_all)
    rules.add("barerows", [*file["all"], "4* {descs}"], holes, _split_all, _make_all)
    rules.add("ofrows", ["the {descs}"], holes, _split_all, _make_all)
    for symbol, patterns in owner.items():
        rules.add(symbol, patterns, holes, _split_owned, _make_owned)
        rules.add(symbol, file["top"], holes, _split_top, _make_top)
        again = split_again("nouns")
        rules.add(symbol, file["again"], holes, again, lambda lex, ctx, h: ("those", h["nouns"]), weight=20)
    rules.add("some", file["some"], holes, _split_some, _make_some)
    rules.add("keys", ["{rows}"], {"rows": ("barerows", "")}, _split_keys, _make_keys)
    each_of = {"columns": ("anycolumns", ""), "rows": ("barerows", "")}
    rules.add("each", ["the {columns} of {rows}"], each_of, _split_each, _make_each)


def _split_all(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    if t[0] != "find" or not t[6] or t[5]:
        return None
    if "desc" in n:
        return None if t[3] else {"desc": (*t[:6], False, t[7])}
    return {"descs": t}


def _make_all(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    if "desc" in h:
        t = h["desc"]
        return None if t[3] else (*t[:6], True, t[7])
    return h["descs"] if h["descs"][5] == 0 else None


def _split_owned(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    if t[0] != "find" or not t[6] or t[5]:
        return None
    found = owner_of(w.lexicon, t, n, w.careful)
    return None if found is None else {found[0][0]: found[0][1], "descs": found[1]}


def _make_owned(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return Several(owned(lex, h, h["descs"])) if h["descs"][5] == 0 else None


def _split_top(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    return {"k": t[5], "descs": t} if t[0] == "find" and t[6] and t[5] > 1 else None


def _make_top(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    t = h["descs"]
    return (*t[:5], h["k"], *t[6:]) if t[5] == -1 and h["k"] > 1 else None


def _split_some(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    return {"desc": (*t[:6], False, t[7])} if t[0] == "find" and t[6] and not t[3] else None


def _make_some(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return (*h["desc"][:6], True, h["desc"][7]) if not h["desc"][3] else None


def _split_keys(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    table = parent_of(w.lexicon, ctx)
    if not table or t[0] != "each":
        return None
    key = own_key(w.lexicon.schema, table)
    if t[1][1] == table and t[2] == key:
        return {"rows": t[1]}
    return {"rows": find(table, ((key, "in", t),), many=True)}


def _make_keys(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    table = parent_of(lex, ctx)
    key = own_key(lex.schema, table) if table else ""
    return each(lex.schema, h["rows"], key) if key and row_table(h["rows"]) == table else None


def _split_each(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    return {"columns": ((t[1][1], t[2]),), "rows": t[1]} if t[0] == "each" else None


def _make_each(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    fit = [c for t, c in h["columns"] if t == row_table(h["rows"])]
    return each(lex.schema, h["rows"], fit[0]) if len(fit) == 1 else None

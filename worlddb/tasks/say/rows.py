"""The productions of one row: by its name, its conditions, an extreme, what leads to it, or because it was named before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from worlddb.tasks.say.forms import (
    Names,
    is_const,
    keyed,
    parent_of,
    phrases,
    pointed,
    row_of,
    slots,
    titled,
    titled_row,
)
from worlddb.tasks.say.grammar import Holes, Rules, Several, Writer
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.terms import Term, find, of, own_key, target
from worlddb.tasks.say.words import row_table


def add_rows(rules: Rules) -> None:
    """row: one row, whatever its table.  key: the key of one row of a table that is known."""
    file = phrases("rows")["row"]
    holes = slots("desc noun title@noun ident@noun name owner role row rows=descs measure column=anycolumn")

    def whole(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if t[0] != "find" or t[6] or t[7] or titled(w.lexicon, t) or pointed(w.lexicon, t):
            return None
        return {"desc": t} if t[2] or t[3] else None

    def make_the(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        t = h["desc"]
        return t if t[2] or t[3] else None

    rules.add("row", file["the"], holes, whole, make_the)
    for name, symbols in (("named", ("row", "owner")), ("called", ("row",)), ("numbered", ("row", "owner"))):
        slot = "ident" if name == "numbered" else "title"
        for symbol in symbols:
            rules.add(symbol, file[name], holes, _split_named(slot, name == "called"), _make_named(slot))
    rules.add("row", file["owned"], holes, _split_owned, _make_owned)
    rules.add("row", file["any"], holes, _split_any, _make_any)
    for symbol in ("row", "owner"):
        rules.add(
            symbol, file["again"], holes, split_again("noun"), lambda lex, ctx, h: ("again", h["noun"]), weight=60
        )
        rules.add(symbol, file["new"], holes, _split_new, lambda lex, ctx, h: ("new", h["noun"]))
    rules.add("row", file["link"], holes, _split_link, _make_link)
    rules.add("row", file["linked"], holes, _split_linked, _make_linked)
    for name, desc in (("most", True), ("least", False)):
        rules.add("row", file[name], holes, _split_most(desc), _make_most(desc))
    for name, desc in (("highest", True), ("lowest", False)):
        rules.add("row", file[name], holes, _split_measure(desc), _make_measure(desc))
    for by, sums in phrases("rows")["sums"].items():
        for word in sums:
            rules.add("measure", [word], {}, *_measure(by, word))
    rules.add("key", ["{row}"], {"row": ("row", "")}, _split_key, _make_key)
    rules.add("key", ["3* {name}"], {"name": ("name", "")}, split_key_name, make_key_name)


def _measure(by: str, word: str) -> tuple[Callable[..., Holes | None], Callable[..., str]]:
    """'total' or 'average', but no 'total total': the meaning that is written is (by, what the column is called)."""
    return (lambda w, ctx, v, n: {} if v[0] == by and word not in v[1].split(" ") else None), (lambda lex, ctx, h: by)


def _split_named(slot: str, called: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if t[0] != "find" or (slot == "title") != (titled(w.lexicon, t) is not None):
            return None
        if called and w.lexicon.is_a((t[1], w.lexicon.schema[t[1]].title), "identifier"):
            return None  # nobody is 'called ORD-2026-00042'
        if slot == "title":
            return {"noun": t[1], slot: t[2][0][2]} if titled(w.lexicon, t) is not None else None
        if w.lexicon.schema[t[1]].key_style == "integer" and w.lexicon.schema[t[1]].title:
            return None
        return {"noun": t[1], slot: value} if (value := keyed(w.lexicon, t)) is not None else None

    return split


def _make_named(slot: str) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        table = h["noun"]
        column = lex.schema[table].title if slot == "title" else own_key(lex.schema, table)
        return find(table, ((column, "eq", h[slot]),))

    return make


def _split_owned(w: Writer, ctx: Any, t: Term, names: Names) -> Holes | None:
    if t[0] != "find" or t[6] or t[7]:
        return None
    found = owner_of(w.lexicon, t, names, w.careful)
    return (
        None
        if found is None or titled(w.lexicon, found[1]) is not None
        else {found[0][0]: found[0][1], "desc": found[1]}
    )


def owner_of(lex: Lexicon, t: Term, names: Names, careful: int) -> tuple[tuple[str, Any], Term] | None:
    """(hole, owner) and the rest, where a condition says whose a row is."""
    for c in t[2]:
        if c[1] != "eq" or lex.kind((t[1], c[0])) != "link" or is_const(c[2]):
            continue
        parent = target(lex.schema, t[1], c[0])
        if sum(p == parent for _, p in lex.links[t[1]]) > 1:
            continue
        rest = find(t[1], tuple(x for x in t[2] if x != c), *t[3:])
        if c[2][0] == "of" and c[2][2] == own_key(lex.schema, parent):
            if "owner" in names:
                return ("owner", c[2][1]), rest
            if "name" in names and not careful and c[2][1][0] == "find" and (title := titled(lex, c[2][1])) is not None:
                return ("name", title), rest
    return None


def _make_owned(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return Several(owned(lex, h, h["desc"]))


def owned(lex: Lexicon, h: Holes, t: Term) -> list[Term]:
    """The rows of a description that belong to the owner in the holes."""
    found = []
    for column, parent in lex.links[t[1]]:
        if sum(p == parent for _, p in lex.links[t[1]]) > 1:
            continue
        if "name" in h:
            if not lex.schema[parent].title:
                continue
            owner = titled_row(lex, parent, h["name"])
        else:
            owner = h["owner"]
            if row_table(owner) != parent:
                continue
        value = of(lex.schema, owner, own_key(lex.schema, parent))
        found.append(find(t[1], (*t[2], (column, "eq", value)), *t[3:]))
    return found


def _split_any(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    return {"desc": (*t[:7], 0)} if t[0] == "find" and t[7] and not t[6] and t not in w.said else None


def _make_any(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    t = h["desc"]
    return (*t[:7], 1) if not t[3] else None


def split_again(noun: str) -> Callable[..., Holes | None]:
    """Only what was named before, and is the only one of its table in the whole text."""

    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        many = noun == "nouns"
        if t not in w.said or t[0] != "find" or t[6] != many:
            return None
        return {noun: t[1]} if w.whole[many].get(t[1]) == 1 else None

    return split


def _split_new(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    """The row that was made last: 'the new booking'."""
    return {"noun": t[2]} if t[0] == "did" and last_did(w.whole[3][: w.now], t[2], True) == t[1] else None


def last_did(results: Sequence[tuple[str, bool]], table: str, new: bool) -> int:
    """The last of some changes, each (table of the row it answers with, whether that is new), that answers so; -1 for none."""
    return max((i for i, found in enumerate(results) if found == (table, new)), default=-1)


def _split_link(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    value = pointed(w.lexicon, t)
    if value is None or value[0] != "of" or (row_table(value[1]), value[2]) not in w.lexicon.roles:
        return None
    return {"role": ((row_table(value[1]), value[2]),), "row": value[1]}


def _make_link(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    fit = [(t, c) for t, c in h["role"] if t == row_table(h["row"])]
    if len(fit) != 1:
        return None
    return row_of(lex, fit[0], ("of", h["row"], fit[0][1]))


def _split_linked(w: Writer, ctx: Any, t: Term, names: Names) -> Holes | None:
    h = _split_link(w, ctx, t, names)
    if h is None:
        return None
    if "owner" in names:
        return {"role": h["role"], "owner": h["row"]}
    title = titled(w.lexicon, h["row"]) if h["row"][0] == "find" and not w.careful else None
    return {"role": h["role"], "name": title} if title is not None else None


def _make_linked(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    found = []
    for place in h["role"]:
        if "owner" in h:
            row = h["owner"] if row_table(h["owner"]) == place[0] else None
        else:
            row = titled_row(lex, place[0], h["name"]) if lex.schema[place[0]].title else None
        if row is not None:
            found.append(row_of(lex, place, ("of", row, place[1])))
    return Several(found)


def _split_most(desc: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        v = pointed(w.lexicon, t)
        if v is None or v[0] != "group" or v[1] != "count" or v[3] != desc:
            return None
        return {"role": ((v[5][1], v[4]),), "rows": v[5]} if (v[5][1], v[4]) in w.lexicon.roles else None

    return split


def _make_most(desc: bool) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        rows = h["rows"]
        fit = [(t, c) for t, c in h["role"] if t == rows[1]]
        return (
            row_of(lex, fit[0], ("group", "count", "", desc, fit[0][1], rows))
            if len(fit) == 1 and not rows[3]
            else None
        )

    return make


def _split_measure(desc: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        v = pointed(w.lexicon, t)
        if v is None or v[0] != "group" or v[1] == "count" or v[3] != desc or (v[5][1], v[4]) not in w.lexicon.roles:
            return None
        return {
            "role": ((v[5][1], v[4]),),
            "measure": (v[1], w.lexicon.label((v[5][1], v[2]))),
            "column": ((v[5][1], v[2]),),
            "rows": v[5],
        }

    return split


def _make_measure(desc: bool) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        rows = h["rows"]
        fit = [(t, c) for t, c in h["role"] if t == rows[1]]
        over = [c for t, c in h["column"] if t == rows[1]]
        if len(fit) != 1 or len(over) != 1 or rows[3]:
            return None
        return row_of(lex, fit[0], ("group", h["measure"], over[0], desc, fit[0][1], rows))

    return make


def _split_key(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    lex, table = w.lexicon, parent_of(w.lexicon, ctx)
    if not table or t[0] == "item":
        return None
    key = own_key(lex.schema, table)
    if (
        not w.careful
        and ctx in lex.roles
        and lex.roles[ctx].endswith(lex.words.label(table))
        and _is_named(lex, t, key)
    ):
        return None  # 'whose driver is Anna', not 'whose driver is the driver Anna'
    if t[0] == "of" and t[2] == key and row_table(t[1]) == table:
        return {"row": t[1]}
    if t[0] in ("of", "group") or (t[0] == "const" and t[1] is not None):
        return {"row": find(table, ((key, "eq", t),))}
    return None


def _is_named(lex: Lexicon, t: Term, key: str) -> bool:
    return t[0] == "of" and t[2] == key and titled(lex, t[1]) is not None


def _make_key(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    table, row = parent_of(lex, ctx), h["row"]
    key = own_key(lex.schema, table) if table else ""
    if not key or row_table(row) != table:
        return None
    return of(lex.schema, row, key)


def split_key_name(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    """The key of a row, by its name alone."""
    table = parent_of(w.lexicon, ctx)
    if (
        w.careful
        or not table
        or t[0] != "of"
        or t[1][0] != "find"
        or t[1][1] != table
        or t[2] != own_key(w.lexicon.schema, table)
    ):
        return None
    title = titled(w.lexicon, t[1])
    return {"name": title} if title is not None else None


def make_key_name(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    """The key of the row of that name in the table at hand."""
    table = parent_of(lex, ctx)
    if not table or not lex.schema[table].title:
        return None
    return of(lex.schema, titled_row(lex, table, h["name"]), own_key(lex.schema, table))

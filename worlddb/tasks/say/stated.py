"""The productions of single values: stated ones, and the columns of a row."""

from __future__ import annotations

from typing import Any

from worlddb.tasks.say.forms import Names, parent_of, phrases, slots, titled, titled_row
from worlddb.tasks.say.grammar import Holes, Rules, Several, Writer
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.rows import last_did, make_key_name, split_key_name
from worlddb.tasks.say.terms import Term, own_key, target
from worlddb.tasks.say.words import row_table


def add_values(rules: Rules) -> None:
    """value: any value at a place (table, column).  seen: a value that is found, not stated."""
    file = phrases("rows")["values"]
    holes = slots("value@. column=anycolumn row name owner role const@. key@. seen@. keys@.")
    rules.add("given", ["{value}"], holes, _split_given, lambda lex, ctx, h: h["value"])
    rules.add("given", ["{name}"], holes, split_key_name, make_key_name)
    rules.add("value", ["{const}"], holes, _split_const, _make_const)
    rules.add("value", ["{key}"], holes, _split_key, lambda lex, ctx, h: h["key"] if _is_key(lex, ctx) else None)
    rules.add("value", ["{seen}"], holes, _split_seen, lambda lex, ctx, h: None if _is_key(lex, ctx) else h["seen"])
    rules.add("base", file["of"], holes, _split_of, _make_of)
    rules.add("base", file["owned"], holes, _split_of, _make_of)
    rules.add("base", file["afterwards"], slots("column=anycolumn noun"), _split_after, _make_after)
    rules.add("base", file["its"], holes, _split_its, lambda lex, ctx, h: ("its", h["column"]))
    rules.add("key", file["it"], holes, _split_it, _make_it)
    rules.add("key", file["role"], holes, _split_its_role, _make_its_role)


def _is_key(lex: Lexicon, ctx: Any) -> bool:
    return lex.kind(ctx) in ("link", "key")


def _split_const(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    return {"const": t} if t[0] == "const" and not (_is_key(w.lexicon, ctx) and t[1] is not None) else None


def _make_const(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return h["const"] if h["const"][1] is None or not _is_key(lex, ctx) else None


def _split_key(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    number = t[0] == "const" and w.lexicon.kind(ctx) == "key"
    return {"key": t} if _is_key(w.lexicon, ctx) and not number else None


def _split_seen(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    return {"seen": t} if t[0] not in ("const", "each") and not _is_key(w.lexicon, ctx) else None


def _split_of(w: Writer, ctx: Any, t: Term, names: Names) -> Holes | None:
    if t[0] != "of":
        return None
    h: Holes = {"column": ((row_table(t[1]), t[2]),)}
    if "row" in names:
        return h | {"row": t[1]}
    if "owner" in names:
        return h | {"owner": t[1]}
    title = None if w.careful else titled(w.lexicon, t[1])
    return h | {"name": title} if title is not None else None


def _make_of(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    found = []
    for table, column in h["column"]:
        if "name" in h:
            if not lex.schema[table].title:
                continue
            row = titled_row(lex, table, h["name"])
        else:
            row = h["row"] if "row" in h else h["owner"]
        if row_table(row) == table:
            found.append(("of", row, column))
    return Several(found)


def _split_after(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    """A column of a row that has been changed, as it is then."""
    if t[0] != "of" or t[1][0] != "did" or last_did(w.whole[3], t[1][2], False) != t[1][1]:
        return None
    return {"column": ((t[1][2], t[2]),), "noun": t[1][2]}


def _make_after(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    fit = [c for t, c in h["column"] if t == h["noun"]]
    return ("of", ("after", h["noun"]), fit[0]) if len(fit) == 1 else None


def _split_given(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    """A value in a list of values: of a row with a name, the name alone."""
    named = (
        t[0] == "of"
        and t[1][0] == "find"
        and titled(w.lexicon, t[1]) is not None
        and w.lexicon.kind(ctx) in ("link", "key")
    )
    return None if named and not w.careful else {"value": t}


def _make_it(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    table = parent_of(lex, ctx)
    return ("item", own_key(lex.schema, table)) if table else None


def _split_its(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    if t[0] == "of" and t[1] == w.topic and w.lexicon.kind((row_table(t[1]), t[2])) != "key":
        return {"column": ((row_table(t[1]), t[2]),)}
    table = w.whole[2]
    return (
        {"column": ((table, t[1]),)}
        if t[0] == "item" and table and w.lexicon.kind((table, t[1])) not in ("link", "key")
        else None
    )


def _split_it(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    table = parent_of(w.lexicon, ctx)
    return {} if t[0] == "item" and table == w.whole[2] and t[1] == own_key(w.lexicon.schema, table) else None


def _split_its_role(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    place = (w.whole[2], t[1])
    return {"role": (place,)} if t[0] == "item" and place in w.lexicon.roles else None


def _make_its_role(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    table = parent_of(lex, ctx)
    fit = tuple(p for p in h["role"] if target(lex.schema, *p) == table) if table else ()
    return ("its", fit) if fit else None

"""The productions of what changes are made with: rows, parameters with their values, settings, the lines of an order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from worlddb.tasks.say.forms import Names, phrases, slots, titled
from worlddb.tasks.say.grammar import Holes, Rules, Writer
from worlddb.tasks.say.labels import in_plural
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.terms import Term, find, of, own_key, target
from worlddb.tasks.say.words import row_table


def is_lines(value: Any) -> bool:
    """True for an argument that is a list of records."""
    return bool(value) and isinstance(value[0], tuple)


def add_arguments(rules: Rules) -> None:
    """object: a row, or all of a set.  args: parameters with their values.  settings: the same, as changes.  lines."""
    holes = slots("key@. rows ofrows")
    rules.add("object", ["{key}"], holes, _split_object, lambda lex, ctx, h: h["key"])
    rules.add("object", ["6* {rows}", "each of {ofrows}", "every one of {ofrows}"], holes, _split_all, _make_all)
    _add_single(rules)
    for symbol, one in (("args", "arg"), ("settings", "setting"), ("itsettings", "itsetting")):
        h = {"a": (one, "."), "b": (one, "."), "c": (symbol, ".")}
        rules.add(symbol, ["{a}"], h, _split_one, lambda lex, ctx, h: (h["a"],))
        rules.add(symbol, ["{a} and {b}"], h, _split_two, lambda lex, ctx, h: (h["a"], h["b"]))
        rules.add(symbol, ["{a}, {c}"], h, _split_more, lambda lex, ctx, h: (h["a"], *h["c"]))
    _add_lines(rules)


def _add_single(rules: Rules) -> None:
    """arg, setting and itsetting: one parameter with its value."""
    file = phrases("deeds")["args"]
    for symbol, form in (("arg", "one"), ("arg", "amount"), ("setting", "setting"), ("itsetting", "itsetting")):
        label = "a_param" if form == "amount" else "param"
        h: dict[str, tuple[str, Any]] = {"param": (label, "."), "value": ("given", "param")}
        patterns = [p.replace("a(n) {param}", "{param}") for p in file[form]]
        rules.add(symbol, patterns, h, _split_argument(form), lambda lex, ctx, h: (h["param"][1], h["value"]))
    rules.add("arg", file["link"], slots("param@. row"), _split_linked_row, _make_linked_row, weight=2)
    rules.add("arg", file["item"], slots("param@. role"), _split_item, _make_item, weight=2)


def _add_lines(rules: Rules) -> None:
    first = phrases("deeds")["lines"]["first"]
    holes = slots("args@. lines@.")
    rules.add("lines", first, holes, _split_last_line, lambda lex, ctx, h: (tuple(sorted(h["args"])),))
    rules.add("lines", [f"{p}; {{lines}}" for p in first], holes, _split_line, _make_line)


def _split_object(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"key": v} if v[0] != "all" else None


def _split_all(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {next(iter(n)): v[1]} if v[0] == "all" else None


def _make_all(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    rows = h.get("rows") or h["ofrows"]
    return ("all", rows) if rows[1] == ctx else None


def _split_one(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"a": v[0]} if len(v) == 1 else None


def _split_two(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"a": v[0], "b": v[1]} if len(v) == 2 else None


def _split_more(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"a": v[0], "c": v[1:]} if len(v) > 2 else None


def _split_last_line(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"args": v[0]} if len(v) == 1 else None


def _split_line(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"args": v[0], "lines": v[1:]} if len(v) > 1 else None


def _make_line(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return (tuple(sorted(h["args"])), *h["lines"])


def _split_argument(form: str) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        if is_lines(v[1]):
            return None
        place = w.deeds.params[ctx][v[0]][1]
        kind = w.lexicon.kind(place)
        if form == "amount" and (kind not in ("money", "number", "real") or in_plural(w.deeds.params[ctx][v[0]][0])):
            return None
        if kind == "link" and v[1][0] == "item" and not w.careful:
            return None
        if (
            form == "one"
            and kind in ("link", "key")
            and v[1][0] == "of"
            and titled(w.lexicon, v[1][1]) is None
            and not w.careful
        ):
            return None
        return {"param": ("param", v[0], *place), "value": v[1]}

    return split


def _split_item(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    place, role = w.deeds.params[ctx][v[0]][1], (w.whole[2], v[1][1])
    fit = not is_lines(v[1]) and v[1][0] == "item" and role in w.lexicon.roles
    return {"param": ("param", v[0], *place), "role": (role,)} if fit else None


def _make_item(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    table = target(lex.schema, *h["param"][2:]) if h["param"][2] else ""
    fit = tuple(p for p in h["role"] if target(lex.schema, *p) == table) if table else ()
    return (h["param"][1], ("its", fit)) if fit else None


def _split_linked_row(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    place = w.deeds.params[ctx][v[0]][1]
    table = target(w.lexicon.schema, *place) if place[0] else ""
    if not table or is_lines(v[1]) or v[1][0] not in ("of", "group"):
        return None
    if v[1][0] == "of" and titled(w.lexicon, v[1][1]) is not None and not w.careful:
        return None
    key = own_key(w.lexicon.schema, table)
    row = (
        v[1][1]
        if v[1][0] == "of" and v[1][2] == key and row_table(v[1][1]) == table
        else find(table, ((key, "eq", v[1]),))
    )
    return {"param": ("param", v[0], *place), "row": row}


def _make_linked_row(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    table = target(lex.schema, *h["param"][2:]) if h["param"][2] else ""
    if not table or row_table(h["row"]) != table:
        return None
    return (h["param"][1], of(lex.schema, h["row"], own_key(lex.schema, table)))

"""The productions of questions: what is asked for, (shape, values)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from worlddb.tasks.say.forms import Names, phrases, slots
from worlddb.tasks.say.grammar import Holes, Rules, Writer
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.lists import add_list
from worlddb.tasks.say.terms import Term
from worlddb.tasks.say.words import row_table


def add_questions(rules: Rules) -> None:
    """question: all that is asked.  ask: one value in a sentence of its own.  wh: the same, beginning with what, which or how."""
    asks = phrases("personas")["asks"]
    for symbol in ("ask", "wh"):
        _add_asks(rules, symbol, {k: [p for p in v if symbol == "ask" or _is_wh(p)] for k, v in asks.items()})
    holes = slots("each record ask more")
    rules.add(
        "question",
        ["{ask}"],
        holes,
        lambda w, ctx, v, n: {"ask": v} if v[0] == "value" else None,
        lambda lex, ctx, h: h["ask"],
    )
    for name, shape in (("set", "set"), ("list", "list"), ("sorted", "list")):
        rules.add("question", asks[name], holes, _split_each(name, shape), _make_each(name, shape))
    rules.add("question", asks["record"], holes, _split_record, lambda lex, ctx, h: ("record", h["record"]))
    _add_records(rules)
    _add_series(rules, asks)


def _is_wh(pattern: str) -> bool:
    return re.match(r"(\d+\* )?¿(what|which|how)", pattern) is not None


def _add_asks(rules: Rules, symbol: str, asks: dict[str, list[str]]) -> None:
    holes = slots("v=seen descs rows=ofrows column=anycolumn a=row b=row")
    rules.add(symbol, asks["value"], holes, _split_value, lambda lex, ctx, h: ("value", (h["v"],)))
    rules.add(symbol, asks["calc"], holes, _split_calc(False), _make_calc(False))
    rules.add(symbol, asks["date"], holes, _split_calc(True), _make_calc(True))
    rules.add(symbol, asks["many"], holes, _split_many, _make_many, weight=3)
    rules.add(symbol, asks["gap"], holes, _split_gap, _make_gap, weight=2)


def _split_value(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    t = v[1][0]
    if v[0] != "value" or t[0] in ("each", "const", "calc"):
        return None
    return None if t[:2] == ("fold", "count") and not t[3][5] and not w.careful else {"v": t}


def _split_calc(moved: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        t = v[1][0]
        return {"v": t} if v[0] == "value" and t[0] == "calc" and (t[1] == "days_after") == moved else None

    return split


def _make_calc(moved: bool) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        fit = h["v"][0] == "calc" and (h["v"][1] == "days_after" or not moved)
        return ("value", (h["v"],)) if fit else None

    return make


def _split_many(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    t = v[1][0]
    if v[0] != "value" or t[:2] != ("fold", "count") or t[3][5] or ("descs" in n and t[3] in w.said):
        return None
    return {next(iter(n)): t[3]}


def _make_many(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    rows = h.get("descs") or h["rows"]
    return ("value", (("fold", "count", "", rows),)) if rows[0] == "those" or not rows[5] else None


def _split_gap(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    """How much more one row has than another; plans take the lesser from the greater."""
    t = v[1][0]
    if v[0] != "value" or t[:2] != ("calc", "minus") or t[2][0] != "of" or t[3][0] != "of" or t[2][2] != t[3][2]:
        return None
    place = (row_table(t[2][1]), t[2][2])
    same = row_table(t[3][1]) == place[0] and w.lexicon.kind(place) in ("money", "number", "real")
    return {"column": (place,), "a": t[2][1], "b": t[3][1]} if same else None


def _make_gap(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    table = row_table(h["a"])
    fit = [c for t, c in h["column"] if t == table]
    if len(fit) != 1 or row_table(h["b"]) != table or lex.kind((table, fit[0])) not in ("money", "number", "real"):
        return None
    return ("value", (("calc", "minus", ("of", h["a"], fit[0]), ("of", h["b"], fit[0])),))


# --- sets


def _split_each(name: str, shape: str) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        if v[0] != shape or v[1][0][0] != "each" or (name == "sorted") != _is_sorted(v[1][0][1], shape):
            return None
        return {"each": v[1][0]}

    return split


def _make_each(name: str, shape: str) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        rows = h["each"][1]
        return (shape, (h["each"],)) if (name == "sorted") == _is_sorted(rows, "list") else None

    return make


def _is_sorted(rows: Term, shape: str) -> bool:
    """Whether the description of a set says its order itself."""
    return shape == "list" and rows[0] == "find" and bool(rows[3]) and not rows[5]


# --- several values


def _add_records(rules: Rules) -> None:
    """record: several values as the object of one sentence: columns of one row, or two values."""
    holes = slots("cols row a=seen b=seen first=anycolumn last=anycolumn more=cols")
    rules.add("record", ["3* {cols} of {row}", "{cols} for {row}"], holes, _split_cols, _make_cols, weight=3)
    rules.add("record", ["its {cols}"], holes | {"cols": ("owncols", "")}, _split_its, _make_its)
    rules.add("record", ["{a} and {b}"], holes, _split_two, lambda lex, ctx, h: (h["a"], h["b"]))
    for symbol, the, more in (("cols", "the ", "cols"), ("owncols", "", "owncols")):
        own = holes | {"more": (more, "")}
        two = [f"3* {the}{{first}} and {{last}}", "the {first} and the {last}"][: 2 if the else 1]
        rules.add(symbol, two, own, _split_names, lambda lex, ctx, h: (h["first"], h["last"]))
        rules.add(
            symbol, [f"{the}{{first}}, {{more}}"], own, _split_names, lambda lex, ctx, h: (h["first"], *h["more"])
        )


def _split_record(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"record": v[1]} if v[0] == "record" else None


def _one_row(v: Term) -> bool:
    return len(v) > 1 and all(x[0] == "of" and x[1] == v[0][1] for x in v)


def _split_cols(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    if not _one_row(v) or v[0][1] == w.topic:
        return None
    table = row_table(v[0][1])
    return {"cols": tuple((table, x[2]) for x in v), "row": v[0][1]}


def _make_cols(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    table = row_table(h["row"])
    found = []
    for options in h["cols"]:
        fit = [c for t, c in options if t == table] if isinstance(options[0], tuple) else []
        if len(fit) != 1:
            return None
        found.append(("of", h["row"], fit[0]))
    return tuple(found)


def _split_its(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    if not _one_row(v) or v[0][1] != w.topic:
        return None
    table = row_table(v[0][1])
    return {"cols": tuple((table, x[2]) for x in v)}


def _make_its(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return tuple(("its", options) for options in h["cols"]) if isinstance(h["cols"][0][0], tuple) else None


def _split_two(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"a": v[0], "b": v[1]} if len(v) == 2 and not _one_row(v) else None


def _split_names(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    if "last" in n:
        return {"first": (v[0],), "last": (v[1],)} if len(v) == 2 else None
    return {"first": (v[0],), "more": v[1:]} if len(v) > 2 else None


def _add_series(rules: Rules, asks: dict[str, list[str]]) -> None:
    """Several questions, one after another or as a list."""
    holes = slots("ask series list=asklist v=seen")
    rules.add("question", asks["series"], holes, _split_series(True), _make_series)
    rules.add("series", asks["further"], holes, _split_series(False), lambda lex, ctx, h: _values(h))
    rules.add("series", asks["finally"], holes, _split_finally, lambda lex, ctx, h: h["ask"][1])
    rules.add("question", asks["listed"], holes, _split_listed, lambda lex, ctx, h: ("record", h["list"]))
    rules.add(
        "listitem",
        ["4* {v}", "{ask}"],
        holes | {"ask": ("wh", "")},
        _split_item,
        lambda lex, ctx, h: h["ask"][1] if "ask" in h else (h["v"],),
    )
    add_list(rules, "asklist", "listitem", lambda v: 1)


def _values(h: Holes) -> Term:
    return (*h["ask"][1], *h["series"])


def _split_series(whole: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        values = v[1] if whole else v
        if len(values) < 2 or (whole and (v[0] != "record" or _one_row(values))):
            return None
        return {"ask": ("value", values[:1]), "series": values[1:]}

    return split


def _make_series(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return ("record", _values(h))


def _split_finally(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"ask": ("value", v)} if len(v) == 1 else None


def _split_listed(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"list": v[1]} if v[0] == "record" and len(v[1]) > 2 and not _one_row(v[1]) else None


def _split_item(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"ask": ("value", v)} if "ask" in n else {"v": v[0]}

"""The productions of tests: what comes after 'if'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from worlddb.tasks.say.forms import Names, phrases, slots
from worlddb.tasks.say.grammar import Holes, Rules, Writer
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.terms import Term
from worlddb.tasks.say.words import NUMBER, place_of, row_table


def add_tests(rules: Rules) -> None:
    """test: what comes after 'if'."""
    file = phrases("rows")["tests"]
    holes = slots("left=seen right=value@left row value=const@state rows=descs")
    plain = {"eq": "eq", "ne": "ne", "gt": "gt", "ge": "ge", "lt": "lt", "le": "le"}
    timely = {"gt": "later", "ge": "notbefore", "lt": "earlier", "le": "notafter"}
    counted = {"gt": "more", "lt": "fewer", "ge": "atleast", "le": "atmost", "eq": "exactly"}
    for op, name in plain.items():
        rules.add("test", file[name], holes, _split_test(op, False), _make_test(op, False))
    for op, name in timely.items():
        rules.add("test", file[name], holes, _split_test(op, True), _make_test(op, True))
    for op, name in (("ge", "notbefore"), ("lt", "earlier")):  # a moment at midnight, by its date
        dated = slots("left=seen right=day@left")
        rules.add("test", file[name], dated, _split_dated(op), _make_test(op, True), weight=8)
    for op, name in (("eq", "state"), ("ne", "statenot")):
        h = {"row": ("row", ""), "value": ("rowstate", "row")}
        rules.add("test", file[name], h, _split_state(op), _make_state(op), weight=3)
    rules.add("test", file["many"], {"row": ("desc", "")}, _split_several, _make_several, weight=2)
    for op, name in counted.items():
        h = {"right": ("figure", ""), "rows": ("descs", "")}
        rules.add("test", file[name], h, _split_counted(op), _make_counted(op), weight=2)


def _split_test(op: str, timely: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if t[0] != "test" or t[2] != op or t[1][0] == "const":
            return None
        if t[1][:2] == ("fold", "count") and t[3][0] == "const" and op != "ne" and not w.careful and not t[1][3][5]:
            return None  # 'there are more than three …' says it better
        if op in ("eq", "ne"):
            return {"left": t[1], "right": t[3]}
        moment = w.lexicon.kind(place_of(w.lexicon, t[1])) in ("date", "datetime", "time")
        return {"left": t[1], "right": t[3]} if moment == timely else None

    return split


def _split_dated(op: str) -> Callable[..., Holes | None]:
    plain = _split_test(op, True)

    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        dated = t[0] == "test" and t[3][0] == "const" and str(t[3][1]).endswith(" 00:00:00")
        return plain(w, ctx, t, n) if dated else None

    return split


def _make_test(op: str, timely: bool) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        moment = lex.kind(place_of(lex, h["left"])) in ("date", "datetime", "time")
        return ("test", h["left"], op, h["right"]) if op in ("eq", "ne") or moment == timely else None

    return make


def _state(lex: Lexicon, row: Term) -> str:
    machine = lex.schema[row_table(row)].lifecycle
    return machine.column if machine else ""


def _split_state(op: str) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if (
            t[0] != "test"
            or t[2] != op
            or t[1][0] != "of"
            or t[3][0] != "const"
            or _state(w.lexicon, t[1][1]) != t[1][2]
        ):
            return None
        return {"row": t[1][1], "value": t[3]}

    return split


def _make_state(op: str) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        column = _state(lex, h["row"])
        return ("test", ("of", h["row"], column), op, h["value"]) if column else None

    return make


def _split_counted(op: str) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if t[0] != "test" or t[2] != op or t[1][0] != "fold" or t[1][1] != "count" or t[3][0] != "const":
            return None
        alone = op == "gt" and t[3][1] == 1
        return {"right": t[3][1], "rows": t[1][3]} if isinstance(t[3][1], int) and not alone else None

    return split


def _make_counted(op: str) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        if h["rows"][5]:
            return None
        return ("test", ("fold", "count", "", h["rows"]), op, ("const", h["right"], *NUMBER))

    return make


def _split_several(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    if t[0] != "test" or t[2] != "gt" or t[1][:2] != ("fold", "count") or t[3][:2] != ("const", 1) or t[1][3][3]:
        return None
    return {"row": (*t[1][3][:6], False, t[1][3][7])}


def _make_several(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    rows = (*h["row"][:6], True, h["row"][7])
    return None if rows[3] else ("test", ("fold", "count", "", rows), "gt", ("const", 1, *NUMBER))

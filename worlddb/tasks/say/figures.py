"""The productions of figures: what several values come to, and what is worked out of two of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from worlddb.tasks.say.forms import Names, phrases, slots
from worlddb.tasks.say.grammar import Holes, Rules, Writer
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.terms import Term
from worlddb.tasks.say.words import NUMBER, place_of, row_table


def add_figures(rules: Rules) -> None:
    """seen: folds, groups and calculations.  base: the same but for calculations."""
    base = {"base": ("base", "")}
    rules.add(
        "seen",
        ["{base}"],
        base,
        lambda w, ctx, t, n: None if t[0] == "calc" else {"base": t},
        lambda lex, ctx, h: h["base"],
    )
    _add_folds(rules)
    _add_calculations(rules)
    _add_days(rules)


def _add_folds(rules: Rules) -> None:
    file = phrases("rows")["figures"]
    holes = slots("column=anycolumn columns=anycolumns over=anycolumn rows=barerows descs measure")
    rules.add("base", file["count"], holes | {"rows": ("ofrows", "")}, _split_count, _make_count)
    for by in ("sum", "mean", "least", "greatest"):
        for pattern in file[by]:
            rules.add("base", [pattern], holes, _split_fold(by, _adjective(pattern)), _make_fold(by))
    for name, desc in (("most", True), ("fewest", False)):
        rules.add("base", file[name], holes, _split_common(desc), _make_common(desc))
    for name, desc in (("highest", True), ("lowest", False)):
        rules.add("base", file[name], holes, _split_measured(desc), _make_measured(desc))


def _adjective(pattern: str) -> str:
    """'total' of 'the total {column} of …': not said of a column that is called so itself."""
    m = re.search(r"the (\w+) \{column\}", pattern)
    return m.group(1) if m else ""


def _add_calculations(rules: Rules) -> None:
    values = phrases("rows")["values"]
    for op in ("plus", "minus", "times", "percent", "between"):
        scaled = op in ("times", "percent")
        right = ("number", "") if scaled else ("other", "left")
        real = "days_between" if op == "between" else op
        rules.add("seen", values[op], {"left": ("base", ""), "right": right}, _split_calc(real), _make_calc(real))
    for name, op in (("both", "plus"), ("gap", "minus"), ("apart", "days_between")):
        holes = slots("column=anycolumn columns=anycolumns a=row b=row")
        rules.add("seen", values[name], holes, _split_alike(op), _make_alike(op), weight=3)
    value = {"value": ("value", ".")}
    rules.add("other", ["{value}"], value, lambda w, ctx, t, n: {"value": t}, lambda lex, ctx, h: h["value"])
    rules.add("number", ["{k}"], {"k": ("figure", "")}, _split_number, lambda lex, ctx, h: ("const", h["k"], *NUMBER))


def _add_days(rules: Rules) -> None:
    values = phrases("rows")["values"]
    for name, sign in (("after", 1), ("back", -1)):
        h = {"left": ("moment", ""), "days": ("figure", "")}
        rules.add("seen", values[name], h, _split_days(sign), _make_days(sign))
        rules.add("seen", values[f"{name}1"], h, _split_day(sign), _make_days(sign))
    for symbol, stated in (("seen", False), ("today", True)):
        rules.add("moment", ["{m}"], {"m": (symbol, "")}, _split_moment(stated), lambda lex, ctx, h: h["m"])


def _split_moment(stated: bool) -> Callable[..., Holes | None]:
    return lambda w, ctx, t, n: {"m": t} if (t[0] == "const") == stated else None


def _split_count(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    if t[0] != "fold" or t[1] != "count" or ("descs" in n and t[3][5]):
        return None
    return {next(iter(n)): t[3]}


def _make_count(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    rows = h.get("rows") or h["descs"]
    return ("fold", "count", "", rows) if rows[0] == "those" or "rows" in h or not rows[5] else None


def _split_fold(by: str, adjective: str) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, names: Names) -> Holes | None:
        if t[0] != "fold" or t[1] != by or (adjective and adjective in w.lexicon.label((t[3][1], t[2])).split(" ")):
            return None
        return {"columns" if "columns" in names else "column": ((t[3][1], t[2]),), "rows": t[3]}

    return split


def _make_fold(by: str) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        fit = [c for t, c in h.get("column") or h["columns"] if t == row_table(h["rows"])]
        return ("fold", by, fit[0], h["rows"]) if len(fit) == 1 else None

    return make


def _split_common(desc: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if t[0] != "group" or t[1] != "count" or t[3] != desc or ("descs" in n and t[5][3]):
            return None
        return {"column": ((t[5][1], t[4]),), "descs" if "descs" in n else "rows": t[5]}

    return split


def _make_common(desc: bool) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        rows = h.get("rows") or h["descs"]
        fit = [c for t, c in h["column"] if t == row_table(rows)]
        if len(fit) != 1 or ("descs" in h and rows[3]):
            return None
        return ("group", "count", "", desc, fit[0], rows)

    return make


def _split_measured(desc: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if t[0] != "group" or t[1] == "count" or t[3] != desc:
            return None
        table = t[5][1]
        return {
            "column": ((table, t[4]),),
            "measure": (t[1], w.lexicon.label((table, t[2]))),
            "over": ((table, t[2]),),
            "rows": t[5],
        }

    return split


def _make_measured(desc: bool) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        table = row_table(h["rows"])
        fit = [c for t, c in h["column"] if t == table]
        over = [c for t, c in h["over"] if t == table]
        return ("group", h["measure"], over[0], desc, fit[0], h["rows"]) if len(fit) == len(over) == 1 else None

    return make


def _split_calc(op: str) -> Callable[..., Holes | None]:
    return lambda w, ctx, t, n: {"left": t[2], "right": t[3]} if t[0] == "calc" and t[1] == op else None


def _make_calc(op: str) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        timely = lex.kind(place_of(lex, h["left"])) in ("date", "datetime")
        return ("calc", op, h["left"], h["right"]) if timely == (op == "days_between") else None

    return make


def _split_number(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    return {"k": t[1]} if t[0] == "const" and isinstance(t[1], int) and t[1] >= 0 else None


def _split_days(sign: int) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if (
            t[0] != "calc"
            or t[1] != "days_after"
            or t[3][0] != "const"
            or not isinstance(t[3][1], int)
            or t[3][1] * sign <= 0
        ):
            return None
        if "days" in n and abs(t[3][1]) == 1:
            return None
        return {"left": t[2], "days": abs(t[3][1])}

    return split


def _split_day(sign: int) -> Callable[..., Holes | None]:
    one = _split_days(sign)

    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        h = one(w, ctx, t, n)
        return {"left": h["left"]} if h and abs(t[3][1]) == 1 else None

    return split


def _make_days(sign: int) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        if lex.kind(place_of(lex, h["left"])) not in ("date", "datetime"):
            return None
        return ("calc", "days_after", h["left"], ("const", sign * h.get("days", 1), *NUMBER))

    return make


def _split_alike(op: str) -> Callable[..., Holes | None]:
    """One column of two rows of a table."""

    def split(w: Writer, ctx: Any, t: Term, names: Names) -> Holes | None:
        if t[:2] != ("calc", op) or t[2][0] != "of" or t[3][0] != "of" or w.careful:
            return None
        place, other = ((row_table(v[1]), v[2]) for v in t[2:4])
        if place != other or "total" in w.lexicon.label(place) or "combined" in w.lexicon.label(place):
            return None
        return {"columns" if "columns" in names else "column": (place,), "a": t[2][1], "b": t[3][1]}

    return split


def _make_alike(op: str) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        table = row_table(h["a"])
        fit = [c for t, c in h.get("column") or h["columns"] if t == table]
        timely = len(fit) == 1 and lex.kind((table, fit[0])) in ("date", "datetime")
        if len(fit) != 1 or row_table(h["b"]) != table or timely != (op == "days_between"):
            return None
        return ("calc", op, ("of", h["a"], fit[0]), ("of", h["b"], fit[0]))

    return make

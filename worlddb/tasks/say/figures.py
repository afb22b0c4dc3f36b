"""The productions of values: columns of rows, figures over sets, sums and differences, and tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from worlddb.tasks.say.forms import Names, parent_of, phrases, slots, titled, titled_row
from worlddb.tasks.say.grammar import Holes, Rules, Several, Writer
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.rows import make_key_name, split_key_name
from worlddb.tasks.say.terms import Term, own_key, target
from worlddb.tasks.say.words import place_of, row_table

NUMBER = ("", "number")


def add_values(rules: Rules) -> None:
    """value: any value at a place (table, column).  seen: a value that is found, not stated."""
    file = phrases("rows")["values"]
    holes = slots("column=anycolumn row name owner role const@. key@. seen@. keys@.")

    def split_const(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        linked = w.lexicon.kind(ctx) in ("link", "key") and t[1] is not None
        return {"const": t} if t[0] == "const" and not linked else None

    def make_const(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        return h["const"] if h["const"][1] is None or lex.kind(ctx) not in ("link", "key") else None

    def split_key(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        return (
            {"key": t}
            if w.lexicon.kind(ctx) in ("link", "key") and not (t[0] == "const" and w.lexicon.kind(ctx) == "key")
            else None
        )

    def split_seen(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        return {"seen": t} if t[0] not in ("const", "each") and w.lexicon.kind(ctx) not in ("link", "key") else None

    def make_seen(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        return h["seen"] if lex.kind(ctx) not in ("link", "key") else None

    rules.add("given", ["{value}"], {"value": ("value", ".")}, _split_given, lambda lex, ctx, h: h["value"])
    rules.add("given", ["{name}"], holes, split_key_name, make_key_name)
    rules.add("value", ["{const}"], holes, split_const, make_const)
    rules.add(
        "value", ["{key}"], holes, split_key, lambda lex, ctx, h: h["key"] if lex.kind(ctx) in ("link", "key") else None
    )
    rules.add("value", ["{seen}"], holes, split_seen, make_seen)

    def split_of(w: Writer, ctx: Any, t: Term, names: Names) -> Holes | None:
        if t[0] != "of":
            return None
        h: Holes = {"column": ((row_table(t[1]), t[2]),)}
        if "row" in names:
            return h | {"row": t[1]}
        if "owner" in names:
            return h | {"owner": t[1]}
        title = None if w.careful else titled(w.lexicon, t[1])
        return h | {"name": title} if title is not None else None

    def make_of(lex: Lexicon, ctx: Any, h: Holes) -> Any:
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

    rules.add("base", file["of"], holes, split_of, make_of)
    rules.add("base", file["owned"], holes, split_of, make_of)
    rules.add("base", file["its"], holes, _split_its, lambda lex, ctx, h: ("its", h["column"]))
    rules.add(
        "key",
        file["it"],
        holes,
        _split_it,
        lambda lex, ctx, h: ("item", own_key(lex.schema, t)) if (t := parent_of(lex, ctx)) else None,
    )
    rules.add("key", file["role"], holes, _split_its_role, _make_its_role)


def _split_given(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    """A value in a list of values: of a row with a name, the name alone."""
    named = (
        t[0] == "of"
        and t[1][0] == "find"
        and titled(w.lexicon, t[1]) is not None
        and w.lexicon.kind(ctx) in ("link", "key")
    )
    return None if named and not w.careful else {"value": t}


def _split_its(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
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


# --- figures


def add_figures(rules: Rules) -> None:
    """seen: folds, groups and calculations."""
    file, values = phrases("rows")["figures"], phrases("rows")["values"]
    calculated = ("calc",)
    rules.add(
        "seen",
        ["{base}"],
        {"base": ("base", "")},
        lambda w, ctx, t, n: None if t[0] in calculated else {"base": t},
        lambda lex, ctx, h: h["base"],
    )
    holes = slots(
        "column=anycolumn columns=anycolumns over=anycolumn rows=barerows measure left=seen days@number right@left"
    )

    def split_count(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if t[0] != "fold" or t[1] != "count" or ("descs" in n and t[3][5]):
            return None
        return {next(iter(n)): t[3]}

    def make_count(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        rows = h.get("rows") or h["descs"]
        return ("fold", "count", "", rows) if rows[0] == "those" or "rows" in h or not rows[5] else None

    rules.add("base", file["count"], holes | {"descs": ("descs", "")}, split_count, make_count)
    for by in ("sum", "mean", "least", "greatest"):
        rules.add("base", file[by], holes, _split_fold(by), _make_fold(by))
    for name, desc in (("most", True), ("fewest", False)):
        rules.add("base", file[name], holes | {"descs": ("descs", "")}, _split_common(desc), _make_common(desc))
    for name, desc in (("highest", True), ("lowest", False)):
        rules.add("base", file[name], holes, _split_measured(desc), _make_measured(desc))
    for op in ("plus", "minus", "times", "percent", "between"):
        h = {
            "left": ("base", ""),
            "right": (
                "number" if op in ("times", "percent") else "other",
                "" if op in ("times", "percent") else "left",
            ),
        }
        real = "days_between" if op == "between" else op
        rules.add("seen", values[op], h, _split_calc(real), _make_calc(real))
    rules.add(
        "other",
        ["{value}"],
        {"value": ("value", ".")},
        lambda w, ctx, t, n: {"value": t},
        lambda lex, ctx, h: h["value"],
    )
    rules.add("number", ["{k}"], {"k": ("figure", "")}, _split_number, lambda lex, ctx, h: ("const", h["k"], *NUMBER))
    for name, sign in (("after", 1), ("back", -1)):
        h = {"left": ("moment", ""), "days": ("figure", "")}
        rules.add("seen", values[name], h, _split_days(sign), _make_days(sign))
        rules.add("seen", values[f"{name}1"], h, _split_day(sign), _make_days(sign))
    rules.add(
        "moment",
        ["{seen}"],
        {"seen": ("seen", "")},
        lambda w, ctx, t, n: {"seen": t} if t[0] != "const" else None,
        lambda lex, ctx, h: h["seen"],
    )
    rules.add(
        "moment",
        ["{date}"],
        {"date": ("today", "")},
        lambda w, ctx, t, n: {"date": t} if t[0] == "const" else None,
        lambda lex, ctx, h: h["date"],
    )


def _split_fold(by: str) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, names: Names) -> Holes | None:
        if t[0] != "fold" or t[1] != by:
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
        return {"column": ((table, t[4]),), "measure": t[1], "over": ((table, t[2]),), "rows": t[5]}

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


# --- tests


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
    for op, name in (("eq", "state"), ("ne", "statenot")):
        h = {"row": ("row", ""), "value": ("rowstate", "row")}
        rules.add("test", file[name], h, _split_state(op), _make_state(op), weight=3)
    for op, name in counted.items():
        h = {"right": ("figure", ""), "rows": ("descs", "")}
        rules.add("test", file[name], h, _split_counted(op), _make_counted(op), weight=2)


def _split_test(op: str, timely: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if t[0] != "test" or t[2] != op or t[1][0] == "const":
            return None
        if op in ("eq", "ne"):
            return {"left": t[1], "right": t[3]}
        moment = w.lexicon.kind(place_of(w.lexicon, t[1])) in ("date", "datetime", "time")
        return {"left": t[1], "right": t[3]} if moment == timely else None

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
        return {"right": t[3][1], "rows": t[1][3]} if isinstance(t[3][1], int) else None

    return split


def _make_counted(op: str) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        if h["rows"][5]:
            return None
        return ("test", ("fold", "count", "", h["rows"]), op, ("const", h["right"], *NUMBER))

    return make

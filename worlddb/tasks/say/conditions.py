"""The productions of conditions: what follows a noun, such as 'created after 3 March' or 'who have a cancelled booking'."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from worlddb.tasks.say.forms import SORT, Names, agreed, is_const, phrases, titled, titled_row
from worlddb.tasks.say.grammar import Holes, Rules, Writer
from worlddb.tasks.say.lexicon import Lexicon, Pair
from worlddb.tasks.say.terms import Term, each, of, own_key, target
from worlddb.tasks.say.words import ONLY, VIA


class _Entry(msgspec.Struct, frozen=True):
    """An entry of `conditions` in schemas/wording/rows.yaml; the head of that file describes the fields."""

    op: str
    of: frozenset[str]
    say: tuple[str, ...]
    only: str = ""
    via: str = ""
    values: bool = False
    row: bool = False
    rows: bool = False
    each: bool = False
    day: bool = False
    flag: bool | None = None

    @property
    def symbol(self) -> str:
        """What stands in the place of the value."""
        for name, symbol in (("row", "key"), ("rows", "keys"), ("each", "each"), ("day", "day")):
            if getattr(self, name):
                return symbol
        return "const" if self.of == {"key"} else "value"

    def column(self, number: int) -> str:
        """The symbol of the column, for one row or several."""
        if self.only in ONLY:
            return f"only_{self.only}"
        if self.via == "link":
            return "link"
        via = "verbs" if self.via == "verb" and number == 0 else self.via
        return f"via_{via}" if via in VIA else "column"


def add_conditions(rules: Rules) -> None:
    """post0 (of one row) and post1 (of several): one condition after the noun.  bare0, bare1: the same after '… with … and'."""
    entries = msgspec.convert(phrases("rows")["conditions"], list[_Entry])
    for number in (0, 1):
        for entry in entries:
            for say in entry.say:
                for pattern, people in agreed(say, number):
                    _condition(rules, entry, number, pattern, people if "%who" in say else None)
        _orders(rules, number)
        _roles(rules, number)
        _having(rules, number)


def _condition(rules: Rules, entry: _Entry, number: int, pattern: str, people: bool | None) -> None:
    column = entry.column(number)
    symbol = "neither" if "{neither}" in pattern else "values" if entry.values else entry.symbol
    if "{column}" not in pattern:
        stars, star, rest = pattern.rpartition("* ")
        pattern = f"{stars}{star}{{column}}{rest}"
    if "a(n) {column}" in pattern and column in ("column", "via_role"):
        pattern, column = pattern.replace("a(n) {column}", "{column}"), f"a_{column}"
    holes = {"column": (column, "."), **dict.fromkeys(("value", "values", "neither"), (symbol, "column"))}
    slot = next((h for h in ("value", "values", "neither") if f"{{{h}}}" in pattern), "")
    split, make = _split(entry, slot, people), _make(entry, slot, people)
    weight = 2 if entry.only or entry.via else 1
    rules.add(f"post{number}", [pattern], holes, split, make, weight=weight, sort=entry.op)
    if (m := re.match(r"(?:\d+\* )?with (?=.*\{column\})", pattern)) is not None:
        rules.add(f"bare{number}", [pattern[m.end() :]], holes, split, make)


def _split(entry: _Entry, slot: str, people: bool | None) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, c: Term, names: Names) -> Holes | None:
        if c[1] != entry.op or c[0] == SORT or (people is not None and (ctx in w.lexicon.people) != people):
            return None
        if w.lexicon.kind((ctx, c[0])) not in entry.of:
            return None
        value, column = c[2], {"column": (ctx, c[0])}
        if entry.flag is not None:
            return column if value is not None and value[:2] == ("const", int(entry.flag)) else None
        several = isinstance(value, tuple) and (not value or isinstance(value[0], tuple))
        if several != entry.values or (value is None) != (not slot):
            return None
        if value is None:
            return column
        if not entry.day and _is_midnight(value, entry) and not w.careful:
            return None
        if not several and (value[0] == "each") != (entry.rows or entry.each):
            return None
        return column | {slot: value}

    return split


def _is_midnight(value: Term, entry: _Entry) -> bool:
    """True where the condition is said with a date alone."""
    return entry.op in ("ge", "lt") and value[0] == "const" and str(value[1]).endswith(" 00:00:00")


def _make(entry: _Entry, slot: str, people: bool | None) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        place: Pair = h["column"]
        if lex.kind(place) not in entry.of or (people is not None and (place[0] in lex.people) != people):
            return None
        value = ("const", int(entry.flag), *place) if entry.flag is not None else h.get(slot)
        return (place[1], entry.op, value)

    return make


# --- the order, by which one or some are the first


def _orders(rules: Rules, number: int) -> None:
    """post, and sort: what makes a row the first.  post1 also: the order in which a set is wanted."""
    column = {"column": ("column", ".")}
    for name, desc in (("highest", True), ("lowest", False), ("latest", True), ("earliest", False)):
        moments = name in ("latest", "earliest")
        for symbol in (f"post{number}", f"sort{number}"):
            rules.add(
                symbol,
                phrases("rows")["extremes"][name],
                column,
                _split_order(SORT, desc, moments),
                _make_order(SORT, desc),
            )
        if name in ("latest", "earliest"):
            born = [p for say in phrases("rows")["extremes"][f"{name} created"] for p, _ in agreed(say, number)]
            for symbol in (f"post{number}", f"sort{number}"):
                holes = {"column": ("only_created", ".")}
                rules.add(symbol, born, holes, _split_order(SORT, desc, True), _make_order(SORT, desc), weight=20)
    for name, desc in (("last", True), ("first", False)) if number else ():
        order = phrases("rows")["extremes"][name]
        rules.add("post1", order, column, _split_order("#order", desc, None), _make_order("#order", desc))


def _split_order(tag: str, desc: bool, moments: bool | None) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, c: Term, n: Names) -> Holes | None:
        if c[0] != tag or c[2] != desc:
            return None
        timely = w.lexicon.kind((ctx, c[1])) in ("date", "datetime", "time")
        return {"column": (ctx, c[1])} if moments is None or timely == moments else None

    return split


def _make_order(tag: str, desc: bool) -> Callable[..., Any]:
    return lambda lex, ctx, h: (tag, h["column"][1], desc)


# --- what a row refers to, and what refers to it


def _roles(rules: Rules, number: int) -> None:
    """'with Anna Schmidt as driver'."""

    def split(w: Writer, ctx: Any, c: Term, n: Names) -> Holes | None:
        place = (ctx, c[0])
        if (
            c[1] != "eq"
            or c[0] == SORT
            or place not in w.lexicon.roles
            or is_const(c[2])
            or c[2][0] != "of"
            or w.careful
        ):
            return None
        parent, title = target(w.lexicon.schema, *place), titled(w.lexicon, c[2][1])
        if title is None or c[2][2] != own_key(w.lexicon.schema, parent) or c[2][1][1] != parent:
            return None
        return {"role": (place,), "name": title}

    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        fit = [c for t, c in h["role"] if t == ctx]
        parent = target(lex.schema, ctx, fit[0]) if len(fit) == 1 else ""
        if not parent or not lex.schema[parent].title:
            return None
        return (fit[0], "eq", of(lex.schema, titled_row(lex, parent, h["name"]), own_key(lex.schema, parent)))

    holes = {"role": ("role", ""), "name": ("name", "")}
    rules.add(f"post{number}", ["3* with {name} as {role}", "with {name} as the {role}"], holes, split, make, sort="eq")


def _having(rules: Rules, number: int) -> None:
    """Conditions on what refers to a row: 'guests who have a cancelled booking', and on what the row is to another."""
    file = phrases("rows")["rows"]
    for name, op, hole in (
        ("has", "in", "some"),
        ("hasnot", "not_in", "descs"),
        ("via", "in", "some"),
        ("viano", "not_in", "descs"),
    ):
        holes: dict[str, tuple[str, str | tuple[Any]]] = {hole: (hole, ""), "role": ("roles" if number else "role", "")}
        for say in file[name]:
            for pattern, people in agreed(say, number):
                named = people if "%who" in say else None
                pattern = pattern.replace("the {role}", "{role}") if number else pattern
                rules.add(
                    f"post{number}", [pattern], holes, _split_having(op, hole, named), _make_having(op, hole, named)
                )


def _split_having(op: str, hole: str, people: bool | None) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, c: Term, names: Names) -> Holes | None:
        lex = w.lexicon
        if c[0] == SORT or c[1] != op or c[0] != own_key(lex.schema, ctx) or c[2][0] != "each":
            return None
        rows, column = c[2][1], c[2][2]
        if people is not None and (ctx in lex.people) != people:
            return None
        if "role" in names:
            return {hole: rows, "role": ((rows[1], column),)} if (rows[1], column) in lex.roles else None
        return {hole: rows} if _links(lex, rows[1], ctx) == [column] else None

    return split


def _make_having(op: str, hole: str, people: bool | None) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        rows, key = h[hole], own_key(lex.schema, ctx)
        if not key or rows[5] or rows[3] or (people is not None and (ctx in lex.people) != people):
            return None
        if "role" in h:
            links = [c for t, c in h["role"] if t == rows[1] and target(lex.schema, t, c) == ctx]
        else:
            links = _links(lex, rows[1], ctx)
        return (key, op, each(lex.schema, rows, links[0])) if len(links) == 1 else None

    return make


def _links(lex: Lexicon, child: str, table: str) -> list[str]:
    return [c for c, p in lex.links[child] if p == table]

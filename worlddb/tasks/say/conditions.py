"""The productions of conditions: what follows a noun, such as 'created after 3 March' or 'who have a cancelled booking'."""

from __future__ import annotations

from typing import Any

from worlddb.tasks.say.forms import (
    SORT,
    Names,
    agreed,
    phrases,
)
from worlddb.tasks.say.grammar import Holes, Rules, Writer
from worlddb.tasks.say.lexicon import Lexicon, Pair
from worlddb.tasks.say.terms import Term, each, own_key, target
from worlddb.tasks.say.words import ONLY, VIA


def add_conditions(rules: Rules) -> None:
    """post0 (of one row) and post1 (of several): one condition after the noun."""
    for entry in phrases("rows")["conditions"]:
        for number in (0, 1):
            for say in entry["say"]:
                for pattern, people in agreed(say, number):
                    _condition(rules, entry, number, pattern, people, say)
    for number in (0, 1):
        _orders(rules, number)
        _having(rules, number)


def _condition(rules: Rules, entry: dict[str, Any], number: int, pattern: str, people: bool, said: str) -> None:
    op, kinds = entry["op"], frozenset(entry["of"])
    named = "%who" in said
    name = entry.get("only") or entry.get("via")
    yes = entry.get("flag")
    values, shape = entry.get("values"), next((s for s in ("row", "rows", "each") if entry.get(s)), "value")
    symbol = {"row": "key", "rows": "keys", "each": "each", "value": "const" if kinds == {"key"} else "value"}[shape]
    name = "verbs" if name == "verb" and number == 0 else name
    if values:
        symbol = "neither" if "{neither}" in pattern else "values"
    column = (
        f"only_{name}" if name in ONLY else "link" if name == "link" else f"via_{name}" if name in VIA else "column"
    )
    if "{column}" not in pattern:
        weight, star, rest = pattern.rpartition("* ")
        pattern = f"{weight}{star}{{column}}{rest}"
    if "a(n) {column}" in pattern and column in ("column", "via_role"):
        pattern, column = pattern.replace("a(n) {column}", "{column}"), f"a_{column}"
    holes = {
        "column": (column, "."), "value": (symbol, "column"), "values": (symbol, "column"), "neither": (symbol, "column"),
    }  # fmt: skip
    slot = next((h for h in ("{value}", "{values}", "{neither}") if h in pattern), "")[1:-1]

    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        place: Pair = h["column"]
        if lex.kind(place) not in kinds or (named and (place[0] in lex.people) != people):
            return None
        if yes is not None:
            return (place[1], op, ("const", int(yes), *place))
        return (place[1], op, h.get(slot))

    def split(w: Writer, ctx: Any, c: Term, names: Names) -> Holes | None:
        if c[1] != op or c[0] == SORT or (named and (ctx in w.lexicon.people) != people):
            return None
        if w.lexicon.kind((ctx, c[0])) not in kinds:
            return None
        value = c[2]
        several = isinstance(value, tuple) and (not value or isinstance(value[0], tuple))
        if yes is not None:
            return {"column": (ctx, c[0])} if value is not None and value[:2] == ("const", int(yes)) else None
        if several != bool(values) or (value is None) != (not slot):
            return None
        if value is None:
            return {"column": (ctx, c[0])}
        if not several and (value[0] == "each") != (shape in ("rows", "each")):
            return None
        return {"column": (ctx, c[0]), slot: value}

    rules.add(f"post{number}", [pattern], holes, split, make, weight=2 if name else 1, sort=op)


def _orders(rules: Rules, number: int) -> None:
    kinds = {"highest": True, "lowest": False, "latest": True, "earliest": False, "last": True, "first": False}
    for name, desc in kinds.items():
        whole = name in ("last", "first")
        if whole and number == 0:
            continue
        moments = name in ("latest", "earliest")
        tag = "#order" if whole else SORT

        def make(lex: Lexicon, ctx: Any, h: Holes, desc: bool = desc, tag: str = tag) -> Any:
            return (tag, h["column"][1], desc)

        def split(
            w: Writer, ctx: Any, c: Term, n: Names, desc: bool = desc, tag: str = tag, moments: bool = moments
        ) -> Holes | None:
            if c[0] != tag or c[2] != desc:
                return None
            timely = w.lexicon.kind((ctx, c[1])) in ("date", "datetime", "time")
            return {"column": (ctx, c[1])} if tag == "#order" or timely == moments else None

        rules.add(f"post{number}", phrases("rows")["extremes"][name], {"column": ("column", ".")}, split, make)


def _having(rules: Rules, number: int) -> None:
    """Conditions on what refers to a row: 'guests who have a cancelled booking', and on what the row is to another."""
    file = phrases("rows")["rows"]

    def child_links(lex: Lexicon, child: str, table: str) -> list[str]:
        return [c for c, p in lex.links[child] if p == table]

    for name, op, hole, symbol in (("has", "in", "some", "some"), ("hasnot", "not_in", "descs", "descs")):
        for say in file[name]:
            for pattern, people in agreed(say, number):
                named = "%who" in say

                def make(
                    lex: Lexicon,
                    ctx: Any,
                    h: Holes,
                    op: str = op,
                    hole: str = hole,
                    named: bool = named,
                    people: bool = people,
                ) -> Any:
                    rows = h[hole]
                    links = child_links(lex, rows[1], ctx)
                    key = own_key(lex.schema, ctx)
                    if not key or len(links) != 1 or rows[5] or rows[3] or (named and (ctx in lex.people) != people):
                        return None
                    return (key, op, each(lex.schema, rows, links[0]))

                def split(
                    w: Writer,
                    ctx: Any,
                    c: Term,
                    n: Names,
                    op: str = op,
                    hole: str = hole,
                    named: bool = named,
                    people: bool = people,
                ) -> Holes | None:
                    lex = w.lexicon
                    if c[0] == SORT or c[1] != op or c[0] != own_key(lex.schema, ctx) or c[2][0] != "each":
                        return None
                    rows, column = c[2][1], c[2][2]
                    if (named and (ctx in lex.people) != people) or child_links(lex, rows[1], ctx) != [column]:
                        return None
                    return {hole: rows}

                rules.add(f"post{number}", [pattern], {hole: (symbol, "")}, split, make)
    for name, op, hole, symbol in (("via", "in", "some", "some"), ("viano", "not_in", "descs", "descs")):
        for say in file[name]:
            for pattern, people in agreed(say, number):
                role = "roles" if number else "role"

                def make_via(
                    lex: Lexicon, ctx: Any, h: Holes, op: str = op, hole: str = hole, people: bool = people
                ) -> Any:
                    rows, key = h[hole], own_key(lex.schema, ctx)
                    fit = [c for t, c in h["role"] if t == rows[1] and target(lex.schema, t, c) == ctx]
                    if not key or len(fit) != 1 or rows[5] or rows[3] or (ctx in lex.people) != people:
                        return None
                    return (key, op, each(lex.schema, rows, fit[0]))

                def split_via(
                    w: Writer, ctx: Any, c: Term, n: Names, op: str = op, hole: str = hole, people: bool = people
                ) -> Holes | None:
                    lex = w.lexicon
                    if c[0] == SORT or c[1] != op or c[0] != own_key(lex.schema, ctx) or c[2][0] != "each":
                        return None
                    rows, column = c[2][1], c[2][2]
                    if (ctx in lex.people) != people or (rows[1], column) not in lex.roles:
                        return None
                    return {hole: rows, "role": ((rows[1], column),)}

                holes = {hole: (symbol, ""), "role": (role, "")}
                rules.add(
                    f"post{number}",
                    [pattern.replace("the {role}", "{role}" if number else "the {role}")],
                    holes,
                    split_via,
                    make_via,
                )

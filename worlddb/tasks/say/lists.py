"""The productions of lists on lines of their own, with dashes or numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from worlddb.tasks.say.forms import Names
from worlddb.tasks.say.grammar import Holes, Rules, Writer
from worlddb.tasks.say.terms import Term


def add_list(rules: Rules, symbol: str, item: str, first: Callable[[Term], int]) -> None:
    """`symbol`: several on lines of their own; `first` tells how many of the meanings the first line says, as an `item`."""
    for name, sign in ((f"{symbol}_dashed", "-"), (f"{symbol}_numbered", "{i})")):
        holes = {"i": ("ordinal", ""), "item": (item, ""), "more": (name, "")}
        rules.add(name, [f"\u21b5{sign} {{item}}."], holes, _split(first, True), lambda lex, ctx, h: h["item"])
        more = [f"\u21b5{sign} {{item}}. {{more}}"]
        rules.add(name, more, holes, _split(first, False), lambda lex, ctx, h: (*h["item"], *h["more"]))
        rules.add(
            symbol,
            ["{list}"],
            {"list": (name, "")},
            lambda w, ctx, v, n: {"list": (1, v)},
            lambda lex, ctx, h: h["list"],
        )


def _split(first: Callable[[Term], int], last: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, numbered: tuple[int, Term], names: Names) -> Holes | None:
        i, v = numbered
        n = first(v)
        if (n == len(v)) != last:
            return None
        h = {"item": v[:n]} if last else {"item": v[:n], "more": (i + 1, v[n:])}
        return h | {"i": i} if "i" in names else h

    return split

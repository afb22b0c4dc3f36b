"""What the productions share: phrases from schemas/wording/, agreement, and what kinds of row terms there are."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from worlddb.library import folder
from worlddb.schema.domains import read_yaml
from worlddb.tasks.say.lexicon import Lexicon, Pair
from worlddb.tasks.say.terms import Term, find, own_key, target

Names = frozenset[str]
SORT = "#sort"
"""The column of what stands among the conditions for an order: ('#sort', column, descending)."""
_NUMBER = (
    {"%is": "is", "%has": "has", "%do": "does", "%was": "was", "%s": "s"},
    {"%is": "are", "%has": "have", "%do": "do", "%was": "were", "%s": ""},
)


@cache
def slots(text: str) -> dict[str, tuple[str, str]]:
    """Holes for `Rules.add` from 'name=symbol@context …': the symbol where it is not the name, the context where there is one."""
    found = {}
    for slot in text.split():
        name, _, symbol = slot.partition("@")[0].partition("=")
        found[name] = (symbol or name, slot.partition("@")[2])
    return found


@cache
def phrases(name: str) -> Any:
    """A file of schemas/wording/."""
    return read_yaml(folder("schemas") / "wording" / f"{name}.yaml")


def agreed(pattern: str, number: int) -> list[tuple[str, bool]]:
    """A pattern whose verbs agree with one row (0) or several (1), and whether it is for people: both where it is for all."""
    for sign, word in _NUMBER[number].items():
        pattern = re.sub(rf"{sign}(?![a-z])", word, pattern)
    pattern = pattern.replace("(isn't|aren't)", ("isn't", "aren't")[number])
    if "%who" not in pattern:
        return [(pattern, True), (pattern, False)][:1]
    return [(pattern.replace("%who", "who"), True), (pattern.replace("%who", "that"), False)]


def is_const(value: Any) -> bool:
    """True for a value that the text states."""
    return isinstance(value, tuple) and bool(value) and value[0] == "const"


def is_nested(c: Term) -> bool:
    """True for a condition that mentions other rows: it comes last, so that nothing after it could belong to those."""
    return isinstance(c[2], tuple) and bool(c[2]) and isinstance(c[2][0], str) and c[2][0] != "const"


def titled(lex: Lexicon, t: Term) -> str | None:
    """The title by which alone a row is found."""
    if t[0] != "find" or t[6] or t[3] or t[7] or len(t[2]) != 1:
        return None
    column, op, value = t[2][0]
    fit = column == lex.schema[t[1]].title and op == "eq" and is_const(value) and isinstance(value[1], str)
    return value[1] if fit else None


def is_titled(lex: Lexicon, c: Term) -> bool:
    """True for a condition that says whose a row is, by the name of its owner."""
    value = c[2]
    if c[1] != "eq" or not isinstance(value, tuple) or value[0] != "of" or titled(lex, value[1]) is None:
        return False
    return bool(value[2] == own_key(lex.schema, value[1][1]))


def pointed(lex: Lexicon, t: Term) -> Term | None:
    """The value that is the key of a row, where that alone says which row it is."""
    if t[0] != "find" or t[6] or t[3] or t[7] or len(t[2]) != 1:
        return None
    column, op, value = t[2][0]
    return value if column == own_key(lex.schema, t[1]) and op == "eq" and value[0] != "const" else None


def keyed(lex: Lexicon, t: Term) -> Term | None:
    """The constant that is the key of a row, likewise."""
    if t[0] != "find" or t[6] or t[3] or t[7] or len(t[2]) != 1:
        return None
    column, op, value = t[2][0]
    return value if column == own_key(lex.schema, t[1]) and op == "eq" and value[0] == "const" else None


def titled_row(lex: Lexicon, table: str, title: str) -> Term:
    """The row of that title."""
    column = lex.schema[table].title
    return find(table, ((column, "eq", ("const", title, table, column)),))


def parent_of(lex: Lexicon, ctx: Any) -> str:
    """The table whose keys stand at a place: a table itself, or what a column refers to."""
    return target(lex.schema, *ctx) if isinstance(ctx, tuple) else ctx or ""


def row_of(lex: Lexicon, place: Pair, value: Term) -> Term:
    """The row that is named by a value that is its key."""
    parent = target(lex.schema, *place)
    return find(parent, ((own_key(lex.schema, parent), "eq", value),))

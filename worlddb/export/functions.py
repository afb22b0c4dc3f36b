"""Flat functions over one world: each takes plain values and gives one, as the calls of NESTFUL do.

They are the nodes of plans turned into functions of their own: a look-up by certain conditions, a column of a row, a figure
over rows, the leader among groups, a sum.  Rows are named by their keys (those of several columns joined by '/').
`Function.meaning` says what one does; the rest is what a model is told.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple, TypeAlias

import msgspec

from worlddb.schema.model import Column, Schema, Table
from worlddb.semantics.types import semantic_type
from worlddb.tasks import columns
from worlddb.tasks.ground import is_flag
from worlddb.tools.site import Site
from worlddb.tools.words import article, plain, sentence

LONGEST = 64
"""Characters of a name, as model providers bound it."""


class Lookup(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="lookup"):
    """The key of the one row, or the keys of all rows, that meet conditions; `take`: the last argument says how many."""

    table: str
    where: tuple[tuple[str, str], ...] = ()
    """Column and operator (see plan.OPS); each but `null` and `set` takes an argument."""
    sort: str = ""
    desc: bool = False
    many: bool = False
    take: bool = False


class Part(msgspec.Struct, frozen=True, kw_only=True, tag="part"):
    """A column of a row, or of each of several rows, NULL left out."""

    table: str
    column: str
    many: bool = False


class Figure(msgspec.Struct, frozen=True, kw_only=True, tag="figure"):
    """count, sum, mean, least or greatest over rows."""

    table: str
    by: str
    column: str = ""


class Leader(msgspec.Struct, frozen=True, kw_only=True, tag="leader"):
    """The value of a column that has the greatest or least figure among rows grouped by it."""

    table: str
    column: str
    by: str
    over: str = ""
    desc: bool = True


class Sum(msgspec.Struct, frozen=True, kw_only=True, tag="sum"):
    """plus, minus, times, percent, days_after, days_between of two values."""

    op: str


Meaning: TypeAlias = Lookup | Part | Figure | Leader | Sum


class Slot(NamedTuple):
    """A parameter, or the result."""

    type: str
    """string, integer, number, boolean or array."""
    description: str


class Function(NamedTuple):
    """A function as a model is told of it, and what it does."""

    name: str
    description: str
    parameters: tuple[Slot, ...]
    result: Slot
    meaning: Meaning


class Functions:
    """The functions of one schema, worded with the nouns of its API."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.site = Site(schema)
        self.words = self.site.words
        self._made: dict[Meaning, Function] = {}

    def of(self, meaning: Meaning) -> Function:
        """The function of that meaning."""
        if meaning not in self._made:
            found = _MAKERS[type(meaning)](self, meaning)
            self._made[meaning] = found._replace(name=_short(found.name, meaning), description=sentence(found.description))
        return self._made[meaning]

    # --- words

    def _field(self, table: str, column: str) -> str:
        return self.words.field(table, column)

    def _key(self, table: Table, *, many: bool = False) -> Slot:
        """A parameter or result that names rows."""
        label = self.words.label(table.key)
        if many:
            return Slot("array", f"IDs of {self.words.labels(table.key)}")
        single = len(table.primary_key) == 1
        return Slot(self._type(table[table.primary_key[0]]) if single else "string", f"ID of {article(label)}")

    @staticmethod
    def _type(column: Column) -> str:
        if is_flag(column):
            return "boolean"
        return {"TEXT": "string", "INTEGER": "integer"}.get(semantic_type(column.type).sql, "number")

    def _value(self, table: str, column: str, note: str = "") -> Slot:
        home = self.schema[table]
        return Slot(self._type(home[column]), self.site.describe(home, home[column]) + note)

    def _end(self, table: str, column: str, *, desc: bool) -> str:
        """'latest start', 'lowest charge'."""
        moment = semantic_type(self.schema[table][column].type).temporal
        word = ("latest" if desc else "earliest") if moment else ("highest" if desc else "lowest")
        return f"{word}_{self._field(table, column)}"

    # --- makers

    def _lookup(self, meaning: Lookup) -> Function:
        table, t = self.schema[meaning.table], meaning.table
        phrases, slots = [], list[Slot]()
        for column, op in meaning.where:
            phrases.append(self._phrase(t, column, op))
            slots += [self._asked(t, column, op)] if op not in ("null", "set") else []
        head = f"list_{self.words.nouns(t)}" if meaning.many else f"find_{self.words.noun(t)}"
        parts = [head, *(f"{'and_' if i else ''}{p}" for i, p in enumerate(phrases))]
        told = f"{'List the' if meaning.many else 'Find the'} {self.words.labels(t) if meaning.many else self.words.label(t)}"
        told += f" {plain('_'.join(parts[1:]))}" if phrases else ""
        if meaning.sort:
            end = self._end(t, meaning.sort, desc=meaning.desc)
            parts.append(f"with_{end}" if not meaning.many or meaning.take else f"in_order_of_{end}")
            told += f", {'those' if meaning.many else 'the one'} with the {plain(end)}"
        if meaning.take:
            slots.append(Slot("integer", "How many to give"))
            told += " first, so many of them"
        result = self._key(table, many=meaning.many)
        return Function("_".join(parts), f"{told}.", tuple(slots), result, meaning)

    def _phrase(self, table: str, column: str, op: str) -> str:
        field = self._field(table, column)
        moment = bool(semantic_type(self.schema[table][column].type).temporal)
        return _PHRASES[op][moment].format(field)

    def _asked(self, table: str, column: str, op: str) -> Slot:
        slot = self._value(table, column, _NOTES.get(op, ""))
        return Slot("array", f"Values: {slot.description}") if op in ("in", "not_in") else slot

    def _part(self, meaning: Part) -> Function:
        table, field = self.schema[meaning.table], self._field(meaning.table, meaning.column)
        whose = ("each_" if meaning.many else "") + self.words.noun(table.key)
        told = f"Get the {plain(field)} of {plain(whose) if meaning.many else article(plain(whose))}."
        slot = self._value(table.key, meaning.column)
        result = Slot("array", f"For each that has one: {slot.description}") if meaning.many else slot
        return Function(f"get_{field}_of_{whose}", told, (self._key(table, many=meaning.many),), result, meaning)

    def _figure(self, meaning: Figure) -> Function:
        table, t = self.schema[meaning.table], meaning.table
        given = (self._key(table, many=True),)
        if meaning.by == "count":
            told = f"Count {self.words.labels(t)}."
            return Function(f"count_{self.words.nouns(t)}", told, given, Slot("integer", "How many there are"), meaning)
        if meaning.by in ("least", "greatest"):
            what = self._end(t, meaning.column, desc=meaning.by == "greatest")
        else:
            what = f"{'total' if meaning.by == 'sum' else 'average'}_{self._field(t, meaning.column)}"
        slot = self._value(t, meaning.column)
        result = Slot("number" if meaning.by == "mean" else slot.type, f"The {plain(what)} ({slot.description})")
        name = f"get_{what}_of_{self.words.nouns(t)}"
        return Function(name, f"Get the {plain(what)} of {self.words.labels(t)}.", given, result, meaning)

    def _leader(self, meaning: Leader) -> Function:
        t, field = meaning.table, self._field(meaning.table, meaning.column)
        if meaning.by == "count":
            most = f"{'most' if meaning.desc else 'fewest'}_{self.words.nouns(t)}"
        else:
            kind = "total" if meaning.by == "sum" else "average"
            most = f"{'highest' if meaning.desc else 'lowest'}_{kind}_{self._field(t, meaning.over)}_of_{self.words.nouns(t)}"
        told = f"Find the {plain(field)} with the {plain(most)} among those given."
        result = self._value(t, meaning.column)
        return Function(f"find_{field}_with_{most}", told, (self._key(self.schema[t], many=True),), result, meaning)

    def _sum(self, meaning: Sum) -> Function:
        name, told, left, right, result = _SUMS[meaning.op]
        return Function(name, told, (Slot(*left), Slot(*right)), Slot(*result), meaning)

    # --- all that one might be offered

    def catalogue(self) -> tuple[Function, ...]:
        """Functions that somebody might need: distractors are drawn from them."""
        found: dict[str, Function] = {}
        for table in self.schema.tables:
            for meaning in self._usual(table):
                function = self.of(meaning)
                found[function.name] = function
        found |= {f.name: f for f in (self.of(Sum(op=op)) for op in _SUMS)}
        return tuple(found.values())

    def _usual(self, table: Table) -> list[Meaning]:
        refers = [f.columns[0] for f in table.foreign_keys if len(f.columns) == 1]
        ranks, numbers = columns.ranks(table)[:4], columns.numbers(table)
        found: list[Meaning] = [Lookup(table=table.key, where=((c.key, "eq"),)) for c in columns.names(table)]
        for column in (*refers, *(c.key for c in columns.choices(table))):
            found.append(Lookup(table=table.key, where=((column, "eq"),), many=True))
            found += [Lookup(table=table.key, where=((column, "eq"),), sort=r.key, desc=d) for r in ranks[:2] for d in (True, False)]
        found += [Lookup(table=table.key, where=((c.key, op),), many=True) for c in ranks for op in ("ge", "lt")]
        asked = [c.key for c in columns.asks(table)] + refers
        found += [Part(table=table.key, column=c, many=m) for c in asked for m in (False, True)]
        found += [Figure(table=table.key, by="count")]
        found += [Figure(table=table.key, by=by, column=c.key) for c in numbers for by in ("mean", "least", "greatest")]
        found += [Figure(table=table.key, by="sum", column=c.key) for c in columns.sums(table)]
        found += [Leader(table=table.key, column=c, by="count", desc=d) for c in refers for d in (True, False)]
        return found


def _short(name: str, meaning: Meaning) -> str:
    """A name that is not too long, and no other function's."""
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 7].rstrip('_')}_{sha256(msgspec.json.encode(meaning)).hexdigest()[:6]}"


_MAKERS = {
    Lookup: Functions._lookup, Part: Functions._part, Figure: Functions._figure, Leader: Functions._leader,
    Sum: Functions._sum,
}  # fmt: skip

_PHRASES = {
    "eq": ("by_{}", "by_{}"), "ne": ("with_other_{}", "with_other_{}"), "ge": ("with_{}_at_least", "with_{}_from"),
    "gt": ("with_{}_above", "with_{}_after"), "le": ("with_{}_at_most", "with_{}_until"),
    "lt": ("with_{}_below", "with_{}_before"), "in": ("with_any_{}", "with_any_{}"),
    "not_in": ("with_none_of_{}", "with_none_of_{}"), "null": ("without_{}", "without_{}"), "set": ("with_{}", "with_{}"),
}  # fmt: skip
"""Operator -> how a name says it, of values and of moments."""
_NOTES = {
    "ne": "; any other", "ge": "; this or more", "gt": "; more than this", "le": "; this or less", "lt": "; less than this",
}  # fmt: skip
_NUMBERS = (("number", "First number"), ("number", "Second number"))
_SUMS = {
    "plus": ("add", "Add two numbers.", *_NUMBERS, ("number", "Their sum")),
    "minus": ("subtract", "Subtract the second number from the first.", *_NUMBERS, ("number", "The difference")),
    "times": ("multiply", "Multiply two numbers.", *_NUMBERS, ("number", "Their product")),
    "percent": (
        "percent_of", "Get a percentage of a number, rounded half up to a whole number.", ("number", "The number"),
        ("number", "How many percent"), ("integer", "That part of the number"),
    ),
    "days_after": (
        "add_days", "Move a date or moment on by some days (back, where they are negative).",
        ("string", "The date or moment"), ("integer", "Days"), ("string", "The date or moment so many days later"),
    ),
    "days_between": (
        "days_between", "Count the days from one date or moment to another.", ("string", "From"), ("string", "To"),
        ("integer", "Whole days"),
    ),
}  # fmt: skip
"""Operator -> name, what it does, its two parameters, its result."""

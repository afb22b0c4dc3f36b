"""Flat functions over one world: each takes plain values and gives one, as the calls of NESTFUL do.

They are the nodes of plans turned into functions of their own: a look-up by certain conditions, a column of a row, a figure
over rows, the leader among groups, a sum.  Rows are named by their keys (those of several columns joined by '/'), or by the
conditions of a look-up, where nothing else is wanted of them: 'the charge of the booking with that number' is one function.
`Function.meaning` says what one does; the rest is what a model is told.
"""

from __future__ import annotations

from functools import cached_property
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


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="part"):
    """A column of a row, or of each of several rows, NULL left out."""

    table: str
    column: str
    many: bool = False
    of: Lookup | None = None
    """The rows are those of this look-up, whose arguments are asked for instead of keys."""


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="figure"):
    """count, sum, mean, least or greatest over rows."""

    table: str
    by: str
    column: str = ""
    of: Lookup | None = None


class Leader(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="leader"):
    """The value of a column that has the greatest or least figure among rows grouped by it.

    Rows with NULL there, or in the column that is added up, do not count; who has no other rows is no group.
    """

    table: str
    column: str
    by: str
    over: str = ""
    desc: bool = True
    of: Lookup | None = None


class Arithmetic(msgspec.Struct, frozen=True, kw_only=True, tag="arithmetic"):
    """plus, minus, times, percent, days_after, days_between of two values."""

    op: str


Meaning: TypeAlias = Lookup | Part | Figure | Leader | Arithmetic


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


class _Rows(NamedTuple):
    """Rows as names and descriptions call them, and what is asked for to know them."""

    name: str
    said: str
    slots: tuple[Slot, ...]


class Functions:
    """The functions of one schema, worded with the nouns of its API."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.site = Site(schema)
        self.words = self.site.words
        self._made: dict[Meaning, Function] = {}
        self._names: dict[str, Meaning] = {}

    def of(self, meaning: Meaning) -> Function:
        """The function of that meaning."""
        if meaning not in self._made:
            found = self._make(meaning)
            name = found.name
            if len(name) > LONGEST or self._names.setdefault(name, meaning) != meaning:
                name = _short(name, meaning)
            self._made[meaning] = found._replace(name=name, description=sentence(found.description))
        return self._made[meaning]

    def _make(self, meaning: Meaning) -> Function:
        match meaning:
            case Lookup():
                return self._lookup(meaning)
            case Part():
                return self._part(meaning)
            case Figure():
                return self._figure(meaning)
            case Leader():
                return self._leader(meaning)
        return Function(*_ARITHMETIC[meaning.op], meaning)

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
        which = self._which(meaning)
        result = self._key(self.schema[meaning.table], many=meaning.many)
        verb = "list" if meaning.many else "find"
        return Function(f"{verb}_{which.name}", f"{verb} the {which.said}.", which.slots, result, meaning)

    def _which(self, of: Lookup) -> _Rows:
        """The rows of a look-up."""
        table, t = self.schema[of.table], of.table
        name = self.words.nouns(t) if of.many else self.words.noun(t)
        said = plain(name)
        slots = [self._asked(t, c, op) for c, op in of.where if op not in ("null", "set")]
        if equal := [self._field(t, c) for c, op in of.where if op == "eq"]:
            name, said = f"{name}_by_{'_and_'.join(equal)}", f"{said} by {plain(' and '.join(equal))}"
        for column, op in of.where:
            if op != "eq":
                moment, field = bool(semantic_type(table[column].type).temporal), self._field(t, column)
                in_name, in_prose = _PHRASES[op][moment]
                name, said = f"{name}_{in_name.format(field)}", f"{said} {in_prose.format(plain(field))}"
        if of.sort:
            end = self._end(t, of.sort, desc=of.desc)
            name, said = f"{name}_with_{end}", f"{said} with the {plain(end)}"
        if of.take:
            slots.append(Slot("integer", "How many of them"))
            said += ", so many of them in that order"
        return _Rows(name, said, tuple(slots))

    def _rows(self, table: str, of: Lookup | None, *, many: bool) -> _Rows:
        """The rows that a function is about: those of a look-up, or such as are given by key."""
        if of is not None:
            return self._which(of)._replace(said=f"the {self._which(of).said}")
        key, words = self._key(self.schema[table], many=many), self.words
        if many:
            return _Rows(words.nouns(table), words.labels(table), (key,))
        return _Rows(words.noun(table), article(words.label(table)), (key,))

    def _asked(self, table: str, column: str, op: str) -> Slot:
        slot = self._value(table, column, _NOTES.get(op, ""))
        return Slot("array", f"Values: {slot.description}") if op in ("in", "not_in") else slot

    def _part(self, meaning: Part) -> Function:
        t, field = meaning.table, self._field(meaning.table, meaning.column)
        rows = self._rows(t, meaning.of, many=meaning.many)
        each = "each of " if meaning.many else ""
        slot = self._value(t, meaning.column)
        result = Slot("array", f"For each that has one: {slot.description}") if meaning.many else slot
        name = f"{'list' if meaning.many else 'get'}_{field}_of_{rows.name}"
        return Function(name, f"get the {plain(field)} of {each}{rows.said}.", rows.slots, result, meaning)

    def _figure(self, meaning: Figure) -> Function:
        t, column = meaning.table, meaning.column
        rows = self._rows(t, meaning.of, many=True)
        if meaning.by == "count":
            result = Slot("integer", "How many there are")
            return Function(f"count_{rows.name}", f"count {rows.said}.", rows.slots, result, meaning)
        if meaning.by in ("least", "greatest"):
            what = self._end(t, column, desc=meaning.by == "greatest")
        else:
            what = f"{'total' if meaning.by == 'sum' else 'average'}_{self._field(t, column)}"
        slot = self._value(t, column)
        result = Slot("number" if meaning.by == "mean" else slot.type, f"The {plain(what)} ({slot.description})")
        return Function(
            f"get_{what}_of_{rows.name}", f"get the {plain(what)} of {rows.said}.", rows.slots, result, meaning
        )

    def _leader(self, meaning: Leader) -> Function:
        t, field = meaning.table, self._field(meaning.table, meaning.column)
        rows = self._rows(t, meaning.of, many=True)
        if meaning.by == "count":
            most = "most" if meaning.desc else "fewest"
        else:
            kind = "total" if meaning.by == "sum" else "average"
            most = f"{'highest' if meaning.desc else 'lowest'}_{kind}_{self._field(t, meaning.over)}_of"
        said = f"find the {plain(field)} with the {plain(most)} {rows.said.removeprefix('the ')}."
        if meaning.over:
            said += f" Rows without {article(plain(self._field(t, meaning.over)))} do not count."
        name = f"find_{field}_with_{most}_{rows.name}"
        return Function(name, said, rows.slots, self._value(t, meaning.column), meaning)

    # --- all that one might be offered

    @cached_property
    def catalogue(self) -> tuple[Function, ...]:
        """Functions that somebody might need: distractors are drawn from them."""
        found: dict[str, Function] = {}
        for table in self.schema.tables:
            for meaning in self._usual(table):
                function = self.of(meaning)
                found[function.name] = function
        found |= {f.name: f for f in (self.of(Arithmetic(op=op)) for op in _ARITHMETIC)}
        return tuple(found.values())

    def _usual(self, table: Table) -> list[Meaning]:
        t, refers = table.key, [f.columns[0] for f in table.foreign_keys if len(f.columns) == 1]
        ranks, asked = columns.ranks(table)[:3], [*(c.key for c in columns.asks(table)), *refers]
        ones = [Lookup(table=t, where=((c.key, "eq"),)) for c in columns.names(table)[:3]]
        sets = [
            Lookup(table=t, where=((c, "eq"),), many=True) for c in (*refers, *(c.key for c in columns.choices(table)))
        ]
        sets += [Lookup(table=t, where=((c.key, op),), many=True) for c in ranks for op in ("ge", "lt")]
        ends = [
            msgspec.structs.replace(of, many=False, sort=r.key, desc=desc)
            for of in sets[: len(refers)] for r in ranks for desc in (True, False)
        ]  # fmt: skip
        figures = [("count", ""), *(("sum", c.key) for c in columns.sums(table))]
        figures += [(by, c.key) for c in columns.numbers(table) for by in ("mean", "least", "greatest")]
        found: list[Meaning] = [*ones, *sets, *ends]
        for row in (None, *ones, *ends[:4]):
            found += [Part(table=t, column=c, of=row) for c in asked if row is None or (c, "eq") not in row.where]
        for rows in (None, *sets[:6]):
            found += [Figure(table=t, by=by, column=c, of=rows) for by, c in figures]
        return [*found, *(Leader(table=t, column=c, by="count", desc=d) for c in refers for d in (True, False))]


def _short(name: str, meaning: Meaning) -> str:
    """A name that is not too long, and no other function's."""
    return f"{name[: LONGEST - 7].rstrip('_')}_{sha256(msgspec.json.encode(meaning)).hexdigest()[:6]}"


_WITHOUT, _WITH = ("without_{}", "without {}"), ("with_{}", "with any {}")
_PHRASES = {
    "ne": (("with_other_{}", "with another {}"),) * 2,
    "ge": (("with_{}_at_least", "with at least that {}"), ("with_{}_from", "with '{}' from then on")),
    "gt": (("with_{}_above", "with more than that {}"), ("with_{}_after", "with '{}' after then")),
    "le": (("with_{}_at_most", "with at most that {}"), ("with_{}_until", "with '{}' until then")),
    "lt": (("with_{}_below", "with less than that {}"), ("with_{}_before", "with '{}' before then")),
    "in": (("of_any_{}", "of any given {}"),) * 2, "not_in": (("of_no_{}", "of no given {}"),) * 2,
    "null": (_WITHOUT, _WITHOUT), "set": (_WITH, _WITH),
}  # fmt: skip
"""Operator -> how names and descriptions say it, of values and of moments."""
_NOTES = {
    "ne": "; any other", "ge": "; this or more", "gt": "; more than this", "le": "; this or less", "lt": "; less than this",
}  # fmt: skip
_NUMBERS = (Slot("number", "First number"), Slot("number", "Second number"))
_ARITHMETIC: dict[str, tuple[str, str, tuple[Slot, ...], Slot]] = {
    "plus": ("add", "Add two numbers.", _NUMBERS, Slot("number", "Their sum")),
    "minus": ("subtract", "Subtract the second number from the first.", _NUMBERS, Slot("number", "The difference")),
    "times": ("multiply", "Multiply two numbers.", _NUMBERS, Slot("number", "Their product")),
    "percent": (
        "percent_of", "Get a percentage of a number, rounded half up to a whole number.",
        (Slot("number", "The number"), Slot("number", "How many percent")), Slot("integer", "That part of the number"),
    ),
    "days_after": (
        "add_days", "Move a date or moment on by some days (back, where they are negative).",
        (Slot("string", "The date or moment"), Slot("integer", "Days")), Slot("string", "The date or moment then"),
    ),
    "days_between": (
        "days_between", "Count the days from one date or moment to another.",
        (Slot("string", "From"), Slot("string", "To")), Slot("integer", "Whole days"),
    ),
}  # fmt: skip
"""Operator -> name, what it does, parameters, result."""

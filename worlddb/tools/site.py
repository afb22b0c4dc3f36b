"""What tool kinds build with: parameters, fields, guards and sentences made from the columns of one schema.

A kind is a function (Site, Table) -> tools, in keys and canonical snake_case names; `styles` gives the names of one API.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any, TypeAlias

from worlddb.schema.ddl import bounds, formula_tokens
from worlddb.schema.laws import Law, laws, refusals
from worlddb.schema.model import Column, ForeignKey, Schema, Table
from worlddb.schema.rules import AnyRule, quote
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.arguments import DAY_OR_MOMENT, MOMENT
from worlddb.tools.model import Fault, Field, Find, Guard, JsonSchema, Param, Reply, Statement
from worlddb.tools.refused import rule_name
from worlddb.tools.words import Vocabulary, article
from worlddb.world.mint import is_minted

CODE_PATTERN = "^{prefix}-[0-9]+$"
LARGEST = 10**12
"""The greatest figure that agents may write where the business sets no bound: sums of such ones stay exact."""
PAGE_LIMIT = 20
PAGE_MOST = 100


Made: TypeAlias = tuple[str, str, tuple[str, ...]]
"""A change: table key, 'insert', 'update' or 'delete', and the columns (keys) that it sets."""


class Site:
    """One schema, its words, its laws."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.words = Vocabulary(schema)
        self.laws: tuple[Law, ...] = laws(schema)
        self._references = {
            t.key: {f.columns[0]: f for f in t.foreign_keys if len(f.columns) == 1} for t in schema.tables
        }
        self._schemas: dict[tuple[str, str, bool], JsonSchema] = {}
        self._phrases: dict[tuple[str, str], str] = {}
        self._fields: dict[tuple[str, str], Field] = {}
        self.memo: dict[tuple[str, ...], Any] = {}
        """What kinds have worked out once, by a key of their choice."""

    # --- SQL

    def sql(self, table: Table) -> str:
        """The quoted name of a table."""
        return quote(table.name)

    def col(self, table: Table, key: str, alias: str = "t") -> str:
        """A column of the table under an alias; without an alias where that is empty."""
        return f"{alias}.{quote(table[key].name)}" if alias else quote(table[key].name)

    def cols(self, table: Table, keys: Iterable[str], alias: str = "t") -> str:
        """A comma list of columns."""
        return ", ".join(self.col(table, k, alias) for k in keys)

    def at_key(self, table: Table, alias: str = "t", prefix: str = "") -> str:
        """The condition that picks the row of the key parameters: `t."id" = :id`."""
        binds = self.key_binds(table, prefix)
        return " AND ".join(
            f"{self.col(table, k, alias)} = :{b}" for k, b in zip(table.primary_key, binds, strict=True)
        )

    def key_binds(self, table: Table, prefix: str = "") -> tuple[str, ...]:
        """Bind names of a table's key: 'id', or for a composite key its columns; with a prefix 'to_id' …"""
        names = ("id",) if len(table.primary_key) == 1 else table.primary_key
        return tuple(re.sub(r"\W", "_", f"{prefix}{n}") for n in names)

    # --- JSON Schema

    def value_schema(self, table: Table, column: Column, *, given: bool) -> JsonSchema:
        """The JSON Schema of a column's values, without description: as given by an agent, or as answered."""
        place = (table.key, column.key, given)
        if place not in self._schemas:
            self._schemas[place] = self._value_schema(table, column, given)
        return self._schemas[place]

    def _value_schema(self, table: Table, column: Column, given: bool) -> JsonSchema:
        kind = semantic_type(column.type)
        target = self.target(table, column.key)
        if target is not None and len(target.primary_key) == 1:
            column = target[target.primary_key[0]]
            table, kind = target, semantic_type(column.type)
        schema = self._plain_schema(table, column, given)
        if (column.key,) == table.primary_key and table.key_style in ("uuid", "code"):
            pattern = CODE_PATTERN.format(prefix=table.code_prefix)
            schema = {"type": "string", **({"format": "uuid"} if table.key_style == "uuid" else {"pattern": pattern})}
        elif kind.sql == "INTEGER" and (column.key,) == table.primary_key:
            schema = {"type": "integer", "minimum": 1}
        return schema

    def _plain_schema(self, table: Table, column: Column, given: bool) -> JsonSchema:
        kind = semantic_type(column.type)
        if is_a(column.type, "flag"):
            return {"type": "boolean"}
        if column.values:
            return {"type": "string", "enum": list(column.values)}
        if kind.sql != "TEXT":
            low, high = bounds(column, kind)
            schema: JsonSchema = {"type": "integer" if kind.sql == "INTEGER" else "number"}
            if given and column.key not in self.derived(table) and not column.formula:
                low, high = low if low is not None else -LARGEST, high if high is not None else LARGEST
                schema |= {"minimum": low, "maximum": high}
            return schema
        if is_a(column.type, "tags_json"):
            return {"type": "array", "items": {"type": "string"}}
        if is_a(column.type, "attributes_json"):
            return {"type": "object"}
        if kind.temporal == "date":
            return {"type": "string", "format": "date"}
        if kind.temporal == "datetime":
            return {"type": "string", "pattern": MOMENT}
        if kind.temporal == "time":
            return {"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d$"}
        shape = {"email": "email", "url": "uri", "uuid": "uuid"}.get(column.type)
        if shape:
            return {"type": "string", "format": shape}
        if given and column.type in CODES:
            return {"type": "string", "pattern": f"^{kind.pattern}$"}
        return {"type": "string", "minLength": 1, "maxLength": 4000} if given else {"type": "string"}

    def convert_in(self, column: Column) -> str:
        """How a given value is bound; see Param.convert."""
        if is_a(column.type, "flag"):
            return "flag"
        if is_a(column.type, "document"):
            return "json" if is_a(column.type, "tags_json") or is_a(column.type, "attributes_json") else "text"
        kind = semantic_type(column.type)
        if kind.temporal == "datetime":
            return "datetime"
        return "text" if kind.sql == "TEXT" and not column.values and not kind.temporal else ""

    def convert_out(self, column: Column) -> str:
        """How a stored value is shown; see Field.convert."""
        if is_a(column.type, "flag"):
            return "flag"
        return "json" if is_a(column.type, "tags_json") or is_a(column.type, "attributes_json") else ""

    def describe(self, table: Table, column: Column) -> str:
        """One phrase on what a column holds, with unit and format."""
        place = (table.key, column.key)
        if place not in self._phrases:
            self._phrases[place] = self._describe(table, column)
        return self._phrases[place]

    def _describe(self, table: Table, column: Column) -> str:
        target = self.target(table, column.key)
        label = self.words.column_label(table.key, column.key)
        noun = self.words.label(table.key)
        if (column.key,) == table.primary_key:
            return f"ID of the {noun}"
        if target is not None:
            role = self.words.label(target.key)
            return f"ID of the {role}" if role == label else f"ID of {article(role)} (the {noun}'s '{label}')"
        kind = semantic_type(column.type)
        notes = [_UNITS.get(kind.unit, kind.unit if kind.sql != "TEXT" else "")]
        if kind.temporal == "datetime":
            notes = ["'YYYY-MM-DD HH:MM:SS', UTC"]
        elif kind.temporal:
            notes = ["'YYYY-MM-DD'" if kind.temporal == "date" else "'HH:MM', local time"]
        if column.formula:
            notes.append("computed")
        elif column.key in self.derived(table):
            notes.append("kept up to date by the system")
        told = ", ".join(n for n in notes if n)
        text = f"The {noun}'s '{label}'" if _ODD.search(label) else f"{label[:1].upper()}{label[1:]} of the {noun}"
        if kind.temporal == "datetime" and not label.endswith(("time", "date", "start", "end", "deadline")):
            text = f"Moment '{label}' of the {noun}"
        if is_a(column.type, "flag"):
            text = f"{text}: yes or no"
        return (
            f"{text}, in {told}" if told and notes[0] and kind.sql != "TEXT" else f"{text} ({told})" if told else text
        )

    # --- params and fields

    def key_params(self, table: Table, prefix: str = "", what: str = "") -> tuple[Param, ...]:
        """The parameters that name one row: `booking_id`, or one for each column of a composite key."""
        noun = self.words.noun(table.key)
        found = []
        for key, bind in zip(table.primary_key, self.key_binds(table, prefix), strict=True):
            column = table[key]
            single = len(table.primary_key) == 1
            name = f"{prefix}{noun}_id" if single else f"{prefix}{self.param_name(table, key)}"
            text = f"{what or self.describe(table, column)}."
            schema = {**self.value_schema(table, column, given=True), "description": text}
            found.append(
                Param(key=bind, name=name, schema=schema, required=True, role="key", table=table.key, column=key)
            )
        return tuple(found)

    def keys_param(
        self, table: Table, name: str, item: JsonSchema, text: str, *, least: int = 1, most: int, unique: bool = True,
        role: str = "items",
    ) -> Param:  # fmt: skip
        """The parameter `ids`: a list of keys of a table, each as the schema `item` says but for its description."""
        schema = {
            "type": "array", "items": {k: v for k, v in item.items() if k != "description"}, "minItems": least,
            "maxItems": most, **({"uniqueItems": True} if unique else {}), "description": text,
        }  # fmt: skip
        return Param(
            key="ids", name=name, schema=schema, required=True, role=role, table=table.key, column=table.primary_key[0],
            convert="keys",
        )  # fmt: skip

    def param_name(self, table: Table, column: str) -> str:
        """The canonical name of a column as a parameter or field: 'room_id' for a reference, else its word."""
        word = self.words.field(table.key, column)
        if column in self.references(table) and not word.endswith("_id"):
            return f"{word}_id"
        return f"{self.words.noun(table.key)}_id" if (column,) == table.primary_key else word

    def value_param(
        self, table: Table, column: Column, *, required: bool, key: str = "", name: str = "", note: str = "",
        role: str = "value", nullable: bool | None = None,
    ) -> Param:  # fmt: skip
        """A parameter that is stored in a column (or compared with it)."""
        schema = self.value_schema(table, column, given=True)
        if role == "filter":  # one may ask for what cannot be, and for a day where moments are meant
            schema = {
                k: v for k, v in schema.items() if k not in ("minimum", "maximum") or column.key in table.key_columns
            }
            if schema.get("pattern") == MOMENT:
                schema["pattern"] = DAY_OR_MOMENT
        text = f"{self.describe(table, column)}{'; ' + note if note else ''}."
        if nullable if nullable is not None else column.nullable:
            schema = or_null(schema)
        return Param(
            key=key or column.key, name=name or self.param_name(table, column.key), schema={**schema, "description": text},
            required=required, role=role, table=table.key, column=column.key, convert=self.convert_in(column),
        )  # fmt: skip

    def fields(self, table: Table, keys: Iterable[str] | None = None) -> tuple[Field, ...]:
        """The fields of an answer that shows these columns (all of them)."""
        columns = table.columns if keys is None else (table[k] for k in keys)
        return tuple(self._field(table, c) for c in columns)

    def _field(self, table: Table, column: Column) -> Field:
        place = (table.key, column.key)
        if place not in self._fields:
            schema = self.value_schema(table, column, given=False)
            if column.nullable:
                schema = or_null(schema)
            self._fields[place] = Field(
                key=column.key, name=self.field_name(table, column.key), table=table.key, column=column.key,
                schema={**schema, "description": f"{self.describe(table, column)}."}, convert=self.convert_out(column),
            )  # fmt: skip
        return self._fields[place]

    def field_name(self, table: Table, column: str) -> str:
        """The canonical name of a column in answers: 'id' for the row's own single key."""
        return "id" if (column,) == table.primary_key else self.param_name(table, column)

    def row_reply(self, table: Table) -> Reply:
        """The answer that shows the one row of the key parameters."""
        keys = [c.key for c in table.columns]
        query = f"SELECT {self.cols(table, keys)} FROM {self.sql(table)} AS t WHERE {self.at_key(table)}"
        return Reply(
            query=Statement(sql=query), shape="row", fields=self.fields(table), missing=self.missing(table),
            keys=((table.key, self.places(table, keys)),),
        )  # fmt: skip

    @staticmethod
    def places(table: Table, keys: list[str]) -> tuple[int, ...]:
        """Where a list of columns holds the table's primary key."""
        return tuple(keys.index(k) for k in table.primary_key)

    # --- faults and guards

    def missing(self, table: Table, prefix: str = "", parameter: str = "") -> Fault:
        """The fault of a key that no row has."""
        label, binds = self.words.label(table.key), self.key_binds(table, prefix)
        shown = " / ".join(f"{{{b}}}" for b in binds)
        return Fault(
            code="NOT_FOUND", message=f"There is no {label} with ID {shown}.", parameter=parameter or binds[0],
            cure=f"Look the {label} up by listing or searching {self.words.labels(table.key)}.",
        )  # fmt: skip

    def find(self, table: Table, columns: Iterable[str] = (), *, prefix: str = "", when: str = "") -> Find:
        """The row of the key parameters must be there; its `columns` are bound as 'was_<column>' (with the prefix in front)."""
        keys = tuple(columns)
        shown = self.cols(table, keys) if keys else "1"
        sql = f"SELECT {shown} FROM {self.sql(table)} AS t WHERE {self.at_key(table, prefix=prefix)}"
        into = tuple(f"{prefix}was_{k}" for k in keys) or (f"{prefix}there",)
        return Find(query=Statement(sql=sql), into=into, missing=self.missing(table, prefix), when=when)

    def parent_guard(self, table: Table, reference: ForeignKey, bind: str = "") -> Guard:
        """The parent that a reference parameter names must be there."""
        parent = self.schema[reference.table]
        name = bind or reference.columns[0]
        label = self.words.label(parent.key)
        sql = (
            f"SELECT 1 AS gone WHERE NOT EXISTS (SELECT 1 FROM {self.sql(parent)} AS p "
            f"WHERE {self.col(parent, reference.ref[0], 'p')} = :{name})"
        )
        fault = Fault(
            code="NOT_FOUND", message=f"There is no {label} with ID {{{name}}}.", parameter=name,
            cure=f"Look the {label} up by listing or searching {self.words.labels(parent.key)}.",
        )  # fmt: skip
        return Guard(query=Statement(sql=sql), fault=fault, when=name)

    # --- what the schema says

    def references(self, table: Table) -> dict[str, ForeignKey]:
        """Single-column references of a table, by the key of their column."""
        return self._references[table.key]

    def target(self, table: Table, column: str) -> Table | None:
        """The table that a column refers to."""
        reference = self.references(table).get(column)
        return self.schema[reference.table] if reference else None

    def derived(self, table: Table) -> frozenset[str]:
        """Columns of a table that the laws keep: totals and balances."""
        return self._derived.get(table.key, frozenset())

    @cached_property
    def _derived(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for law in self.laws:
            for table, column in law.writes:
                found.setdefault(table, set()).add(column)
        return {k: frozenset(v) for k, v in found.items()}

    def formulas(self, table: Table, changed: Iterable[str]) -> tuple[Column, ...]:
        """Formula columns that must be computed anew where these columns change."""
        names = set(changed)
        return tuple(c for c in table.columns if c.formula and names & set(formula_tokens(c.formula)))

    def system(self, table: Table, column: Column) -> bool:
        """True for columns that no agent sets: keys and numbers the server makes, stamps, totals, states, formulas."""
        lifecycle = table.lifecycle
        return bool(
            is_minted(table, column)
            or column.formula
            or column.key in self.derived(table)
            or (lifecycle and (column.key == lifecycle.column or column.key in lifecycle.stamps.values()))
            or column.key in ("created_at", "updated_at", "deleted_at", "is_deleted", "is_archived")
            or any(is_a(column.type, t) for t in ("created_at", "updated_at", "deleted_at"))
        )

    # --- what a write may touch and meet

    def brought(self, changes: Iterable[Made]) -> tuple[Made, ...]:
        """These changes with all that they bring about: rows that go along, references that are emptied, totals."""
        found: dict[Made, None] = {}
        queue = list(changes)
        while queue:
            change = queue.pop(0)
            if change in found:
                continue
            found[change] = None
            table, op, columns = change
            if op == "delete":
                queue += self._cascades(table)
            for law in self.laws:
                if law.kind == "derive" and _concerns(law, table, op, columns):
                    queue += [(t, "update", (c,)) for t, c in law.writes]
        return tuple(found)

    def _cascades(self, table: str) -> list[Made]:
        found: list[Made] = []
        for child, reference in self.schema.children[table]:
            if reference.on_delete == "CASCADE":
                found.append((child.key, "delete", ()))
            elif reference.on_delete == "SET NULL":
                found.append((child.key, "update", reference.columns))
        return found

    def touched(self, changes: Iterable[Made]) -> tuple[tuple[str, str], ...]:
        """(table, op) of everything that these changes bring about."""
        return tuple(dict.fromkeys((table, op) for table, op, _ in self.brought(changes)))

    def met(self, changes: Iterable[Made]) -> tuple[str, ...]:
        """Names of the rules of the schema that may refuse these changes, or what they bring about."""
        every = self.brought(changes)
        found: dict[str, None] = {}
        for law in self.laws:
            if law.kind != "derive" and any(_concerns(law, *change) for change in every):
                found[rule_name(law.rule, law.rule.table if law.rule else law.table)] = None
        for rules in self._enforced.values():
            for rule in rules:
                if any(t == rule.table and op != "delete" for t, op, _ in every):
                    found[rule_name(rule, rule.table)] = None
        return tuple(found)

    @cached_property
    def _enforced(self) -> dict[str, tuple[AnyRule, ...]]:
        """Rules that SQLite enforces itself."""
        return refusals(self.schema)


_UNITS = {
    "ISO 4217 minor unit": "minor units of the currency (1234 is 12.34)", "SI": "", "per sensor": "", "per analyte": "",
    "ISO 4217 minor unit per year": "minor units of the currency a year",
    "ISO 4217 minor unit per month": "minor units of the currency a month",
    "ISO 4217 minor unit per h": "minor units of the currency an hour",
    "star": "stars", "person": "people", "point": "points", "percent p.a.": "percent a year", "deg": "degrees", "degC": "°C",
    "m2": "m²", "m3": "m³", "ms": "milliseconds", "s": "seconds", "min": "minutes", "h": "hours", "day": "days",
    "month": "months", "byte": "bytes",
    **dict.fromkeys(
        (
            "count", "bool", "1", "year", "floor", "index", "position", "rank", "level", "version", "revision", "weight",
            "quarter", "room", "page", "word", "share",
        ),
        "",
    ),
}  # fmt: skip
"""Units that are not said as they are named."""


_ODD = re.compile(
    r"^(is|has|can|does|would|accepts|needs|wants) | (at|on|by|from|to|until|after|before|dt|ts|for|in|with)$"
)
"""Column words that are no nouns, of which one cannot say 'of the room'."""
CODES = ("currency_code", "country_code", "language_code", "locale_code")
"""Types whose pattern agents are told and held to."""


def _concerns(law: Law, table: str, op: str, columns: tuple[str, ...]) -> bool:
    return (
        law.table == table
        and op in law.events
        and (op != "update" or not law.columns or not set(law.columns).isdisjoint(columns))
    )


def or_null(schema: JsonSchema) -> JsonSchema:
    """The schema with null among its types (and values)."""
    types: Any = schema["type"]
    found = {**schema, "type": [*([types] if isinstance(types, str) else types), "null"]}
    if "enum" in found:
        found["enum"] = [*found["enum"], None]
    return found

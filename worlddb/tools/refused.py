"""What SQLite and the laws of a world refuse, as an agent gets it: with a code, in the words of the API that it uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

import apsw

from worlddb.schema.ddl import bounds, formula_tokens
from worlddb.schema.law_words import NAMED
from worlddb.schema.laws import refusals
from worlddb.schema.model import Schema, Table
from worlddb.schema.rules import AnyRule, Rule
from worlddb.semantics.types import semantic_type
from worlddb.tools.model import Error
from worlddb.world.host import Broken

LAW_CODES = {"no_overlap": "CONFLICT", "unique_active": "CONFLICT", "immutable": "FORBIDDEN", "role_req": "FORBIDDEN"}
"""The code of a broken rule by its kind; the others are RULE_VIOLATION."""
_FAILED = re.compile(r"(UNIQUE|NOT NULL|CHECK|FOREIGN KEY) constraint failed(?:: (.*))?$", re.DOTALL)


def rule_name(rule: Rule | None, table: str) -> str:
    """The name of a rule in errors: its sentence as a word ('a-room-has-one-reservation-at-a-time'), or 'move:<table>'."""
    return re.sub(r"[^a-z0-9]+", "-", rule.say.lower()).strip("-")[:80] if rule else f"move:{table}"


def fill(template: str, values: Mapping[str, object]) -> str:
    """A str.format template with its values put in; None reads as 'nothing'."""
    if "{" not in template:
        return template
    return template.format_map({k: "nothing" if v is None else v for k, v in values.items()})


class Terms:
    """What an agent calls the tables and columns of a schema; by default their SQL names."""

    def __init__(
        self,
        schema: Schema,
        columns: Mapping[tuple[str, str], str] | None = None,
        nouns: Mapping[str, str] | None = None,
    ) -> None:
        """`columns` gives names by (table key, column key), `nouns` by table key; others keep their SQL names."""
        self.schema = schema
        self._columns, self._nouns = columns or {}, nouns or {}

    def beside(self, columns: Mapping[tuple[str, str], str]) -> Terms:
        """The same terms, with the names of one tool's own parameters first."""
        return Terms(self.schema, {**self._columns, **columns}, self._nouns)

    def column(self, table: str, column: str) -> str:
        """The name of a column, by keys."""
        return self._columns.get((table, column)) or self.schema[table][column].name

    def noun(self, table: str) -> str:
        """The name of a table, by key."""
        return self._nouns.get(table) or self.schema[table].name

    def spelt(self, text: str) -> str:
        """A text of the laws with the names that it speaks of put in."""
        return NAMED.sub(lambda m: self.column(m[1], m[2]) if m[2] else self.noun(m[1]), text)

    @cached_property
    def _refusals(self) -> dict[str, tuple[AnyRule, ...]]:
        return refusals(self.schema)

    @cached_property
    def _by_name(self) -> dict[str, Table]:
        return {t.name: t for t in self.schema.tables}

    def _of_sql(self, text: str) -> str:
        """The name of a column that SQLite calls table.column."""
        table, key = self._keys(text)
        return self.column(table.key, key) if table else text.partition(".")[2]

    def _keys(self, text: str) -> tuple[Table | None, str]:
        """The table and the column key of what SQLite calls table.column; None where it is nothing of the schema."""
        name, _, column = text.partition(".")
        table = self._by_name.get(name)
        key = next((c.key for c in table.columns if c.name == column), "") if table else ""
        return (table, key) if key else (None, "")

    # --- errors

    def broken_law(self, broken: Broken) -> Error:
        """A law's refusal."""
        law = broken.law
        code = LAW_CODES.get(law.rule.kind, "RULE_VIOLATION") if law.rule else "RULE_VIOLATION"
        cure = fill(self.spelt(law.cure), broken.found)
        rule = rule_name(law.rule, law.table) if law.kind != "key" else f"key:{law.table}"
        return Error(code=code, message=self.spelt(law.say), rule=rule, cure=cure)

    def constraint(self, error: apsw.ConstraintError) -> Error:
        """A constraint's refusal."""
        match = _FAILED.search(str(error))
        kind, detail = (match[1], match[2] or "") if match else ("", "")
        if kind == "UNIQUE":
            return self._unique(detail)
        if kind == "NOT NULL":
            return self._empty(detail)
        if kind == "CHECK":
            return self._check(detail)
        return Error(
            code="CONFLICT", message="Other records refer to this one, or it refers to one that does not exist.",
            rule="reference", cure="Remove or move the records that refer to it first, or choose an existing one.",
        )  # fmt: skip

    def _empty(self, detail: str) -> Error:
        name, (table, key) = self._of_sql(detail), self._keys(detail)
        asked = [name]
        if table and table[key].formula:  # what it is computed from is what is lacking
            parts = [t for t in formula_tokens(table[key].formula) if t in table]
            asked = [self.column(table.key, part) for part in parts] or asked
        message = f"{name} may not be empty." if asked == [name] else f"{name} cannot be computed: a value is lacking."
        cure = f"Give {' and '.join(asked)}."
        return Error(code="INVALID_ARGUMENT", message=message, parameter=asked[0] if len(asked) == 1 else "", cure=cure)

    def _unique(self, detail: str) -> Error:
        names = [self._of_sql(column) for column in detail.split(", ")]
        label = " and ".join(names)
        if rules := self._refusals.get(f"UNIQUE constraint failed: {detail}"):
            return _refused(rules[0], f"Use another {label}, or change or end the one that is there.")
        return Error(
            code="CONFLICT", message=f"There is one with this {label} already.", rule=f"unique:{detail}", parameter=names[0],
            cure=f"Use another {label}, or change the one that is there.",
        )  # fmt: skip

    def _check(self, detail: str) -> Error:
        if rules := self._refusals.get(f"CHECK constraint failed: {detail}"):
            return _refused(rules[0], "Choose values that keep this true.")
        found = {
            (self.column(t.key, c.key), *bounds(c, semantic_type(c.type)))
            for t in self.schema.tables
            for c in t.columns
            if c.name == detail
        }
        name, low, high = found.pop() if len(found) == 1 else (detail, None, None)
        span = (
            f"from {low} to {high}"
            if None not in (low, high)
            else f"of at least {low}"
            if low is not None
            else "within its range"
        )
        return Error(
            code="RULE_VIOLATION", message=f"The value of {name} is out of its range.", rule=f"range:{detail}",
            cure=f"Choose a value {span}.",
        )  # fmt: skip


def _refused(rule: Rule, cure: str) -> Error:
    code = LAW_CODES.get(rule.kind, "RULE_VIOLATION")
    return Error(code=code, message=rule.say, rule=rule_name(rule, rule.table), cure=cure)

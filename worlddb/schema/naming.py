"""The naming layer: gives a schema the names of one particular company.

Two worlds of one domain should look as different as two companies' databases: other words for the same things, another
case, other keys, other spellings of the stored values.  Keys stay as they are; only names and stored values change.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from msgspec.structs import replace

from worlddb.errors import WorlddbError
from worlddb.library import folder
from worlddb.rng import Stream
from worlddb.schema.domains import read_yaml
from worlddb.schema.model import Column, Lifecycle, Schema, Table
from worlddb.schema.rules import AnyRule, Scope, Where

KEYWORDS = frozenset([
    "abort", "action", "add", "after", "all", "alter", "always", "analyze", "and", "as", "asc", "attach",
    "autoincrement", "before", "begin", "between", "by", "cascade", "case", "cast", "check", "collate", "column",
    "commit", "conflict", "constraint", "create", "cross", "current", "database", "default", "deferrable",
    "deferred", "delete", "desc", "detach", "distinct", "do", "drop", "each", "else", "end", "escape", "except",
    "exclude", "exclusive", "exists", "explain", "fail", "filter", "first", "following", "for", "foreign", "from",
    "full", "generated", "glob", "group", "groups", "having", "if", "ignore", "immediate", "in", "index", "indexed",
    "initially", "inner", "insert", "instead", "intersect", "into", "is", "isnull", "join", "key", "last", "left",
    "like", "limit", "match", "materialized", "natural", "no", "not", "nothing", "notnull", "null", "nulls", "of",
    "offset", "on", "or", "order", "others", "outer", "over", "partition", "plan", "pragma", "preceding", "primary",
    "query", "raise", "range", "recursive", "references", "regexp", "reindex", "release", "rename", "replace",
    "restrict", "returning", "right", "rollback", "row", "rows", "savepoint", "select", "set", "table", "temp",
    "temporary", "then", "ties", "to", "transaction", "trigger", "unbounded", "union", "unique", "update", "using",
    "vacuum", "values", "view", "virtual", "when", "where", "window", "with", "without",
])  # fmt: skip
"""The words of SQLite's own language: a name that is one of them would need quotes."""


@cache
def _synonyms() -> dict[str, tuple[str, ...]]:
    rows = read_yaml(folder("schemas") / "naming" / "columns.yaml")
    return {key: tuple(names) for key, names in rows.items() if names}


@cache
def _styles() -> dict[str, Any]:
    styles: dict[str, Any] = read_yaml(folder("schemas") / "naming" / "styles.yaml")
    return styles


class House:
    """One company's habits: how it joins words, what it calls things, how it spells values."""

    def __init__(self, schema: Schema, stream: Stream) -> None:
        draws = {
            name: stream.child(name).weighted(tuple(options), tuple(options.values()))
            for name, options in _styles().items()
            if name in ("table_case", "column_case", "primary_key", "foreign_key", "values", "words")
        }
        self.table_case, self.column_case, self.values = draws["table_case"], draws["column_case"], draws["values"]
        self.primary_key, self.foreign_key, self.short = (
            draws["primary_key"],
            draws["foreign_key"],
            draws["words"] == "short",
        )
        self.suffix = stream.child("suffix").pick(_styles()["suffixes"])
        self.prefix = abbreviation(schema.domain, 3)
        self.stream = stream
        self.words = {t.key: self._entity(t) for t in schema.tables}

    def _entity(self, table: Table) -> str:
        """What the company calls the entity: the key or one of its synonyms."""
        return self.stream.child("entity", table.key).pick((table.key, *table.aka))

    def style(self) -> str:
        """The habits in words."""
        return f"tables {self.table_case}, columns {self.column_case}, keys '{self.primary_key}', values {self.values}"

    def column_word(self, key: str, table: str) -> str:
        """What the company calls a column: the same word for one key in all its tables."""
        options = _synonyms().get(key)
        word = self.stream.child("column", key).pick(options) if options else key
        return word.replace("{table}", self.words[table])

    def spell(self, word: str) -> str:
        """Words spelt out or shortened."""
        if not self.short:
            return word
        short = _styles()["short"]
        return "_".join(short.get(w, w) for w in word.split("_"))

    def value(self, value: str) -> str:
        """A stored value in this company's spelling."""
        if self.values == "upper":
            return value.upper()
        if self.values == "title":
            return value.replace("_", " ").capitalize()
        return value.replace("_", "-") if self.values == "kebab" else value


def rename(schema: Schema, stream: Stream) -> Schema:
    """The schema with the names and value spellings of one company, drawn from the stream."""
    house = House(schema, stream)
    rules = tuple(_respell_rule(r, schema, house) for r in schema.rules)
    taken: set[str] = set()
    tables = tuple(_rename_table(t, house, taken) for t in schema.tables)
    return replace(schema, tables=tables, rules=rules, style=house.style())


# --- tables and columns


def _rename_table(table: Table, house: House, taken: set[str]) -> Table:
    name = _unique(_safe(_table_name(house.spell(house.words[table.key]), house)), taken)
    used: set[str] = set()
    columns = tuple(_rename_column(table, c, house, used) for c in table.columns)
    lifecycle = _respell_lifecycle(table.lifecycle, house) if table.lifecycle else None
    prefix = abbreviation(house.words[table.key], 3).upper()
    return replace(table, name=name, aka=(), columns=columns, lifecycle=lifecycle, code_prefix=prefix)


def _table_name(word: str, house: House) -> str:
    case = house.table_case
    if case.endswith("plural"):
        word = plural(word)
    if case.startswith("pascal"):
        return pascal(word)
    if case == "tbl_snake":
        return f"tbl_{word}"
    if case == "prefix_snake":
        return f"{house.prefix}_{word}"
    if case == "snake_suffix":
        return f"{word}_{house.suffix}"
    return {"camel": camel, "upper": str.upper}.get(case, str)(word)


def _rename_column(table: Table, column: Column, house: House, used: set[str]) -> Column:
    words, abbr = house.words[table.key], abbreviation(house.words[table.key], 4)
    if (column.key,) == table.primary_key:
        word = house.primary_key.replace("{table}", words).replace("{abbr}", abbr)
    elif column.key in table.parents:
        key = table.parents[column.key]
        role = house.words.get(key.table, key.key) if key.key == key.table else key.key
        word = house.foreign_key.replace("{role}", role)
    else:
        word = house.column_word(column.key, table.key)
    name = _column_case(house.spell(word), abbr, house.column_case)
    fallback = _column_case(house.spell(column.key), abbr, house.column_case)
    name = _unique(_safe(name if name.lower() not in used else fallback), used)
    return replace(column, name=name, values=tuple(house.value(v) for v in column.values))


def _column_case(word: str, abbr: str, case: str) -> str:
    if case == "prefixed":
        return word if word.startswith(abbr) else f"{abbr}_{word}"
    return {"camel": camel, "pascal": pascal, "upper": str.upper}.get(case, str)(word)


def _safe(name: str) -> str:
    """A name that people can write without quotes."""
    return f"{name}_" if name.lower() in KEYWORDS else name


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 2
    while candidate.lower() in taken:
        candidate, number = f"{name}{number}", number + 1
    taken.add(candidate.lower())
    return candidate


# --- words


def camel(word: str) -> str:
    """order_line -> orderLine."""
    first, *rest = word.split("_")
    return first + "".join(w.capitalize() for w in rest)


def pascal(word: str) -> str:
    """order_line -> OrderLine; a closing id stays large: CustomerID."""
    parts = [w.capitalize() for w in word.split("_")]
    if parts[-1] == "Id":
        parts[-1] = "ID"
    return "".join(parts)


def plural(word: str) -> str:
    """The plural of the last word of a snake_case name."""
    head, _, last = word.rpartition("_")
    irregular: dict[str, str] = _styles()["irregular"]
    if last in irregular:
        last = irregular[last]
    elif last.endswith(("s", "x", "z", "ch", "sh")):
        last += "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        last = last[:-1] + "ies"
    else:
        last += "s"
    return f"{head}_{last}" if head else last


def abbreviation(word: str, length: int) -> str:
    """A short form of a snake_case name: initials where it has several words, else its first consonants."""
    parts = word.split("_")
    if len(parts) >= 2:
        return "".join(p[: 2 if len(parts) == 2 else 1] for p in parts)[:length]
    letters = word[0] + "".join(c for c in word[1:] if c not in "aeiou")
    return (letters if len(letters) >= 3 else word)[:length]


# --- values


def _respell_lifecycle(machine: Lifecycle, house: House) -> Lifecycle:
    value = house.value
    return replace(
        machine,
        states=tuple(map(value, machine.states)),
        moves=tuple((value(a), value(b)) for a, b in machine.moves),
        happy=tuple(map(value, machine.happy)),
        stamps={value(s): k for s, k in machine.stamps.items()},
    )


def _respell_rule(rule: AnyRule, schema: Schema, house: House) -> AnyRule:
    """The rule with its enumeration values in the company's spelling."""
    changes: dict[str, Any] = {"where": _respell_where(rule.where, schema, rule.table, house)}
    if having := getattr(rule, "having", None):
        other = next(getattr(rule, f) for f in ("needs", "none_of", "of") if getattr(rule, f, ""))
        changes["having"] = _respell_where(having, schema, other, house)
    for field in ("among", "states"):
        if values := getattr(rule, field, ()):
            changes[field] = tuple(house.value(v) if isinstance(v, str) else v for v in values)
    return replace(rule, **changes)


def _respell_where(where: Where, schema: Schema, table: str, house: House) -> Where:
    def values(path: str, accepted: Any) -> Any:
        try:
            end, _, key = Scope(schema, table, "t", set()).resolve(path)
        except WorlddbError:
            return accepted
        if not isinstance(accepted, tuple) or not end[key].values:
            return accepted
        return tuple(house.value(v) if isinstance(v, str) else v for v in accepted)

    return {path: values(path, accepted) for path, accepted in where.items()}

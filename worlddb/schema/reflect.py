"""A user's own SQLite file -> Schema: tables, keys and coarse semantic types, read without ever writing to it.

Keys equal names.  Views, virtual tables and SQLite's own tables are left out.  Only what the database declares is taken
as a key or a reference; types are guessed from the declared type, CHECK … IN, the column's name and a sample of values.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import quote as url_quote

import apsw
from msgspec import structs

from worlddb.errors import WorlddbError
from worlddb.schema.metrics_names import is_junction
from worlddb.schema.model import Column, ForeignKey, Schema, Table
from worlddb.schema.rules import literal, quote

SAMPLE = 200
"""Rows of a table whose values are looked at to tell dates, flags and JSON from plain text."""

_TOKEN = re.compile(
    r"""\s+|--[^\n]*|/\*.*?(?:\*/|$)|(?P<t>'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|\w+|.)""",
    re.DOTALL,
)
_HEADER = b"SQLite format 3\0"
_DAY = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
_CLOCK = "[0-9][0-9]:[0-9][0-9]"
_SHAPES = {
    "date": f"{{0}} GLOB '{_DAY}'",
    "datetime": f"{{0}} GLOB '{_DAY}[ T]{_CLOCK}*'",
    "time_of_day": f"{{0}} GLOB '{_CLOCK}' OR {{0}} GLOB '{_CLOCK}:[0-9]*'",
    "document": "{0} GLOB '[[{{]*' AND json_valid({0})",
    "uuid": "length({0}) = 36 AND {0} GLOB '????????-????-????-????-????????????'",
    "flag": "{0} IN (0, 1)",
}
"""Coarse type -> the SQL test that every sampled value of such a column passes."""

_DECLARED = (
    ("BOOL", "flag"), ("DATETIME", "datetime"), ("TIMESTAMP", "datetime"), ("DATE", "date"), ("TIME", "time_of_day"),
    ("JSON", "document"), ("UUID", "uuid"), ("GUID", "uuid"), ("UNIQUEIDENTIFIER", "uuid"), ("INT", "quantity"),
    ("CHAR", "text"), ("CLOB", "text"), ("TEXT", "text"), ("BLOB", "any"), ("REAL", "number"), ("FLOA", "number"),
    ("DOUB", "number"), ("DEC", "number"), ("NUM", "number"), ("MONEY", "number"),
)  # fmt: skip
"""Part of a declared type -> coarse type; the first that fits, in the order of SQLite's own affinity rules."""

_FLAG_NAME = re.compile(r"^(is|has|can|was|allow|enable)s?([_A-Z].*)|.*(active|enabled|deleted|archived|flag)$", re.I)
_MOMENT_NAME = re.compile(r"(_at|At|_time|Time|timestamp)$")
_DAY_NAME = re.compile(r"(_on|On|_date|Date|^date)$")


class Connection(Protocol):
    """What reflect and the metrics need of a database: sqlite3 and apsw connections both have it."""

    def execute(self, sql: str, /) -> Any:
        """Run one statement; the result is iterable."""


def open_readonly(path: str | Path) -> apsw.Connection:
    """Open a SQLite file for reading; nothing beside it is made or changed.

    A file in WAL mode without its log is opened as immutable, since SQLite would make the log otherwise.

    Raises:
        WorlddbError: the file is missing, unreadable, encrypted or no SQLite database.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            header = file.read(20)
    except FileNotFoundError:
        raise WorlddbError(f"{path}: there is no such file") from None
    except OSError as error:
        raise WorlddbError(f"{path} cannot be read: {error.strerror}") from None
    if header and not header.startswith(_HEADER):
        raise WorlddbError(f"{path} is no SQLite database, or it is encrypted; give a plain SQLite file")
    log = path.with_name(path.name + "-wal")
    frozen = "&immutable=1" if header[18:20] == b"\2\2" and not (log.exists() and log.stat().st_size) else ""
    uri = f"file:{url_quote(str(path.resolve()))}?mode=ro{frozen}"
    try:
        connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except apsw.Error as error:
        raise WorlddbError(f"{path} cannot be read as a SQLite database: {error}; check the file first") from None
    return connection


def reflect(source: str | Path | Connection) -> Schema:
    """The schema of a SQLite database, given by its path or by an open connection (sqlite3 or apsw).

    Raises:
        WorlddbError: the file is missing, unreadable, encrypted, damaged or no SQLite database.
    """
    if isinstance(source, str | Path):
        connection = open_readonly(source)
        try:
            return _reflect(connection, Path(source).stem, str(source))
        finally:
            connection.close()
    return _reflect(source, "main", "the database")


def _reflect(connection: Connection, title: str, where: str) -> Schema:
    try:
        names = [r[1] for r in connection.execute("PRAGMA main.table_list") if r[2] == "table" and r[0] == "main"]
        order = [r[0] for r in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid")]
        wanted = set(names)
        raw = [_RawTable(connection, n) for n in order if n in wanted and not n.startswith("sqlite_")]
        by_name = {t.name.lower(): t for t in raw}
        tables = [_table(connection, t, by_name) for t in raw]
    except (apsw.Error, sqlite3.Error) as error:
        raise WorlddbError(f"{where} cannot be read as a SQLite database: {error}; check the file first") from None
    return Schema(domain=title, title=title, tables=parents_first(tables))


def parents_first(tables: Iterable[Table]) -> tuple[Table, ...]:
    """The tables with parents before children where there is no cycle, otherwise in the order given."""
    by_key = {t.key: t for t in tables}
    done: dict[str, Table] = {}
    entered: set[str] = set()
    for root in by_key:
        stack = [root]
        while stack:
            table = by_key[stack[-1]]
            waiting = [f.table for f in table.foreign_keys if f.table not in entered and f.table != table.key]
            if table.key not in entered and waiting:
                entered.add(table.key)
                stack += reversed(waiting)
                continue
            entered.add(table.key)
            done.setdefault(table.key, table)
            stack.pop()
    return tuple(done.values())


class _RawTable:
    """What SQLite says about one table."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.name = name
        info = [r for r in connection.execute(f"PRAGMA main.table_xinfo({quote(name)})") if r[6] != 1]
        self.columns: dict[str, tuple[str, bool]] = {r[1]: ((r[2] or "").upper(), bool(r[3])) for r in info}
        self.primary_key = tuple(r[1] for r in sorted((r for r in info if r[5]), key=lambda r: cast(int, r[5])))
        self.rowid_key = len(self.primary_key) == 1 and self.columns[self.primary_key[0]][0] == "INTEGER"
        sql = list(connection.execute(f"SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = {literal(name)}"))
        self.values = dict(_closed_sets(self, str(sql[0][0]))) if sql else {}
        self.uniques = [u for u in _uniques(connection, name) if set(u) != set(self.primary_key)]

    def column(self, name: str) -> str:
        """The column's name as declared; SQL ignores case.  '' where there is none."""
        return next((c for c in self.columns if c.lower() == name.lower()), "")


def tokens(sql: str) -> list[str]:
    """The words, literals and signs of an SQL text, without blanks and comments."""
    return [m["t"] for m in _TOKEN.finditer(sql) if m["t"]]


def check_bodies(sql: str) -> Iterator[list[str]]:
    """The tokens inside the parentheses of every CHECK of a CREATE TABLE statement."""
    found = tokens(sql)
    for at, token in enumerate(found):
        if token.upper() == "CHECK" and found[at + 1 : at + 2] == ["("]:
            depth, end = 1, at + 2
            while depth and end < len(found):
                depth += {"(": 1, ")": -1}.get(found[end], 0)
                end += 1
            yield found[at + 2 : end - 1]


def unquote(token: str) -> str:
    """An identifier or a string literal without its quotes."""
    if len(token) > 1 and token[0] in "'\"`":
        return token[1:-1].replace(token[0] * 2, token[0])
    return token[1:-1] if token[0] == "[" else token


def _closed_sets(table: _RawTable, sql: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Column -> what CHECK (column IN (…)) allows; `column IS NULL OR` before or after it does not matter."""
    for body in check_bodies(sql):
        name = table.column(unquote(body[0])) if body else ""
        rest = [t.upper() for t in body[1:4]]
        if rest == ["IS", "NULL", "OR"]:
            body = body[4:]
        elif [t.upper() for t in body[-4:-3]] == ["OR"]:
            body = body[:-4]
        items = body[3:-1]
        if (
            name
            and len(body) > 4
            and (body[1].upper(), body[2], body[-1]) == ("IN", "(", ")")
            and all(t == "," for t in items[1::2])
            and all(t[0] == "'" or t.isdigit() for t in items[::2])
        ):
            yield name, tuple(unquote(t) for t in items[::2])


def _uniques(connection: Connection, name: str) -> Iterator[tuple[str, ...]]:
    """Column sets of the table's unique indexes; partial ones and those over expressions promise less, so not them."""
    for row in list(connection.execute(f"PRAGMA main.index_list({quote(name)})")):
        if row[2] and row[3] != "pk" and not row[4]:
            parts = [r for r in connection.execute(f"PRAGMA main.index_xinfo({quote(row[1])})") if r[5]]
            if parts and all(r[1] >= 0 for r in parts):
                yield tuple(r[2] for r in sorted(parts))


def _foreign_keys(connection: Connection, raw: _RawTable, by_name: dict[str, _RawTable]) -> Iterator[ForeignKey]:
    grouped: dict[int, list[Any]] = {}
    for row in connection.execute(f"PRAGMA main.foreign_key_list({quote(raw.name)})"):
        grouped.setdefault(row[0], []).append(row)
    roles: set[str] = set()
    for number in sorted(grouped, reverse=True):  # SQLite lists the last declared one first
        rows = sorted(grouped[number], key=lambda r: r[1])
        parent = by_name.get(rows[0][2].lower())
        columns = tuple(raw.column(r[3]) for r in rows)
        if parent is None or not all(columns):
            continue  # a reference to a table that does not exist: SQLite allows it, and nothing can follow it
        ref = tuple(parent.column(r[4]) if r[4] else "" for r in rows)
        ref = ref if all(ref) else parent.primary_key
        role = "_".join(columns)
        role = role if role not in roles else f"{role}_{parent.name}_{number}"
        roles.add(role)
        if len(ref) == len(columns):
            yield ForeignKey(
                key=role, columns=columns, table=parent.name, ref=ref,
                nullable=any(not raw.columns[c][1] and c not in raw.primary_key for c in columns),
                unique=any(set(u) <= set(columns) for u in (*raw.uniques, raw.primary_key) if u),
                on_delete=rows[0][6] if rows[0][6] in ("CASCADE", "SET NULL") else "",
            )  # fmt: skip


def _table(connection: Connection, raw: _RawTable, by_name: dict[str, _RawTable]) -> Table:
    foreign = tuple(_foreign_keys(connection, raw, by_name))
    types = _types(connection, raw, {c for f in foreign for c in f.columns})
    single = {u[0] for u in raw.uniques if len(u) == 1}
    columns = tuple(
        Column(
            key=name, name=name, type=types[name], nullable=not strict and name not in raw.primary_key,
            unique=name in single, values=raw.values.get(name, ()) if types[name] in ("category", "state") else (),
        )
        for name, (_, strict) in raw.columns.items()
    )  # fmt: skip
    table = Table(
        key=raw.name, name=raw.name, archetype="", columns=columns, primary_key=raw.primary_key,
        key_style=_key_style(raw, types), foreign_keys=foreign, uniques=tuple(u for u in raw.uniques if len(u) > 1),
    )  # fmt: skip
    return structs.replace(table, archetype="junction") if is_junction(table) else table


def _key_style(raw: _RawTable, types: dict[str, str]) -> str:
    """As in Table.key_style, and '' where the table has no key."""
    if len(raw.primary_key) != 1:
        return "composite" if raw.primary_key else ""
    return "integer" if raw.rowid_key else "uuid" if types[raw.primary_key[0]] == "uuid" else "code"


def _types(connection: Connection, raw: _RawTable, referring: set[str]) -> dict[str, str]:
    """Column -> coarse semantic type."""
    sampled = _sample(connection, raw)
    found = {}
    for name, (declared, _) in raw.columns.items():
        kind = next((k for part, k in _DECLARED if part in declared), "any" if not declared else "number")
        shape = sampled.get(name, set())
        if name in referring:
            found[name] = "reference"
        elif name in raw.primary_key:
            found[name] = "surrogate_id" if raw.rowid_key else "uuid" if "uuid" in shape else "identifier"
        elif name in raw.values:
            found[name] = _closed_type(name, raw.values[name])
        else:
            found[name] = _open_type(name, kind, shape, known=name in sampled)
    return found


def _closed_type(name: str, values: tuple[str, ...]) -> str:
    if set(values) <= {"0", "1"}:
        return "flag"
    return "state" if name.lower().endswith(("status", "state", "stage", "phase")) else "category"


def _open_type(name: str, kind: str, shape: set[str], *, known: bool) -> str:
    """The type of a column of a declared `kind` whose sampled values all have each `shape`; not `known`: no sample."""
    if kind == "quantity":
        return "flag" if _FLAG_NAME.match(name) and ("flag" in shape or not known) else "quantity"
    if kind != "text":
        return kind
    for better in ("datetime", "date", "time_of_day", "document", "uuid"):
        if better in shape:
            return better
    if not known:
        return "datetime" if _MOMENT_NAME.search(name) else "date" if _DAY_NAME.search(name) else "text"
    return "text"


def _sample(connection: Connection, raw: _RawTable) -> dict[str, set[str]]:
    """Column -> the shapes that all its sampled values have; columns without a value are left out."""
    asked = {
        name: [k for k in _SHAPES if (k == "flag") == ("INT" in declared)]
        for name, (declared, _) in raw.columns.items()
        if "INT" in declared or any(part in declared for part in ("TEXT", "CHAR", "CLOB"))
    }
    found: dict[str, set[str]] = {}
    names = list(asked)
    for start in range(0, len(names), 100):  # SQLite gives at most 2,000 columns in a result
        part = names[start : start + 100]
        terms = [f"sum({_SHAPES[k].format(quote(n))})" for n in part for k in asked[n]]
        counts = ", ".join([f"count({quote(n)})" for n in part] + terms)
        rows = f"SELECT {', '.join(map(quote, part))} FROM {quote(raw.name)} LIMIT {SAMPLE}"
        row = next(iter(connection.execute(f"SELECT {counts} FROM ({rows})")))
        hits = iter(row[len(part) :])
        for name, seen in zip(part, row, strict=False):
            shapes = {k for k in asked[name] if next(hits) == seen}
            if seen:
                found[name] = shapes
    return found

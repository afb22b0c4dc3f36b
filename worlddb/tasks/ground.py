"""The Ground: what tasks of one world are planned on.

It holds the world's tools as a typed graph, in keys: which of them show the rows of a table, by which columns they can be
asked, which aggregates stand for rows, which tools change what.  Columns are types: a primary key is a type of its own, a
foreign key a value of it, so that a tool that shows an order's customer can be followed by any tool that takes a customer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

from worlddb.schema.model import Column, ForeignKey, Schema, Table
from worlddb.schema.rules import quote
from worlddb.semantics.types import is_a
from worlddb.tasks.reckon import Row, sifted
from worlddb.tools.model import Param, Tool
from worlddb.tools.site import PAGE_LIMIT, Site
from worlddb.tools.toolset import Toolset
from worlddb.world.host import Host, host_of
from worlddb.world.model import World

PAGES = 3
"""Pages that a gold turns over at most for one question."""


class Reader(NamedTuple):
    """A tool that shows rows of its table."""

    tool: Tool
    needs: tuple[tuple[str, Param], ...]
    """(column key, parameter) of what it must be asked by: equality."""
    takes: dict[tuple[str, str], Param]
    """(column key, operator) -> the filter that does it."""
    shows: dict[str, str]
    """Column key -> key of the field that shows it."""
    one: bool
    """True where it answers with one row."""
    most: int
    """Rows that one answer holds at most."""
    key: tuple[str, ...]
    """The columns of the primary key."""


class Tally(NamedTuple):
    """An aggregate over the rows of its table."""

    tool: Tool
    takes: dict[tuple[str, str], Param]
    measures: dict[str, str]
    """Column key -> the value of the parameter that names the figure; empty in a mere count."""
    groups: dict[str, str]
    """Column key -> the value of the parameter that names the grouping."""


class Ground:
    """One world with its toolset, ready for planning."""

    def __init__(self, world: World, toolset: Toolset | None = None) -> None:
        self.world = world
        self.schema: Schema = world.schema
        self.toolset = toolset or world.toolset()
        self.site = Site(world.schema)
        self.words = self.site.words
        self.memo: dict[str, Any] = {}
        """What families have learnt of this world, by a key of their own."""

    @cached_property
    def readers(self) -> dict[str, tuple[Reader, ...]]:
        """Table key -> the tools that show its rows, those that need a key or a name first."""
        found: dict[str, list[Reader]] = {t.key: [] for t in self.schema.tables}
        for tool in self.toolset:
            if tool.kind == "search":
                found[tool.table] += self._searchers(tool)
            elif (reader := self._reader(tool)) is not None:
                found[tool.table].append(reader)
        return {k: tuple(sorted(v, key=lambda r: (not r.needs, r.tool.key))) for k, v in found.items()}

    def _reader(self, tool: Tool) -> Reader | None:
        reply = tool.reply
        if tool.kind not in ("get", "find", "list") or reply.shape not in ("row", "rows", "page") or tool.steps:
            return None
        table = self.schema[tool.table]
        shows = {
            f.column: f.key for f in reply.fields if f.table == tool.table and f.key == f.column and f.column in table
        }
        if not set(table.primary_key) <= set(shows):
            return None
        needs, takes, limit = list[tuple[str, Param]](), dict[tuple[str, str], Param](), None
        for param in flat(tool.params):
            if param.role == "limit":
                limit = param
            elif param.required and param.table == tool.table and param.column:
                needs.append((param.column, param))
            elif param.required:
                return None
            elif param.role == "filter" and (place := _filters(param, tool.table)) is not None:
                takes[place] = param
        plain = f"{tool.table}." + {"list": "list", "get": "get", "find": "find"}[tool.kind]
        if tool.kind == "list" and tool.key != plain and not needs:
            return None  # its own condition is not known here
        if (
            tool.kind == "get"
            and tool.key not in (plain, f"{plain}_many")
            and not tool.key.startswith(f"{plain}_with_")
        ):
            return None
        most = 1 if reply.shape == "row" else int(limit.schema["maximum"]) if limit is not None else 50
        return Reader(tool, tuple(needs), takes, shows, reply.shape == "row", most, table.primary_key)

    def _searchers(self, tool: Tool) -> list[Reader]:
        """A search finds what has a text in one of its columns: one reader for each of them."""
        table = self.schema[tool.table]
        (query,) = [p for p in tool.params if p.role == "search"]
        texts = [c for c in table.columns if f"{self.site.col(table, c.key)} LIKE :query" in tool.reply.query.sql]
        shows = {f.column: f.key for f in tool.reply.fields if f.table == tool.table and f.key == f.column}
        if not set(table.primary_key) <= set(shows):
            return []
        return [Reader(tool, ((c.key, query),), {}, shows, False, PAGE_LIMIT, table.primary_key) for c in texts]

    @cached_property
    def tallies(self) -> dict[str, tuple[Tally, ...]]:
        """Table key -> the aggregates over all of its rows: count, measure, count_groups, measure_groups."""
        found: dict[str, list[Tally]] = {t.key: [] for t in self.schema.tables}
        for tool in self.toolset:
            what = tool.key.rpartition(".")[2]
            if tool.kind != "aggregate" or what not in ("count", "measure", "count_groups", "measure_groups"):
                continue
            table = self.schema[tool.table]
            takes = {
                place: p
                for p in flat(tool.params)
                if p.role == "filter" and (place := _filters(p, tool.table)) is not None
            }
            measures = self._choices(
                tool, "measure", {c.key: self.site.field_name(table, c.key) for c in table.columns}
            )
            groups = self._choices(tool, "group_by", self._group_names(table))
            found[tool.table].append(Tally(tool, takes, measures, groups))
        return {k: tuple(v) for k, v in found.items()}

    def _group_names(self, table: Table) -> dict[str, str]:
        refers = self.site.references(table)
        name = self.site.param_name
        return {
            c.key: name(table, c.key) if c.key in refers else self.site.field_name(table, c.key) for c in table.columns
        }

    @staticmethod
    def _choices(tool: Tool, key: str, names: dict[str, str]) -> dict[str, str]:
        param = next((p for p in tool.params if p.key == key), None)
        if param is None:
            return {}
        known = set(param.values.values()) or set(param.schema["enum"])
        return {column: name for column, name in names.items() if name in known}

    @cached_property
    def writers(self) -> tuple[Tool, ...]:
        """The tools of the business that change something."""
        return tuple(t for t in self.toolset if not t.read_only and t.kind not in ("sql", "plugin", "distractor"))

    # --- looking at the world as it was grown

    @cached_property
    def host(self) -> Host:
        """The live connection; `rows` turns it to the untouched world."""
        return host_of(self.world)

    @cached_property
    def _connection(self) -> Any:
        return self.world.connect()

    def rows(self, sql: str, binds: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query on the world as it was grown."""
        return self._connection.execute(sql, binds).fetchall()

    @cached_property
    def _tables(self) -> dict[str, tuple[Row, ...]]:
        return {}

    def table(self, key: str) -> tuple[Row, ...]:
        """All rows of a table, by primary key."""
        found = self._tables.get(key)
        if found is None:
            table = self.schema[key]
            columns = [c.key for c in table.columns]
            names = ", ".join(quote(c.name) for c in table.columns)
            order = ", ".join(quote(table[k].name) for k in table.primary_key)
            rows = self.rows(f"SELECT {names} FROM {quote(table.name)} ORDER BY {order}")
            found = self._tables[key] = tuple(dict(zip(columns, row, strict=True)) for row in rows)
        return found

    @cached_property
    def _by_key(self) -> dict[str, dict[Any, Row]]:
        return {}

    def row(self, table: str, key: Any) -> Row | None:
        """The row of a table with a one-column key."""
        if table not in self._by_key:
            own = self.schema[table].primary_key
            self._by_key[table] = {r[own[0]]: r for r in self.table(table)}
        return self._by_key[table].get(key)

    def of(self, table: str, column: str, value: Any) -> list[Row]:
        """The rows of a table with this value in a column."""
        place = (table, column)
        if place not in self._of:
            found: dict[Any, list[Row]] = {}
            for row in self.table(table):
                found.setdefault(row[column], []).append(row)
            self._of[place] = found
        return self._of[place].get(value, [])

    def meeting(self, table: str, conditions: Sequence[tuple[str, str, Sequence[Any]]]) -> list[Row]:
        """The rows that meet all conditions (column, operator, values), by primary key."""
        equal = [c for c in conditions if c[1] == "eq"]
        if equal:
            first = equal[0]
            found = self.of(table, first[0], first[2][0]) if first[2][0] is not None else []
        else:
            first, found = None, list(self.table(table))
        for one in conditions:
            if one is not first:
                found = sifted(found, *one)
        return list(found)

    def index(self, table: str, column: str) -> Counter[Any]:
        """How many rows have each value of a column, letter case aside."""
        place = (table, column)
        if place not in self._counts:
            values = (r[column] for r in self.table(table))
            self._counts[place] = Counter(v.casefold() if isinstance(v, str) else v for v in values)
        return self._counts[place]

    @cached_property
    def _of(self) -> dict[tuple[str, str], dict[Any, list[Row]]]:
        return {}

    @cached_property
    def _counts(self) -> dict[tuple[str, str], Counter[Any]]:
        return {}

    # --- the graph of tables

    def parents(self, table: Table) -> list[ForeignKey]:
        """References of one column to the one key column of a parent."""
        return [f for f in table.foreign_keys if len(f.columns) == 1 and f.ref == self.schema[f.table].primary_key]

    def children(self, table: str) -> list[tuple[Table, ForeignKey]]:
        """Tables that refer to one by one column."""
        return [(c, f) for c, f in self.schema.children[table] if len(f.columns) == 1 and f in self.parents(c)]


def flat(params: Sequence[Param]) -> list[Param]:
    """Parameters, those of a spread object in its place."""
    return [p for param in params for p in (param.fields if param.convert == "spread" else (param,))]


def _filters(param: Param, table: str) -> tuple[str, str] | None:
    """What a filter does: (column key, operator)."""
    if param.table != table or param.key.startswith("via_"):
        return None
    for start, op in (("min_", "ge"), ("max_", "le"), ("has_", "set")):
        if param.key.startswith(start) and param.key.removesuffix("_") != param.column:
            return param.column, op
    return param.column, "eq"


def is_flag(column: Column) -> bool:
    """True for yes and no, stored as 1 and 0."""
    return is_a(column.type, "flag")

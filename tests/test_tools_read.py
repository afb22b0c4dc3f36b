"""The reading tools against plain Python over all rows, and the predicates against the rules' own queries."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import apsw
import orjson
import pytest
from jsonschema import Draft202012Validator

import worlddb
from worlddb.rng import Stream
from worlddb.schema.grow import grow
from worlddb.schema.model import Schema, Table
from worlddb.schema.rules import Cap, NoOverlap, QtyLe, RoleReq, Scope, StateReq, SumLe, UniqueActive, quote
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tools.kinds import aggregate, permits, predicate, read
from worlddb.tools.kinds.views import bind
from worlddb.tools.model import Param, Result, Statement, Tool
from worlddb.tools.session import Session
from worlddb.tools.site import Site
from worlddb.tools.styles import Style, dress
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World
from worlddb.world.profiles import profile

SEEDS = range(64)
ROOMS = (read, aggregate, predicate, permits)

Row = dict[str, Any]
Arguments = dict[str, Any]


class Case:
    """One world, its reading tools, and all its rows by column key."""

    def __init__(self, seed: int) -> None:
        self.world: World = worlddb.generate(seed)
        self.schema: Schema = self.world.schema
        site = Site(self.schema)
        self.drafts = [t for room in ROOMS for t in room.propose(site)]
        style = Style(total=True)
        self.toolset = Toolset(self.schema, dress(self.drafts, style, site.words), style)
        self.session: Session = self.world.session(self.toolset)
        connection = self.world.connect()
        self.rows: dict[str, list[Row]] = {}
        for table in self.schema.tables:
            names = ", ".join(quote(c.name) for c in table.columns)
            found = connection.execute(f"SELECT {names} FROM {quote(table.name)}").fetchall()
            self.rows[table.key] = [dict(zip([c.key for c in table.columns], row, strict=True)) for row in found]
            self.rows[table.key].sort(key=lambda row, table=table: key_of(table, row))
        self.keyed = {t.key: {key_of(t, r): r for r in self.rows[t.key]} for t in self.schema.tables}
        self.now = next(connection.execute("SELECT datetime(?, 'unixepoch')", (self.world.now,)))[0]

    def table(self, tool: Tool) -> Table:
        """The table whose rows a tool shows or counts."""
        return self.schema[tool.table]

    def call(self, tool: Tool, arguments: Arguments) -> Any:
        """The data of a call that must succeed: twice the same bytes, and as the tool said it would look."""
        result = self.session.call(tool.name, arguments)
        assert result.ok, (tool.key, arguments, result.text)
        again: Result = self.session.call(tool.name, arguments)
        assert again.json == result.json
        checker(self, tool).validate(orjson.loads(result.json))
        return result.data

    @property
    def reads(self) -> set[tuple[str, tuple[Any, ...]]]:
        """What the last call read."""
        return set(self.session.journal[-1].reads)

    @property
    def covered(self) -> tuple[str, list[tuple[Any, ...]]]:
        """The table and the rows that the last call stood for."""
        entry = self.session.journal[-1]
        assert entry.covers is not None
        found = self.session.covered(entry)
        return entry.covers[0], sorted(key for _, key in found)


@cache
def case(seed: int) -> Case:
    return Case(seed)


_checkers: dict[tuple[int, str], Draft202012Validator] = {}


def checker(one: Case, tool: Tool) -> Draft202012Validator:
    return _checkers.setdefault((id(one), tool.key), Draft202012Validator(tool.returns))


_sound: set[bytes] = set()


def check_schema(schema: Any) -> None:
    """It is JSON Schema.  Part by part, each once: most are alike but for their words."""
    assert isinstance(schema.get("description", ""), str)
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    outer = {k: v for k, v in schema.items() if k not in ("properties", "items", "description")}
    if (text := orjson.dumps(outer)) not in _sound:
        Draft202012Validator.check_schema(outer)
        _sound.add(text)
    for part in inner:
        check_schema(part)


def key_of(table: Table, row: Row) -> tuple[Any, ...]:
    return tuple(row[k] for k in table.primary_key)


def shown(table: Table, column: str, value: Any) -> Any:
    """A stored value as answers show it."""
    if value is None:
        return None
    if is_a(table[column].type, "flag"):
        return bool(value)
    if any(is_a(table[column].type, k) for k in ("tags_json", "attributes_json")):
        return orjson.loads(value)
    return value


def folded(text: str) -> str:
    """Text without the case of ASCII letters, which is what SQLite leaves aside."""
    return "".join(c.lower() if c.isascii() else c for c in text)


# --- arguments, and what filters mean


def public(param: Param, value: Any, table: Table) -> Any:
    """A stored value as an agent gives it."""
    return bool(value) if is_a(table[param.column].type, "flag") and param.convert == "flag" else value


def drawn(one: Case, param: Param, dice: random.Random) -> Any:
    """A value of a parameter, from the rows of the world; None where there is none."""
    schema = param.schema
    if schema["type"] == "array" and "enum" in schema["items"]:
        return dice.sample(schema["items"]["enum"], dice.randint(1, len(schema["items"]["enum"])))
    if "enum" in schema:
        return dice.choice(schema["enum"])
    if param.role == "limit":
        return dice.randint(1, 30)
    if not param.table:
        return "a" if param.role == "search" else None
    if param.key.startswith("has_") and schema["type"] == "boolean":
        return dice.random() < 0.5
    table = one.schema[param.table]
    reference = next((f for f in table.foreign_keys if f.columns == (param.column,)), None)
    stored = [r[param.column] for r in one.rows[param.table] if r[param.column] is not None]
    if reference:  # any parent, most often one that has children
        stored += [r[reference.ref[0]] for r in one.rows[reference.table][:3]]
    return public(param, dice.choice(stored), table) if stored else None


def arguments_of(one: Case, tool: Tool, dice: random.Random, share: float = 0.25) -> Arguments | None:
    """Arguments of a call; None where the world has no value for a required one."""
    found: Arguments = {}
    for param in tool.params:
        if not param.required and (param.role in ("limit", "cursor", "sort") or dice.random() > share):
            continue
        value = drawn(one, param, dice)
        if value is None and param.required:
            return None
        if value is not None:
            found[param.name] = value
    return found


def meets(one: Case, tool: Tool, arguments: Arguments, table: Table) -> Callable[[Row], bool]:
    """What the filters among some arguments mean, in Python."""
    tests = [test for p in tool.params if p.name in arguments and (test := meaning(one, p, arguments[p.name], table))]
    return lambda row: all(test(row) for test in tests)


def meaning(one: Case, param: Param, value: Any, table: Table) -> Callable[[Row], bool] | None:
    column = param.column
    if param.role != "filter" or not column:
        return None
    if param.key.startswith("via_"):
        here, parent = next(
            (f.columns[0], one.schema[f.table]) for f in table.foreign_keys
            if param.key == f"via_{bind(f.columns[0])}_{bind(column)}" and f.table == param.table
        )  # fmt: skip
        return lambda row: (found := one.keyed[parent.key].get((row[here],))) is not None and found[column] == value
    if param.key == f"has_{bind(column)}":
        return lambda row: (row[column] is not None) is value
    if param.key == f"min_{bind(column)}":
        return lambda row: row[column] is not None and row[column] >= value
    if param.key == f"max_{bind(column)}":
        return lambda row: row[column] is not None and row[column] <= value
    assert param.key == bind(column), param.key
    if isinstance(value, list):
        return lambda row: row[column] in value
    if isinstance(value, str) and "group" in semantic_type(table[column].type).ops and not table[column].values:
        return lambda row: row[column] is not None and folded(row[column]) == folded(value)
    return lambda row: row[column] == value


def as_shown(one: Case, tool: Tool, row: Row, table: Table, nested: int = 0) -> tuple[Row, set[Any]]:
    """A row as an answer shows it, and all that it reads."""
    found, reads = {}, {(table.key, key_of(table, row))}
    reply = tool.reply.nested[nested - 1][1] if nested else tool.reply
    for field in reply.fields:
        here, _, there = field.key.partition(".")
        if not there:
            found[field.name] = shown(table, field.key, row[field.key])
            continue
        parent, key = one.schema[field.table], row[here]
        found[field.name] = None if key is None else shown(parent, there, one.keyed[parent.key][(key,)][there])
        reads |= {(parent.key, (key,))} if key is not None else set()
    return found, reads


def sorted_by(table: Table, rows: list[Row], sort: list[tuple[str, bool]]) -> list[Row]:
    """Rows by columns (key, descending), ties by primary key; NULL is the least."""
    found = sorted(rows, key=lambda r: key_of(table, r))
    for column, descending in reversed(sort):
        found.sort(key=lambda r, c=column: (r[c] is not None, r[c] if r[c] is not None else 0), reverse=False)
        if descending:  # stable within equal values
            groups: dict[Any, list[Row]] = {}
            for row in found:
                groups.setdefault(row[column], []).append(row)
            found = [row for group in reversed(groups.values()) for row in group]
    return found


def expect_rows(one: Case, tool: Tool, table: Table, rows: list[Row], items: list[Row]) -> None:
    """The items are these rows in this order, and all of them and nothing else was read."""
    expected, reads = [], set()
    for row in rows:
        item, read_ = as_shown(one, tool, row, table)
        expected.append(item)
        reads |= read_
    assert items == expected, (one.world.id, tool.key)
    assert one.reads == reads, (one.world.id, tool.key)


def tools(one: Case, *kinds: str) -> Iterator[tuple[Tool, Table, str]]:
    """The tools of some kinds, with their table and what follows its key in theirs."""
    for tool in one.toolset:
        if tool.kind in kinds:
            yield tool, one.table(tool), tool.key.removeprefix(f"{tool.table}.")


# --- every tool


@pytest.mark.parametrize("seed", SEEDS)
def test_tools_are_told_apart_and_described_as_they_are(seed):
    one = case(seed)
    assert len({t.key for t in one.drafts}) == len(one.drafts)
    for tool in one.toolset:
        check_schema(tool.parameters)
        check_schema(tool.returns)
        assert tool.read_only
        assert not tool.writes
        assert len({p.key for p in tool.params}) == len(tool.params), tool.key
        assert len(tool.parameters["properties"]) == len(tool.params), tool.key
        assert all(p.schema["description"] for p in tool.params)
        assert re.match(r"[A-Z].*\.$", tool.description), tool.description
        assert "{" not in tool.description
        filters = [p for p in tool.params if p.role == "filter" and not p.required]
        assert len(filters) <= 8, tool.key
        texts = [tool.reply.query, *([tool.reply.covers[1]] if tool.reply.covers else [])]
        for text in texts:
            bound = set(re.findall(r"(?<![:\w]):([a-zA-Z_]\w*)", re.sub(r"'(?:[^']|'')*'", "", everything(text))))
            own = {p.key for p in tool.params} | {"now", "today"} | {f.key for f in tool.reply.fields}
            assert bound <= own, (tool.key, bound - own)


def everything(text: Statement) -> str:
    return " ".join([text.sql, *text.clauses.values(), *(v for o in text.choices.values() for v in o.values())])


@pytest.mark.parametrize("seed", SEEDS)
def test_every_table_has_its_aggregates_and_what_can_be_unique_its_predicate(seed):
    one = case(seed)
    kinds = Counter((t.table, t.kind) for t in one.toolset)
    for table in one.schema.tables:
        assert kinds[table.key, "aggregate"] >= 2, table.key
        assert kinds[table.key, "get"]
        assert kinds[table.key, "list"]
        uniques = any(c.unique and not is_a(c.type, "hash") and not is_a(c.type, "api_token") for c in table.columns)
        if uniques or table.uniques or table.lifecycle:
            assert kinds[table.key, "predicate"], table.key


@pytest.mark.parametrize("seed", SEEDS)
def test_a_key_that_no_row_has_is_not_found(seed):
    one, dice = case(seed), random.Random(seed)
    for tool in one.toolset:
        keys = [p for p in tool.params if p.role == "key"]
        finds = tool.reply.missing or any(getattr(s, "fault", None) and s.fault.code == "NOT_FOUND" for s in tool.steps)
        arguments = arguments_of(one, tool, dice, 0)
        if not finds or not keys or arguments is None:
            continue
        for param in keys:
            kind = param.schema["type"]
            if kind == "string" and ("pattern" in param.schema or "format" in param.schema):
                stem = str(arguments[param.name])
                made = stem[:-1] + ("0" if stem[-1] != "0" else "1") if "@" not in stem else "nobody@nowhere.example"
                known = {str(v) for r in one.rows.values() for row in r for v in row.values()}
                if made in known:
                    continue
            else:
                made = 987654321 if kind == "integer" else "nothing of the kind"
            result = one.session.call(tool.name, arguments | {param.name: made})
            if result.ok or result.error is None or result.error.code == "INVALID_ARGUMENT":
                # another parameter decides (an enumeration, a part of a composite key that is free)
                assert "enum" in param.schema or result.error is not None, (tool.key, param.name, result.text)
                continue
            assert result.error.code == "NOT_FOUND", (tool.key, result.text)
            assert str(made) in result.error.message
            assert result.error.cure
            assert not one.session.journal[-1].reads


# --- rows


@pytest.mark.parametrize("seed", SEEDS)
def test_get_shows_the_row_and_its_children(seed):
    one, dice = case(seed), random.Random(seed)
    for tool, table, what in tools(one, "get"):
        rows = dice.sample(one.rows[table.key], min(3, len(one.rows[table.key])))
        if what == "get_many":
            (param,) = tool.params
            ids = [r[table.primary_key[0]] for r in reversed(rows)]
            data = one.call(tool, {param.name: [*ids, *ids]})
            expect_rows(one, tool, table, sorted_by(table, rows, []), data["items"])
            continue
        for row in rows:
            if any(row[p.column] is None for p in tool.params):
                continue
            data = one.call(tool, {p.name: row[p.column] for p in tool.params})
            expected, reads = as_shown(one, tool, row, table)
            for number, (name, inner) in enumerate(tool.reply.nested, 1):
                child = one.schema[inner.keys[0][0]]
                items, more = children(one, tool, child, table, row, number)
                expected[name] = items
                reads |= more
            assert data == expected
            assert one.reads == reads


def children(one: Case, tool: Tool, child: Table, table: Table, row: Row, number: int) -> tuple[list[Row], set[Any]]:
    """The latest 50 children of a row, as an answer shows them."""
    name = re.search(r'WHERE t\."([^"]+)" = :\w+ ', tool.reply.nested[number - 1][1].query.sql)
    order = re.search(r'ORDER BY t\."([^"]+)" DESC', tool.reply.nested[number - 1][1].query.sql)
    assert name
    column = {c.name: c.key for c in child.columns}
    assert column[name[1]] in [f.columns[0] for f in child.foreign_keys if f.table == table.key]
    mine = [r for r in one.rows[child.key] if r[column[name[1]]] == row[table.primary_key[0]]]
    temporal = [c for c in child.columns if semantic_type(c.type).temporal in ("date", "datetime") and not c.nullable]
    assert order or all(is_a(c.type, k) for c in temporal for k in ("updated_at",)) or not temporal
    latest = sorted_by(child, mine, [(column[order[1]], True)] if order else [])[:50]
    found = [as_shown(one, tool, r, child, number) for r in latest]
    return [item for item, _ in found], set().union(*(reads for _, reads in found))


@pytest.mark.parametrize("seed", SEEDS)
def test_find_gives_the_one_row_or_all_that_share_a_name(seed):
    one, dice = case(seed), random.Random(seed)
    for tool, table, _ in tools(one, "find"):
        keys = [p.column for p in tool.params]
        rows = [r for r in one.rows[table.key] if all(r[k] is not None for k in keys)]
        for row in dice.sample(rows, min(3, len(rows))):
            given = {p.name: row[p.column] for p in tool.params}
            data = one.call(tool, given)
            if tool.reply.shape == "row":
                expected, reads = as_shown(one, tool, row, table)
                assert data == expected
                assert one.reads == reads
                if "letter case does not matter" in tool.description:
                    (name,) = given
                    twins = [r for r in rows if folded(r[keys[0]]) == folded(row[keys[0]])]
                    other = one.call(tool, {name: given[name].swapcase() if given[name].isascii() else given[name]})
                    assert other in [as_shown(one, tool, r, table)[0] for r in twins]
            else:
                same = [r for r in rows if folded(r[keys[0]]) == folded(row[keys[0]])]
                expect_rows(one, tool, table, same[:50], data["items"])


@pytest.mark.parametrize("seed", SEEDS)
def test_lists_filter_sort_and_page(seed):
    one, dice = case(seed), random.Random(seed)
    for tool, table, what in tools(one, "list"):
        if what.startswith("free_for"):
            continue
        for _ in range(3):
            arguments = arguments_of(one, tool, dice, 0.15)
            if arguments is None:
                continue
            test = meets(one, tool, arguments, table)
            scope, fixed = scope_of(one, tool, table, what, arguments)
            rows = [r for r in one.rows[table.key] if scope(r) and test(r)]
            order = fixed
            if fixed is None:
                sort = dice.choice(tool.param("sort").schema["enum"])
                arguments["sort"] = sort
                names = {f.name: f.key for f in tool.reply.fields}
                order = [] if sort == "id" else [(names[sort.removeprefix("-")], sort.startswith("-"))]
            expect_pages(one, tool, table, arguments, sorted_by(table, rows, order or []), dice.randint(1, 40))


def expect_pages(one: Case, tool: Tool, table: Table, arguments: Arguments, rows: list[Row], limit: int) -> None:
    """The pages of a list, one after the other, are these rows."""
    at = 0
    for _ in range(5):
        data = one.call(tool, arguments | {"limit": limit, "offset": at})
        assert data["total"] == len(rows), (tool.key, arguments)
        expect_rows(one, tool, table, rows[at : at + limit], data["items"])
        assert data["has_more"] is (at + limit < len(rows))
        assert data["next_offset"] == (at + limit if data["has_more"] else None)
        if not data["has_more"]:
            return
        at = data["next_offset"]


def scope_of(one: Case, tool: Tool, table: Table, what: str, arguments: Arguments) -> tuple[Any, Any]:
    """Which rows a list is about, and its fixed order (None: the call chooses)."""
    machine = table.lifecycle

    def is_open(row: Row) -> bool:
        return not machine or all(machine.exits(s) for s in machine.states) or bool(machine.exits(row[machine.column]))

    def reached(column: str) -> str:
        return one.now[:10] if semantic_type(table[column].type).temporal == "date" else one.now

    if what == "list":
        return (lambda row: True), None
    if what == "list_open":
        return is_open, None
    if what == "list_overdue":
        due = next(c.key for c in table.columns if "overdue" in semantic_type(c.type).ops)
        return (lambda r: r[due] is not None and r[due] < reached(due) and is_open(r)), [(due, False)]
    if what == "list_upcoming":
        column = next(c.key for c in table.columns if f"{quote(c.name)} >= :" in tool.reply.query.sql)
        return (lambda r: r[column] is not None and r[column] >= reached(column)), [(column, False)]
    if what.startswith("list_without_"):
        return (lambda r: r[what.removeprefix("list_without_")] is None), None
    column = what.removeprefix("of_")
    value = arguments[next(p.name for p in tool.params if p.role == "key")]
    return (lambda r: r[column] == value), None


@pytest.mark.parametrize("seed", SEEDS)
def test_search_finds_all_that_holds_the_text_and_beginnings_first(seed):
    one, dice = case(seed), random.Random(seed)
    for tool, table, _ in tools(one, "search"):
        names = re.findall(r't\."([^"]+)" LIKE :query', tool.reply.query.sql)
        columns = [c.key for c in table.columns if c.name in names]
        assert columns
        texts = [str(r[c]) for r in one.rows[table.key] for c in columns if r[c]]
        queries = [dice.choice(texts)[:n].strip() for n in (2, 5, 40)] if texts else []
        queries += [t[3:7].strip() for t in texts[:1]] + ["%", "_", "\\", "no such thing at all"]
        for query in filter(None, queries):
            text = folded(query)
            arguments = {**(arguments_of(one, tool, dice, 0.1) or {}), "query": query}
            test = meets(one, tool, arguments, table)
            found = [
                r for r in one.rows[table.key]
                if test(r) and any(r[c] is not None and text in folded(r[c]) for c in columns)
            ]  # fmt: skip
            first = [r for r in found if any(r[c] is not None and folded(r[c]).startswith(text) for c in columns)]
            expect_pages(one, tool, table, arguments, first + [r for r in found if r not in first], 30)


# --- aggregates


def near(value: Any, exact: float | None, digits: int = 2) -> bool:
    """Equal, but for rounding."""
    return value is None if exact is None else value is not None and abs(value - exact) <= 0.5001 * 10**-digits


def computed(operation: str, values: list[Any]) -> Any:
    some = [v for v in values if v is not None]
    if operation == "sum":
        return sum(some)
    if not some:
        return None
    return sum(some) / len(some) if operation == "avg" else min(some) if operation == "min" else max(some)


def right(operation: str, value: Any, values: list[Any]) -> bool:
    exact = computed(operation, values)
    whole = all(isinstance(v, int) for v in values if v is not None)
    if operation == "avg":
        return near(value, exact)
    return value == exact and type(value) is type(exact) if whole else near(value, exact, 4)


@pytest.mark.parametrize("seed", SEEDS)
def test_aggregates_are_what_python_makes_of_the_rows(seed):
    one, dice = case(seed), random.Random(seed)
    for tool, table, what in tools(one, "aggregate"):
        check = AGGREGATES["rank" if what.startswith("rank_by_") else what]
        for _ in range(2):
            arguments = arguments_of(one, tool, dice)
            if arguments is not None:
                check(one, tool, table, arguments)


def covered_rows(one: Case, tool: Tool, table: Table, arguments: Arguments, scope: Any = lambda row: True) -> list[Row]:
    test = meets(one, tool, arguments, table)
    return [r for r in one.rows[table.key] if scope(r) and test(r)]


def expect_cover(one: Case, table: Table, rows: list[Row]) -> None:
    name, keys = one.covered
    assert name == table.key
    assert keys == sorted(key_of(table, r) for r in rows)


def check_count(one: Case, tool: Tool, table: Table, arguments: Arguments) -> None:
    data, rows = one.call(tool, arguments), covered_rows(one, tool, table, arguments)
    assert data == {"count": len(rows)}
    expect_cover(one, table, rows)


def column_named(one: Case, table: Table, name: str) -> str:
    """The column that a choice names: by its canonical field name."""
    site = Site(one.schema)
    return next(c.key for c in table.columns if site.field_name(table, c.key) == name)


def check_measure(one: Case, tool: Tool, table: Table, arguments: Arguments) -> None:
    data, rows = one.call(tool, arguments), covered_rows(one, tool, table, arguments)
    column = column_named(one, table, arguments["measure"])
    values = [r[column] for r in rows]
    assert right(arguments["operation"], data["value"], values), (tool.key, arguments, data)
    assert data["count"] == sum(v is not None for v in values)
    expect_cover(one, table, rows)


def check_different(one: Case, tool: Tool, table: Table, arguments: Arguments) -> None:
    data, rows = one.call(tool, arguments), covered_rows(one, tool, table, arguments)
    column = column_named(one, table, arguments["by"])
    assert data == {"distinct": len({r[column] for r in rows} - {None}), "count": len(rows)}
    expect_cover(one, table, rows)


def grouped(one: Case, table: Table, rows: list[Row], group_by: str) -> tuple[dict[Any, list[Row]], str]:
    """Rows by the text of their group, and the column of a parent (or '')."""
    for period, length in (("month", 7), ("day", 10)):
        if group_by.endswith(f"_{period}"):
            try:
                column = column_named(one, table, group_by.removesuffix(f"_{period}"))
            except StopIteration:
                continue
            return gather(rows, lambda r, c=column, n=length: r[c] and r[c][:n]), ""
    column = column_named(one, table, group_by)
    if is_a(table[column].type, "flag"):
        return gather(rows, lambda r: None if r[column] is None else "true" if r[column] else "false"), ""
    refers = any(f.columns == (column,) for f in table.foreign_keys)
    return gather(rows, lambda r: None if r[column] is None else str(r[column])), column if refers else ""


def gather(rows: list[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return found


def check_groups(one: Case, tool: Tool, table: Table, arguments: Arguments) -> None:
    data, rows = one.call(tool, arguments | {"limit": 200}), covered_rows(one, tool, table, arguments)
    expect_cover(one, table, rows)
    groups, reference = grouped(one, table, rows, arguments["group_by"])
    measure = column_named(one, table, arguments["measure"]) if "measure" in arguments else ""
    items = data["items"]
    assert {i["group"] for i in items} <= set(groups)
    assert len(items) == min(len(groups), 200)
    for item in items:
        some = groups[item["group"]]
        assert item["count"] == len(some)
        if measure:
            assert right(arguments["operation"], item["value"], [r[measure] for r in some])
        parent = next((one.schema[f.table] for f in table.foreign_keys if f.columns == (reference,)), None)
        if parent and parent.title and item["group"] is not None and "label" in item:
            row = one.keyed[parent.key][(some[0][reference],)]
            assert item["label"] == (None if row[parent.title] is None else str(row[parent.title]))
            assert (parent.key, key_of(parent, row)) in one.reads
    figure = "value" if measure else "count"
    order = [(i[figure] is None, -(i[figure] or 0), i["group"] is not None, i["group"] or "") for i in items]
    assert order == sorted(order)


def check_series(one: Case, tool: Tool, table: Table, arguments: Arguments) -> None:
    site, limit = Site(one.schema), arguments.get("limit", 24)
    data = one.call(tool, arguments)
    name = re.search(r't\."([^"]+)" IS NOT NULL', tool.reply.query.sql)
    assert name
    moment = next(c.key for c in table.columns if c.name == name[1])
    rows = covered_rows(one, tool, table, arguments, lambda r: r[moment] is not None)
    expect_cover(one, table, rows)
    length = {"day": 10, "month": 7, "year": 4}[arguments.get("period", "month")]
    groups = gather(rows, lambda r: r[moment][:length])
    periods = sorted(groups)[-limit:]
    assert [i["period"] for i in data["items"]] == periods
    measure = arguments.get("measure", "count")
    columns = {site.field_name(table, c.key): c.key for c in table.columns}
    for item in data["items"]:
        some = groups[item["period"]]
        assert item["count"] == len(some)
        values = [1] * len(some) if measure == "count" else [r[columns[measure.removeprefix("total_")]] for r in some]
        assert right("sum", item["value"], values)


def check_rank(one: Case, tool: Tool, table: Table, arguments: Arguments) -> None:
    child = one.schema[tool.key.partition(".rank_by_")[2]]
    data, limit = one.call(tool, arguments), arguments.get("limit", 10)
    name = re.search(r'GROUP BY t\."([^"]+)"', tool.reply.query.sql)
    assert name
    here = next(c.key for c in child.columns if c.name == name[1])
    assert any(f.columns == (here,) and f.table == table.key for f in child.foreign_keys)
    rows = covered_rows(one, tool, child, arguments, lambda r: r[here] is not None)
    expect_cover(one, child, rows)
    groups, by = gather(rows, lambda r: r[here]), arguments.get("by", "count")
    measure = "" if by == "count" else column_named(one, child, by.removeprefix("total_"))
    best = sorted((-(sum(r[measure] or 0 for r in g) if measure else len(g)), k) for k, g in groups.items())[:limit]
    assert len(data["items"]) == len(best)
    for item, (total, key) in zip(data["items"], best, strict=True):
        assert item["id"] == key
        assert item["count"] == len(groups[key])
        assert near(item["value"], -total, 4)
        if table.title and table.title != table.primary_key[0]:
            field = next(f.name for f in tool.reply.fields if f.key == table.title)
            assert item[field] == one.keyed[table.key][(key,)][table.title]
    assert one.reads == {(table.key, (key,)) for _, key in best}


def check_summary(one: Case, tool: Tool, table: Table, arguments: Arguments) -> None:
    data = one.call(tool, arguments)
    (key,) = arguments.values()
    assert data["id"] == key
    assert one.reads == {(table.key, (key,))}
    site = Site(one.schema)
    kids = [(c, f) for c, f in one.schema.children[table.key] if len(f.columns) == 1][:6]
    assert kids
    for number, (child, reference) in enumerate(kids):
        several = sum(c.key == child.key for c, _ in kids) > 1
        role = f"_as_{site.words.field(child.key, reference.columns[0])}" if several else ""
        mine = [r for r in one.rows[child.key] if r[reference.columns[0]] == key]
        assert data[f"{site.words.nouns(child.key)}_count{role}"] == len(mine)
        for column in child.columns:
            total = f"{site.words.nouns(child.key)}_total_{site.words.field(child.key, column.key)}{role}"
            latest = f"latest_{site.words.noun(child.key)}_{site.words.field(child.key, column.key)}{role}"
            values = [r[column.key] for r in mine]
            assert total not in data or right("sum", data[total], values)
            assert latest not in data or data[latest] == computed("max", values)
        if number == 0:
            expect_cover(one, child, mine)


AGGREGATES = {
    "count": check_count, "measure": check_measure, "count_different": check_different, "count_groups": check_groups,
    "measure_groups": check_groups, "over_time": check_series, "rank": check_rank, "summary": check_summary,
}  # fmt: skip


# --- predicates


@pytest.mark.parametrize("seed", SEEDS)
def test_predicates_on_rows_say_what_is(seed):
    one, dice = case(seed), random.Random(seed)
    for tool, table, what in tools(one, "predicate"):
        rows = dice.sample(one.rows[table.key], min(4, len(one.rows[table.key])))
        if what.startswith("taken_") or what == "exists":
            expect_holder(one, tool, table, rows, dice)
        elif what == "overdue":
            for row in rows:
                scope, _ = scope_of(one, tool, table, "list_overdue", {})
                data = one.call(tool, {p.name: row[p.column] for p in tool.params})
                assert data["overdue"] is bool(scope(row))
                assert (table.key, key_of(table, row)) in one.reads
        elif what == "may_move":
            machine = table.lifecycle
            assert machine
            for row in rows:
                (to,) = [p for p in tool.params if p.role == "choice"]
                state = dice.choice(machine.states)
                given = {p.name: row[p.column] for p in tool.params if p is not to} | {to.name: state}
                data = one.call(tool, given)
                assert data["allowed"] is ((row[machine.column], state) in machine.moves)
                assert data["next_states"] == list(machine.exits(row[machine.column]))


def expect_holder(one: Case, tool: Tool, table: Table, rows: list[Row], dice: random.Random) -> None:
    answer = tool.reply.fields[0].name
    for row in rows:
        if any(row[p.column] is None for p in tool.params):
            continue
        mixed = {p.column: dice.choice(rows)[p.column] for p in tool.params}
        for values in (row, mixed, {k: v[::-1] if isinstance(v, str) else v for k, v in mixed.items()}):
            if any(values[p.column] is None for p in tool.params):
                continue
            result = one.session.call(tool.name, {p.name: values[p.column] for p in tool.params})
            if not result.ok:  # turned round, it is no value of the parameter
                assert result.error is not None
                assert result.error.code == "INVALID_ARGUMENT"
                continue
            found = [r for r in one.rows[table.key] if all(r[p.column] == values[p.column] for p in tool.params)]
            assert result.data[answer] is bool(found), (tool.key, values)
            assert list(result.data.values())[1:] == [found[0][k] if found else None for k in table.primary_key]
            assert one.reads == {(table.key, key_of(table, r)) for r in found}


class Trial:
    """The rows of a world without any constraint, to add one and ask a rule."""

    def __init__(self, one: Case) -> None:
        self.one = one
        self.connection = apsw.Connection(":memory:")
        for table in one.schema.tables:
            names = ", ".join(quote(c.name) for c in table.columns)
            self.connection.execute(f"CREATE TABLE {quote(table.name)} ({names})")
            marks = ", ".join("?" * len(table.columns))
            self.connection.executemany(
                f"INSERT INTO {quote(table.name)} VALUES ({marks})", [tuple(r.values()) for r in one.rows[table.key]]
            )

    def breaks(self, rule: Any, row: Row) -> bool:
        """Whether a rule finds something wrong once there is this row."""
        table = self.one.schema[rule.table]
        with self.connection:
            marks = ", ".join("?" * len(table.columns))
            self.connection.execute(f"INSERT INTO {quote(table.name)} VALUES ({marks})", tuple(row.values()))
            wrong = self.connection.execute(rule.violations(self.one.schema)).fetchall()
            same = " AND ".join(f"{quote(table[k].name)} = ?" for k in table.primary_key)
            self.connection.execute(f"DELETE FROM {quote(table.name)} WHERE {same}", key_of(table, row))
        return bool(wrong)

    def templates(self, rule: Any, *paths: str) -> list[tuple[Row, tuple[Any, ...]]]:
        """Rows for which the rule holds, with the values at some paths."""
        scope = Scope(self.one.schema, rule.table, "t", set())
        shown_ = [scope.column(p) for p in paths]
        condition, keys, table = scope.condition(rule.where), scope.keys(), self.one.schema[rule.table]
        sql = f"SELECT {', '.join([keys, *shown_])} FROM {scope.source} WHERE {condition} ORDER BY {keys}"
        size = len(table.primary_key)
        found = self.connection.execute(sql).fetchall()
        return [(self.one.keyed[table.key][row[:size]], row[size:]) for row in found if None not in row[size:]]

    def fresh(self, table: Table, row: Row, **changes: Any) -> Row:
        """A copy of a row under a key of its own, the greatest of all."""
        key = table.primary_key[0]
        last = max(r[key] for r in self.one.rows[table.key])
        return {**row, key: last + 1 if isinstance(last, int) else f"{last}z", **changes}


RULES: dict[type, str] = {
    NoOverlap: "free", Cap: "room", SumLe: "room", QtyLe: "room", UniqueActive: "active", StateReq: "fit_for", RoleReq: "fit_for",
}  # fmt: skip
asked: Counter[tuple[str, bool]] = Counter()
"""(kind of predicate, answer) -> how often it was held against its rule, over all seeds."""


@pytest.mark.parametrize("seed", SEEDS)
def test_predicates_foresee_what_the_rules_find(seed):
    one, dice = case(seed), random.Random(seed)
    trial = Trial(one)
    for rule in one.schema.rules:
        kind, table = RULES.get(type(rule), ""), one.schema[rule.table]
        if not kind or len(table.primary_key) > 1 or (isinstance(rule, QtyLe | Cap) and not rule.per):
            continue
        check = {"free": try_free, "room": try_room, "active": try_active, "fit_for": try_fit}[kind]
        check(one, trial, rule, table, dice)


def tool_of(one: Case, key: str) -> Tool | None:
    return one.toolset.by_key(key)


def try_free(one: Case, trial: Trial, rule: NoOverlap, table: Table, dice: random.Random) -> None:
    tool = tool_of(one, f"{table.key}.free_{bind('_'.join(rule.per))}")
    assert tool
    if "." in rule.start or "." in rule.end:  # their interval stands in a row that a trial does not add
        return
    rows = trial.templates(rule, *rule.per, rule.start)
    moments = sorted({r[c] for r in one.rows[table.key] for c in (rule.start, rule.end) if r[c] is not None})
    if len(moments) < 2:
        return
    for row, values in dice.sample(rows, min(6, len(rows))):
        near_by = [m for m in (row[rule.start], row[rule.end]) if m is not None]
        begin, finish = sorted(dice.sample(sorted({*dice.sample(moments, 2), *near_by}), 2))
        given = dict(zip([p.name for p in tool.params], [*values[:-1], begin, finish], strict=True))
        data = one.call(tool, given)
        new = trial.fresh(table, row, **{rule.start: begin, rule.end: finish})
        assert data["available"] is not trial.breaks(rule, new), (tool.key, given, data)
        asked["free", data["available"]] += 1
        if not data["available"]:
            key = next(v for k, v in data.items() if k.startswith("conflicting_"))
            assert (table.key, (key,)) in one.reads
            assert data["conflict_start"] < finish
            assert data["conflict_end"] is None or data["conflict_end"] > begin
        expect_free_ones(one, trial, rule, table, given, row)
        swapped = one.session.call(tool.name, given | {tool.params[-2].name: finish, tool.params[-1].name: begin})
        assert swapped.error is not None
        assert swapped.error.code == "INVALID_ARGUMENT"


def expect_free_ones(one: Case, trial: Trial, rule: NoOverlap, table: Table, given: Arguments, row: Row) -> None:
    """The list of free resources is those whose trial breaks nothing."""
    path = rule.per[0]
    reference = table.parents.get(path)
    tool = next((t for t in one.toolset if t.key.endswith(f".free_for_{table.key}_{bind('_'.join(rule.per))}")), None)
    if tool is None or reference is None:
        return
    names = {p.name for p in tool.params}
    data = one.call(tool, {k: v for k, v in given.items() if k in names} | {"limit": 100})
    begin, finish = list(given.values())[-2:]
    free = []
    for resource in one.rows[reference.table]:
        key = resource[reference.ref[0]]
        new = trial.fresh(table, row, **{reference.columns[0]: key, rule.start: begin, rule.end: finish})
        if not trial.breaks(rule, new):
            free.append(key)
        if len(free) > 100:
            break
    assert [i["id"] for i in data["items"]] == sorted(free)[:100]


def try_room(one: Case, trial: Trial, rule: Any, table: Table, dice: random.Random) -> None:
    of = f"_{bind(rule.column)}" if rule.column else ""
    tool = tool_of(one, f"{table.key}.room_{bind('_'.join(rule.per))}{of}")
    day = getattr(rule, "each_day", "")
    if tool is None or "." in rule.column:
        return
    rows = trial.templates(rule, *rule.per, *([day] if day else []))
    for row, values in dice.sample(rows, min(6, len(rows))):
        given = [v[:10] if day and at == len(values) - 1 else v for at, v in enumerate(values)]
        own = dict(zip([p.name for p in tool.params], given, strict=False))
        changes: Row = {}
        if rule.column:
            before = one.call(tool, own | {tool.params[-1].name: max(1, row[rule.column] or 0)})
            left = before["remaining"]
            amount = dice.choice([row[rule.column] or 1, *([left, left + 1] if left else [])])
            own[tool.params[-1].name] = changes[rule.column] = amount
        result = one.session.call(tool.name, own)
        if not result.ok:  # an amount that the column does not admit
            assert result.error is not None
            assert result.error.code == "INVALID_ARGUMENT"
            continue
        data = one.call(tool, own)
        assert data["fits"] is not trial.breaks(rule, trial.fresh(table, row, **changes)), (tool.key, own, data)
        asked["room", data["fits"]] += 1
        if data["limit"] is not None:
            assert data["remaining"] == max(data["limit"] - data["used"], 0)


def try_active(one: Case, trial: Trial, rule: UniqueActive, table: Table, dice: random.Random) -> None:
    tool = tool_of(one, f"{table.key}.active_{bind('_'.join(rule.per))}")
    assert tool
    rows = trial.templates(rule, *rule.per)
    for row, values in dice.sample(rows, min(4, len(rows))):
        data = one.call(tool, dict(zip([p.name for p in tool.params], values, strict=True)))
        assert data["present"] is True
        assert trial.breaks(rule, trial.fresh(table, row))
        assert one.reads == {(table.key, key_of(table, row))}
        asked["active", True] += 1
        path = rule.per[0]
        if path in table.parents and len(rule.per) == 1:
            reference = table.parents[path]
            for parent in dice.sample(one.rows[reference.table], min(4, len(one.rows[reference.table]))):
                key = parent[reference.ref[0]]
                data = one.call(tool, {tool.params[0].name: key})
                new = trial.fresh(table, row, **{reference.columns[0]: key})
                assert data["present"] is trial.breaks(rule, new)
                asked["active", data["present"]] += 1


def try_fit(one: Case, trial: Trial, rule: StateReq | RoleReq, table: Table, dice: random.Random) -> None:
    path = rule.of if isinstance(rule, StateReq) else rule.actor
    holder = Scope(one.schema, rule.table, "t", set()).reach(tuple(path.split(".")))[0]
    tool = tool_of(one, f"{holder.key}.fit_for_{rule.table}_{bind(path)}_{rule.column}")
    rows = trial.templates(rule)
    if tool is None or not rows or "." in path or any(p.startswith(f"{path}.") for p in rule.where):
        return
    column = table.parents[path].columns[0]
    for holder_row in dice.sample(one.rows[holder.key], min(6, len(one.rows[holder.key]))):
        (key,) = key_of(holder, holder_row)
        data = one.call(tool, {tool.params[0].name: key})
        new = trial.fresh(table, dice.choice(rows)[0], **{column: key})
        assert data["eligible"] is not trial.breaks(rule, new), (tool.key, data)
        assert one.reads == {(holder.key, (key,))}
        asked["fit_for", data["eligible"]] += 1


def test_predicates_were_tried_with_both_outcomes():
    for seed in SEEDS:
        test_predicates_foresee_what_the_rules_find(seed)
    for kind in ("free", "room", "active", "fit_for"):
        assert asked[kind, True] > 20, (kind, asked)
        assert asked[kind, False] > 20, (kind, asked)


# --- indexes


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_are_reached_by_indexes(seed):
    one = case(seed)
    connection = one.world.connect()
    for tool in one.toolset:
        what = tool.key.removeprefix(f"{tool.table}.")
        of = what.startswith("of_")
        unique = tool.kind == "find" and tool.reply.shape == "row"
        if not (tool.kind == "get" or unique or of):
            continue
        sql = tool.reply.query.sql.replace("{clauses}", "").replace("{sort}", "1")
        for query in (sql, *(inner.query.sql for _, inner in tool.reply.nested)):
            binds = defaultdict(lambda: 1, dict.fromkeys(re.findall(r":(\w+)", query), 1))
            steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}", binds)]
            scans = [s for s in steps if s.startswith("SCAN") and "json_each" not in s]
            if unique and "letter case" in tool.description:  # the loose look after the exact one found nothing
                assert any(s.startswith("SEARCH u") for s in steps), (tool.key, steps)
                scans = [s for s in scans if not s.startswith("SCAN u")]
            assert not scans, (tool.key, steps)


def test_searches_look_into_words_alone() -> None:
    """No search reads moments or numbers, and no predicate asks whether a thing is fit for one of its own kind."""
    seen = 0
    for seed in range(200):
        stream = Stream(seed, "default")
        schema = grow(stream.child("schema"), stream.child("tables").pick(profile("default").tables), "")
        site = Site(schema)
        for table in schema.tables:
            for tool in read.search(site, table):
                columns = [c for c in table.columns if f"{site.col(table, c.key)} LIKE" in tool.reply.query.sql]
                assert columns
                assert all(
                    semantic_type(c.type).sql == "TEXT" and not semantic_type(c.type).temporal for c in columns
                ), tool.key
                seen += 1
        for rule in schema.rules:
            if isinstance(rule, StateReq):
                assert all(tool.table != rule.table for tool in permits.in_state(site, rule))
    assert seen > 500

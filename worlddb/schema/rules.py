"""Business rules: 18 declarative kinds, each of which compiles to one SQL query that finds the rows which break it.

A rule is data.  The same declaration checks the rows of a new world, becomes (for the kinds that SQLite can enforce) a CHECK
or a partial UNIQUE index, and gives the sentence that people read.  Rules speak of keys, never of SQL names, and reach other
tables by *paths*: `room.capacity` starts in the rule's table, follows the foreign key `room` and ends at the column
`capacity`; a path may also end at a foreign key (`register.store`), and `self` is the row's own primary key.  A comparison
with NULL is not a violation.

Conditions (`where`, `having`) map a path to the admissible values (`{status: [paid, shipped]}`), to a comparison
(`{amount: "> 2500"}`), or to `set` / `null`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from worlddb.errors import WorlddbError
from worlddb.semantics.types import semantic_type

if TYPE_CHECKING:
    from worlddb.schema.model import ForeignKey, Schema, Table

Values: TypeAlias = tuple[str | int, ...]
Where: TypeAlias = dict[str, Values | str | None]

COMPARISON = re.compile(r"(<=|>=|<|>|=)\s*(-?\d+)$")
_DURATION = re.compile(r"(\d+) (minute|hour|day|week|month|year)s?$")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800, "month": 30 * 86400, "year": 365 * 86400}


class BadRule(WorlddbError):
    """A rule that speaks of something that its schema does not have, or in a form that cannot be executed."""


def quote(name: str) -> str:
    """An SQL identifier, quoted."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | int) -> str:
    """An SQL literal."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def seconds(duration: str) -> int:
    """Seconds in a duration such as '30 days'; months have 30 days and years 365.

    >>> seconds("2 hours")
    7200
    """
    match = _DURATION.match(duration)
    if not match:
        raise BadRule(f"'{duration}' is no duration; write for example '30 days' or '2 hours'")
    return int(match[1]) * _SECONDS[match[2]]


class Place(NamedTuple):
    """A table as a query reaches it: the alias, the foreign keys that lead to it, and the columns of it that were named."""

    alias: str
    table: Table
    steps: tuple[str, ...]
    columns: set[str]


class Scope:
    """One table under an alias in a query, with the joins that its paths need.

    `touched` collects every (table key, column key) that was named, so that a composer knows what a rule depends on;
    `places` the same by alias.  At rest a query judges all rows; a law sets `focus` to judge those that a change concerns,
    and `telling` to have the figures beside the keys.
    """

    def __init__(self, schema: Schema, table: str, alias: str, touched: set[tuple[str, str]]) -> None:
        if table not in schema:
            raise BadRule(f"there is no table '{table}'")
        self.schema, self.table, self.alias, self.touched = schema, schema[table], alias, touched
        self.base = quote(self.table.name)
        """What stands for the table in FROM: its name, or a subselect of one row that is no longer there."""
        self.places = {alias: Place(alias, self.table, (), set())}
        self.second: Scope | None = None
        self.focus = ""
        self.telling = False
        self.shown: dict[str, str] = {}
        """Label -> expression: what a law's query shows beside the keys."""
        self._joins: dict[str, str] = {}
        self._sure: set[str] = set()

    @property
    def source(self) -> str:
        """The FROM clause: the table and its joins.  Read it after the last `column`."""
        joins = sorted(self._joins.items(), key=lambda join: join[0] not in self._sure)
        kinds = ("" if alias in self._sure else "LEFT " for alias, _ in joins)
        return " ".join(
            [f"{self.base} AS {self.alias}", *(f"{kind}{join}" for kind, (_, join) in zip(kinds, joins, strict=True))]
        )

    def insist(self, steps: tuple[str, ...]) -> None:
        """Leave out rows whose foreign keys do not lead on: SQLite may then start at the far end, which LEFT JOINs forbid."""
        self._sure.update(self.reach(steps[: i + 1])[1] for i in range(len(steps)))

    def required(self, path: str) -> str:
        """The SQL expression of a path, over the rows where it leads somewhere."""
        self.insist(tuple(path.split(".")[:-1]))
        return self.column(path)

    def beside(self, table: str) -> Scope:
        """The second table of the query, under the alias n."""
        self.second = Scope(self.schema, table, "n", self.touched)
        return self.second

    def rows(self, condition: str) -> str:
        """FROM and WHERE: the rows that meet a condition, or those of them on which the focus lies."""
        return f"FROM {self.source} WHERE {f'{self.focus} AND ' if self.focus else ''}{condition}"

    def told(self, **figures: str) -> str:
        """Further columns of the SELECT, from which a law words its cure; nothing at rest."""
        shown = {**figures, **self.shown} if self.telling else {}
        return "".join(f", {expression} AS {label}" for label, expression in shown.items())

    def reach(self, steps: tuple[str, ...]) -> tuple[Table, str]:
        """The table to which foreign keys lead, and its alias."""
        table, alias = self.table, self.alias
        for role in steps:
            if role not in table.parents:
                raise BadRule(f"'{table.key}' has no foreign key '{role}' (in the path '{'.'.join(steps)}')")
            table, alias = self._step(table, alias, role)
        return table, alias

    def _step(self, table: Table, alias: str, role: str) -> tuple[Table, str]:
        key = table.parents[role]
        parent, after = self.schema[key.table], f"{alias}_{role}"
        if after not in self._joins:
            here = self.places[alias]
            here.columns.update(key.columns)
            self.places[after] = Place(after, parent, (*here.steps, role), set())
            on = " AND ".join(
                f"{after}.{quote(parent[there].name)} = {alias}.{quote(table[here].name)}"
                for here, there in zip(key.columns, key.ref, strict=True)
            )
            self.touched.update((table.key, here) for here in key.columns)
            self._joins[after] = f"JOIN {quote(parent.name)} AS {after} ON {on}"
        return parent, after

    def resolve(self, path: str) -> tuple[Table, str, str]:
        """The table at the end of a path, its alias here, and the key of its column."""
        *steps, last = path.split(".")
        table, alias = self.reach(tuple(steps))
        if last == "self":
            columns = table.primary_key
        elif last in table.parents:
            columns = table.parents[last].columns
        else:
            columns = (last,)
        if len(columns) != 1:
            raise BadRule(f"'{path}' in '{self.table.key}' is a composite key; a path ends at one column")
        if columns[0] not in table:
            raise BadRule(f"'{table.key}' has no column '{columns[0]}' (in the path '{path}')")
        self.touched.add((table.key, columns[0]))
        self.places[alias].columns.add(columns[0])
        return table, alias, columns[0]

    def column(self, path: str) -> str:
        """The SQL expression of a path."""
        table, alias, key = self.resolve(path)
        return f"{alias}.{quote(table[key].name)}"

    def number(self, path: str) -> str:
        """The SQL expression of a path that ends at a number."""
        table, _, key = self.resolve(path)
        if semantic_type(table[key].type).sql == "TEXT":
            raise BadRule(f"'{path}' in '{self.table.key}' is text, and a number is needed")
        return self.column(path)

    def _meaning(self, path: str) -> str:
        """What a value at the end of a path is: the table that it refers to, or 'text' or 'number'."""
        table, _, key = self.resolve(path)
        if (key,) == table.primary_key:
            return table.key
        for reference in table.foreign_keys:
            if reference.columns == (key,):
                return reference.table
        return "text" if semantic_type(table[key].type).sql == "TEXT" else "number"

    def alike(self, path: str, other: Scope, theirs: str) -> tuple[str, str]:
        """Two paths as SQL expressions, which must mean the same kind of thing to be compared."""
        a, b = self._meaning(path), other._meaning(theirs)
        if a != b:
            raise BadRule(
                f"'{path}' in '{self.table.key}' is a {a}, '{theirs}' in '{other.table.key}' a {b}; they never compare"
            )
        return self.column(path), other.column(theirs)

    def matched(self, match: dict[str, str], other: Scope) -> list[str]:
        """Our paths that must equal their paths, as conditions."""
        for path in match:
            self.required(path)
        return [" = ".join(self.alike(ours, other, theirs)) for ours, theirs in match.items()]

    def temporal(self, path: str) -> str:
        """The format of the column at a path: 'date', 'datetime' or ''."""
        table, _, key = self.resolve(path)
        return semantic_type(table[key].type).temporal

    def keys(self) -> str:
        """The row's primary key, as a comma list."""
        return ", ".join(f"{self.alias}.{quote(self.table[k].name)}" for k in self.table.primary_key)

    def first_key(self) -> str:
        """The first column of the row's primary key."""
        return f"{self.alias}.{quote(self.table[self.table.primary_key[0]].name)}"

    def named_keys(self) -> tuple[str, str]:
        """Names k0, k1 … for the columns of the row's primary key, and the same columns `AS` these names, as comma lists."""
        names = [f"k{i}" for i in range(len(self.table.primary_key))]
        named = (
            f"{self.alias}.{quote(self.table[k].name)} AS {n}"
            for k, n in zip(self.table.primary_key, names, strict=True)
        )
        return ", ".join(names), ", ".join(named)

    def condition(self, where: Where) -> str:
        """A condition as SQL; '1' where it is empty."""
        parts = [self._one_condition(path, values) for path, values in where.items()]
        return " AND ".join(parts) or "1"

    def _one_condition(self, path: str, values: Values | str | None) -> str:
        expression = self.column(path)
        if values is None:  # YAML reads a bare null so
            return f"{expression} IS NULL"
        if isinstance(values, str):
            if values in ("set", "null"):
                return f"{expression} IS {'NOT ' if values == 'set' else ''}NULL"
            match = COMPARISON.match(values)
            if not match:
                raise BadRule(f"'{values}' is no condition on '{path}'; write a list, '> 5', 'set' or 'null'")
            return f"{expression} {match[1]} {match[2]}"
        table, _, key = self.resolve(path)
        known = table[key].values
        for value in values:
            if known and value not in known:
                raise BadRule(f"'{table.key}.{key}' is never '{value}', only {', '.join(known)}")
        return f"{expression} IN ({', '.join(literal(v) for v in values)})"

    def limit(self, bound: int | str) -> str:
        """A bound that is a number or a path."""
        return str(bound) if isinstance(bound, int) else self.number(bound)


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every kind has: the table whose rows it judges, which of them, and the sentence that states it."""

    say: str
    table: str
    where: Where = {}

    @property
    def kind(self) -> str:
        """The name of the kind, as in the data files."""
        return str(self.__struct_config__.tag)

    def violations(self, schema: Schema) -> str:
        """A SELECT of the primary keys of the rows that break this rule, in key order where it matters.

        Removing the rows it returns is always a cure, except for sum_eq and balance, which are cured by computing the
        column anew.

        Raises:
            BadRule: the rule names something that the schema lacks.
        """
        return self._sql(Scope(schema, self.table, "t", set()))

    def touches(self, schema: Schema) -> set[tuple[str, str]]:
        """Every (table key, column key) that the rule depends on.

        Raises:
            BadRule: the rule names something that the schema lacks.
        """
        scope = Scope(schema, self.table, "t", set())
        self._sql(scope)
        return scope.touched

    def check(self, table: Table) -> str:
        """The body of a CHECK constraint over `table` that enforces the rule, or '' where SQLite cannot."""
        return ""

    def query(self, scope: Scope) -> str:
        """The query over a scope of the rule's table: of all rows at rest, of some where the scope has a focus."""
        return self._sql(scope)

    def _sql(self, scope: Scope) -> str:
        raise BadRule(f"rules of kind '{self.kind}' have no query")

    def _broken(self, scope: Scope, broken: str) -> str:
        condition = scope.condition(self.where)
        keys = scope.named_keys()[1] if scope.telling else scope.keys()
        return f"SELECT {keys}{scope.told()} {scope.rows(f'{condition} AND ({broken})')}"


def _running(rule: Rule, scope: Scope, amount: str, groups: list[str], bound: str) -> str:
    """The rows at which a running total within a group exceeds its bound."""
    names, named, partition, rows = _window(scope, rule.where, groups, groups)
    return (
        f"SELECT {names}{scope.told(value='running', bound='bound')} FROM (SELECT {named}, {bound} AS bound, "
        f"sum({amount}) OVER ({partition}ORDER BY {scope.keys()}) AS running {rows}) "
        f"WHERE running > bound"
    )


def _window(scope: Scope, where: Where, groups: list[str], present: list[str]) -> tuple[str, str, str, str]:
    """What a query of a window over groups is made of: names of the keys, keys with their names, PARTITION BY, and FROM …
    WHERE for the rows that have all that must be present."""
    condition = " AND ".join([scope.condition(where), *(f"{p} IS NOT NULL" for p in present)])
    partition = f"PARTITION BY {', '.join(groups)} " if groups else ""
    return *scope.named_keys(), partition, scope.rows(condition)


def _moment(scope: Scope, path: str, other: str) -> str:
    """A temporal path made comparable with another: cut to the day where either is a date."""
    expression = scope.column(path)
    coarse = "date" in (scope.temporal(path), scope.temporal(other))
    return f"substr({expression}, 1, 10)" if coarse and scope.temporal(path) != "date" else expression


class NonNeg(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="non_neg"):
    """A number is never below zero."""

    column: str

    def _sql(self, scope: Scope) -> str:
        return self._broken(scope, f"{scope.number(self.column)} < 0")

    def check(self, table: Table) -> str:
        """`column >= 0`, where every row is judged."""
        return "" if self.where else f"{quote(table[self.column].name)} >= 0"


class Cap(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="cap"):
    """A value, a count of rows per parent, or their sum per parent stays within a bound.

    Without `per`, `column` of each row is compared with `at_most`.  With `per` (paths), the rows of a group are counted, or
    their `column` is summed; `each_day` (a temporal column) splits the groups by calendar day.
    """

    at_most: int | str
    column: str = ""
    per: tuple[str, ...] = ()
    each_day: str = ""

    def _sql(self, scope: Scope) -> str:
        bound = scope.limit(self.at_most)
        if not self.per:
            if not self.column:
                raise BadRule("a cap needs 'column', 'per' or both")
            return self._broken(scope, f"{scope.number(self.column)} > {bound}")
        groups = [scope.column(path) for path in self.per]
        if self.each_day:
            groups.append(f"substr({scope.column(self.each_day)}, 1, 10)")
        return _running(self, scope, scope.number(self.column) if self.column else "1", groups, bound)


class NoOverlap(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="no_overlap"):
    """Rows that share `per` never overlap in time; an interval is [start, end), open-ended where `end` is NULL."""

    per: tuple[str, ...]
    start: str
    end: str

    def _sql(self, scope: Scope) -> str:
        groups = [scope.column(path) for path in self.per]
        start, end = scope.column(self.start), f"coalesce({scope.column(self.end)}, '9999-12-31')"
        condition = " AND ".join([scope.condition(self.where), *(f"{g} IS NOT NULL" for g in groups)])
        names, named = scope.named_keys()
        return (
            f"SELECT {names}{scope.told(value='begun', busy='busy')} FROM (SELECT {named}, {start} AS begun, "
            f"max({end}) OVER (PARTITION BY {', '.join(groups)} ORDER BY {start}, {scope.keys()} "
            f"ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS busy {scope.rows(condition)}) WHERE busy > begun"
        )


class Requires(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="requires"):
    """A row needs at least `at_least` rows of the table `needs`, matched by paths (theirs -> ours), and `having` something."""

    needs: str
    match: dict[str, str]
    having: Where = {}
    at_least: int = 1

    def _sql(self, scope: Scope) -> str:
        other = scope.beside(self.needs)
        match = other.matched(self.match, scope)
        having = other.condition(self.having)
        condition = " AND ".join([*match, having])
        return self._broken(scope, f"(SELECT count(*) FROM {other.source} WHERE {condition}) < {self.at_least}")


class Excl(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="excl"):
    """Things that exclude each other.  One form of three.

    `differ`: two paths of a row are never equal.  `one_of`: exactly one of these columns is set.  `none_of` (a table) with
    `match` and `having`: no such row exists.
    """

    differ: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    none_of: str = ""
    match: dict[str, str] = {}
    having: Where = {}

    def _sql(self, scope: Scope) -> str:
        if self.differ:
            if len(self.differ) != 2:
                raise BadRule("'differ' takes two paths")
            return self._broken(scope, " = ".join(scope.alike(self.differ[0], scope, self.differ[1])))
        if self.one_of:
            return self._broken(scope, f"{' + '.join(f'({scope.column(c)} IS NOT NULL)' for c in self.one_of)} <> 1")
        if not self.none_of or not self.match:
            raise BadRule("excl needs 'differ', 'one_of', or 'none_of' with 'match'")
        other = scope.beside(self.none_of)
        match = other.matched(self.match, scope)
        if self.none_of == self.table:
            match.append(f"({other.keys()}) <> ({scope.keys()})")
        condition = " AND ".join([*match, other.condition(self.having)])
        found = f"FROM {other.source} WHERE {condition}"
        scope.shown["other"] = f"(SELECT {other.first_key()} {found} LIMIT 1)"
        return self._broken(scope, f"EXISTS (SELECT 1 {found})")

    def check(self, table: Table) -> str:
        """The inequality or the count of set columns, where all stand in the row itself."""
        if self.where or any("." in p or p == "self" for p in (*self.differ, *self.one_of)):
            return ""
        names = [quote(table[_own_column(table, p)].name) for p in (*self.differ, *self.one_of)]
        if self.differ:
            return f"{names[0]} <> {names[1]}"
        return f"{' + '.join(f'({n} IS NOT NULL)' for n in names)} = 1" if self.one_of else ""


def _own_column(table: Table, path: str) -> str:
    return table.parents[path].columns[0] if path in table.parents else path


class Window(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="window"):
    """A moment lies inside a window: not before `after`, not after `before`, at most `within` past `after`.

    `notice` is the least time that must lie between the moment and `before`.
    """

    time: str
    after: str = ""
    before: str = ""
    within: str = ""
    notice: str = ""

    def _sql(self, scope: Scope) -> str:
        if not (self.after or self.before) or (self.within and not self.after) or (self.notice and not self.before):
            raise BadRule("a window needs 'after' or 'before'; 'within' goes with 'after', 'notice' with 'before'")
        broken = []
        if self.after:
            broken.append(f"{_moment(scope, self.time, self.after)} < {_moment(scope, self.after, self.time)}")
        if self.before:
            broken.append(f"{_moment(scope, self.time, self.before)} > {_moment(scope, self.before, self.time)}")
        if self.within:
            gap = f"unixepoch({scope.column(self.time)}) - unixepoch({scope.column(self.after)})"
            broken.append(f"{gap} > {seconds(self.within)}")
        if self.notice:
            gap = f"unixepoch({scope.column(self.before)}) - unixepoch({scope.column(self.time)})"
            broken.append(f"{gap} < {seconds(self.notice)}")
        return self._broken(scope, " OR ".join(broken))


class UniqueActive(
    Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="unique_active"
):
    """At most one row per combination of `per` among those that meet `where`."""

    per: tuple[str, ...]

    def _sql(self, scope: Scope) -> str:
        return _running(self, scope, "1", [scope.column(path) for path in self.per], "1")


class SumEq(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="sum_eq"):
    """`column` equals a sum (without `sum`: a count) over the rows of `of`, whose path `via` leads here, plus and minus columns.

    `where` selects the rows of this table to which it applies, `having` the rows that count.
    """

    column: str
    of: str
    via: str
    sum: str = ""
    having: Where = {}
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()

    def _sql(self, scope: Scope) -> str:
        via, amount, counted = self.counted(scope)
        groups = f"(SELECT {via} AS k, sum({amount}) AS s {counted} GROUP BY {via})"
        total = self.total(scope, "g.s")
        own, column, condition = scope.column("self"), scope.number(self.column), scope.condition(self.where)
        return (
            f"SELECT {scope.keys()} FROM {scope.source} LEFT JOIN {groups} AS g ON g.k = {own} "
            f"WHERE {condition} AND {column} <> {total}"
        )

    def counted(self, scope: Scope) -> tuple[str, str, str]:
        """The rows that are added up: the key of ours to which one leads, its amount, and the FROM and WHERE of all."""
        other = scope.beside(self.of)
        via = other.alike(self.via, scope, "self")[0]
        other.required(self.via)
        amount = other.number(self.sum) if self.sum else "1"
        having = other.condition(self.having)
        return via, amount, f"FROM {other.source} WHERE {having}"

    def total(self, scope: Scope, summed: str) -> str:
        """What the column must be, given the sum over the rows of the other table."""
        terms = [f"coalesce({summed}, 0)", *(f"coalesce({scope.number(c)}, 0)" for c in self.plus)]
        return " + ".join(terms) + "".join(f" - coalesce({scope.number(c)}, 0)" for c in self.minus)


class Balance(SumEq, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="balance"):
    """An account's balance equals the sum of its signed entries."""


class SumLe(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="sum_le"):
    """The running sum of an amount over rows that share `per` stays within `at_most` (a number or a path)."""

    column: str
    per: tuple[str, ...]
    at_most: int | str

    def _sql(self, scope: Scope) -> str:
        groups, bound = [scope.column(path) for path in self.per], scope.limit(self.at_most)
        return _running(self, scope, scope.number(self.column), groups, bound)


class QtyLe(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="qty_le"):
    """A quantity stays within another: summed over rows that share `per`, or (`columns`) several columns of a row."""

    at_most: int | str
    column: str = ""
    per: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def _sql(self, scope: Scope) -> str:
        bound = scope.limit(self.at_most)
        if self.columns:
            return self._broken(scope, f"{' + '.join(scope.number(c) for c in self.columns)} > {bound}")
        if not self.column or not self.per:
            raise BadRule("qty_le needs 'columns', or 'column' and 'per'")
        return _running(self, scope, scope.number(self.column), [scope.column(p) for p in self.per], bound)


class DateOrder(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="date_order"):
    """One moment is never after another."""

    first: str
    then: str

    def _sql(self, scope: Scope) -> str:
        return self._broken(scope, f"{_moment(scope, self.first, self.then)} > {_moment(scope, self.then, self.first)}")

    def check(self, table: Table) -> str:
        """The order of two columns of the row that are stored alike."""
        if self.where or "." in self.first + self.then:
            return ""
        ours = [table[self.first], table[self.then]]
        if len({semantic_type(c.type).temporal for c in ours}) != 1:
            return ""
        return f"{quote(ours[0].name)} <= {quote(ours[1].name)}"


class StateReq(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="state_req"):
    """The parent that `of` leads to is in one of the states `among`."""

    of: str
    among: Values
    column: str = "status"

    def _sql(self, scope: Scope) -> str:
        allowed = scope.condition({f"{self.of}.{self.column}": self.among})
        return self._broken(scope, f"NOT ({allowed})")


class Immutable(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="immutable"):
    """Once its holder (the row itself, or the parent that `holder` leads to) entered one of `states`, a row is not changed.

    In the data at rest: `updated_at` is not after the stamp of the first of these states in the holder.
    """

    states: Values
    stamp: str
    """Column of the holder that records when it entered the first of `states`."""
    holder: str = ""
    column: str = "status"
    updated: str = "updated_at"

    def _sql(self, scope: Scope) -> str:
        prefix = f"{self.holder}." if self.holder else ""
        frozen = scope.condition({f"{prefix}{self.column}": self.states})
        return self._broken(scope, f"{frozen} AND {scope.column(self.updated)} > {scope.column(prefix + self.stamp)}")


class RoleReq(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="role_req"):
    """Who acts must be entitled: `actor.column` is one of `among`, or equals the path `equal`, or is at least it (`at_least`)."""

    actor: str
    column: str
    among: Values = ()
    equal: str = ""
    at_least: int | str = ""

    def _sql(self, scope: Scope) -> str:
        path = f"{self.actor}.{self.column}"
        if self.among:
            return self._broken(scope, f"NOT ({scope.condition({path: self.among})})")
        if self.equal:
            return self._broken(scope, " <> ".join(scope.alike(path, scope, self.equal)))
        if self.at_least == "":
            raise BadRule("role_req needs 'among', 'equal' or 'at_least'")
        return self._broken(scope, f"{scope.number(path)} < {scope.limit(self.at_least)}")


class Monotone(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="monotone"):
    """Within rows that share `per`, ordered by `by`, `column` never falls (never stays either, if `strictly`)."""

    per: tuple[str, ...]
    by: str
    column: str
    strictly: bool = False

    def _sql(self, scope: Scope) -> str:
        groups = [scope.column(path) for path in self.per]
        by, value = scope.column(self.by), scope.column(self.column)
        names, named, partition, rows = _window(scope, self.where, groups, [value, *groups])
        return (
            f"SELECT {names}{scope.told(value='v', best='best')} FROM (SELECT {named}, {value} AS v, "
            f"max({value}) OVER ({partition}ORDER BY {by}, {scope.keys()} "
            f"ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS best {rows}) "
            f"WHERE v {'<=' if self.strictly else '<'} best"
        )


class Acyclic(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="acyclic"):
    """A self reference (`parent`), or the edges `source` -> `target` of this table, never run in a circle."""

    parent: str = ""
    source: str = ""
    target: str = ""

    def _sql(self, scope: Scope) -> str:
        if not self.parent and not (self.source and self.target):
            raise BadRule("acyclic needs 'parent', or 'source' and 'target'")
        a = scope.column("self" if self.parent else self.source)
        b = scope.column(self.parent or self.target)
        edges = f"SELECT {a} AS a, {b} AS b FROM {scope.source} WHERE {b} IS NOT NULL"
        first, on_circle = scope.rows(f"{b} IS NOT NULL"), scope.rows(f"{a} IN (SELECT a FROM way WHERE a = b)")
        # not materialized: a walk from one row looks up a few edges and must not list them all
        return (
            f"WITH RECURSIVE edge(a, b) AS NOT MATERIALIZED ({edges}), way(a, b) AS (SELECT {a}, {b} {first} "
            f"UNION SELECT way.a, edge.b FROM way JOIN edge ON edge.a = way.b) "
            f"SELECT {scope.named_keys()[1]}{scope.told()} {on_circle}"
        )


class SameParent(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag="same_parent"):
    """Two paths of a row lead to the same thing."""

    paths: tuple[str, str]

    def _sql(self, scope: Scope) -> str:
        return self._broken(scope, " <> ".join(scope.alike(self.paths[0], scope, self.paths[1])))


AnyRule: TypeAlias = (
    NonNeg | Cap | NoOverlap | Requires | Excl | Window | UniqueActive | SumEq | Balance | SumLe | QtyLe | DateOrder
    | StateReq | Immutable | RoleReq | Monotone | Acyclic | SameParent
)  # fmt: skip

KINDS: tuple[type[Rule], ...] = (
    NonNeg, Cap, NoOverlap, Requires, Excl, Window, UniqueActive, SumEq, Balance, SumLe, QtyLe, DateOrder, StateReq,
    Immutable, RoleReq, Monotone, Acyclic, SameParent,
)  # fmt: skip


def sound(schema: Schema) -> Schema:
    """The schema with only those rules that can be executed over it."""
    return replace(schema, rules=tuple(r for r in schema.rules if executable(r, schema)))


def always_set(schema: Schema, table: Table, reference: ForeignKey) -> bool:
    """True where a rule wants a reference of a table to be set, whatever state a row is in."""
    for rule in schema.rules:
        if rule.table == table.key and not rule.where:
            if isinstance(rule, Requires) and reference.key in rule.match.values():
                return True
            if isinstance(rule, Excl) and {reference.key, *reference.columns} & set(rule.one_of):
                return True
    return False


def executable(rule: AnyRule, schema: Schema) -> bool:
    """True where everything that the rule speaks of is there."""
    try:
        rule.touches(schema)
    except WorlddbError:
        return False
    return True

"""The Plan noun: what a task means, apart from any wording, any tool that reads, and any SQL.

A plan is a list of named nodes, each of which may use those before it:

    Find    rows of one table: one row, or a set
    Fold    a figure over a set: how many, the sum, the mean, the least, the greatest
    Group   the group of a set that has the most (or least): the customer with the most orders
    Calc    a figure or moment worked out of two others
    Test    a yes or no, for a Do that depends on it
    Do      one call of a writing tool, or one for each row of a set

Every Find, Fold, Group, Calc and Test is about the world as it was when the episode began; Do nodes happen in their order.
Three rooms give a plan its meaning independently of one another: `enact` carries it out by tool calls, `sql` by queries and
statements of its own, `say` words it and reads the words back.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TypeAlias

import msgspec

Value: TypeAlias = str | int | float | None
"""A stored value, as SQLite holds it: flags are 0 and 1, money is in minor units, moments are ISO 8601 text."""


class Const(msgspec.Struct, frozen=True, kw_only=True, tag="const"):
    """A value that the instruction states; table and column (keys) tell its type, and so how it is said."""

    value: Value
    table: str
    column: str


class Of(msgspec.Struct, frozen=True, kw_only=True, tag="of", omit_defaults=True):
    """A value found on the way: a column of the row of a Find (or of the row that a Do answered with), or, with no column,
    the figure of a Fold, Group or Calc."""

    node: str
    column: str = ""


class Each(msgspec.Struct, frozen=True, kw_only=True, tag="each"):
    """The values of a column over all rows of a Find: for the operators `in` and `not_in`, list arguments and answers."""

    node: str
    column: str


class Item(msgspec.Struct, frozen=True, kw_only=True, tag="item"):
    """Within a Do for each row of a set: a column of the row at hand."""

    column: str


Expr: TypeAlias = Const | Of | Each | Item

OPS = ("eq", "ne", "lt", "le", "gt", "ge", "in", "not_in", "null", "set")
"""Comparisons.  `null` and `set` (is not NULL) take no value; `in` and `not_in` take an Each, or several Consts."""


class Where(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A condition on one column of the table at hand.  Text compares exactly; NULL meets `null` and nothing else."""

    column: str
    op: str = "eq"
    value: Const | Of | Each | None = None
    values: tuple[Const, ...] = ()
    """Of `in` and `not_in` with stated values: any of several states."""


class Find(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="find"):
    """Rows of a table that meet all conditions, by primary key or in the order of `sort`.

    one row   `many` False, `take` 0: exactly one row meets the conditions (proved);
              `take` 1: the first by `sort` among several, and no tie for it (proved)
    a set     `many` True; with `take` k > 0 the first k by `sort`, and no tie at the border (proved)
    """

    name: str
    table: str
    where: tuple[Where, ...] = ()
    sort: str = ""
    """Key of a column, never NULL in the rows that count (rows with NULL there are left out); ties are broken by nothing."""
    desc: bool = False
    take: int = 0
    many: bool = False
    free: bool = False
    """One row, and any of those that meet the conditions will do: 'any free room'."""


class Fold(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="fold"):
    """A figure over the rows of a set.  NULLs in the column are passed over; a sum over nothing is 0."""

    name: str
    of: str
    by: str = "count"
    """count, sum, mean, least, greatest."""
    column: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="group"):
    """The value of `column` that has the greatest (or least) figure when the rows of a set are grouped by it; no tie for it.

    Rows where `column` is NULL are left out, and groups in which `over` is NULL everywhere.
    """

    name: str
    of: str
    column: str
    by: str = "count"
    """count, sum or mean."""
    over: str = ""
    """The column that is summed or averaged."""
    desc: bool = True


class Calc(msgspec.Struct, frozen=True, kw_only=True, tag="calc"):
    """A value worked out of two others.

    plus, minus, times    of numbers; `percent` is left * right / 100, rounded half up to a whole number
    days_after            a date or moment `left`, moved on by `right` days (a Const number; negative: back)
    days_between          whole days from the date of `left` to the date of `right`
    """

    name: str
    op: str
    left: Const | Of
    right: Const | Of


class Test(msgspec.Struct, frozen=True, kw_only=True, tag="test"):
    """A comparison of two values: eq, ne, lt, le, gt, ge."""

    __test__ = False  # not one of pytest's

    name: str
    left: Const | Of
    op: str
    right: Const | Of


class Do(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="do"):
    """A call of a writing tool.  Arguments by parameter key; a list argument is an Each or a tuple of records."""

    name: str
    tool: str
    """Key of the tool."""
    arguments: dict[str, Const | Of | Each | Item | tuple[dict[str, Const | Of], ...]]
    each: str = ""
    """Name of a Find with `many`: one call for each of its rows, in their order; `Item` speaks of the row."""
    when: str = ""
    """Name of a Test: only where it holds."""
    unless: str = ""
    """Name of a Test: only where it does not hold."""
    refused: str = ""
    """In a task that cannot be done as asked: the error code with which this call is refused.  The gold does not make it."""


Node: TypeAlias = Find | Fold | Group | Calc | Test | Do

SHAPES = ("value", "set", "list", "record", "none")


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is to be submitted as the answer."""

    shape: str
    """value: one value.  set: values in any order.  list: in the order of the Find.  record: several named values.
    none: the task cannot be done, and the agent says so (`submit(None)` or 'impossible')."""
    what: tuple[Of | Each, ...] = ()
    """One, or in a record several (each with a column of its own)."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """A whole task as meaning."""

    family: str
    nodes: tuple[Node, ...]
    asked: Asked | None = None
    """None: nothing is to be answered, only done."""

    def __getitem__(self, name: str) -> Node:
        return self.by_name[name]

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """The nodes by name."""
        return {n.name: n for n in self.nodes}

    @property
    def dos(self) -> tuple[Do, ...]:
        """The changes."""
        return tuple(n for n in self.nodes if isinstance(n, Do))


def parts(node: Node) -> Iterator[Expr]:
    """Every expression in a node."""
    if isinstance(node, Find):
        for where in node.where:
            yield from () if where.value is None else (where.value,)
            yield from where.values
    elif isinstance(node, Calc | Test):
        yield from (node.left, node.right)
    elif isinstance(node, Do):
        for given in node.arguments.values():
            if isinstance(given, tuple):
                yield from (v for record in given for v in record.values())
            else:
                yield given


def uses(node: Node) -> tuple[str, ...]:
    """Names of the nodes that a node uses, in order, each once."""
    found = [e.node for e in parts(node) if isinstance(e, Of | Each)]
    if isinstance(node, Fold | Group):
        found.append(node.of)
    elif isinstance(node, Do):
        found += [name for name in (node.each, node.when, node.unless) if name]
    return tuple(dict.fromkeys(found))

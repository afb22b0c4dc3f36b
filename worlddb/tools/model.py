"""The Tool noun: a declarative program over one schema, and everything that an agent is told about it.

A tool is data.  It names its parameters as JSON Schema, then lists steps: rows that must be there (`Find`), states of affairs
that refuse the call (`Guard`), changes (`Write`), repetition over an array argument (`Each`), and the query that answers
(`Reply`).  Steps hold SQL that worlddb wrote; an argument only ever reaches SQLite as a bound value, or selects one of
the texts that a `Statement` offers.  So a toolset can be read, compared, stored and carried elsewhere, and nothing is exec'd.

Two names again: a `key` is what a thing means and never changes (`reservation.cancel`, parameter `id`); a `name` is what this
world's API calls it (`cancelBooking`, `bookingId`).  Programs speak of keys, agents of names; styles and perturbations
only change names.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

JsonSchema: TypeAlias = dict[str, Any]

READ_KINDS = ("get", "find", "list", "search", "aggregate", "predicate")
WRITE_KINDS = ("create", "update", "delete", "archive", "restore", "transition", "action", "bulk", "link", "unlink")
OTHER_KINDS = ("sql", "plugin", "distractor", "user")
KINDS = (*READ_KINDS, *WRITE_KINDS, *OTHER_KINDS)

CODES = (
    "UNKNOWN_TOOL", "INVALID_ARGUMENT", "NOT_FOUND", "RULE_VIOLATION", "CONFLICT", "FORBIDDEN",
    "SQL_ERROR", "SQL_NOT_ALLOWED", "SQL_BUDGET_EXCEEDED", "SQL_TOO_LARGE", "PLUGIN_ERROR",
    "UNAVAILABLE", "TIMEOUT", "RATE_LIMITED",
)  # fmt: skip
"""Every code that an error of an agent's call can have."""


class Statement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """SQL with `:key` for bound values.  Two kinds of holes are filled by text of the toolset, never of the agent:

    `{clauses}` by the texts of `clauses` whose parameter the call gave, in their order; `{key}` by the text that
    `choices[key]` offers for the value of that parameter.
    """

    sql: str
    clauses: dict[str, str] = {}
    choices: dict[str, dict[str, str]] = {}


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error that a step may answer with.

    `message` and `cure` are str.format templates over what is bound so far and, in a Guard, the columns of its row.
    """

    code: str
    message: str
    cure: str = ""
    """What would satisfy it: the next thing to try."""
    parameter: str = ""
    """Key of the parameter that is to blame."""
    rule: str = ""
    """Name of the business rule behind it: 'state:reservation.cancel', 'in_use:room'; rules of the schema name themselves."""


class Find(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="find"):
    """A row that must be there; `into` names its columns for the steps that follow."""

    query: Statement
    into: tuple[str, ...]
    missing: Fault
    when: str = ""
    """Only where the call gives this parameter, and not as null."""


class Guard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="guard"):
    """A state of affairs that refuses the call: its query returns a row exactly then."""

    query: Statement
    fault: Fault
    when: str = ""


class Mint(msgspec.Struct, frozen=True, kw_only=True):
    """A value that the server makes for a new row: its key, or a number of the business's own (ORD-2026-00042)."""

    into: str
    table: str
    column: str


class Write(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="write"):
    """An INSERT, UPDATE or DELETE.  Laws of the world (rules, totals) are applied after it, by the engine."""

    statement: Statement
    table: str
    """Key of the table that it writes."""
    op: str
    """'insert', 'update' or 'delete'."""
    columns: tuple[str, ...] = ()
    """Keys of the columns that it may set; empty for a delete."""
    mint: tuple[Mint, ...] = ()
    into: str = ""
    """Binds the number of rows changed, or after an insert into a table with an integer key the new key."""
    when: str = ""


class Each(msgspec.Struct, frozen=True, kw_only=True, tag="each"):
    """Repeats steps for every item of an array parameter.  An item binds as `item`; one with fields as `item_<field>`."""

    over: str
    steps: tuple[Find | Guard | Write, ...]


Step: TypeAlias = Find | Guard | Write | Each


class Field(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One column of an answer."""

    key: str
    name: str
    schema: JsonSchema
    table: str = ""
    column: str = ""
    """The table and column (keys) whose value it is; empty for what is computed."""
    convert: str = ""
    """'flag': 0/1 becomes false/true; 'json': stored text becomes the value it spells; '': as stored."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the answer is made.  Shapes:

    row     one object; `missing` where there is none
    rows    {items: [object …]}
    page    as rows, cut to the limit, with what the pagination of the style adds
    value   {field: value …} of the first row, always there (an aggregate, a predicate)
    """

    query: Statement
    shape: str
    fields: tuple[Field, ...]
    missing: Fault | None = None
    items: str = "items"
    """Public name of the array of a rows or page answer."""
    nested: tuple[tuple[str, Reply], ...] = ()
    """Public name -> the rows that belong to a row (an order's lines); they may bind what the tool has bound."""
    keys: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """For the read log: table key, and the positions in the query's row that hold the primary key of a row it read.
    Positions may lie beyond the fields: such columns are read and not shown."""
    covers: tuple[str, Statement] | None = None
    """For answers that stand for rows without showing them: the table, and the query of the primary keys of these rows."""
    total: Statement | None = None
    """The query that counts all rows of a page answer, where the style of the API shows it."""
    pages: str = ""
    """Pagination of a page answer: 'offset', 'page', 'cursor', or '' (only a limit)."""
    envelope: str = ""
    """Public name under which a row or value answer stands, where the style wraps it: {"booking": {...}}."""
    compact: bool = False
    """Shows the rows of a rows or page answer as {columns: [name …], rows: [[value …] …]}."""
    names: dict[str, str] = {}
    """Public names of what stands beside the rows (total, next_offset, next_cursor, page, has_more), where they differ."""


class Param(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One parameter."""

    key: str
    name: str
    schema: JsonSchema
    """JSON Schema of its value, description included; a nullable one has null among its types."""
    required: bool = False
    role: str = "value"
    """What it is for: key (finds a row), value (is stored), filter, search, sort, limit, cursor, items, choice."""
    table: str = ""
    column: str = ""
    """The table and column (keys) that its values come from or go to: its type, for composing tools and drawing arguments."""
    convert: str = ""
    """How the value is bound: '' as is, 'flag', 'datetime', 'datetime_end' (of a day its last moment), 'text' (trimmed),
    'like' (%escaped%), 'json' (as JSON text), 'keys' (an array, as JSON text, unique), 'page', 'cursor', 'spread' (an object
    whose fields bind as if they were parameters themselves)."""
    default: Any = None
    """Bound where the call does not give it; None: not bound, unless `binds_null`."""
    binds_null: bool = False
    """Bound to NULL where the call does not give it (INSERTs name every column)."""
    fields: tuple[Param, ...] = ()
    """The fields of each item of an array of objects, or of a spread object."""
    values: dict[str, Any] = {}
    """Public value -> what the program knows it as: names of columns to sort or group by, in another style's spelling."""
    hidden: bool = False
    """Not offered: the default is always bound."""


class Words(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a style makes a tool's name from: `verb` + `noun`, such as check_in + booking, or list + bookings + by_guest."""

    verb: str
    """A generic verb that a style may exchange (get, list, create …), or a verb of the domain (check_in)."""
    noun: str = ""
    many: bool = False
    """The plural of the noun is meant."""
    tail: str = ""
    """What follows the noun: 'by_email', 'to_agent', 'available'."""
    template: str = ""
    """The whole name with {noun}, where verb + noun would read badly: 'mark_{noun}_as_no_show'."""


class Tool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One tool: what the agent is told, and the program that runs."""

    key: str
    """Unique in its toolset and the same in every style: 'reservation.get', 'reservation.cancel'."""
    name: str = ""
    kind: str
    table: str
    """Key of the table that it is mainly about."""
    words: Words
    title: str = ""
    description: str
    params: tuple[Param, ...] = ()
    least: int = 0
    """How many arguments a call gives at least (an update: its key and one value)."""
    steps: tuple[Step, ...] = ()
    reply: Reply
    read_only: bool = True
    destructive: bool = False
    idempotent: bool = True
    cross: bool = False
    """True for actions of the business that concern several entities (assign, transfer, reserve …)."""
    writes: tuple[tuple[str, str], ...] = ()
    """(table key, op) of everything that a call may change, cascades and derived totals included."""
    rules: tuple[str, ...] = ()
    """Names of the business rules that may refuse it."""
    parameters: JsonSchema = {}
    """The JSON Schema of its arguments, made from `params`."""
    returns: JsonSchema = {}
    """The JSON Schema of its answer, made from `reply`."""

    def param(self, key: str) -> Param:
        """The parameter of that key."""
        return next(p for p in self.params if p.key == key)


class Error(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an agent gets for a call that was refused: data, never an exception."""

    code: str
    message: str
    parameter: str = ""
    """Public name (or path: 'items[2].quantity') of the argument to blame."""
    rule: str = ""
    cure: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one call: `data` where ok, else `error`."""

    ok: bool
    data: Any = None
    error: Error | None = None

    @property
    def json(self) -> bytes:
        """What the agent reads: the data, or {"error": {...}}.  Equal calls on equal states give equal bytes."""
        import orjson

        return orjson.dumps(self.data if self.error is None else {"error": msgspec.to_builtins(self.error)})

    @property
    def text(self) -> str:
        """`json` as str."""
        return self.json.decode()


class Call(msgspec.Struct, frozen=True):
    """A tool's public name and the arguments, as the agent gave them."""

    name: str
    arguments: dict[str, Any] = {}

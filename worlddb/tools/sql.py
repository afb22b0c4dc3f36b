"""Free SQL as a tool of its own: `run_sql`, inside the sandbox (`worlddb.world.sandbox`).

A write through it meets the same laws as any other: totals are derived anew, rules are checked, and what they refuse
leaves nothing behind.
"""

from __future__ import annotations

from typing import Any

from worlddb.schema.model import Schema
from worlddb.tools.arguments import Reader, Refused
from worlddb.tools.engine import Outcome, transact
from worlddb.tools.model import Error, Param, Reply, Statement, Tool, Words
from worlddb.tools.refused import Terms
from worlddb.world.host import Host
from worlddb.world.sandbox import Rows

NAME = "run_sql"
LONGEST = 20_000
"""Characters of SQL in one call."""
RETURNS = {
    "type": "object",
    "properties": {
        "columns": {"type": "array", "items": {"type": "string"}},
        "rows": {"type": "array", "items": {"type": "array"}, "description": "A list of values for every row."},
        "truncated": {"type": "boolean", "description": "True where there were more rows than one answer holds."},
        "rows_changed": {"type": "integer"},
    },
    "required": ["columns", "rows", "truncated", "rows_changed"],
    "additionalProperties": False,
}


def sql_tool(schema: Schema, *, write: bool) -> Tool:
    """The tool, read-only or not."""
    names = ", ".join(t.name for t in schema.tables)
    what = (
        "Run SQL (SQLite dialect) on the database: SELECT, and INSERT, UPDATE or DELETE; several statements separated by ; "
        "run as one unit, all or nothing. Schema changes and PRAGMA are refused, and so is what breaks a business rule."
        if write
        else "Run one SELECT (SQLite dialect) on the database. Nothing can be changed."
    )
    sql = {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST,
        "description": "The SQL text; ? or :name stand for parameters.",
    }
    values: list[str] = ["string", "number", "boolean", "null"]
    parameters = {
        "type": ["array", "object"], "items": {"type": values}, "default": [],
        "description": "Values of the parameters: a list for ?, an object for :name.",
    }  # fmt: skip
    params = (
        Param(key="sql", name="sql", schema=sql, required=True),
        Param(key="parameters", name="parameters", schema=parameters),
    )
    return Tool(
        key="sql.run", name=NAME, kind="sql", table=schema.tables[0].key, words=Words(verb=NAME), title="Run SQL",
        description=f"{what} Tables: {names}. Read sqlite_schema for their columns.", params=params,
        reply=Reply(query=Statement(sql=""), shape="value", fields=()), read_only=not write, destructive=write,
        idempotent=not write, returns=RETURNS,
        parameters={
            "type": "object", "properties": {p.name: p.schema for p in params}, "required": ["sql"],
            "additionalProperties": False,
        },
        writes=tuple((t.key, op) for t in schema.tables for op in ("insert", "update", "delete")) if write else (),
    )  # fmt: skip


class SqlRunner:
    """Carries out the calls of `run_sql`."""

    def __init__(self, tool: Tool, schema: Schema) -> None:
        self._reader = Reader(tool.params)
        self._write = not tool.read_only
        self._terms = Terms(schema)

    def run(self, host: Host, arguments: Any, now: str) -> Outcome:
        """One call; see `worlddb.tools.engine.Runner.run`."""
        try:
            given = self._reader.read(arguments)
        except Refused as refused:
            return Outcome(None, refused.error)
        sql, parameters = given["sql"], given.get("parameters")

        def body() -> Outcome:
            if "insert" in sql.lower():
                host.loosen()
            found = host.sandbox.run(sql, parameters, write=self._write)
            if not isinstance(found, Rows):
                return Outcome(None, Error(code=found.code, message=found.message))
            if self._write:
                host.settle()
            return Outcome(_data(found), None)

        return transact(host, body, self._terms, quiet=True) if self._write else body()


def _data(found: Rows) -> dict[str, Any]:
    return {
        "columns": list(found.columns),
        "rows": [list(row) for row in found.rows],
        "truncated": found.truncated,
        "rows_changed": found.changes,
    }

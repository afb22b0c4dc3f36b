"""Runs a tool's program on a host: one call, one savepoint.

Everything that goes wrong by the agent's doing comes back as an Error: what a guard refuses, and what a constraint of SQLite
or a law of the world does (worded by `refused.Terms`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import apsw
import orjson

from worlddb.tools.arguments import Reader, Refused, encode_cursor
from worlddb.tools.model import Each, Error, Fault, Find, Guard, Reply, Statement, Tool, Write
from worlddb.tools.refused import Terms, fill
from worlddb.world.diff import Change
from worlddb.world.host import Broken, Host

Read = tuple[str, tuple[Any, ...]]
"""A row that a call showed: table key, primary key."""
Seen = tuple[str, tuple[int, ...], list[tuple[Any, ...]]]
"""Rows that a call showed, as they came: table key, positions of the primary key, rows.  `reads_of` makes Reads of them."""


class Covers(NamedTuple):
    """Rows that an answer stood for without showing them: an aggregate's, or all that a page's total counts."""

    table: str
    sql: str
    """The query of these rows, or of their primary keys alone."""
    binds: dict[str, Any]
    at: tuple[int, ...] = ()
    """Positions of the primary key; empty: the query's rows are the keys."""


class Refusal(Exception):
    """Stops a program; never leaves this room."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


class Outcome(NamedTuple):
    """What a program did: the data or the error, the net row changes, the keys of the rows it showed, the rows it stood for."""

    data: Any
    error: Error | None
    changes: tuple[Change, ...] = ()
    seen: Sequence[Seen] = ()
    covers: Covers | None = None


class Runner:
    """A tool made ready to run on the hosts of one world."""

    def __init__(self, tool: Tool, terms: Terms) -> None:
        """`terms` are the toolset's; the tool's own parameters go before them."""
        self.tool = tool
        self.reader = Reader(tool.params, tool.least)
        every = [*tool.params, *(f for p in tool.params for f in p.fields)]
        self._terms = terms.beside({(p.table, p.column): p.name for p in every if p.column and p.role == "value"})
        self._names = {p.key: p.name for p in tool.params}
        self._names |= {f.key: f"{p.name}.{f.name}" for p in tool.params if p.convert == "spread" for f in p.fields}
        for field in (f for p in tool.params if p.convert != "spread" for f in p.fields):
            self._names.setdefault(field.key, field.name)
            self._names[f"item_{field.key}"] = field.name
        self._answer = _Answer(tool.reply)
        self._counted = _counted(tool.reply)
        self._writing = bool(tool.steps) and not tool.read_only

    def run(self, host: Host, arguments: Any, now: str) -> Outcome:
        """Carry out one call.  The host stands at the episode; `now` is its clock, 'YYYY-MM-DD HH:MM:SS'."""
        try:
            binds = self.reader.read(arguments)
        except Refused as refused:
            return Outcome(None, refused.error)
        binds["now"] = now
        binds["today"] = now[:10]
        if not self._writing:
            try:
                for step in self.tool.steps:
                    self._step(host, step, binds, "")
                return self._finish(host, binds)
            except Refusal as refusal:
                return Outcome(None, refusal.error)
            except apsw.SQLError as failure:
                if not is_overflow(failure):
                    raise
                return Outcome(None, TOO_LARGE)
        return self._write(host, binds)

    def _write(self, host: Host, binds: dict[str, Any]) -> Outcome:
        def body() -> Outcome:
            for step in self.tool.steps:
                self._step(host, step, binds, "")
            host.settle()
            return self._finish(host, binds)

        return transact(host, body, self._terms)

    # --- steps

    def _step(self, host: Host, step: Any, binds: dict[str, Any], item: str) -> None:
        kind = type(step)
        if kind is Each:
            for at, one in enumerate(binds.get(step.over) or ()):
                own = {**binds, "item": one} if not isinstance(one, dict) else {**binds, **one}
                for inner in step.steps:
                    self._step(host, inner, own, f"{self._names.get(step.over, step.over)}[{at}]")
            return
        if step.when and binds.get(step.when) is None:
            return
        if kind is Write:
            self._change(host, step, binds)
        elif kind is Find:
            rows = host.rows(text_of(step.query, binds), binds)
            if not rows:
                raise Refusal(self._error(step.missing, binds, item))
            binds.update(zip(step.into, rows[0], strict=True))
        elif kind is Guard:
            found = host.described(text_of(step.query, binds), binds)
            if found is not None:
                raise Refusal(self._error(step.fault, {**binds, **found}, item))

    @staticmethod
    def _change(host: Host, step: Write, binds: dict[str, Any]) -> None:
        for mint in step.mint:
            binds[mint.into] = host.mint(mint.table, mint.column)
        changed = host.write(text_of(step.statement, binds), binds.copy())
        if step.into:
            last = step.op == "insert"
            binds[step.into] = host.connection.last_insert_rowid() if last else changed

    def _error(self, fault: Fault, binds: dict[str, Any], item: str) -> Error:
        names = {**binds, **{f"{k}_name": n for k, n in self._names.items()}}
        parameter = self._names.get(fault.parameter, fault.parameter)
        if item:
            parameter = f"{item}.{parameter}" if parameter and parameter not in item else item
        message = fill(fault.message, names)
        return Error(
            code=fault.code, message=f"{item}: {message}" if item else message, parameter=parameter, rule=fault.rule,
            cure=fill(fault.cure, names),
        )  # fmt: skip

    # --- the answer

    def _finish(self, host: Host, binds: dict[str, Any]) -> Outcome:
        seen: list[Seen] = []
        reply = self.tool.reply
        data = self._answer.make(host, binds, seen)
        if data is None:
            assert reply.missing is not None
            raise Refusal(self._error(reply.missing, binds, ""))
        covers = None
        if reply.covers:
            covers = Covers(reply.covers[0], text_of(reply.covers[1], binds), binds)
        elif self._counted is not None:
            table, at = reply.keys[0]
            covers = Covers(table, text_of(self._counted, binds), binds, at)
        return Outcome(data, None, (), seen, covers)


def _counted(reply: Reply) -> Statement | None:
    """The query of all rows that a page answer counts in its total, in the page's columns; None where it counts none."""
    head, _, tail = reply.query.sql.rpartition(" ORDER BY ")
    if reply.shape != "page" or reply.total is None or not reply.keys or not head or " LIMIT " not in tail:
        return None
    choices = {k: v for k, v in reply.query.choices.items() if f"{{{k}}}" in head}
    return Statement(sql=head, clauses=reply.query.clauses, choices=choices)


def reads_of(seen: Sequence[Seen]) -> tuple[Read, ...]:
    """Every row that was shown, once."""
    found: dict[Read, None] = {}
    for table, at, rows in seen:
        found.update(((table, tuple(row[i] for i in at)), None) for row in rows)
    return tuple(read for read in found if None not in read[1])


TOO_LARGE = Error(
    code="CONFLICT", message="The figures are too large to be added up.", cure="Use smaller figures, or fewer records."
)


def is_overflow(failure: BaseException) -> bool:
    """True where figures that agents have written exceed 64 bits in sum."""
    return isinstance(failure, apsw.SQLError) and "integer overflow" in str(failure)


def transact(host: Host, body: Callable[[], Outcome], terms: Terms, *, quiet: bool = False) -> Outcome:
    """Run the body of a call in a savepoint: all of it happens, or nothing.

    The body writes through `host.write`, calls `host.settle` once it has, and makes the answer.  `terms` are the agent's,
    for what is refused.  A `quiet` call that changed no row is no write: the clock stands.
    """
    host.begin()
    try:
        outcome = body()
        if outcome.error is None:
            return outcome._replace(changes=host.commit(quiet=quiet))
        error = outcome.error
    except Refusal as refusal:
        error = refusal.error
    except Broken as broken:
        error = terms.broken_law(broken)
    except apsw.ConstraintError as constraint:
        error = terms.constraint(constraint)
    except (apsw.FullError, apsw.TooBigError):
        error = Error(code="CONFLICT", message="The record is too large, or there are no more numbers for new ones.")
    except BaseException as failure:  # ours, so it goes on; only the savepoint must not stay open
        if not is_overflow(failure):
            host.abort()
            raise
        error = TOO_LARGE
    host.abort()
    return Outcome(None, error)


class _Answer:
    """Makes the answer of one Reply."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self._names = tuple(f.name for f in reply.fields)
        self._converts = tuple((i, _OUT[f.convert]) for i, f in enumerate(reply.fields) if f.convert)
        self._nested = tuple((name, _Answer(inner)) for name, inner in reply.nested)

    def make(self, host: Host, binds: dict[str, Any], seen: list[Seen]) -> Any:
        """The data; None where a row reply has no row."""
        reply = self.reply
        rows = host.rows(text_of(reply.query, binds), binds)
        if reply.shape == "page":
            limit = binds["limit"]
            more = len(rows) > limit
            return self._page(host, binds, self._objects(host, rows[:limit], binds, seen), more)
        if reply.shape == "rows":
            return self._shown(self._objects(host, rows, binds, seen))
        if not rows:
            return None
        one = self._objects(host, rows[:1], binds, seen)[0]
        return {reply.envelope: one} if reply.envelope else one

    def _objects(
        self, host: Host, rows: list[tuple[Any, ...]], binds: dict[str, Any], seen: list[Seen]
    ) -> list[dict[str, Any]]:
        seen += [(table, at, rows) for table, at in self.reply.keys]
        names = self._names
        found = [dict(zip(names, row)) for row in rows]  # noqa: B905 - a row may go on, with keys that are only logged
        for at, convert in self._converts:
            name = names[at]
            for one in found:
                if one[name] is not None:
                    one[name] = convert(one[name])
        for name, inner in self._nested:
            for one, row in zip(found, rows, strict=True):
                own = {**binds, **{f.key: row[i] for i, f in enumerate(self.reply.fields)}}
                one[name] = inner.make(host, own, seen)[inner.reply.items]
        return found

    def _page(self, host: Host, binds: dict[str, Any], items: list[Any], more: bool) -> dict[str, Any]:
        reply, offset, limit = self.reply, binds.get("offset", 0), binds["limit"]
        beside: dict[str, Any] = {}
        if reply.total:
            beside["total"] = host.rows(text_of(reply.total, binds), binds)[0][0]
        if reply.pages == "cursor":
            beside["next_cursor"] = encode_cursor(offset + limit) if more else None
        elif reply.pages == "offset":
            beside["next_offset"] = offset + limit if more else None
        elif reply.pages == "page":
            beside["page"] = offset // limit + 1
        beside["has_more"] = more
        return self._shown(items) | {reply.names.get(k, k): v for k, v in beside.items()}

    def _shown(self, items: list[dict[str, Any]]) -> dict[str, Any]:
        """Several rows as the style shows them."""
        if self.reply.compact:
            return {"columns": list(self._names), "rows": [list(one.values()) for one in items]}
        return {self.reply.items: items}


def _spelt(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


_OUT: dict[str, Callable[[Any], Any]] = {"flag": bool, "json": _spelt}


# --- texts


def text_of(statement: Statement, binds: dict[str, Any]) -> str:
    """The SQL of a statement for these bound values."""
    sql = statement.sql
    if "{" not in sql:
        return sql
    if "{clauses}" in sql:
        sql = sql.replace("{clauses}", "".join(text for key, text in statement.clauses.items() if key in binds))
    for key, options in statement.choices.items():
        sql = sql.replace(f"{{{key}}}", options[binds[key]])
    return sql

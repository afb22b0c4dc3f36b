"""What actions are put together from: a `Draft` collects parameters, steps and changes, and becomes a tool.

A pattern that a schema cannot carry raises `Unfit` while it drafts; then there is no such tool.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from worlddb.schema.model import Table
from worlddb.schema.rules import quote
from worlddb.tools.kinds.actions.newborn import born_broken, known_value, may_lack, sensible_value, there
from worlddb.tools.kinds.actions.sights import is_updated_at, single_key
from worlddb.tools.kinds.actions.texts import braces, entering, listed, moment, need, settled, unusable, with_formulas
from worlddb.tools.kinds.views import bind
from worlddb.tools.model import Each, Fault, Find, Guard, Mint, Param, Reply, Statement, Step, Tool, Words, Write
from worlddb.tools.site import Site
from worlddb.tools.words import listing
from worlddb.world.mint import is_minted

MOST_ASKED = 9
"""Parameters that an action asks for at most; what needs more is no action but a form."""


class Draft:
    """An action on its way.  `key` becomes '<table>.<key>'."""

    def __init__(self, site: Site, table: Table, key: str) -> None:
        self.site, self.table, self.key = site, table, key
        self.params: list[Param] = []
        self.steps: list[Step] = []
        self._inner: list[Find | Guard | Write] | None = None
        self.changes: list[tuple[str, str, tuple[str, ...]]] = []
        self.rules: list[str] = []
        self.told: list[str] = []
        """When it is refused, in words that follow 'Refused when'."""
        self.label = site.words.label(table.key)

    # --- parameters

    def ask(self, *params: Param) -> None:
        """Add parameters; names stay unique."""
        for param in params:
            names = {p.name for p in self.params}
            name = param.name if param.name not in names else f"{self.site.words.noun(param.table)}_{param.name}"
            need(name not in names and param.key not in {p.key for p in self.params})
            self.params.append(replace(param, name=name))

    def row(
        self, table: Table, columns: Iterable[str] = (), *, prefix: str = "", name: str = "", what: str = "",
        required: bool = True,
    ) -> None:  # fmt: skip
        """Ask for the key of a row that must be there; its columns bind as '<prefix>was_<column>'."""
        found = self.site.key_params(table, prefix, what)
        if name:
            need(single_key(table))
            found = (replace(found[0], name=f"{name}_id"),)
        self.ask(*(p if required else replace(p, required=False, binds_null=True) for p in found))
        self._add(self.site.find(table, columns, prefix=prefix, when="" if required else f"{prefix}id"))

    def value(self, table: Table, column: str, key: str, name: str, text: str, *, required: bool = True) -> None:
        """Ask for a value of a column's type, described in own words; never null."""
        param = self.site.value_param(table, table[column], required=required, key=key, name=name, nullable=False)
        self.ask(replace(param, schema={**param.schema, "description": text}))

    # --- steps

    def _add(self, *steps: Find | Guard | Write) -> None:
        (self.steps if self._inner is None else self._inner).extend(steps)

    def each(self, over: str, inner: Sequence[Find | Guard | Write]) -> None:
        """Repeat steps for each item of an array."""
        self.steps.append(Each(over=over, steps=tuple(inner)))

    def inside(self) -> list[Find | Guard | Write]:
        """From now on steps go into a list of their own, which `each` takes; `outside` ends it."""
        self._inner = []
        return self._inner

    def outside(self) -> None:
        """Steps go into the program again."""
        self._inner = None

    def bind(self, sql: str, *into: str, missing: Fault | None = None) -> None:
        """Bind what a query gives; without `missing` it always gives a row."""
        fault = missing or Fault(code="NOT_FOUND", message="There is nothing there.")
        self._add(Find(query=Statement(sql=sql), into=into, missing=fault))

    def refuse(
        self, sql: str, message: str, cure: str, *, rule: str = "", code: str = "RULE_VIOLATION", parameter: str = "",
        when: str = "", told: str = "",
    ) -> None:  # fmt: skip
        """Refuse where a query gives a row; `told` says when, for the description."""
        self.told += [told] if told and told not in self.told else []
        fault = Fault(code=code, message=message, cure=cure, rule=rule, parameter=parameter)
        self._add(Guard(query=Statement(sql=sql), fault=fault, when=when))
        if rule and rule not in self.rules:
            self.rules.append(rule)

    def usable(self, table: Table, prefix: str, doing: str) -> None:
        """Refuse a row that is inactive, deleted or retired."""
        condition = unusable(self.site, table)
        if not condition:
            return
        label = self.site.words.label(table.key)
        binds = " / ".join(f"{{{b}}}" for b in self.site.key_binds(table, prefix))
        self.refuse(
            f"SELECT 1 AS refused FROM {self.site.sql(table)} AS t WHERE {self.site.at_key(table, prefix=prefix)} "
            f"AND ({condition})",
            f"The {label} {binds} is not active and cannot {doing}.", f"Choose an active {label}.",
            rule=f"inactive:{table.key}", parameter=self.site.key_binds(table, prefix)[0], when=self._when(prefix),
            told=f"the {label} is not active",
        )  # fmt: skip

    def _when(self, prefix: str) -> str:
        key = f"{prefix}id"
        return key if any(p.key == key and not p.required for p in self.params) else ""

    def among(self, states: Sequence[str], done: str, *, prefix: str = "", table: Table | None = None) -> None:
        """Refuse a row in another state than these; `done` completes 'can be …'.  The state is bound by `row`."""
        table = table or self.table
        machine = table.lifecycle
        if machine is None or set(states) >= set(machine.states):
            return
        need(states)
        bound = f"{prefix}was_{machine.column}"
        allowed = ", ".join(states)
        others = [s for s in machine.states if s not in states]
        barred = listing(others) if len(others) <= len(states) else f"not {listing(states)}"
        label = self.site.words.label(table.key)
        self.refuse(
            f"SELECT 1 AS refused WHERE coalesce(:{bound}, '') NOT IN ({listed(states)})",
            f"The {label} {{{self.site.key_binds(table, prefix)[0]}}} is {{{bound}}}; it can be {done} only while "
            f"it is "
            f"{braces(allowed)}.",
            f"Choose one that is {braces(' or '.join(states))}, or move it there first.",
            rule=f"state:{self.table.key}.{self.key}", parameter=self.site.key_binds(table, prefix)[0],
            told=f"the {label} is {barred}",
        )  # fmt: skip

    # --- changes

    def write(
        self, table: Table, op: str, sql: str, columns: Iterable[str], *, mint: Sequence[Mint] = (), into: str = "",
        when: str = "",
    ) -> None:  # fmt: skip
        """A change by SQL of one's own."""
        keys = tuple(columns)
        statement = Statement(sql=sql)
        self._add(
            Write(statement=statement, table=table.key, op=op, columns=keys, mint=tuple(mint), into=into, when=when)
        )
        self.changes.append((table.key, op, keys))

    def update(
        self, table: Table, sets: dict[str, str], where: str, *, into: str = "", when: str = "", quiet: bool = False
    ) -> None:
        """Set columns (key -> SQL) of the rows `t` that meet a condition; formulas and updated_at follow.

        With `quiet`, updated_at stays.
        """
        every = with_formulas(table, sets)
        if not quiet:
            every |= {c.key: moment(c) for c in table.columns if is_updated_at(c) and c.key not in every}
        assignments = ", ".join(f"{quote(table[k].name)} = {v}" for k, v in every.items())
        self.write(
            table,
            "update",
            f"UPDATE {self.site.sql(table)} AS t SET {assignments} WHERE {where}",
            every,
            into=into,
            when=when,
        )

    def delete(self, table: Table, where: str, into: str = "") -> None:
        """Delete the rows `t` that meet a condition."""
        self.write(table, "delete", f"DELETE FROM {self.site.sql(table)} AS t WHERE {where}", (), into=into)

    def enter(
        self, table: Table, state: str, where: str, *, sets: dict[str, str] | None = None, into: str = ""
    ) -> None:
        """Move the rows `t` that meet a condition into a state, with its stamp."""
        self.update(
            table,
            {**(sets or {}), **entering(table, state)},
            where,
            into=into,
            quiet=state in settled(self.site, table),
        )

    def insert(
        self, table: Table, given: dict[str, str], *, into: str = "new", ask: bool = True, offer: Iterable[str] = (),
        prefer: Sequence[str] = (), key: str = "its_", unless: str = "",
    ) -> list[Param]:  # fmt: skip
        """A new row: `given` (column -> SQL), what the system knows, and parameters for what else must be given.

        The key of the row binds as `into`.  `key` stands before the keys of the parameters; `offer` are columns that may be
        given too.  Without `ask` a sensible value is put in (`prefer`: words for enumerations).  Inside an `each` the
        parameters become the fields of the item; they are returned in both cases.  `unless` is a condition under which no row
        is needed.
        """
        site, inner = self.site, self._inner is not None
        need(not born_broken(site, table, given))
        params: list[Param] = []
        mint: list[Mint] = []
        values = dict(given)
        for column in sorted(table.columns, key=lambda c: c.key not in table.key_columns):
            if column.key in values or column.formula:
                continue
            if is_minted(table, column):
                own = (column.key,) == table.primary_key
                if own and table.key_style == "integer":
                    continue
                bound = into if own else f"{into}_{column.key}"
                mint.append(Mint(into=bound, table=table.key, column=column.key))
                values[column.key] = f":{bound}"
                continue
            known = known_value(site, table, column, values)
            if known is None and not ask:
                known = sensible_value(site, table, column, prefer)
                need(known is not None)
            if column.key in offer or known is None or may_lack(site, table, column, known):
                param = site.value_param(
                    table, column, required=known is None, key=f"{key}{bind(column.key)}", nullable=False
                )
                params.append(param if param.required else replace(param, binds_null=known == "NULL"))
                bound = f":item_{param.key}" if inner else f":{param.key}"
                values[column.key] = bound if known in (None, "NULL") else f"coalesce({bound}, {known})"
                if param.required is False:
                    params[-1] = replace(params[-1], binds_null=True)
                if (reference := site.references(table).get(column.key)) is not None:
                    self._add(there(site, table, column, bound[1:], reference.columns[0]))
            else:
                values[column.key] = known
        need(len(params) <= MOST_ASKED)
        values = with_formulas(table, values)
        values = {c.key: values[c.key] for c in table.columns if c.key in values}
        if not inner:
            self.ask(*params)
        listed_values = ", ".join(values.values())
        rows = f"SELECT {listed_values} WHERE NOT {unless}" if unless else f"VALUES ({listed_values})"
        self.write(
            table, "insert", f"INSERT INTO {site.sql(table)} ({site.cols(table, values, '')}) {rows}", values, mint=mint,
            into=into if single_key(table) and table.key_style == "integer" else "",
        )  # fmt: skip
        return params

    # --- the end

    def tool(
        self, words: Words, description: str, reply: Reply, *, destructive: bool = False, idempotent: bool = False
    ) -> Tool:
        """The tool; required parameters first.  To the description is added when it is refused."""
        if self.told:
            description = f"{description} Refused when {listing(self.told)}."
        return Tool(
            key=f"{self.table.key}.{self.key}", kind="action", table=self.table.key, words=words, description=description,
            params=tuple(sorted(self.params, key=lambda p: not p.required)), steps=tuple(self.steps), reply=reply,
            read_only=False, destructive=destructive, idempotent=idempotent, cross=True,
            writes=self.site.touched(self.changes), rules=tuple(dict.fromkeys((*self.rules, *self.site.met(self.changes)))),
        )  # fmt: skip

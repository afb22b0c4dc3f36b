"""Tools that ask what the rules would say of a new row before anybody tries it: is it free, does it fit, who may.

They answer yes or no with the reason; and they list what is free.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from worlddb.schema.model import Table
from worlddb.schema.rules import Cap, NoOverlap, QtyLe, RoleReq, Scope, StateReq, SumLe, UniqueActive, Where, literal
from worlddb.tools.kinds.filters import filters
from worlddb.tools.kinds.read import listing
from worlddb.tools.kinds.views import bind, figure, flag, found_keys
from worlddb.tools.model import Fault, Field, Guard, JsonSchema, Param, Reply, Statement, Tool, Words
from worlddb.tools.site import Site, or_null
from worlddb.tools.words import article

ENDLESS = "'9999-12-31'"
"""After every moment: the end of an interval that has none."""

Limited: TypeAlias = Cap | SumLe | QtyLe


def propose(site: Site) -> Iterator[Tool]:
    """The predicates of every rule that speaks of new rows."""
    for rule in site.schema.rules:
        if isinstance(rule, NoOverlap):
            yield from free(site, rule)
        elif isinstance(rule, Cap | SumLe | QtyLe):
            yield from room_left(site, rule)
        elif isinstance(rule, UniqueActive):
            yield from active(site, rule)
        elif isinstance(rule, StateReq):
            yield from in_state(site, rule)
        elif isinstance(rule, RoleReq):
            yield from entitled(site, rule)


class _Asked:
    """A rule's query in which paths are replaced by parameters: the call names the resource, the rule says what counts."""

    def __init__(self, site: Site, table: str, alias: str = "t") -> None:
        self.site = site
        self.scope = Scope(site.schema, table, alias, set())
        self.params: dict[str, Param] = {}
        self.guards: list[Guard] = []
        self.targets: dict[str, Table | None] = {}
        """Path -> the table whose key it holds."""

    def equal(self, path: str) -> str:
        """That the rule's path has the value of a parameter."""
        table, _, key = self.scope.resolve(path)
        target = self.site.target(table, key)
        if target is None and (key,) == table.primary_key:
            target = table
        self.targets[path] = target
        name = bind(path)
        role = "filter" if target is None else "key"
        self.params[path] = self.site.value_param(table, table[key], required=True, role=role, nullable=False, key=name)
        if target is not None:
            self.guards.append(self._there(target, name))
        return f"{self.scope.column(path)} = :{name}"

    def day(self, path: str) -> str:
        """That the moment at a path lies on the day of a parameter."""
        table, _, key = self.scope.resolve(path)
        text = f"The day of the {self.site.words.column_label(table.key, key)}, 'YYYY-MM-DD'."
        schema: JsonSchema = {"type": "string", "format": "date", "description": text}
        self.params["day"] = Param(key="day", name="day", schema=schema, required=True, role="filter")
        return f"substr({self.scope.column(path)}, 1, 10) = :day"

    def _there(self, target: Table, name: str) -> Guard:
        sql = (
            f"SELECT 1 AS gone WHERE NOT EXISTS (SELECT 1 FROM {self.site.sql(target)} AS p "
            f"WHERE {self.site.col(target, target.primary_key[0], 'p')} = :{name})"
        )
        label = self.site.words.label(target.key)
        fault = Fault(
            code="NOT_FOUND", message=f"There is no {label} with ID {{{name}}}.", parameter=name,
            cure=f"Look the {label} up by listing or searching {self.site.words.labels(target.key)}.",
        )  # fmt: skip
        return Guard(query=Statement(sql=sql), fault=fault)

    def rows(self, where: Where, conditions: list[str]) -> str:
        """The condition of the rows that count."""
        return " AND ".join([self.scope.condition(where), *conditions])

    def words(self) -> str:
        """What the parameters name, joined for a tool's name."""
        return "_and_".join(p.name.removesuffix("_id") for p in self.params.values())

    def said(self) -> str:
        """The same in prose."""
        return self.words().replace("_", " ")


def _interval(site: Site, rule: NoOverlap) -> tuple[tuple[Param, ...], Guard]:
    """The parameters of a half-open interval, and the guard that it is one."""
    params = []
    for path, key, name, note in (
        (rule.start, "begin", "start", "the interval begins then"), (rule.end, "finish", "end", "the interval ends before"),
    ):  # fmt: skip
        table, _, column = Scope(site.schema, rule.table, "t", set()).resolve(path)
        params.append(
            site.value_param(table, table[column], required=True, nullable=False, key=key, name=name, note=note)
        )
    fault = Fault(
        code="INVALID_ARGUMENT", message="The start {begin} is not before the end {finish}.", parameter="finish",
        cure="Give an end that is later than the start.",
    )  # fmt: skip
    return tuple(params), Guard(query=Statement(sql="SELECT 1 AS wrong WHERE :begin >= :finish"), fault=fault)


def _overlaps(rule: NoOverlap, scope: Scope) -> str:
    """That a row's interval and that of the parameters have a moment in common."""
    return f"{scope.column(rule.start)} < :finish AND coalesce({scope.column(rule.end)}, {ENDLESS}) > :begin"


def free(site: Site, rule: NoOverlap) -> Iterator[Tool]:
    """Whether a resource is free between two moments; and which ones are."""
    asked = _Asked(site, rule.table)
    equal = [asked.equal(path) for path in rule.per]
    table, scope = asked.scope.table, asked.scope
    interval, ordered = _interval(site, rule)
    names, named = scope.named_keys()
    start, end = scope.column(rule.start), scope.column(rule.end)
    condition = asked.rows(rule.where, [*equal, _overlaps(rule, scope)])
    inner = (
        f"SELECT {named}, {start} AS begun, {end} AS done FROM {scope.source} WHERE {condition} "
        f"ORDER BY {start}, {scope.keys()} LIMIT 1"
    )
    label, what = site.words.label(table.key), asked.words()
    key_fields = found_keys(site, table, f"ID of the first {label} in the way; null: there is none.", "conflicting_")
    fields = (
        flag("available", "The answer."), *key_fields, _edge(site, rule, rule.start, "conflict_start"),
        _edge(site, rule, rule.end, "conflict_end"),
    )  # fmt: skip
    yield Tool(
        key=f"{table.key}.free_{bind('_'.join(rule.per))}", kind="predicate", table=table.key,
        words=Words(verb="check", template=f"check_{what}_availability_for_{{noun}}"),
        description=f"Check whether the {asked.said()} is free for {article(label)} from a start to an end (not included), and "
                    f"what is in the way. {rule.say}",
        params=(*asked.params.values(), *interval), steps=(ordered, *asked.guards),
        reply=Reply(
            query=Statement(sql=f"SELECT c.k0 IS NULL, {names}, c.begun, c.done FROM (SELECT 1) LEFT JOIN ({inner}) AS c"),
            shape="value", fields=fields, keys=((table.key, tuple(range(1, len(table.primary_key) + 1))),),
        ),
    )  # fmt: skip
    yield from _free_ones(site, rule)


def _edge(site: Site, rule: NoOverlap, path: str, name: str) -> Field:
    table, _, column = Scope(site.schema, rule.table, "t", set()).resolve(path)
    schema = or_null(site.value_schema(table, table[column], given=False))
    word = site.words.column_label(table.key, column)
    return Field(key=name, name=name, schema={**schema, "description": f"Its {word}."}, table=table.key, column=column)


def _free_ones(site: Site, rule: NoOverlap) -> Iterator[Tool]:
    """The resources that are free between two moments."""
    path = _resource(site, rule)
    if not path:
        return
    reference = site.schema[rule.table].parents[path]
    # t is the resource in its own list: the rule's rows take another alias
    resource, asked = site.schema[reference.table], _Asked(site, rule.table, "busy")
    others = [asked.equal(p) for p in rule.per if p != path]
    interval, ordered = _interval(site, rule)
    mine = f"{asked.scope.column(path)} = {site.col(resource, resource.primary_key[0])}"
    condition = asked.rows(rule.where, [mine, *others, _overlaps(rule, asked.scope)])
    rivals = [r for r in site.schema.rules if isinstance(r, NoOverlap) and _resource(site, r)]
    several = sum(site.schema[r.table].parents[_resource(site, r)].table == resource.key for r in rivals) > 1
    role = site.words.field(rule.table, reference.columns[0])
    tail = f"_as_{role}_for_{site.words.noun(rule.table)}" if several else ""
    label, labels = site.words.label(rule.table), site.words.labels(resource.key)
    yield listing(
        site, resource, key=f"{resource.key}.free_for_{rule.table}_{bind('_'.join(rule.per))}",
        words=Words(verb="list", many=True, template=f"list_available_{{noun}}{tail}"),
        text=f"List the {labels} that are free for {article(label)} from a start to an end (not included), optionally filtered.",
        found=filters(site, resource, 4), own=(*asked.params.values(), *interval), steps=(ordered, *asked.guards),
        condition=f"NOT EXISTS (SELECT 1 FROM {asked.scope.source} WHERE {condition})",
    )  # fmt: skip


def _resource(site: Site, rule: NoOverlap) -> str:
    """The first path of a rule that is a reference to a row of a single key; '' where there is none."""
    roles = site.schema[rule.table].parents
    return next((p for p in rule.per if p in roles and len(site.schema[roles[p].table].primary_key) == 1), "")


def room_left(site: Site, rule: Limited) -> Iterator[Tool]:
    """Whether one more, or an amount more, stays within a limit: how much is used, how much is left."""
    if not rule.per:
        return
    asked = _Asked(site, rule.table)
    equal = [asked.equal(path) for path in rule.per]
    if isinstance(rule, Cap) and rule.each_day:
        equal.append(asked.day(rule.each_day))
    bound = _bound(site, rule, asked)
    if bound is None:
        return
    scope, table, labels = asked.scope, asked.scope.table, site.words.labels(asked.scope.table.key)
    params, amount, more, counted = tuple(asked.params.values()), "1", "1", labels
    if rule.column:
        home, _, column = scope.resolve(rule.column)
        amount, more = scope.number(rule.column), ":amount_more"
        counted = f"the {site.words.column_label(home.key, column)} of {labels}"
        params += (
            site.value_param(
                home,
                home[column],
                required=True,
                nullable=False,
                key="amount_more",
                name="amount",
                note="of the new one",
            ),
        )
    condition = asked.rows(rule.where, equal)
    used = f"SELECT coalesce(sum({amount}), 0) FROM {scope.source} WHERE {condition}"
    rows = f"SELECT {scope.keys()} FROM {scope.source} WHERE {condition} ORDER BY {scope.keys()}"
    left = "CASE WHEN most IS NOT NULL THEN max(most - used, 0) END"
    sql = f"SELECT coalesce(used + {more} <= most, 1), used, most, {left}, k FROM (SELECT ({used}) AS used, {bound[0]})"
    fields = (
        flag("fits", "The answer."), figure("used", f"What is used up by now: {counted}.", "number"),
        figure("limit", "The most that is allowed; null: there is no limit.", "number", null=True),
        figure("remaining", "What is left of it; null: there is no limit.", "number", null=True),
    )  # fmt: skip
    of = f"_{bind(rule.column)}" if rule.column else ""
    noun = f"check_{asked.words()}_{'limit' if rule.column else 'capacity'}_for_{{noun}}"
    yield Tool(
        key=f"{table.key}.room_{bind('_'.join(rule.per))}{of}", kind="predicate", table=table.key,
        words=Words(verb="check", template=noun),
        description=f"Check whether {'this much more' if rule.column else 'one more'} fits for the {asked.said()}, and how much "
                    f"is left. {rule.say}",
        params=params, steps=tuple(asked.guards),
        reply=Reply(
            query=Statement(sql=sql), shape="value", fields=fields, keys=((bound[1], (4,)),) if bound[1] else (),
            covers=(table.key, Statement(sql=rows)),
        ),
    )  # fmt: skip


def _bound(site: Site, rule: Limited, asked: _Asked) -> tuple[str, str] | None:
    """The limit, as columns `most` and `k` (the key of the row that sets it), and the table of that row.

    None where only the new row itself would tell.
    """
    if isinstance(rule.at_most, int):
        return f"{rule.at_most} AS most, NULL AS k", ""
    for path in rule.per:
        target = asked.targets[path]
        if target is not None and rule.at_most.startswith(f"{path}."):
            scope = Scope(site.schema, target.key, "p", set())
            most, key = scope.number(rule.at_most.removeprefix(f"{path}.")), scope.column("self")
            name = bind(path)
            return f"(SELECT {most} FROM {scope.source} WHERE {key} = :{name}) AS most, :{name} AS k", target.key
    return None


def active(site: Site, rule: UniqueActive) -> Iterator[Tool]:
    """Whether there is a row that leaves no place for another."""
    asked = _Asked(site, rule.table)
    equal = [asked.equal(path) for path in rule.per]
    scope, table = asked.scope, asked.scope.table
    names, named_as = scope.named_keys()
    condition = asked.rows(rule.where, equal)
    inner = f"SELECT {named_as} FROM {scope.source} WHERE {condition} ORDER BY {scope.keys()} LIMIT 1"
    label, what = site.words.label(table.key), asked.words()
    yield Tool(
        key=f"{table.key}.active_{bind('_'.join(rule.per))}", kind="predicate", table=table.key,
        words=Words(verb="check", template=f"check_{{noun}}_present_for_{what}"),
        description=f"Check whether this {asked.said()} has {article(label)} already that rules out another, and which one. "
                    f"{rule.say}",
        params=tuple(asked.params.values()), steps=tuple(asked.guards),
        reply=Reply(
            query=Statement(sql=f"SELECT k0 IS NOT NULL, {names} FROM (SELECT 1) LEFT JOIN ({inner}) AS c"), shape="value",
            fields=(flag("present", "The answer."), *found_keys(site, table, f"ID of that {label}; null: there is none.")),
            keys=((table.key, tuple(range(1, len(table.primary_key) + 1))),),
        ),
    )  # fmt: skip


def in_state(site: Site, rule: StateReq) -> Iterator[Tool]:
    """Whether a parent is in a state in which it admits a child."""
    yield from _fitness(site, rule, rule.of, rule.column, rule.among, listing_of(rule.among))


def entitled(site: Site, rule: RoleReq) -> Iterator[Tool]:
    """Whether a person is entitled to something, as far as the person's own row tells."""
    if rule.among:
        yield from _fitness(site, rule, rule.actor, rule.column, rule.among, listing_of(rule.among))
    elif isinstance(rule.at_least, int):
        yield from _fitness(site, rule, rule.actor, rule.column, f">= {rule.at_least}", f"at least {rule.at_least}")


def listing_of(values: tuple[str | int, ...]) -> str:
    """Some values in prose."""
    return ", ".join(str(v) for v in values)


def _fitness(
    site: Site, rule: StateReq | RoleReq, path: str, column: str, wanted: tuple[str | int, ...] | str, said: str
) -> Iterator[Tool]:
    """Whether the row that a path leads to meets a condition on one of its columns."""
    holder = Scope(site.schema, rule.table, "t", set()).reach(tuple(path.split(".")))[0]
    if len(holder.primary_key) > 1 or column not in holder or holder.key == rule.table:
        return
    where: Where = {column: wanted}
    scope = Scope(site.schema, holder.key, "t", set())
    shown = list(dict.fromkeys([*holder.primary_key, column]))
    sql = (
        f"SELECT coalesce({scope.condition(where)}, 1), {site.cols(holder, shown)}, {literal(said)} FROM {scope.source} "
        f"WHERE {site.at_key(holder)}"
    )
    label, child, last = site.words.label(holder.key), site.words.label(rule.table), path.split(".")[-1]
    role = "" if last in (holder.key, site.words.noun(holder.key)) else f"_as_{last}"
    only = f" It matters only for some {site.words.labels(rule.table)}." if rule.where else ""
    text: JsonSchema = {
        "type": "string",
        "description": f"What its {site.words.column_label(holder.key, column)} has to be.",
    }
    required = Field(key="required", name="required", schema=text)
    yield Tool(
        key=f"{holder.key}.fit_for_{rule.table}_{bind(path)}_{column}", kind="predicate", table=holder.key,
        words=Words(
            verb="check", tail=f"{site.words.field(holder.key, column)}_for_{site.words.noun(rule.table)}{role}"
        ),
        description=f"Check whether one {label} has the {site.words.column_label(holder.key, column)} that {article(child)} "
                    f"needs. {rule.say}{only}",
        params=site.key_params(holder),
        reply=Reply(
            query=Statement(sql=sql), shape="value", missing=site.missing(holder), keys=((holder.key, (1,)),),
            fields=(flag("eligible", "The answer."), *site.fields(holder, shown), required),
        ),
    )  # fmt: skip

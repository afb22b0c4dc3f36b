"""What would satisfy a law, in words: templates that a refused writer can act upon.

Tables and columns stand in them by key, in brackets of their own (`NAMED`), for whoever shows them to put in the names that
the reader knows: those of SQL, or of an API.
"""

from __future__ import annotations

import re

from worlddb.schema.model import Table
from worlddb.schema.rules import (
    Acyclic,
    AnyRule,
    Cap,
    DateOrder,
    Excl,
    Immutable,
    Monotone,
    NonNeg,
    NoOverlap,
    QtyLe,
    Requires,
    RoleReq,
    SameParent,
    Scope,
    StateReq,
    SumEq,
    SumLe,
    UniqueActive,
    Values,
    Where,
    Window,
)  # fmt: skip

NAMED = re.compile("⟨([^.⟩]+)(?:[.]([^⟩]+))?⟩")
"""A table (its key), or one of its columns (table key, column key), in a text of a law."""


def table_of(table: Table) -> str:
    """A table, to be named later."""
    return f"⟨{table.key}⟩"


def column_of(table: Table, key: str) -> str:
    """A column, to be named later."""
    return f"⟨{table.key}.{key}⟩"


def one_of(values: Values) -> str:
    """Values as in a sentence: 'a, b or c'."""
    words = [str(v) for v in values]
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def plain(text: str) -> str:
    """Text for a `str.format` template."""
    return text.replace("{", "{{").replace("}", "}}")


def name_of(scope: Scope, path: str) -> str:
    """The column at the end of a path, with its table where that is another one."""
    table, alias, key = scope.resolve(path)
    name = column_of(table, key)
    return plain(name if alias == scope.alias else f"{table_of(table)}.{name}")


def names_of(scope: Scope, paths: tuple[str, ...]) -> str:
    """Several columns, as a comma list."""
    return ", ".join(name_of(scope, p) for p in paths)


def _limit(scope: Scope, bound: int | str) -> str:
    """Where a bound comes from, in parentheses; nothing where it is a number of the rule."""
    return "" if isinstance(bound, int) else f" ({name_of(scope, bound)})"


def _when(scope: Scope, where: Where) -> str:
    """A condition in words: 'status paid or sent, amount > 5'."""
    words = []
    for path, values in where.items():
        wanted = one_of(values) if isinstance(values, tuple) else values or "null"
        words.append(f"{name_of(scope, path)} {plain(wanted)}")
    return ", ".join(words)


def cure(rule: AnyRule, scope: Scope) -> str:
    """The template that says what would satisfy a rule; the scope is told to show the figures that it names."""
    words = _words(rule, scope)
    when = f" [where {_when(scope, rule.where)}]" if rule.where else ""
    return f"{plain(table_of(scope.table))} {{k0}}: {words}{when}"


def _words(rule: AnyRule, scope: Scope) -> str:
    shown = scope.shown
    match rule:
        case NonNeg():
            shown["value"] = scope.column(rule.column)
            return f"{name_of(scope, rule.column)} is {{value}}, at least 0 needed"
        case Cap(per=()):
            shown["value"], shown["bound"] = scope.column(rule.column), scope.limit(rule.at_most)
            return f"{name_of(scope, rule.column)} is {{value}}, at most {{bound}} allowed{_limit(scope, rule.at_most)}"
        case QtyLe(per=()):
            shown["value"] = " + ".join(scope.column(c) for c in rule.columns)
            shown["bound"] = scope.limit(rule.at_most)
            what = " + ".join(name_of(scope, c) for c in rule.columns)
            return f"{what} is {{value}}, at most {{bound}} allowed{_limit(scope, rule.at_most)}"
        case Cap() | SumLe() | QtyLe():
            what = f"{name_of(scope, rule.column)} adds up to {{value}}" if rule.column else "this would be row {value}"
            per = names_of(scope, rule.per)
            day = f" and day of {name_of(scope, rule.each_day)}" if isinstance(rule, Cap) and rule.each_day else ""
            return f"{what} for the same {per}{day}, at most {{bound}} allowed{_limit(scope, rule.at_most)}"
        case NoOverlap():
            begin = name_of(scope, rule.start)
            return (
                f"{begin} is {{value}}, but another row with the same {names_of(scope, rule.per)} lasts until {{busy}}"
            )
        case UniqueActive():
            return f"another row has the same {names_of(scope, rule.per)}"
        case Monotone():
            edge = "above" if rule.strictly else "at least"
            earlier = f"an earlier one by {name_of(scope, rule.by)} has {{best}}"
            return f"{name_of(scope, rule.column)} is {{value}}, {earlier}; it must be {edge} that"
        case Requires():
            return f"needs at least {rule.at_least} of {_matching(scope, rule.needs, rule.match, rule.having)}"
        case Excl():
            return _exclusion(rule, scope)
        case Window():
            return _window(rule, scope)
        case DateOrder():
            shown["first"], shown["second"] = scope.column(rule.first), scope.column(rule.then)
            return f"{name_of(scope, rule.first)} is {{first}}, which is after {name_of(scope, rule.then)}, {{second}}"
        case StateReq():
            path = f"{rule.of}.{rule.column}"
            shown["state"] = scope.column(path)
            return f"{name_of(scope, path)} is {{state}}; it must be {plain(one_of(rule.among))}"
        case RoleReq():
            return _role(rule, scope)
        case Immutable():
            path = f"{rule.holder}.{rule.column}" if rule.holder else rule.column
            shown["state"] = scope.column(path)
            stamp = path.removesuffix(rule.column) + rule.stamp
            later = f"{name_of(scope, rule.updated)} must not be after {name_of(scope, stamp)}"
            return f"{name_of(scope, path)} is {{state}}; {later}"
        case Acyclic():
            return f"{name_of(scope, rule.parent or rule.target)} leads back to the row itself"
        case SameParent():
            shown["one"], shown["two"] = (scope.column(p) for p in rule.paths)
            one, two = (name_of(scope, p) for p in rule.paths)
            return f"{one} is {{one}} and {two} is {{two}}; they must be equal"
        case SumEq():
            return f"{name_of(scope, rule.column)} is computed"


def _matching(scope: Scope, table: str, match: dict[str, str], having: Where) -> str:
    other = Scope(scope.schema, table, "n", set())
    pairs = " and ".join(f"{name_of(other, theirs)} = {name_of(scope, ours)}" for theirs, ours in match.items())
    return f"{plain(table_of(other.table))} with {pairs}" + (f", {_when(other, having)}" if having else "")


def _exclusion(rule: Excl, scope: Scope) -> str:
    if rule.differ:
        scope.shown["value"] = scope.column(rule.differ[0])
        return f"{' and '.join(name_of(scope, p) for p in rule.differ)} are both {{value}}; they must differ"
    if rule.one_of:
        return f"exactly one of {names_of(scope, rule.one_of)} must be set"
    return f"excluded by row {{other}} of {_matching(scope, rule.none_of, rule.match, rule.having)}"


def _window(rule: Window, scope: Scope) -> str:
    scope.shown["value"] = scope.column(rule.time)
    needed = []
    for word, path, extent in (("after", rule.after, rule.within), ("before", rule.before, rule.notice)):
        if path:
            scope.shown[word] = scope.column(path)
            limit = f", at most {extent} later" if word == "after" else f", at least {extent} earlier"
            needed.append(
                f"not {'before' if word == 'after' else 'after'} {name_of(scope, path)}, {{{word}}}{limit if extent else ''}"
            )
    return f"{name_of(scope, rule.time)} is {{value}}; it must be {' and '.join(needed)}"


def _role(rule: RoleReq, scope: Scope) -> str:
    path = f"{rule.actor}.{rule.column}"
    scope.shown["value"] = scope.column(path)
    if rule.among:
        return f"{name_of(scope, path)} is {{value}}; it must be {plain(one_of(rule.among))}"
    bound = rule.equal or rule.at_least
    scope.shown["bound"] = scope.column(bound) if isinstance(bound, str) else str(bound)
    relation = "equal to" if rule.equal else "at least"
    return f"{name_of(scope, path)} is {{value}}; it must be {relation} {{bound}}{_limit(scope, bound)}"

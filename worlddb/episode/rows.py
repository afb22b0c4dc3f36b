"""New rows against templates: which of an agent's new rows is which of the goal's.

First each template's candidates by its own columns; then those whose references lead to no candidate are struck until
nothing changes; then a search, the template with the fewest candidates first, in which a choice forces the choice of
every row that it refers to.  Striking only ever removes what no solution has, so that it needs no second try without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from worlddb.episode.matchers import Test
from worlddb.tasks.forms import Window
from worlddb.world.diff import Key, Row

NODES = 20_000
"""Choices of one search.  Some thirty new rows that nothing tells apart but how they refer to each other exceed it."""
DEEPEST = 200
"""Choices that may hang on one another."""

Place = tuple[str, Key]
"""Table key and primary key."""


class TooSymmetric(Exception):
    """The search gave up: neither a match nor none has been found."""


class Link(NamedTuple):
    """A column that must hold the key of another new row."""

    at: int
    var: str
    ref: int
    """Position of the referred column in the other row."""
    as_text: bool
    """The column holds the key as text, whatever it is (polymorphic pairs)."""


class Template(NamedTuple):
    """A new row of the goal made ready."""

    var: str
    table: str
    tests: tuple[tuple[int, Test], ...]
    links: tuple[Link, ...]


def assign(
    templates: Sequence[Template], rows: Mapping[Place, Row], window: Window, fixed: Mapping[str, Place]
) -> dict[str, Place] | None:
    """Each template's row, every row used once; None where there is no such assignment.

    `fixed` are those that something else has decided.

    Raises:
        TooSymmetric: the search exceeds its budget.
    """
    if len(templates) != len(rows):
        return None
    by_table: dict[str, list[Place]] = {}
    for place in rows:
        by_table.setdefault(place[0], []).append(place)
    options: dict[str, dict[Place, None]] = {}
    for template in templates:
        decided = fixed.get(template.var)
        pool = by_table.get(template.table, ()) if decided is None else [decided]
        options[template.var] = {
            p: None
            for p in pool
            if p in rows and p[0] == template.table and all(test(rows[p][at], window) for at, test in template.tests)
        }
        if not options[template.var]:
            return None
    search = _Search({t.var: t for t in templates}, rows)
    if not search.strike(options):
        return None
    if not search.linked:
        return perfect({var: list(some) for var, some in options.items()})
    return search.solve(options)


class _Search:
    """One search over the references among new rows."""

    def __init__(self, templates: Mapping[str, Template], rows: Mapping[Place, Row]) -> None:
        self.templates, self.rows = templates, rows
        self.linked = any(t.links for t in templates.values())
        self.left = NODES
        self._index: dict[tuple[str, int, bool], dict[Any, Place]] = {}
        self._users: dict[str, list[str]] = {var: [] for var in templates}
        for template in templates.values():
            for link in template.links:
                self._users[link.var].append(template.var)

    def target(self, place: Place, link: Link) -> Place | None:
        """The new row to which a row refers where a link is."""
        value = self.rows[place][link.at]
        table = self.templates[link.var].table
        known = self._index.get((table, link.ref, link.as_text))
        if known is None:
            known = self._index[table, link.ref, link.as_text] = {
                str(row[link.ref]) if link.as_text else row[link.ref]: p
                for p, row in self.rows.items()
                if p[0] == table
            }
        return known.get(str(value) if link.as_text else value)

    def strike(self, options: dict[str, dict[Place, None]], changed: Sequence[str] = ()) -> bool:
        """Remove options whose references lead to no option, and those that no user leads to; False where one has none left."""
        queue = list(changed or self.templates)
        while queue:
            var = queue.pop()
            touched = set[str]()
            for user in self._users[var]:  # rows that should refer to this one
                template = self.templates[user]
                links = [link for link in template.links if link.var == var]
                kept = {p: None for p in options[user] if all(self.target(p, k) in options[var] for k in links)}
                if len(kept) < len(options[user]):
                    options[user] = kept
                    touched.add(user)
                reached = {self.target(p, link) for p in kept for link in links}
                if len(own := {p: None for p in options[var] if p in reached}) < len(options[var]):
                    options[var] = own
                    touched.add(var)
            for link in self.templates[var].links:  # rows that this one refers to
                reached = {self.target(p, link) for p in options[var]}
                own = {p: None for p in options[link.var] if p in reached}
                if len(own) < len(options[link.var]):
                    options[link.var] = own
                    touched.add(link.var)
            if any(not options[t] for t in touched):
                return False
            queue.extend(touched)
        return True

    def solve(self, options: dict[str, dict[Place, None]], depth: int = 0) -> dict[str, Place] | None:
        """Choose, strike, go on; back where it leads nowhere."""
        found = perfect({var: list(some) for var, some in options.items()})
        if found is None:
            return None
        if self._holds(found):
            return found
        var = min((v for v, some in options.items() if len(some) > 1), key=lambda v: len(options[v]), default=None)
        if var is None:
            return None
        for place in options[var]:
            self.left -= 1
            if self.left < 0 or depth > DEEPEST:
                raise TooSymmetric
            tried = {
                v: {place: None} if v == var else {p: None for p in some if p != place} for v, some in options.items()
            }
            if all(tried.values()) and self.strike(tried) and (found := self.solve(tried, depth + 1)) is not None:
                return found
        return None

    def _holds(self, found: Mapping[str, Place]) -> bool:
        return all(
            self.target(found[t.var], link) == found[link.var] for t in self.templates.values() for link in t.links
        )


def perfect(options: Mapping[str, Sequence[Any]]) -> dict[str, Any] | None:
    """One of its options for each, none twice (augmenting paths); None where that cannot be."""
    has: dict[str, Any] = {}
    owner: dict[Any, str] = {}
    for start in options:
        came: dict[Any, str] = {}
        queue, end = [start], None
        while queue and end is None:
            var = queue.pop()
            for option in options[var]:
                if option in came:
                    continue
                came[option] = var
                if option not in owner:
                    end = option
                    break
                queue.append(owner[option])
        if end is None:
            return None
        while end is not None:  # hand the options on along the path
            var = came[end]
            before = has.get(var)
            has[var], owner[end] = end, var
            end = before
    return has

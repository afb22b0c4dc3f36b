"""What differs between an episode and an alternative of its goal, and how near it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from worlddb.episode.match import Altered, Choice, Made, Wanted, Way, suits
from worlddb.episode.rows import Link, Place, Template, TooSymmetric, assign
from worlddb.schema.model import Schema
from worlddb.tasks.forms import Window, forms_of
from worlddb.tasks.goal import Anything, Insert, Matcher, New, Pool
from worlddb.world.diff import Key, Row

COMPARED = 60
"""New rows, and templates, of which the nearest pairs are looked for."""


class Difference(NamedTuple):
    """One thing that differs.

    kind, op, place   MISSING, EXTRA or WRONG; 'insert', 'update' or 'delete'; the row ('' var for a new row of the goal)
    column            position, or -1 for the whole row
    """

    kind: str
    op: str
    table: str
    key: Key
    column: int = -1
    matcher: Matcher | None = None
    row: Row | None = None
    """The agent's row as it is at the end (of a deleted one as it was)."""
    insert: Insert | None = None
    pool: Pool | None = None


class Comparison(NamedTuple):
    """An alternative beside what was done, in atoms: a row each, and each column of it that says something."""

    way: Way
    matched: int
    wanted: int
    done: int
    differences: tuple[Difference, ...]

    @property
    def jaccard(self) -> float:
        """The atoms that agree, of all; 0 where there are none."""
        union = self.wanted + self.done - self.matched
        return self.matched / union if union else 0.0


def compare(schema: Schema, way: Way, made: Made, window: Window) -> Comparison:
    """How far the episode came towards an alternative, and what is missing or too much."""
    return _Comparing(schema, way, made, window).result()


class _Comparing:
    def __init__(self, schema: Schema, way: Way, made: Made, window: Window) -> None:
        self.forms, self.way, self.made, self.window = forms_of(schema), way, made, window
        self.matched = self.wanted = self.done = 0
        self.found: list[Difference] = []
        self._index: dict[tuple[str, int, bool], dict[Any, Place]] = {}

    def result(self) -> Comparison:
        updates, deletes = dict(self.made.updates), dict(self.made.deletes)
        for place in sorted(self.way.deletes, key=repr):
            self._delete(place, deletes)
        for place, wanted in self.way.updates.items():
            self._update(place, wanted, updates)
        for choice in self.way.choices:
            self._choice(choice, updates, deletes)
        self._inserts()
        for place, altered in updates.items():
            self._extra(place, altered)
        for place, row in deletes.items():
            self.done += 1
            self.found.append(Difference("EXTRA", "delete", *place, row=row))
        return Comparison(self.way, self.matched, self.wanted, self.done, tuple(self.found))

    def _target(self, link: Link, row: Row) -> Place | None:
        """The new row to which a row refers where a link is."""
        table = self.way.inserts[link.var].table
        known = self._index.get((table, link.ref, link.as_text))
        if known is None:
            known = self._index[table, link.ref, link.as_text] = {
                str(other[link.ref]) if link.as_text else other[link.ref]: place
                for place, other in self.made.inserts.items()
                if place[0] == table
            }
        return known.get(str(row[link.at]) if link.as_text else row[link.at])

    def _delete(self, place: Place, deletes: dict[Place, Row]) -> None:
        self.wanted += 1
        if deletes.pop(place, None) is None:
            self.found.append(Difference("MISSING", "delete", *place))
        else:
            self.matched += 1
            self.done += 1

    def _update(self, place: Place, wanted: Wanted, updates: dict[Place, Altered]) -> None:
        self.wanted += 1 + len(wanted.matchers)
        altered = updates.pop(place, None)
        if altered is None:
            self.found += [
                Difference("MISSING", "update", *place, column=at, matcher=m) for at, m in wanted.matchers.items()
            ]
            return
        self.matched += 1
        self.done += 1 + len(altered.columns)
        tests = dict(wanted.tests)
        for at, matcher in wanted.matchers.items():
            value = altered.after[at]
            right = at not in tests or tests[at](value, self.window)
            if isinstance(matcher, New):
                link = next(k for k in wanted.links if k.at == at)
                right = self._target(link, altered.after) is not None
            if right:
                self.matched += 1
                self.done += at not in altered.columns
            else:
                kind = "WRONG" if at in altered.columns else "MISSING"
                self.found.append(Difference(kind, "update", *place, column=at, matcher=matcher, row=altered.after))
        for at in altered.columns:
            if at not in wanted.columns:
                self.found.append(Difference("EXTRA", "update", *place, column=at, row=altered.after))

    def _extra(self, place: Place, altered: Altered) -> None:
        self.done += 1 + len(altered.columns)
        self.found += [Difference("EXTRA", "update", *place, column=at, row=altered.after) for at in altered.columns]

    def _choice(self, choice: Choice, updates: dict[Place, Altered], deletes: dict[Place, Row]) -> None:
        right = [p for p in choice.places if suits(choice, p, self.made, self.window)]
        near = [] if choice.wanted is None else [p for p in choice.places if p in updates and p not in right]
        picked = [p for p in (*sorted(right, key=repr), *sorted(near, key=repr)) if p in updates or p in deletes]
        for place in picked[: choice.pool.count]:
            if choice.wanted is None:
                self._delete(place, deletes)
            else:
                self._update(place, choice.wanted, updates)
        short = choice.pool.count - len(picked)
        if short > 0:
            self.wanted += short * (1 + len(choice.pool.values or ()))
            op = "delete" if choice.wanted is None else "update"
            self.found += [Difference("MISSING", op, choice.pool.table, (), pool=choice.pool)] * short

    def _inserts(self) -> None:
        pairs: dict[str, Place] = {}
        try:
            whole = assign(self.way.templates, self.made.inserts, self.window, {})
        except TooSymmetric:
            whole = None
        pairs = whole if whole is not None else self._nearest()
        for template in self.way.templates:
            insert = self.way.inserts[template.var]
            loud = [(c, m) for c, m in insert.values.items() if not isinstance(m, Anything)]
            self.wanted += 1 + len(loud)
            place = pairs.get(template.var)
            if place is None:
                self.found.append(Difference("MISSING", "insert", template.table, (), insert=insert))
                continue
            self.matched += 1
            self.done += 1 + len(loud)
            wrong = self._wrong(template, place, pairs)
            self.matched += sum(c not in wrong for c, _ in loud)
            for column, matcher in wrong.items():
                at = self.forms[template.table].places[column]
                row = self.made.inserts[place]
                self.found.append(Difference("WRONG", "insert", *place, column=at, matcher=matcher, row=row))
        used = set(pairs.values())
        for place, row in self.made.inserts.items():
            if place not in used:
                self.done += 1 + self.forms[place[0]].weight
                self.found.append(Difference("EXTRA", "insert", *place, row=row))

    def _wrong(self, template: Template, place: Place, pairs: Mapping[str, Place]) -> dict[str, Matcher]:
        """The columns in which a new row is not as its template wants it."""
        row, form = self.made.inserts[place], self.forms[template.table]
        values = self.way.inserts[template.var].values
        wrong = [form.columns[at] for at, test in template.tests if not test(row[at], self.window)]
        for link in template.links:
            other = pairs.get(link.var)
            if other is None or self._target(link, row) != other:
                wrong.append(form.columns[link.at])
        return {c: values[c] for c in wrong}

    def _nearest(self) -> dict[str, Place]:
        """The pairs of templates and rows of a table that agree in most columns, the best first."""
        scores: list[tuple[int, int, int, str, Place]] = []
        places = list(self.made.inserts)[:COMPARED]
        for n, template in enumerate(self.way.templates[:COMPARED]):
            for m, place in enumerate(places):
                if place[0] == template.table:
                    row = self.made.inserts[place]
                    score = sum(test(row[at], self.window) for at, test in template.tests)
                    score += sum(self._target(link, row) is not None for link in template.links)
                    scores.append((-score, n, m, template.var, place))
        found: dict[str, Place] = {}
        for _, _, _, var, place in sorted(scores):
            if var not in found and place not in found.values():
                found[var] = place
        return found

"""The net change of an episode against the alternatives of its goal: does one of them fit?

A goal is made ready once (`Ready`), so that a verdict costs as much as there are changes, whatever the size of the world.
Updates and deletes are found by key; new rows are assigned to templates (`worlddb.episode.rows`); `worlddb.episode.compare` tells
what differs where none fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from worlddb.episode.matchers import Test, test_of
from worlddb.episode.rows import Link, Place, Template, assign, perfect
from worlddb.schema.model import Schema
from worlddb.tasks.compile import settled
from worlddb.tasks.forms import Form, Window, forms_of
from worlddb.tasks.goal import Alternative, Anything, Goal, Insert, Matcher, New, Pool
from worlddb.world.diff import Change, Diff, Row


class Altered(NamedTuple):
    """A row that an episode changed: before, after, and the positions of the columns that are judged."""

    before: Row
    after: Row
    columns: tuple[int, ...]


class Made(NamedTuple):
    """What an episode did, apart from what is not judged."""

    updates: dict[Place, Altered]
    deletes: dict[Place, Row]
    inserts: dict[Place, Row]
    passed: tuple[tuple[Change, tuple[int, ...]], ...]
    """Changes that are reported and not judged: moments that moved on, bookkeeping, what the goal tolerates."""

    @property
    def nothing(self) -> bool:
        """True where nothing that is judged has changed."""
        return not (self.updates or self.deletes or self.inserts)


def made_of(schema: Schema, diff: Diff, window: Window, tolerated: Iterable[tuple[str, str]] = ()) -> Made:
    """What a net change comes to."""
    forms, free = forms_of(schema), frozenset(tolerated)
    updates: dict[Place, Altered] = {}
    deletes: dict[Place, Row] = {}
    inserts: dict[Place, Row] = {}
    passed: list[tuple[Change, tuple[int, ...]]] = []
    for change in settled(schema, diff.changes):
        table, key, before, after = change
        if free and (table, "") in free:
            passed.append((change, ()))
        elif before is None:
            inserts[table, key] = after or ()
        elif after is None:
            deletes[table, key] = before
        else:
            judged, other = _altered(forms[table], before, after, window, free)
            if judged:
                updates[table, key] = Altered(before, after, judged)
            if other:
                passed.append((change, other))
    return Made(updates, deletes, inserts, tuple(passed))


def _altered(
    form: Form, before: Row, after: Row, window: Window, free: frozenset[tuple[str, str]]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Positions of the columns that differ: those that are judged, and those that are not."""
    judged, other = [], []
    for at, (old, new) in enumerate(zip(before, after, strict=True)):
        if old == new:
            continue
        kind = form.classes[at]
        moved_on = kind == "clock" and old is not None and window.holds(new)
        if moved_on or kind == "bookkeeping" or (free and (form.table.key, form.columns[at]) in free):
            other.append(at)
        else:
            judged.append(at)
    return tuple(judged), tuple(other)


# --- alternatives made ready


class Wanted(NamedTuple):
    """Columns of an update (or of a pool's rows) made ready."""

    columns: frozenset[int]
    tests: tuple[tuple[int, Test], ...]
    links: tuple[Link, ...]
    matchers: dict[int, Matcher]


class Choice(NamedTuple):
    """A pool made ready; `wanted` None: its rows are to be gone."""

    pool: Pool
    places: frozenset[Place]
    wanted: Wanted | None


class Way(NamedTuple):
    """An alternative made ready."""

    source: Alternative
    updates: dict[Place, Wanted]
    deletes: frozenset[Place]
    choices: tuple[Choice, ...]
    templates: tuple[Template, ...]
    inserts: dict[str, Insert]
    linked: bool
    """True where something that was there must refer to a new row."""

    counts: tuple[int, int, int]
    """How many updates, deletes and inserts it takes."""


class Ready(NamedTuple):
    """A goal made ready for one schema."""

    schema: Schema
    goal: Goal
    ways: tuple[Way, ...]


def ready(schema: Schema, goal: Goal) -> Ready:
    """The goal made ready; once for each goal, which keeps it.

    Raises:
        KeyError: the goal speaks of tables or columns that the schema does not have.
    """
    known: Ready | None = goal.__dict__.get("_ready")
    if known is None or known.schema is not schema:
        ways = tuple(_way(schema, a) for a in goal.alternatives)
        known = goal.__dict__["_ready"] = Ready(schema, goal, ways)
    return known


def _way(schema: Schema, one: Alternative) -> Way:
    forms = forms_of(schema)
    homes = {i.var: i.table for i in one.inserts}
    updates = {(u.table, u.key): _wanted(forms, u.table, u.values, homes) for u in one.updates}
    choices = tuple(
        Choice(
            pool=p,
            places=frozenset((p.table, k) for k in p.keys),
            wanted=None if p.values is None else _wanted(forms, p.table, p.values, homes),
        )
        for p in one.pools
    )
    templates = []
    for insert in one.inserts:
        wanted = _wanted(forms, insert.table, insert.values, homes)
        templates.append(Template(insert.var, insert.table, wanted.tests, wanted.links))
    linked = any(w.links for w in updates.values()) or any(c.wanted and c.wanted.links for c in choices)
    pooled = [(p.count, p.values is None) for p in one.pools]
    counts = (
        len(updates) + sum(n for n, gone in pooled if not gone),
        len(one.deletes) + sum(n for n, gone in pooled if gone),
        len(templates),
    )
    return Way(
        source=one, counts=counts, updates=updates, deletes=frozenset((d.table, d.key) for d in one.deletes), choices=choices,
        templates=tuple(templates), inserts={i.var: i for i in one.inserts}, linked=linked,
    )  # fmt: skip


def _wanted(forms: Mapping[str, Form], table: str, values: Mapping[str, Matcher], homes: Mapping[str, str]) -> Wanted:
    form = forms[table]
    places = {form.places[c]: m for c, m in values.items()}
    tests = tuple((at, test_of(m)) for at, m in places.items() if not isinstance(m, Anything | New))
    links = tuple(_link(form, at, m.var, homes[m.var], forms) for at, m in places.items() if isinstance(m, New))
    return Wanted(frozenset(places), tests, links, places)


def _link(form: Form, at: int, var: str, parent: str, forms: Mapping[str, Form]) -> Link:
    """Which column of the other row a column must be equal to."""
    for reference in form.references:
        if at in reference.columns and reference.tables is not None:
            return Link(at, var, forms[parent].key[0], as_text=True)
        if at in reference.columns and reference.parent == parent:
            return Link(at, var, reference.refs[reference.columns.index(at)], as_text=False)
    return Link(at, var, forms[parent].key[0], as_text=False)


# --- does it fit?


def fits(way: Way, made: Made, window: Window) -> bool:
    """True where the episode did this, and nothing else.

    Raises:
        TooSymmetric: too many new rows are alike to tell.
    """
    if way.counts != (len(made.updates), len(made.deletes), len(made.inserts)):
        return False
    taken: list[tuple[Wanted, Row]] = []
    spare: list[Place] = []
    for place, altered in made.updates.items():
        wanted = way.updates.get(place)
        if wanted is None:
            spare.append(place)
        elif not meets(wanted, altered, window):
            return False
        else:
            taken.append((wanted, altered.after))
    spare += [p for p in made.deletes if p not in way.deletes]
    if spare or way.choices:
        chosen = _choose(way.choices, spare, made, window)
        if chosen is None:
            return False
        taken += chosen
    return assigned(way, made, window, taken) is not None


def meets(wanted: Wanted, altered: Altered, window: Window) -> bool:
    """True where a row changed in these columns alone, and as they should."""
    after = altered.after
    return wanted.columns.issuperset(altered.columns) and all(test(after[at], window) for at, test in wanted.tests)


def _choose(
    choices: Sequence[Choice], spare: Sequence[Place], made: Made, window: Window
) -> list[tuple[Wanted, Row]] | None:
    """A slot of a pool for every change that no update or delete of the goal asks for."""
    options: dict[str, list[Place]] = {}
    for n, choice in enumerate(choices):
        open_to = [p for p in spare if p in choice.places and suits(choice, p, made, window)]
        for slot in range(choice.pool.count):
            options[f"{n} {slot}"] = open_to
    if len(options) != len(spare):
        return None
    owners = perfect(options)
    if owners is None:
        return None
    taken = []
    for slot_name, place in owners.items():
        wanted = choices[int(slot_name.split()[0])].wanted
        if wanted is not None:
            taken.append((wanted, made.updates[place].after))
    return taken


def suits(choice: Choice, place: Place, made: Made, window: Window) -> bool:
    """True where a row was changed as the rows of a pool should be."""
    if choice.wanted is None:
        return place in made.deletes
    altered = made.updates.get(place)
    return altered is not None and meets(choice.wanted, altered, window)


def assigned(way: Way, made: Made, window: Window, taken: Iterable[tuple[Wanted, Row]] = ()) -> dict[str, Place] | None:
    """Which new row is which of the goal's; None where that cannot be."""
    if not way.templates:
        return None if made.inserts else {}
    fixed: dict[str, Place] = {}
    if way.linked:
        for wanted, row in taken:
            for link in wanted.links:
                place = found(made, way.inserts[link.var].table, link, row)
                if place is None or fixed.setdefault(link.var, place) != place:
                    return None
    return assign(way.templates, made.inserts, window, fixed)


def found(made: Made, table: str, link: Link, row: Row) -> Place | None:
    """The new row whose key stands where a link is."""
    value = row[link.at]
    for place, other in made.inserts.items():
        if place[0] == table and (str(other[link.ref]) == str(value) if link.as_text else other[link.ref] == value):
            return place
    return None

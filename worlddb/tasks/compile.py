"""From what a gold changed to the Goal by which others are judged.

The class of a column (schemas/types.yaml, `compare`) decides what stands in the goal for its value: the value itself, the
same number within half a unit, the same words, a moment of the episode, the key of another new row, or anything.
So a gold that began at another clock, or whose new rows got other numbers, compiles to an equal goal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import msgspec
import orjson

from worlddb.schema.model import Schema, Table
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tasks.goal import (
    Alternative,
    Answer,
    Anything,
    Bag,
    Ban,
    Clock,
    Delete,
    Equal,
    Goal,
    Insert,
    Json,
    Key,
    Matcher,
    Near,
    Need,
    New,
    OneOf,
    Pool,
    Text,
    Update,
    folded,
)
from worlddb.tools.session import Session
from worlddb.world.diff import Change, Diff, Row
from worlddb.world.mint import is_minted

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?Z?)?")


class Window(NamedTuple):
    """The time of an episode: its start and its present clock, 'YYYY-MM-DD HH:MM:SS'."""

    low: str
    high: str

    def holds(self, value: Any) -> bool:
        """True for a moment or date (text) within; both ends belong to it, each to the precision of the value."""
        if not isinstance(value, str) or not _MOMENT.fullmatch(value):
            return False
        text = value.removesuffix("Z").replace("T", " ")[:19]
        return self.low[: len(text)] <= text <= self.high[: len(text)]


def window_of(began: int, now: int) -> Window:
    """The window between two clocks, Unix seconds."""
    low, high = (datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d %H:%M:%S") for t in (began, now))
    return Window(low, high)


def window_in(session: Session) -> Window:
    """The window of an episode so far."""
    return window_of(session.world.now + session.start.clock, session.now)


# --- what the verifier needs to know of a table


class Reference(NamedTuple):
    """A foreign key, by positions.  Of a polymorphic pair `tables` says where each value of the type column leads."""

    columns: tuple[int, ...]
    parent: str
    refs: tuple[int, ...]
    tables: dict[str, str] | None = None
    kind: int = -1
    """Position of the type column of a polymorphic pair."""

    def target(self, row: Row) -> tuple[str, Key] | None:
        """Table and key values that a row refers to; None where it refers to nothing."""
        found = tuple(row[i] for i in self.columns)
        if None in found:
            return None
        if self.tables is None:
            return self.parent, found
        parent = self.tables.get(row[self.kind])
        return None if parent is None else (parent, (str(found[0]),))  # stored as text whatever the parent's key is


class Form(NamedTuple):
    """A table as goals and verdicts see it.

    `classes` has one word for each column: key (made by the server), minted, clock, bookkeeping, decimal, text, json, bag,
    or exact.  Parts of references are `exact` as long as they refer to rows that were there.
    """

    table: Table
    columns: tuple[str, ...]
    names: tuple[str, ...]
    classes: tuple[str, ...]
    scales: tuple[float, ...]
    """Half a unit of each decimal column."""
    temporal: tuple[bool, ...]
    places: dict[str, int]
    key: tuple[int, ...]
    references: tuple[Reference, ...]
    by_content: bool
    """True for a junction whose key is a mere number: its rows are the same if what they link is."""
    weight: int
    """Columns of a new row that tell something: neither made by the server nor by its clock."""


def forms_of(schema: Schema) -> dict[str, Form]:
    """The form of every table, by table key; made once for each schema."""
    made: dict[str, Form] | None = schema.__dict__.get("_forms")
    if made is None:
        made = schema.__dict__["_forms"] = {t.key: _form(schema, t) for t in schema.tables}
    return made


SILENT = ("key", "minted", "clock", "bookkeeping")
"""Classes whose values say nothing about what an agent wanted."""


def _form(schema: Schema, table: Table) -> Form:
    places = {c.key: i for i, c in enumerate(table.columns)}
    kinds = [semantic_type(c.type) for c in table.columns]
    classes = tuple(_class(table, i) for i in range(len(table.columns)))
    key = tuple(places[k] for k in table.primary_key)
    references = [
        Reference(tuple(places[c] for c in f.columns), f.table, _positions(schema[f.table], f.ref))
        for f in table.foreign_keys
    ]
    if (pair := table.polymorphic) is not None:
        leads = dict(zip(table[pair.type_column].values, pair.tables, strict=False))
        references.append(Reference((places[pair.id_column],), "", (0,), leads, places[pair.type_column]))
    return Form(
        table=table, columns=tuple(places), names=tuple(c.name for c in table.columns), classes=classes,
        scales=tuple(0.5 * 10.0**-k.scale for k in kinds), temporal=tuple(k.temporal in ("date", "datetime") for k in kinds),
        places=places, key=key, references=tuple(references),
        by_content=table.archetype == "junction" and classes[key[0]] == "key" and len(key) == 1,
        weight=sum(c not in SILENT for c in classes),
    )  # fmt: skip


def _positions(table: Table, columns: Iterable[str]) -> tuple[int, ...]:
    keys = [c.key for c in table.columns]
    return tuple(keys.index(c) for c in columns)


def _class(table: Table, at: int) -> str:
    column = table.columns[at]
    kind = semantic_type(column.type)
    own = (column.key,) == table.primary_key
    if column.key in table.key_columns and not own:
        return "exact"
    if own and column.key not in {c for f in table.foreign_keys for c in f.columns}:
        return "key"
    if not own and is_minted(table, column):
        return "minted"
    if kind.compare in ("clock", "bookkeeping"):
        return kind.compare
    if kind.sql == "REAL":
        return "decimal"
    if kind.compare in ("text.short", "text.free"):
        return "text"
    if kind.compare == "set":
        return "bag"
    return "json" if is_a(column.type, "document") else "exact"


# --- one alternative


def alternative_of(schema: Schema, diff: Diff, window: Window | None = None) -> Alternative:
    """The net change of a gold as an alternative.

    `window` is the time of the gold's episode: moments within it are the clock's, whatever their column is for; a value that
    a clock column got from an argument, outside of it, stays what it is.  None: clock columns alone are the clock's.
    """
    forms = forms_of(schema)
    changes = settled(schema, diff.changes)
    fresh = [c for c in changes if c.before is None]
    links = _Links(forms, fresh)
    names = links.names(window)
    inserts = [
        Insert(var=names[i], table=c.table, values=_values(forms[c.table], c, links, names, window))
        for i, c in enumerate(fresh)
    ]
    updates = []
    for change in changes:
        if change.op == "update" and (values := _values(forms[change.table], change, links, names, window)):
            updates.append(Update(table=change.table, key=change.key, values=values))
    return Alternative(
        inserts=tuple(sorted(inserts, key=lambda i: int(i.var.removeprefix("new")))),
        updates=tuple(updates),
        deletes=tuple(Delete(table=c.table, key=c.key) for c in changes if c.after is None),
    )


def settled(schema: Schema, changes: Sequence[Change]) -> tuple[Change, ...]:
    """Changes with the links of content-identified junctions made comparable.

    A link that was removed and made again under another number is no change; one that was turned elsewhere is one link
    removed and one made.
    """
    forms = forms_of(schema)
    if not any(forms[c.table].by_content for c in changes):
        return tuple(changes)
    found: list[Change] = []
    gone: dict[tuple[str, Row], list[Change]] = {}
    made: list[tuple[tuple[str, Row], Change]] = []
    for change in changes:
        form = forms[change.table]
        if not form.by_content:
            found.append(change)
            continue
        if change.before is not None:
            gone.setdefault((change.table, _content(form, change.before)), []).append(change._replace(after=None))
        if change.after is not None:
            made.append(((change.table, _content(form, change.after)), change._replace(before=None)))
    for content, change in made:
        if gone.get(content):
            gone[content].pop()
        else:
            found.append(change)
    return tuple(found + [c for left in gone.values() for c in left])


def _content(form: Form, row: Row) -> Row:
    return tuple(v for v, c in zip(row, form.classes, strict=True) if c not in SILENT)


def _values(
    form: Form, change: Change, links: _Links, names: Sequence[str], window: Window | None
) -> dict[str, Matcher]:
    """Matchers of an inserted row's columns, or of those that an update changed on purpose."""
    before, after = change.before, change.after
    assert after is not None
    new = links.of(change)
    found: dict[str, Matcher] = {}
    for at, column in enumerate(form.columns):
        if before is not None and before[at] == after[at]:
            continue
        if at in new:
            found[column] = New(var=names[new[at]])
            continue
        old = None if before is None else before[at]
        matcher = _matcher(form, at, old, after[at], window, fresh=before is None)
        if matcher is not None:
            found[column] = matcher
    return found


def _matcher(form: Form, at: int, old: Any, value: Any, window: Window | None, *, fresh: bool) -> Matcher | None:
    """What stands for a value; None where an update of it is nobody's intention."""
    kind = form.classes[at]
    if fresh and kind in ("key", "minted", "bookkeeping"):
        return Anything()
    if kind == "bookkeeping":
        return None
    if value is None:
        return Equal(value=None)
    if kind == "clock" and (window is None or window.holds(value)):
        return Clock() if fresh or old is None else None  # a moment that moved on, as those of the last change do
    if form.temporal[at] and window is not None and window.holds(value):
        return Clock()
    if kind == "decimal" and isinstance(value, int | float):
        return Near(value=value, tolerance=form.scales[at])
    if kind == "text" and isinstance(value, str):
        same = isinstance(old, str) and folded(old) == folded(value)
        return Equal(value=value) if same else Text(value=value)
    if kind in ("json", "bag"):
        return _document(kind, value)
    return Equal(value=value)


def _document(kind: str, text: Any) -> Matcher:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return Equal(value=text)
    return Bag(values=tuple(value)) if kind == "bag" and isinstance(value, list) else Json(value=value)


# --- names of new rows that depend on nothing but what they are


class _Links:
    """Which new rows refer to which."""

    def __init__(self, forms: dict[str, Form], fresh: Sequence[Change]) -> None:
        self._forms, self._fresh = forms, fresh
        self._at: dict[tuple[str, tuple[int, ...], Key], int] = {}
        self._by_text: dict[tuple[str, Key], int] = {}
        for i, change in enumerate(fresh):
            self._by_text[change.table, (str(change.key[0]),)] = i
            self._at[change.table, forms[change.table].key, change.key] = i

    def of(self, change: Change) -> dict[int, int]:
        """Position -> index of the new row that the value there refers to."""
        if not self._fresh:
            return {}
        found: dict[int, int] = {}
        for reference in self._forms[change.table].references:
            target = reference.target(change.after or ())
            if target is None:
                continue
            if reference.tables is not None:
                i = self._by_text.get(target)
            else:
                i = self._at.get((target[0], reference.refs, target[1]))
            if i is not None:
                for at in reference.columns:
                    found.setdefault(at, i)
        return found

    def names(self, window: Window | None) -> list[str]:
        """'new1' … for each new row: by table and content, then by what they refer to and what refers to them."""
        links = [self.of(c) for c in self._fresh]
        blank = [""] * len(self._fresh)
        colours = [
            c.table + msgspec.json.encode(_values(self._forms[c.table], c, self, blank, window)).decode()
            for c in self._fresh
        ]
        ranks = _ranked(colours)
        while True:
            ranks = _refined(ranks, links)
            twins = [r for r in sorted(set(ranks)) if ranks.count(r) > 1]
            if not twins:
                return [f"new{r + 1}" for r in ranks]
            first = ranks.index(twins[0])  # one of several alike: whichever it is, the others follow
            ranks = _ranked([(r, i != first) for i, r in enumerate(ranks)])


def _ranked(values: Sequence[Any]) -> list[int]:
    """The rank of each value: how many are smaller."""
    ordered = sorted(values)
    first: dict[Any, int] = {}
    for i, value in enumerate(ordered):
        first.setdefault(value, i)
    return [first[v] for v in values]


def _refined(ranks: list[int], links: Sequence[dict[int, int]]) -> list[int]:
    """Ranks told apart as far as references among the rows can."""
    while True:
        into: list[list[tuple[int, int]]] = [[] for _ in ranks]
        for i, out in enumerate(links):
            for at, j in out.items():
                into[j].append((ranks[i], at))
        finer = _ranked(
            [
                (r, sorted((at, ranks[j]) for at, j in links[i].items()), sorted(into[i]))
                for i, r in enumerate(ranks)
            ]  # fmt: skip
            if any(links)
            else [(r,) for r in ranks]
        )
        if finer == ranks:
            return ranks
        ranks = finer


# --- several golds


def goal_of(
    schema: Schema,
    diffs: Sequence[Diff],
    answers: Sequence[Answer] = (),
    *,
    needs: Sequence[Need] = (),
    bans: Sequence[Ban] = (),
    tolerated: Iterable[tuple[str, str]] = (),
    windows: Sequence[Window | None] = (),
) -> Goal:
    """The goal that any of these golds reaches.

    As many answers as diffs belong to them one by one, unless they are all the same; otherwise any of them goes with any.
    `windows` are the times of the golds' episodes, one each; empty: unknown.
    """
    own = len(answers) == len(diffs) and any(a != answers[0] for a in answers)
    found: list[Alternative] = []
    for i, diff in enumerate(diffs):
        one = alternative_of(schema, diff, windows[i] if windows else None)
        one = msgspec.structs.replace(one, answer=i) if own else one
        if one not in found:
            found.append(one)
    kept = tuple(answers) if own else tuple(a for i, a in enumerate(answers) if a not in answers[:i])
    return Goal(
        alternatives=merged(found) or (Alternative(),), answers=kept, needs=tuple(needs), bans=tuple(bans),
        tolerated=tuple(tolerated),
    )  # fmt: skip


def merged(alternatives: Sequence[Alternative]) -> tuple[Alternative, ...]:
    """The same choice in fewer words: of rows any of which will do it makes a pool, of such values a one-of."""
    if len(alternatives) < 2:
        return tuple(alternatives)
    pooled = _pooled(alternatives)
    return (pooled,) if pooled is not None else _one_ofs(alternatives)


def _pooled(alternatives: Sequence[Alternative]) -> Alternative | None:
    """One alternative with a pool, where all of them do the same to k rows, each to other k of the same rows."""
    first = alternatives[0]
    if any((a.inserts, a.pools, a.answer) != (first.inserts, first.pools, first.answer) for a in alternatives):
        return None
    updates = tuple(u for u in first.updates if all(u in a.updates for a in alternatives))
    deletes = tuple(d for d in first.deletes if all(d in a.deletes for a in alternatives))
    chosen: set[frozenset[Key]] = set()
    deeds: list[tuple[str, dict[str, Matcher] | None]] = []
    for one in alternatives:
        own = [(u.table, u.values, u.key) for u in one.updates if u not in updates]
        rows: list[tuple[str, dict[str, Matcher] | None, Key]] = [
            *own, *((d.table, None, d.key) for d in one.deletes if d not in deletes)
        ]  # fmt: skip
        deeds += [(table, values) for table, values, _ in rows]
        chosen.add(frozenset(key for _, _, key in rows))
    if not deeds or any(d != deeds[0] for d in deeds):
        return None
    keys, counts = sorted(frozenset().union(*chosen), key=repr), {len(c) for c in chosen}
    count = counts.pop()
    if counts or len(chosen) != comb(len(keys), count) or any(frozenset(c) not in chosen for c in combinations(keys, count)):
        return None
    pool = Pool(table=deeds[0][0], keys=tuple(keys), count=count, values=deeds[0][1])
    return msgspec.structs.replace(first, updates=updates, deletes=deletes, pools=(*first.pools, pool))


Slot = tuple[str, int, str]
"""'inserts' or 'updates', index, column."""


def _one_ofs(alternatives: Sequence[Alternative]) -> tuple[Alternative, ...]:
    found = list(alternatives)
    for slot in _slots(found):
        groups: dict[bytes, list[Alternative]] = {}
        for one in found:
            rest = one if _at(one, slot) is None else _with(one, slot, Anything())
            groups.setdefault(msgspec.json.encode(rest), []).append(one)
        found = [_joined(group, slot) for group in groups.values()]
    return tuple(found)


def _slots(alternatives: Sequence[Alternative]) -> list[Slot]:
    """Where alternatives have values of their own."""
    seen: dict[Slot, list[Matcher]] = {}
    for one in alternatives:
        for part in ("inserts", "updates"):
            for i, row in enumerate(getattr(one, part)):
                for column, matcher in row.values.items():
                    if isinstance(matcher, Equal):
                        kept = seen.setdefault((part, i, column), [])
                        if matcher not in kept:
                            kept.append(matcher)
    return [slot for slot, matchers in seen.items() if len(matchers) > 1]


def _at(one: Alternative, slot: Slot) -> Equal | None:
    part, i, column = slot
    rows = getattr(one, part)
    matcher = rows[i].values.get(column) if i < len(rows) else None
    return matcher if isinstance(matcher, Equal) else None


def _with(one: Alternative, slot: Slot, matcher: Matcher) -> Alternative:
    part, i, column = slot
    rows = list(getattr(one, part))
    rows[i] = msgspec.structs.replace(rows[i], values={**rows[i].values, column: matcher})
    return msgspec.structs.replace(one, **{part: tuple(rows)})


def _joined(group: Sequence[Alternative], slot: Slot) -> Alternative:
    if len(group) == 1:
        return group[0]
    values = [m.value for one in group if (m := _at(one, slot)) is not None]
    return _with(group[0], slot, OneOf(values=tuple(dict.fromkeys(values))))

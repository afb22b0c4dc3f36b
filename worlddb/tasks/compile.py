"""From what a gold changed to the Goal by which others are judged.

The class of a column (schemas/types.yaml, `compare`) decides what stands in the goal for its value: the value itself, the
same number within half a unit, the same words, a moment of the episode, the key of another new row, or anything.
So a gold that began at another clock, or whose new rows got other numbers, compiles to an equal goal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import orjson

from worlddb.schema.model import Schema
from worlddb.tasks.forms import SILENT, Form, Window, forms_of
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
    Text,
    Update,
    folded,
)
from worlddb.tasks.merge import merged
from worlddb.world.diff import Change, Diff, Row

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
    names = links.names((c for c in changes if c.op == "update"), window)
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

    A link that was removed and made again under another number is the same link, whatever else it says is judged as an update;
    one that was turned elsewhere is one link removed and one made.
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
        if not gone.get(content):
            found.append(change)
            continue
        old = gone[content].pop()
        assert old.before is not None
        assert change.after is not None
        keys = forms[change.table].key
        after = tuple(o if i in keys else a for i, (o, a) in enumerate(zip(old.before, change.after, strict=True)))
        if after != old.before:
            found.append(old._replace(after=after))
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
    if form.happened[at] and window is not None and window.holds(value):
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

    def names(self, updates: Iterable[Change], window: Window | None) -> list[str]:
        """'new1' … for each new row: by table and content, then by what they refer to and what refers to them."""
        from_old = {i: f"{c.table} {c.key} {at}" for c in updates for at, i in self.of(c).items()}
        links = [self.of(c) for c in self._fresh]
        blank = [""] * len(self._fresh)
        colours = [
            f"{c.table} {msgspec.json.encode(_values(self._forms[c.table], c, self, blank, window))!r} {from_old.get(i)}"
            for i, c in enumerate(self._fresh)
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
                (r, tuple(sorted((at, ranks[j]) for at, j in links[i].items())), tuple(sorted(into[i])))
                for i, r in enumerate(ranks)
            ]
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
    found: dict[bytes, Alternative] = {}
    for i, diff in enumerate(diffs):
        one = alternative_of(schema, diff, windows[i] if windows else None)
        one = msgspec.structs.replace(one, answer=i) if own else one
        found.setdefault(msgspec.json.encode(one), one)
    kept = tuple(answers) if own else tuple(a for i, a in enumerate(answers) if a not in answers[:i])
    return Goal(
        alternatives=merged(list(found.values())) or (Alternative(),), answers=kept, needs=tuple(needs), bans=tuple(bans),
        tolerated=tuple(tolerated),
    )  # fmt: skip

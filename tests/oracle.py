"""A second judge, slow and plain, for tests alone: is the whole database, but for names and moments, one of the right ones?

It takes nothing from the verifier, from goals, or from how they are compiled.  It is given whole states: the world as it was
grown, the agent's database at the end, and the database of every right way.  Two databases are the same if the rows of one
can be put upon those of the other: rows that were there upon themselves, new rows upon new rows of the table, references
after their rows.  Values are equal but for what the specification lets differ: the numbers that the server makes, moments
of the episode where a clock writes them, case and spaces of texts, half a unit of a measured number.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from worlddb.schema.model import Schema, Table
from worlddb.schema.rules import quote
from worlddb.semantics.types import ancestors, semantic_type
from worlddb.tools.model import Each, Tool, Write
from worlddb.tools.session import Session
from worlddb.world.model import World

Key = tuple[Any, ...]
Row = tuple[Any, ...]
Rows = dict[Key, Row]
"""The rows of a table by primary key."""
Place = tuple[str, Key]
STEPS = 200_000
"""Placings of new rows that are tried before the oracle says that it cannot tell."""


class Undecided(Exception):
    """The oracle cannot tell."""


class Right(NamedTuple):
    """A right way to end: the whole database, the time of its episode, and the answer as stored values."""

    state: dict[str, Rows]
    window: tuple[str, str]
    answer: Any = None


class Kind(NamedTuple):
    """What may differ in a column: nothing (exact), or as its word says."""

    word: str
    """own, ref, made, clock, happened, free, real, text, bag, json, exact."""
    half: float = 0.0


class Spec(NamedTuple):
    """A table as the oracle sees it."""

    table: Table
    kinds: tuple[Kind, ...]
    key: tuple[int, ...]
    references: tuple[tuple[tuple[int, ...], dict[Any, str]], ...]
    """Positions, and the table to which they lead: by the type that stands beside them, or always ('')."""
    kind_at: int
    """Position of the type of a polymorphic pair; -1: there is none."""
    nameless: bool
    """True for links whose key is a mere number that nobody sees."""


class Oracle:
    """The judge of one world."""

    def __init__(self, world: World, tools: Iterable[Tool]) -> None:
        self.world = world
        self.schema: Schema = world.schema
        self.made = {(m.table, m.column) for tool in tools for step in _writes(tool.steps) for m in step.mint}
        self.specs = {t.key: self._spec(t) for t in self.schema.tables}

    @cached_property
    def initial(self) -> dict[str, Rows]:
        """The world as it was grown."""
        connection = self.world.connect()
        return {t.key: self._rows(t, list(connection.execute(_all(t)))) for t in self.schema.tables}

    def state(self, session: Session) -> dict[str, Rows]:
        """All rows of an episode as they are now."""
        return {t.key: self._rows(t, session.rows(_all(t))) for t in self.schema.tables}

    def right(self, session: Session, answer: Any = None) -> Right:
        """The end of a gold."""
        return Right(self.state(session), window_of(session), answer)

    def _rows(self, table: Table, rows: Sequence[Row]) -> Rows:
        at = [i for k in table.primary_key for i, c in enumerate(table.columns) if c.key == k]
        return {tuple(row[i] for i in at): tuple(row) for row in rows}

    def _spec(self, table: Table) -> Spec:
        at = {c.key: i for i, c in enumerate(table.columns)}
        references: list[tuple[tuple[int, ...], dict[Any, str]]] = [
            (tuple(at[c] for c in f.columns), {"": f.table}) for f in table.foreign_keys
        ]
        kind_at = -1
        if table.polymorphic is not None:
            kind_at = at[table.polymorphic.type_column]
            names = table[table.polymorphic.type_column].values
            references.append(
                ((at[table.polymorphic.id_column],), dict(zip(names, table.polymorphic.tables, strict=False)))
            )
        parts = {i for columns, _ in references for i in columns}
        kinds = tuple(self._kind(table, i, parts) for i in range(len(table.columns)))
        own = len(table.primary_key) == 1 and kinds[at[table.primary_key[0]]].word == "own"
        return Spec(
            table, kinds, tuple(at[k] for k in table.primary_key), tuple(references), kind_at,
            table.archetype == "junction" and own,
        )  # fmt: skip

    def _kind(self, table: Table, at: int, parts: set[int]) -> Kind:
        column = table.columns[at]
        kind = semantic_type(column.type)
        if at in parts:
            return Kind("ref")
        if column.key in table.primary_key:
            return Kind("own" if len(table.primary_key) == 1 else "exact")
        if (table.key, column.key) in self.made:
            return Kind("made")
        if kind.compare == "clock":
            return Kind("clock")
        if kind.compare == "bookkeeping":
            return Kind("free")
        if column.type in ("date", "datetime"):
            return Kind("happened")
        if kind.sql == "REAL":
            return Kind("real", 0.5 / 10**kind.scale)
        if kind.compare.startswith("text."):
            return Kind("text")
        if kind.compare == "set":
            return Kind("bag")
        return Kind("json" if "document" in ancestors(column.type) else "exact")

    # --- states

    def reaches(self, session: Session, right: Right) -> bool:
        """True where an episode has come to this end."""
        return _Isomorphism(self, self.state(session), window_of(session), right).found()

    def idle(self, session: Session) -> bool:
        """True where the world is as it was."""
        return self.reaches(session, Right(self.initial, window_of(session)))


def _writes(steps: Iterable[Any]) -> Iterable[Write]:
    for step in steps:
        if isinstance(step, Write):
            yield step
        elif isinstance(step, Each):
            yield from _writes(step.steps)


def _all(table: Table) -> str:
    return f"SELECT {', '.join(quote(c.name) for c in table.columns)} FROM {quote(table.name)}"


def window_of(session: Session) -> tuple[str, str]:
    """First and last moment of an episode."""
    ends = (session.world.now + session.start.clock, session.now)
    low, high = (datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d %H:%M:%S") for t in ends)
    return low, high


def inside(value: Any, window: tuple[str, str]) -> bool:
    """True for a moment, or a day, of the episode."""
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    text = value.replace("T", " ").rstrip("Z")
    return window[0][: len(text)] <= text <= window[1][: len(text)]


def plain(text: str) -> str:
    """A text without case and surplus space."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


class _Isomorphism:
    """The attempt to put one database upon another."""

    def __init__(self, oracle: Oracle, state: dict[str, Rows], window: tuple[str, str], right: Right) -> None:
        self.specs, self.initial = oracle.specs, oracle.initial
        self.windows = (window, right.window)
        self.states = (state, right.state)
        self.steps = STEPS
        self.fresh: tuple[dict[Place, Row], dict[Place, Row]] = ({}, {})
        self.image: dict[Place, Place] = {}
        """Right new row -> the agent's."""

    def found(self) -> bool:
        """True where there is a way to do it."""
        kept: list[tuple[str, Row, Row, Row]] = []
        for name, spec in self.specs.items():
            first, (mine, right) = self.initial[name], (s[name] for s in self.states)
            if spec.nameless:
                same = {k for k in mine if k in right and self._unmoved(name, first.get(k), mine[k], right[k])}
                self.fresh[0].update({(name, k): v for k, v in mine.items() if k not in same})
                self.fresh[1].update({(name, k): v for k, v in right.items() if k not in same})
                continue
            if {k for k in first if k in mine} != {k for k in first if k in right}:
                return False
            kept += [(name, first[k], mine[k], right[k]) for k in first if k in mine]
            self.fresh[0].update({(name, k): v for k, v in mine.items() if k not in first})
            self.fresh[1].update({(name, k): v for k, v in right.items() if k not in first})
        if len(self.fresh[0]) != len(self.fresh[1]):
            return False
        for name, before, a, b in kept:
            if not self._kept(name, before, a, b):
                return False
        return self._place(sorted(self.fresh[1], key=lambda p: len(self._options(p))))

    # --- one row upon another

    def _targets(self, name: str, row: Row, side: int) -> list[tuple[tuple[int, ...], Place | None]]:
        """The new rows to which a row refers, by the columns that say so."""
        spec, found = self.specs[name], []
        for columns, tables in spec.references:
            parent = tables.get("") or tables.get(row[spec.kind_at])
            values = tuple(row[i] for i in columns)
            place = None
            if parent and None not in values:
                place = next(
                    (p for p in self.fresh[side] if p[0] == parent and ("" not in tables or p[1] == values)
                     and tuple(map(str, p[1])) == tuple(map(str, values))), None,
                )  # fmt: skip
            found.append((columns, place))
        return found

    def _referring(self, name: str, a: Row, b: Row) -> tuple[bool, list[tuple[Place, Place]]]:
        """Whether two rows can refer to the same rows, and which new rows must then be the same."""
        must: list[tuple[Place, Place]] = []
        named: set[int] = set()
        free: set[int] = set()
        for (columns, ours), (_, theirs) in zip(
            self._targets(name, a, 0), self._targets(name, b, 1), strict=True
        ):  # fmt: skip
            if (ours is None) != (theirs is None):
                return False, []
            if ours is not None and theirs is not None:
                must.append((theirs, ours))
                free |= set(columns)
            named |= set(columns)
        return all(a[i] == b[i] for i in named - free), must

    def _kept(self, name: str, before: Row, a: Row, b: Row) -> bool:
        """A row that was there: what the right way leaves alone is as it was."""
        if a == b and not self.fresh[1]:
            return True
        fits, must = self._referring(name, a, b)
        if not fits or not all(self._settle(r, m) for r, m in must):
            return False
        return all(self._old(kind, i, a, b) for kind, i, a, b in zip(self.specs[name].kinds, before, a, b, strict=True))

    def _unmoved(self, name: str, before: Row | None, a: Row, b: Row) -> bool:
        """A link of the same number, and the same rows linked."""
        if before is None:
            return a == b
        return all(
            x == y if kind.word == "ref" else self._old(kind, i, x, y)
            for kind, i, x, y in zip(self.specs[name].kinds, before, a, b, strict=True)
        )

    def _old(self, kind: Kind, before: Any, a: Any, b: Any) -> bool:
        if a == b or kind.word in ("ref", "free"):
            return True
        if kind.word == "clock":
            fine = [v == before or inside(v, w) for v, w in ((a, self.windows[0]), (b, self.windows[1]))]
            return all(fine) and (before is not None or (a is None) == (b is None))
        if b == before:
            return False
        if kind.word == "text" and isinstance(before, str) and plain(before) == plain(str(b)):
            return False
        return kind.word != "made" and self._same(kind, a, b)

    def _same(self, kind: Kind, a: Any, b: Any) -> bool:
        if a == b or kind.word in ("own", "made", "free", "ref"):
            return True
        if a is None or b is None:
            return False
        if kind.word in ("clock", "happened"):
            return inside(a, self.windows[0]) and inside(b, self.windows[1])
        if kind.word == "real":
            return abs(a - b) <= kind.half * (1 + 1e-6)
        if kind.word == "text":
            return plain(a) == plain(b)
        if kind.word in ("bag", "json"):
            one, other = json.loads(a), json.loads(b)
            if kind.word == "bag":
                one, other = (sorted(json.dumps(v, sort_keys=True) for v in some) for some in (one, other))
            return bool(one == other)
        return False

    # --- new rows

    def _settle(self, right: Place, mine: Place) -> bool:
        """Decide what a new row is; False where it has been decided otherwise."""
        if self.image.setdefault(right, mine) != mine:
            return False
        return sum(m == mine for m in self.image.values()) == 1

    def _options(self, right: Place) -> list[Place]:
        return [p for p in self.fresh[0] if p[0] == right[0] and self._alike(p, right)[0]]

    def _alike(self, mine: Place, right: Place) -> tuple[bool, list[tuple[Place, Place]]]:
        a, b = self.fresh[0][mine], self.fresh[1][right]
        fits, must = self._referring(mine[0], a, b)
        kinds = self.specs[mine[0]].kinds
        return fits and all(self._same(k, x, y) for k, x, y in zip(kinds, a, b, strict=True)), must

    def _place(self, left: list[Place]) -> bool:
        if not left:
            return True
        right, rest = left[0], left[1:]
        decided = self.image.get(right)
        for mine in [decided] if decided is not None else list(self.fresh[0]):
            if mine[0] != right[0] or mine not in self.fresh[0]:
                continue
            self.steps -= 1
            if self.steps < 0:
                raise Undecided
            before = dict(self.image)
            fits, must = self._alike(mine, right)
            if fits and all(self._settle(r, m) for r, m in [(right, mine), *must]) and self._place(rest):
                return True
            self.image = before
        return False


# --- answers


def _figure(text: str) -> tuple[float, bool] | None:
    """A number as people write it, and whether it is one of major units of money."""
    money = bool(re.search(r"[$€£¥]|[A-Z]{3}", text))
    bare = re.sub(r"[$€£¥,\s']|[A-Z]{3}", "", text)
    try:
        return float(bare), money or "." in bare
    except ValueError:
        return None


def same_answer(kind: str, minor: int, tolerance: float, value: Any, given: Any, aliases: Sequence[str] = ()) -> bool:
    """Whether one submitted value is the right one; `value` as stored."""
    if kind == "number":
        if isinstance(given, bool) or given is None:
            return False
        if isinstance(given, str):
            found = _figure(given)
            readings = [] if found is None else [found[0] * minor if minor and found[1] else found[0]]
        elif isinstance(given, float):
            readings = [given * minor] if minor and given % 1 else [given, given * minor] if minor else [given]
        else:
            readings = [given] if isinstance(given, int) else []
        return any(abs(r - value) <= tolerance * (1 + 1e-6) + 1e-12 * abs(value) for r in readings)
    if kind == "flag":
        return given in (bool(value), str(bool(value)).lower()) and not isinstance(given, float)
    if given is None or isinstance(given, bool | float | list | dict):
        return False
    text = str(given)
    if kind in ("date", "datetime"):
        try:
            return datetime.fromisoformat(text.strip()) == datetime.fromisoformat(value)
        except ValueError:
            return False
    if kind == "code":
        return text.strip().casefold() in {str(v).strip().casefold() for v in (value, *aliases)}
    return plain(text) in {plain(str(v)) for v in (value, *aliases)}


# --- evidence


def _told(session: Session, values: bool) -> set[Place]:
    """Every row that the calls of an episode showed, or that an aggregate stood for: where values matter, one that tells any."""
    found: set[Place] = set()
    for entry in session.journal:
        if entry.result.ok:
            found.update(entry.reads)
            tool = session.toolset[entry.name]
            if not values or (tool.kind == "aggregate" and "count" not in tool.key.split(".")[-1]):
                found.update(session.covered(entry))
    return found


def _refused(session: Session, tool: str, way: Sequence[Place]) -> bool:
    """Whether a rule has refused a call of a tool that named all rows of a way."""
    for entry in session.journal:
        error = entry.result.error
        ruled = error is not None and error.code in {"RULE_VIOLATION", "CONFLICT", "FORBIDDEN"}
        if ruled and entry.name in session.toolset and session.toolset[entry.name].key == tool:
            given = re.findall(r"[^\[\]{}\",:\s][^\[\]{}\",]*", json.dumps(entry.arguments))
            if all(str(k) in given for _, key in way for k in key):
                return True
    return False


def informed(session: Session, needs: Sequence[tuple[str, str, Sequence[Sequence[Place]]]]) -> bool:
    """Whether for every need the rows of one of its ways have been read, or it was tried to do on them what cannot be done.

    A need is the column that matters (or ''), the tool of the try (or ''), and the ways.

    Raises:
        Undecided: they were not shown, but a query of the agent's own may have rested on them.
    """
    known = {values: _told(session, values) for values in (False, True)}
    if all(
        any(set(way) <= known[bool(column)] or (tried and _refused(session, tried, way)) for way in ways)
        for column, tried, ways in needs
    ):
        return True
    if any(
        e.result.ok and isinstance(e.result.data, dict) and "rows_changed" in e.result.data for e in session.journal
    ):
        raise Undecided
    return False

"""Acting in a world: calls, resets, turns between episodes, what they cost in time and memory."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import orjson

from tests.bench.budgets import BUDGETS
from tests.bench.measure import Figure, Row, Way, plain, side_by_side
from tests.bench.stages import Effort, scaled
from tests.calls import draw_call
from worlddb.schema.model import Table
from worlddb.schema.rules import quote
from worlddb.tools.kinds import propose
from worlddb.tools.model import Tool
from worlddb.tools.session import Session, resume
from worlddb.tools.site import Site
from worlddb.tools.styles import Style, dress
from worlddb.tools.toolset import Toolset
from worlddb.world.generate import generate
from worlddb.world.model import World

SIZES = {"default": "about 1,000 rows", "large": "about 10,000 rows", "huge": "about 100,000 rows"}
SEED = 7
CALLS = 400
"""Calls of one run of a way."""
WRITES = 5
CROWD = 2000
STEPS = 9
"""Calls of a scripted episode: seven reads and two writes."""


class Scene:
    """A world of one size, and calls in it that are sure to succeed."""

    def __init__(self, profile: str, seed: int = SEED) -> None:
        self.profile = profile
        self.world: World = generate(seed, profile)
        self.toolset = self.world.toolset(sets="both_read")
        self.session: Session = self.world.session(self.toolset)
        self._drafts = {t.key for t in propose(Site(self.world.schema))}
        self.table = max(
            (t for t in self.world.schema.tables if self._suits(t)), key=lambda t: self.world.counts[t.key]
        )

    def _suits(self, table: Table) -> bool:
        whole = len(table.primary_key) == 1 and bool(table.foreign_keys) and self._named(table, "get") is not None
        parent = self.world.schema[table.foreign_keys[0].table] if whole else table
        return whole and len(parent.primary_key) == 1 and f"{parent.key}.get_with_{table.key}" in self._drafts

    def _named(self, table: Table, what: str) -> Tool | None:
        return self.toolset.by_key(f"{table.key}.{what}")

    def drawn(self, tool: Tool, *, seed: int = 0) -> tuple[str, bytes]:
        """A call of a tool that succeeds, its arguments as JSON text."""
        dice = random.Random(seed)
        for _ in range(300):
            probe = self.world.session(self.toolset)
            arguments = draw_call(probe, tool, dice)
            if probe.call(tool.name, arguments).ok:
                return tool.name, orjson.dumps(arguments)
        raise LookupError(f"no call of {tool.name} succeeds")

    @cached_property
    def key(self) -> Any:
        """The key of a row in the middle of the table."""
        column = quote(self.table[self.table.primary_key[0]].name)
        name = quote(self.table.name)
        return self.session.rows(
            f"SELECT {column} FROM {name} LIMIT 1 OFFSET ?", (self.world.counts[self.table.key] // 2,)
        )[0][0]

    @cached_property
    def read(self) -> tuple[str, bytes]:
        """Get one row by its key."""
        tool = self._named(self.table, "get")
        assert tool is not None
        return tool.name, orjson.dumps({tool.params[0].name: self.key})

    @cached_property
    def listing(self) -> tuple[str, bytes]:
        """Twenty rows of one parent, by the reference's index."""
        tool = next(t for t in self.toolset if t.kind == "list" and t.table == self.table.key and self._by_parent(t))
        param = self._by_parent(tool)
        assert param is not None
        reference = self.table.foreign_keys[0]
        column, name = quote(self.table[reference.columns[0]].name), quote(self.table.name)
        key = quote(self.table[self.table.primary_key[0]].name)
        parent = self.session.rows(f"SELECT {column} FROM {name} WHERE {key} = ?", (self.key,))[0][0]
        return tool.name, orjson.dumps({param.name: parent})

    def _by_parent(self, tool: Tool) -> Any:
        column = self.table.foreign_keys[0].columns[0]
        return next((p for p in tool.params if p.key == column), None)

    @cached_property
    def joining(self) -> tuple[Session, tuple[str, bytes]]:
        """A session whose one tool gets a parent with its children, two tables in one answer, and a call of it."""
        site, style = Site(self.world.schema), Style()
        reference = self.table.foreign_keys[0]
        parent = self.world.schema[reference.table]
        draft = next(t for t in propose(site) if t.key == f"{parent.key}.get_with_{self.table.key}")
        session = self.world.session(Toolset(self.world.schema, dress((draft,), style, site.words), style))
        column, name = quote(self.table[reference.columns[0]].name), quote(self.table.name)
        busy = session.rows(
            f"SELECT {column} FROM {name} WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY abs(count(*) - 10), 1 LIMIT 1"
        )
        tool = session.toolset.tools[0]
        return session, (tool.name, orjson.dumps({tool.params[0].name: busy[0][0]}))

    @cached_property
    def writing(self) -> tuple[str, bytes]:
        """Change a value of one row, or make one where nothing can be changed."""
        for kind in ("update", "create", "transition", "action"):
            for tool in self.toolset:
                if tool.kind == kind and len({t for t, _ in tool.writes}) == 1:
                    try:
                        return self.drawn(tool)
                    except LookupError:
                        continue
        raise LookupError("no writing call succeeds")

    def script(self, seed: int) -> list[tuple[str, bytes]]:
        """Nine calls: reads of many kinds, and two writes at the end."""
        dice = random.Random(seed)
        reads = [t for t in self.toolset if t.read_only and t.kind in ("get", "find", "list", "search")]
        calls = []
        while len(calls) < STEPS - 2:
            try:
                calls.append(self.drawn(dice.choice(reads), seed=dice.randrange(99)))
            except LookupError:
                continue
        return [*calls, self.writing, self.writing]


def act(effort: Effort) -> Iterator[Row]:
    """All measurements, at every size; the largest only once where the naive way takes seconds."""
    sizes = ["default"] if effort.n < 50 else list(SIZES)
    for profile in sizes:
        scene = Scene(profile)
        note = f"{SIZES[profile]} ({scene.world.rows:,})"
        yield from _calls(scene, effort, note)
        yield from _states(scene, effort, note)
    yield from _episodes(Scene("default"), effort)


def _row(key: str, what: str, ours: Figure, unit: str = "µs", **more: Any) -> Row:
    return Row(key=key, what=what, unit=unit, ours=ours, budget=BUDGETS.get(key), **more)


def _micro(ways: dict[str, Way], repeats: int) -> dict[str, Figure]:
    return {name: scaled(figure, 1e3) for name, figure in side_by_side(ways, repeats).items()}


def _repeat(run: Callable[[], Any], times: int = CALLS, setup: Callable[[], Any] = lambda: None) -> Way:
    def many(_: Any) -> None:
        for _ in range(times):
            run()

    return Way(many, setup, times)


def _calls(scene: Scene, effort: Effort, note: str) -> Iterator[Row]:
    """Calls, JSON text in to JSON text out."""
    from tests.bench.naive_act import NaiveApp

    app = NaiveApp(scene.world, scene.table, scene.key)
    session = scene.session
    joined, join = scene.joining

    def ours(call: tuple[str, bytes]) -> Way:
        return _repeat(lambda: session.call(*call).json, setup=session.reset)

    def undone() -> None:
        session.call(*scene.writing)
        session.reset()

    found = _micro(
        {
            "get": ours(scene.read),
            "naive get": _repeat(app.get, 60),
            "list": ours(scene.listing),
            "naive list": _repeat(app.list, 60),
            "join": _repeat(lambda: joined.call(*join).json, setup=joined.reset),
            "naive join": _repeat(lambda: app.join(orjson.loads(join[1])), 60),
            "write": _repeat(undone, setup=session.reset),
            "write on": _repeat(lambda: session.call(*scene.writing).json, 100, setup=session.reset),
            "naive write": _repeat(app.write, 60),
        },
        effort.repeats,
    )
    assert session.call(*scene.read).ok
    assert session.call(*scene.writing).ok
    assert joined.call(*join).ok
    session.reset()
    naive = "pydantic arguments, SQLModel session, JSON"
    size = scene.profile
    yield _row(f"act.read.{size}", f"read call by key, {note}", found["get"], naive={naive: found["naive get"]})
    yield _row(
        f"act.list.{size}",
        f"list call, at most 20 rows of a parent, {note}",
        found["list"],
        naive={naive: found["naive list"]},
    )
    yield _row(
        f"act.join.{size}",
        f"a row with its children, two tables, {note}",
        found["join"],
        naive={naive: found["naive join"]},
    )
    yield _row(f"act.change.{size}", f"write call, one after another, {note}", found["write on"])
    yield _row(
        f"act.write.{size}",
        f"write call and reset, {note}",
        found["write"],
        naive={f"{naive}, rollback": found["naive write"]},
    )
    sql = _sql_ways(scene)
    made = _micro({name: ours(call) for name, call in sql.items()}, effort.repeats)
    for name, figure in made.items():
        assert session.call(*sql[name]).ok, name
        yield _row(f"act.sql.{name}.{size}", f"free SQL: {name}, {note}", figure)


def _sql_ways(scene: Scene) -> dict[str, tuple[str, bytes]]:
    table, reference = scene.table, scene.table.foreign_keys[0]
    parent = scene.world.schema[reference.table]
    key = quote(table[table.primary_key[0]].name)
    join = (
        f"SELECT t.*, p.* FROM {quote(table.name)} t JOIN {quote(parent.name)} p ON p.{quote(parent[reference.ref[0]].name)} "
        f"= t.{quote(table[reference.columns[0]].name)} WHERE t.{key} = ?"
    )
    single = f"SELECT * FROM {quote(table.name)} WHERE {key} = ?"
    name = scene.toolset.by_key("sql.run")
    assert name is not None
    return {
        "key": (name.name, orjson.dumps({"sql": single, "parameters": [scene.key]})),
        "join": (name.name, orjson.dumps({"sql": join, "parameters": [scene.key]})),
    }


def _states(scene: Scene, effort: Effort, note: str) -> Iterator[Row]:
    """Going back, turning to another episode, and knowing what changed: after five writes."""
    from tests.bench.naive_act import Copies, Excepts

    session, size = scene.session.reset(), scene.profile

    def written() -> Session:
        one = scene.world.session(scene.toolset)
        for _ in range(WRITES):
            one.call(*scene.writing)
        return one

    pair = (written(), written())
    turns = [0]

    def turn() -> None:
        turns[0] += 1
        pair[turns[0] % 2].rows("SELECT 1")

    def five_and_back() -> None:
        for _ in range(WRITES):
            session.call(*scene.writing)
        session.reset()
        session.rows("SELECT 1")

    def five() -> None:
        for _ in range(WRITES):
            session.call(*scene.writing)

    copies, excepts = Copies(scene.world), Excepts(scene.world, pair[0])
    slow = {"default": 40, "large": 4, "huge": 1}[size]
    found = _micro(
        {
            "reset": _repeat(lambda: (session.reset(), session.rows("SELECT 1"))),
            "five and back": _repeat(five_and_back, 60, session.reset),
            "five": _repeat(five, 60, session.reset),
            "deepcopy": _repeat(copies.reset, slow),
            "deserialize": _repeat(scene.world.connect, slow),
            "turn": _repeat(turn, 200),
            "diff": _repeat(lambda: pair[0].diff() == pair[1].diff()),
            "except": _repeat(excepts.diff, slow),
        },
        min(effort.repeats, 3) if size == "huge" else effort.repeats,
    )
    back = scaled(found["five and back"], max(0.0, 1 - found["five"].cpu.median / found["five and back"].cpu.median))  # type: ignore[union-attr]
    yield _row(
        f"act.reset.{size}", f"reset after {WRITES} writes, {note}", back,
        naive={"deepcopy of rows as dicts": found["deepcopy"], "deserialize the image": found["deserialize"]},
    )  # fmt: skip
    yield _row(f"act.turn.{size}", f"turn to another episode with {WRITES} writes, {note}", found["turn"])
    yield _row(
        f"act.diff.{size}", f"compare the net changes of {WRITES} writes, {note}", found["diff"],
        naive={"EXCEPT over all tables": found["except"]},
    )  # fmt: skip


def _episodes(scene: Scene, effort: Effort) -> Iterator[Row]:
    """Whole episodes, and what a sleeping one weighs."""
    scripts = [scene.script(seed) for seed in range(8)]
    session = scene.world.session(scene.toolset)

    def play() -> None:
        for script in scripts:
            session.reset()
            for call in script:
                session.call(*call).json  # noqa: B018
            session.diff()

    found = _micro({"episode": _repeat(play, 20)}, effort.repeats)["episode"]
    per = scaled(found, 1 / len(scripts))
    assert per.cpu is not None
    yield _row("act.episode", f"episode of {STEPS} calls with reset and diff", per)
    rate = plain([round(1e6 / per.cpu.median)])
    yield Row(
        key="act.rate",
        what="episodes per second and core",
        unit="1/s",
        ours=rate,
        by="value",
        budget=BUDGETS.get("act.rate"),
    )
    for script in scripts:
        session.reset()
        for call in script:
            session.call(*call)
        assert resume(scene.world, scene.toolset, session.suspend()).diff() == session.diff()
    scenes = [scene, *(Scene("default", seed) for seed in (1, 2, 3))] if effort.n >= 50 else [scene]
    turned = _micro({"crowd": _repeat(crowd(scenes), 2)}, min(effort.repeats, 3))["crowd"]
    yield _row(
        "act.crowd", f"read call by turns in {CROWD} live episodes of {len(scenes)} worlds", scaled(turned, 1 / CROWD)
    )
    asleep = plain([len(session.suspend())])
    yield Row(
        key="act.asleep",
        what=f"a suspended episode of {STEPS} calls",
        unit="bytes",
        ours=asleep,
        by="value",
        budget=BUDGETS.get("act.asleep"),
    )
    yield Row(
        key="act.awake",
        what=f"a live episode of {STEPS} calls, journal included",
        unit="bytes",
        ours=plain([_weight(scene, scripts)]),
        by="value",
    )


def crowd(scenes: list[Scene]) -> Callable[[], None]:
    """Two thousand live episodes of four worlds, each with a write, that call by turns."""
    live = []
    for number in range(CROWD):
        scene = scenes[number % len(scenes)]
        live.append((scene.world.session(scene.toolset), scene.read))
        live[-1][0].call(*scene.writing)

    def turn() -> None:
        for session, call in live:
            session.call(*call).json  # noqa: B018
            session.journal.clear()

    return turn


def _weight(scene: Scene, scripts: list[list[tuple[str, bytes]]]) -> int:
    """Bytes of Python memory per live episode, over a few hundred."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    live = []
    for number in range(200):
        live.append(scene.world.session(scene.toolset))
        for call in scripts[number % len(scripts)]:
            live[-1].call(*call)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used // len(live)

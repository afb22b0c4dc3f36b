"""The stages by the command line, as a user meets them: spawn, use, startup."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any

import worlddb
from tests.bench.measure import Figure, Row, Way, plain, shown, side_by_side
from tests.bench.stages import Effort, naive_worlds, row
from tests.bench.subject import subjects

ROOT = Path(worlddb.__file__).parent.parent
SQL = "SELECT entity, count(*) AS n FROM rows GROUP BY 1 ORDER BY n DESC, 1 LIMIT 5"
EVERYTHING = "apsw, click, duckdb, faker, jsonschema, msgspec, numpy, orjson, polars, rich, sqlmodel, yaml, zstandard"


def python(*arguments: object) -> str:
    """Run Python with worlddb importable; its output."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in paths if p)}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def cli(*arguments: object) -> str:
    """Run the command `worlddb`; its output."""
    return python("-m", "worlddb.cli", *arguments)


# --- spawn


def spawn(effort: Effort) -> Iterator[Row]:
    """N worlds into a store, by 1 and by 2 processes, start-up included."""
    n = effort.n
    with TemporaryDirectory() as scratch:
        homes = {w: Path(scratch) / f"by{w}" for w in (1, 2)}

        def way(workers: int) -> Way:
            def run(_: None) -> None:
                cli("spawn", "--n", n, "--out", homes[workers], "--workers", workers)

            return Way(run, lambda: shutil.rmtree(homes[workers], ignore_errors=True), n)

        found = side_by_side({"one": way(1), "two": way(2)}, effort.slow, warmups=0)
        stores = {w: worlddb.open_store(homes[w]) for w in homes}
        digests = {w: [e.digest for e in s.entries()] for w, s in stores.items()}
        stored = [e.stored for e in stores[2].entries()]
        on_disk = stores[2].bytes / n
        rows = mean(sum(e.counts.values()) for e in stores[2].entries())
    naives, tried = _naive_loop(effort)
    one, two = ({**_speed(found[w], n), "naive_extrapolated_from_worlds": tried} for w in ("one", "two"))
    two |= {"identical_to_one_worker": digests[1] == digests[2], "rows_per_world": round(rows)}
    yield row("spawn.one", f"spawn --n {n} --workers 1", found["one"], by="wall", naive=naives, extra=one)
    yield row("spawn.two", f"spawn --n {n} --workers 2", found["two"], by="wall", naive=naives, extra=two)
    extra = {"schema_and_image": plain(stored), "what": "the whole folder: shards, catalogue, dictionaries"}
    yield row("spawn.bytes", "store on disk", plain([on_disk]), "bytes/world", by="value", extra=extra)


def _naive_loop(effort: Effort) -> tuple[dict[str, Figure], int]:
    """One process, a few worlds; a thousand would take as many times longer."""
    some = subjects(effort.worlds)
    with TemporaryDirectory() as home:
        ways = {f"loop of SQLModel + Faker (extrapolated; worlds tried: {len(some)})": naive_worlds(some, home)}
        return side_by_side(ways, effort.slow, warmups=0), len(some)


def _speed(figure: Figure, n: int) -> dict[str, Any]:
    each = shown(figure, "wall").median
    return {"worlds_per_second": round(1000 / each, 1), "seconds_for_1000": round(each, 2), "n": n}


# --- use


def use(effort: Effort) -> Iterator[Row]:
    """What people do with a store: check, export, query."""
    from worlddb.export.query import query

    n = max(4, effort.n // 2)
    with TemporaryDirectory() as scratch:
        home = Path(scratch) / "store"
        cli("spawn", "--n", n, "--out", home)
        export = Path(scratch) / "export"

        def fresh(*arguments: object) -> Way:
            return Way(lambda _: cli(*arguments), lambda: shutil.rmtree(export, ignore_errors=True), n)

        ways = {"check": fresh("check", home), "export": fresh("export", home, "--out", export)}
        found = side_by_side(ways, effort.slow, warmups=0)
        asked = {
            "duckdb": Way(lambda _: query(export, SQL)),
            "command": Way(lambda _: cli("query", export, SQL)),
            "every world opened and counted": Way(lambda _: _counted(home), repeats=effort.slow),
        }
        answers = side_by_side(asked, effort.repeats)
        assert query(export, SQL).rows == _counted(home)
        size = sum(f.stat().st_size for f in export.rglob("*.parquet")) / n
    opened = {"every world opened and counted": answers["every world opened and counted"]}
    by: dict[str, Any] = {"by": "wall"}
    yield row("use.check", f"check a store of {n}", found["check"], **by)
    yield row(
        "use.export", f"export a store of {n}", found["export"], **by, extra={"parquet_bytes_per_world": round(size)}
    )
    yield row("use.query", f"one DuckDB query over {n} worlds, in process", answers["duckdb"], "ms", **by, naive=opened)
    yield row("use.command", "the same as a command, start-up included", answers["command"], "ms", **by)


def _counted(home: Path) -> list[tuple[str, int]]:
    """The answer to SQL from the store itself."""
    from collections import Counter

    from worlddb.schema.rules import quote

    found: Counter[str] = Counter()
    for world in worlddb.open_store(home):
        db = world.connect()
        for table in world.schema.tables:
            found[table.key] += db.execute(f"SELECT count(*) FROM {quote(table.name)}").get
    return sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))[:5]


# --- startup


def startup(effort: Effort) -> Iterator[Row]:
    """From the shell to the first line."""

    def way(run: Callable[[], str]) -> Way:
        return Way(lambda _: run())

    ways = {
        "help": way(lambda: cli("--help")),
        "import": way(lambda: python("-c", "import worlddb")),
        "generate": way(lambda: python("-c", "import worlddb; worlddb.generate(0, 'tiny')")),
        "bare": way(lambda: python("-c", "pass")),
        "everything imported": way(lambda: python("-c", f"import {EVERYTHING}")),
    }
    found = side_by_side(ways, effort.repeats + (4 if effort.repeats > 2 else 0))
    bare = {"bare Python": found["bare"]}
    everything = {"everything imported": found["everything imported"]}
    yield row("startup.help", "worlddb --help", found["help"], "ms", by="wall", naive={**everything, **bare})
    yield row("startup.import", "import worlddb", found["import"], "ms", by="wall", naive={**everything, **bare})
    yield row("startup.world", "import worlddb, first tiny world", found["generate"], "ms", by="wall", naive=bare)

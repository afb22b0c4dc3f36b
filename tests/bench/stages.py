"""The stages inside one process: schema, values, populate, image, generate."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import apsw
import zstandard

from tests.bench.budgets import BUDGETS
from tests.bench.measure import Figure, Row, Way, cpu_seconds, plain, side_by_side, spread
from tests.bench.subject import Subject, describe, replaced, subjects
from worlddb.codecs import LEVEL, Codec
from worlddb.library import folder
from worlddb.schema.ddl import ddl
from worlddb.schema.grow import grow
from worlddb.world import fill as filling
from worlddb.world import generate as generating
from worlddb.world import image
from worlddb.world.fill import fill
from worlddb.world.generate import generate


class Effort(NamedTuple):
    """How much to measure."""

    worlds: int = 12
    repeats: int = 7
    slow: int = 3
    """Repeats of ways that take seconds."""
    n: int = 200
    """Worlds of a spawn."""


QUICK = Effort(worlds=2, repeats=2, slow=1, n=8)


def row(key: str, what: str, ours: Figure, unit: str = "ms/world", **more: Any) -> Row:
    """A row with its budget."""
    return Row(key=key, what=what, unit=unit, ours=ours, budget=BUDGETS.get(key), **more)


def over(worlds: list[Subject], run: Callable[[Any], Any], give: Callable[[Subject], Any]) -> Way:
    """A way that does every world in turn, each with what `give` prepares for it outside of the clock."""
    return Way(lambda given: [run(g) for g in given], lambda: [give(w) for w in worlds], len(worlds))


# --- schema


def schema(effort: Effort) -> Iterator[Row]:
    """From a seed to DDL, and from a schema to an empty database."""
    from tests.bench import naive

    worlds = subjects(effort.worlds)
    sizes = describe(worlds)
    found = side_by_side(
        {
            "grow": over(worlds, lambda g: grow(*g), Subject.grow_args),
            "grow_ddl": over(worlds, lambda g: ddl(grow(*g)), Subject.grow_args),
            "ddl": over(worlds, ddl, lambda w: w.schema),
            "created": over(worlds, lambda s: _create(ddl(s)), lambda w: w.schema),
            "naive": over(worlds, naive.create, lambda w: w.schema),
        },
        effort.repeats,
    )
    naives = {"SQLModel classes + create_all": found["naive"]}
    yield row("schema.ddl", "schema -> DDL text", found["ddl"], naive=naives, extra={"sizes": sizes})
    yield row("schema.created", "schema -> empty database (DDL in apsw)", found["created"], naive=naives)
    yield row("schema.grow", "seed -> schema (grow)", found["grow"])
    yield row("schema.whole", "seed -> DDL text (grow + ddl)", found["grow_ddl"], naive=naives)


def _create(statements: list[str]) -> apsw.Connection:
    db = apsw.Connection(":memory:")
    db.execute("BEGIN")
    for statement in statements:
        db.execute(statement)
    db.execute("COMMIT")
    return db


# --- values


def values(effort: Effort) -> Iterator[Row]:
    """All cells of a world's tables: by our draws, which then obey the rules, and by one Faker call each."""
    from tests.bench import naive

    worlds = subjects(effort.worlds)
    fakes = {w: naive.faker(weighting=w) for w in (True, False)}
    drawn, all_of_it = Watch(), Watch()

    def ours(args: tuple[Any, ...]) -> Any:
        with drawn.on(filling, "_draw"), all_of_it.timing():
            return fill(*args)

    def faked(weighting: bool) -> Way:
        return over(worlds, lambda w: naive.fill(w.schema, w.world.counts, fakes[weighting]), lambda w: w)

    found = side_by_side(
        {
            "ours": over(worlds, lambda a: fill(*a), lambda w: w.fill_args),
            "watched": over(worlds, ours, lambda w: w.fill_args),
            "Faker, one call a cell": faked(True),
            "Faker(use_weighting=False)": faked(False),
        },
        effort.repeats,
    )
    naives = {k: v for k, v in found.items() if k.startswith("Faker")}
    share = drawn.seconds / all_of_it.seconds
    faked_cells = [naive.cells(naive.fill(w.schema, w.world.counts, fakes[False])) for w in worlds]
    extra: dict[str, Any] = {
        "sizes": describe(worlds),
        "naive_cells": mean(faked_cells),
        "share_of_fill": round(share, 3),
    }
    draws = scaled(found["ours"], share)
    yield row("values.cells", "cells drawn, rules not yet applied", draws, naive=naives, extra=extra)
    yield row("values.fill", "cells drawn and made to obey the rules (fill)", found["ours"], naive=naives)
    per_cell = 1e3 / extra["sizes"]["cells"]
    yield row(
        "values.cell", "the same, for one cell", scaled(found["ours"], per_cell), "µs/cell",
        naive={k: scaled(f, per_cell) for k, f in naives.items()},
    )  # fmt: skip


def scaled(figure: Figure, by: float) -> Figure:
    """A figure times a number."""

    def times(name: str) -> Any:
        one = getattr(figure, name)
        return one and spread(x * by for x in (one.min, one.median, one.max))

    return Figure(repeats=figure.repeats, cpu=times("cpu"), wall=times("wall"), value=times("value"))


# --- populate


def populate(effort: Effort) -> Iterator[Row]:
    """The same rows, in memory already, into a database in memory: tables, indexes, rows."""
    from tests.bench import naive

    worlds = subjects(min(effort.worlds, 6))
    # the classes stand ready, `schema` measures them; create_all is inside the clock, as our CREATE TABLE is
    classes = {w.seed: w.world.models() for w in worlds}
    attributes = {w.seed: _by_attribute(w, naive.attributes(classes[w.seed])) for w in worlds}

    def added(w: Subject) -> None:
        naive.add(classes[w.seed], naive.empty(classes[w.seed]), attributes[w.seed])

    def inserted(w: Subject) -> None:
        naive.insert(classes[w.seed], naive.empty(classes[w.seed]), w.stored)

    runs = {
        "load": Subject.loaded, "proved": _proved, "SQLModel objects in a Session": added,
        "SQLAlchemy Core, many rows a call": inserted,
    }  # fmt: skip
    found = side_by_side({name: over(worlds, run, lambda w: w) for name, run in runs.items()}, effort.repeats)
    naives = {k: v for k, v in found.items() if k.startswith("SQL")}
    sizes = describe(worlds)
    yield row("populate.load", "rows -> database (load)", found["load"], naive=naives, extra={"sizes": sizes})
    yield row(
        "populate.proved", "load, then all rules, integrity and foreign keys asked", found["proved"], naive=naives
    )


def _by_attribute(w: Subject, names: dict[str, dict[str, str]]) -> dict[str, list[dict[str, Any]]]:
    """The stored rows by the names of the classes' attributes."""
    return {k: [{names[k][c]: v for c, v in r.items()} for r in found] for k, found in w.stored.items()}


def _proved(w: Subject) -> Any:
    db = w.loaded()
    return db, image.violations(w.schema, db), image.faults(db)


# --- image


def image_(effort: Effort) -> Iterator[Row]:
    """A loaded database to its stored bytes, and back."""
    worlds = subjects(effort.worlds)
    ours = Codec((folder("seeds") / "dictionaries" / "images.zdict").read_bytes())
    zstd, unzstd = zstandard.ZstdCompressor(level=3), zstandard.ZstdDecompressor()
    plain_name, bare_name = "4096-byte pages + zstd-3", "4096-byte pages, uncompressed"
    packed = {w.seed: (ours.pack(w.world.image), zstd.compress(w.wide_image)) for w in worlds}

    written = side_by_side(
        {
            "serialise": over(worlds, lambda g: image.serialise(*g), lambda w: (w.loaded(), w.statements)),
            "ours": over(worlds, lambda g: ours.pack(image.serialise(*g)), lambda w: (w.loaded(), w.statements)),
            plain_name: over(worlds, lambda db: zstd.compress(db.serialize("main")), _wide),
            bare_name: over(worlds, lambda db: db.serialize("main"), _wide),
        },
        effort.repeats,
    )
    sizes = {
        "level": LEVEL,
        "uncompressed": plain(len(w.world.image) for w in worlds),
        "sizes": describe(worlds),
    }
    yield row(
        "image.bytes", "stored image (SQLite pages, dictionary)", plain(len(packed[w.seed][0]) for w in worlds),
        "bytes/world", by="value", extra=sizes,
        naive={plain_name: plain(len(packed[w.seed][1]) for w in worlds), bare_name: plain(len(w.wide_image) for w in worlds)},
    )  # fmt: skip
    yield row(
        "image.recipe",
        "recipe, as text",
        plain(len(str(w.world.recipe)) for w in worlds),
        "bytes",
        by="value",
    )
    yield row("image.serialise", "unique indexes + serialise, uncompressed", written["serialise"])
    yield row(
        "image.write",
        "serialise + zstd with the dictionary",
        written["ours"],
        naive=_only(written, plain_name, bare_name),
    )
    yield from _read_back(worlds, effort, ours, unzstd, packed)


def _only(figures: dict[str, Figure], *names: str) -> dict[str, Figure]:
    return {n: figures[n] for n in names}


def _wide(w: Subject) -> apsw.Connection:
    db = apsw.Connection(":memory:")
    db.deserialize("main", w.wide_image)
    return db


def _read_back(
    worlds: list[Subject], effort: Effort, ours: Codec, unzstd: zstandard.ZstdDecompressor, packed: dict[int, Any]
) -> Iterator[Row]:
    with TemporaryDirectory() as home:
        files = {w.seed: Path(home) / f"{w.seed}.sqlite" for w in worlds}
        for w in worlds:
            files[w.seed].write_bytes(w.wide_image)
        found = side_by_side(
            {
                "ours": over(worlds, lambda w: _opened(ours.unpack(packed[w.seed][0])), lambda w: w),
                "4096-byte pages + zstd-3": over(
                    worlds, lambda w: _opened(unzstd.decompress(packed[w.seed][1])), lambda w: w
                ),
                "a .sqlite file, by sqlite3": over(worlds, lambda w: _opened_file(files[w.seed]), lambda w: w),
            },
            effort.repeats,
        )  # fmt: skip
    yield row("image.read", "stored image -> first answer", found.pop("ours"), naive=found)


def _opened(data: bytes) -> Any:
    db = apsw.Connection(":memory:")
    db.deserialize("main", data)
    return db.execute("SELECT count(*) FROM sqlite_schema").fetchall()


def _opened_file(path: Path) -> Any:
    db = sqlite3.connect(path)
    try:
        return db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    finally:
        db.close()


# --- generate

SPLIT: tuple[tuple[Any, str], ...] = (
    (generating, "grow"), (generating, "fill"), (generating, "ddl"), (image, "keys"), (image, "load"),
    (image, "violations"), (image, "faults"), (image, "serialise"),
)  # fmt: skip
"""The functions that `generate` calls, one after the other; their shares are those of their CPU time."""
INSIDE: tuple[tuple[Any, str], ...] = ((filling, "_draw"), (filling, "_obey"), (filling, "settle"))
"""The same inside `fill`."""
PROFILES = {"tiny": 12, "default": 12, "large": 2}
"""Profile -> how many worlds of it are grown."""


class Watch:
    """Adds up the CPU time of the calls of one function."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.calls = 0

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Count what happens inside."""
        start = time.process_time()
        try:
            yield
        finally:
            self.seconds += time.process_time() - start
            self.calls += 1

    def around(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted."""

        def call(*args: Any) -> Any:
            with self.timing():
                return real(*args)

        return call

    def on(self, module: Any, name: str) -> Any:
        """Count the calls of a module's function, for a while."""
        return replaced(module, name, self.around)


def generate_(effort: Effort) -> Iterator[Row]:
    """Seed to World, by profile, and where the time goes."""
    for profile, most in PROFILES.items():
        if effort.slow == 1 and profile == "large":
            continue  # half of a quick run's time
        worlds = subjects(min(most, effort.worlds) if effort.slow > 1 else 1, profile)
        repeats = effort.slow if profile == "large" else effort.repeats
        with TemporaryDirectory() as home:
            ways = {
                "ours": over(worlds, lambda w: generate(w.seed, w.profile), lambda w: w),
                "SQLModel + Faker, schema given, no rules": naive_worlds(worlds, home)._replace(repeats=effort.slow),
            }
            found = side_by_side(ways, repeats)
        extra = {"sizes": describe(worlds), "split": _split(worlds)}
        yield row(f"generate.{profile}", f"generate(), profile {profile}", found.pop("ours"), naive=found, extra=extra)


def naive_worlds(worlds: list[Subject], home: str) -> Way:
    """Worlds of the same schemas and sizes, made the naive way, one after the other, in files."""
    from tests.bench import naive

    def make(given: tuple[Subject, Path]) -> int:
        w, path = given
        return naive.world(w.schema, w.world.counts, w.seed, path)

    def place(w: Subject) -> tuple[Subject, Path]:
        path = Path(home) / f"{w.seed}.sqlite"
        path.unlink(missing_ok=True)
        return w, path

    return over(worlds, make, place)


def _split(worlds: list[Subject]) -> dict[str, Any]:
    """Milliseconds of CPU per world and stage; `calls` above 1 a world mean that rows were taken out and all done again."""
    watches = {f"{m.__name__.rpartition('.')[2]}.{name}": Watch() for m, name in (*SPLIT, *INSIDE)}
    start = cpu_seconds()
    with ExitStack() as stack:
        for (module, name), watch in zip((*SPLIT, *INSIDE), watches.values(), strict=True):
            stack.enter_context(watch.on(module, name))
        for w in worlds:
            generate(w.seed, w.profile)
    whole = cpu_seconds() - start
    n = len(worlds)
    found: dict[str, Any] = {
        name: {"ms": round(w.seconds * 1e3 / n, 3), "share": round(w.seconds / whole, 3), "calls": round(w.calls / n, 2)}
        for name, w in watches.items()
    }  # fmt: skip
    named = sum(w.seconds for (m, name), w in zip((*SPLIT, *INSIDE), watches.values(), strict=True) if m is not filling)
    found["rest"] = {"ms": round((whole - named) * 1e3 / n, 3), "share": round(1 - named / whole, 3)}
    return found

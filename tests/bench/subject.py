"""The worlds that are measured, with what each stage of their making was given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import apsw

from worlddb.rng import Stream
from worlddb.schema.model import Schema
from worlddb.schema.rules import quote
from worlddb.world import generate as generating
from worlddb.world import image
from worlddb.world.generate import generate
from worlddb.world.model import World
from worlddb.world.profiles import profile


class Subject:
    """One world, taken apart."""

    def __init__(self, seed: int, size: str = "default") -> None:
        """Grow it, of the profile `size`, and note what `fill` and the last `load` were given."""
        self.seed, self.profile = seed, size
        with noted(generating, "fill") as fills, noted(image, "load") as loads:
            self.world: World = generate(seed, size)
        self.fill_args: tuple[Any, ...] = fills[-1]
        self.frames, self.ids, self.statements = loads[-1]

    @property
    def schema(self) -> Schema:
        """Its schema."""
        return self.world.schema

    @property
    def cells(self) -> int:
        """Rows times columns, over all tables."""
        return sum(len(t.columns) * self.world.counts[t.key] for t in self.schema.tables)

    def grow_args(self) -> tuple[Stream, int]:
        """What `grow` was given: the stream of the schema, and about how many tables."""
        stream = Stream(self.seed, self.profile)
        return stream.child("schema"), stream.child("tables").pick(profile(self.profile).tables)

    def loaded(self) -> apsw.Connection:
        """A database with all rows in it, as `serialise` gets it."""
        return image.load(self.frames, self.ids, self.statements)

    @cached_property
    def stored(self) -> dict[str, list[dict[str, Any]]]:
        """Table key -> its rows as dicts by column name, parents before children."""
        db = self.world.connect()
        found = {}
        for key in self.frames.made:
            table = self.schema[key]
            names = [c.name for c in table.columns]
            rows = db.execute(f"SELECT {', '.join(map(quote, names))} FROM {quote(table.name)}")
            found[key] = [dict(zip(names, row, strict=True)) for row in rows]
        return found

    @cached_property
    def wide_image(self) -> bytes:
        """The same database with SQLite's usual pages of 4096 bytes."""
        db = self.world.connect()
        db.execute("PRAGMA page_size = 4096").fetchall()
        db.execute("VACUUM")
        return bytes(db.serialize("main"))


@contextmanager
def replaced(module: Any, name: str, by: Callable[[Any], Any]) -> Iterator[None]:
    """The function `name` of a module wrapped by `by`, for a while."""
    real = getattr(module, name)
    setattr(module, name, by(real))
    try:
        yield
    finally:
        setattr(module, name, real)


@contextmanager
def noted(module: Any, name: str) -> Iterator[list[tuple[Any, ...]]]:
    """The arguments of every call of a module's function, for a while."""
    calls: list[tuple[Any, ...]] = []

    def noting(real: Any) -> Any:
        def call(*args: Any) -> Any:
            calls.append(args)
            return real(*args)

        return call

    with replaced(module, name, noting):
        yield calls


def subjects(count: int, size: str = "default") -> list[Subject]:
    """The worlds of the first seeds."""
    return [Subject(seed, size) for seed in range(count)]


def describe(worlds: list[Subject]) -> dict[str, Any]:
    """Their mean size, to hold figures for one world against."""
    n = len(worlds)
    return {
        "profile": worlds[0].profile,
        "seeds": [w.seed for w in worlds],
        "tables": round(sum(len(w.schema.tables) for w in worlds) / n, 1),
        "columns": round(sum(len(t.columns) for w in worlds for t in w.schema.tables) / n, 1),
        "rows": round(sum(w.world.rows for w in worlds) / n, 1),
        "cells": round(sum(w.cells for w in worlds) / n, 1),
        "image_bytes": round(sum(len(w.world.image) for w in worlds) / n),
    }

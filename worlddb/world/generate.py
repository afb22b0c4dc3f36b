"""Seed -> World: the one function that reads as the whole generator."""

from __future__ import annotations

from pathlib import Path

import apsw

from worlddb.errors import BadRequest, BrokenPromise
from worlddb.library import generator
from worlddb.rng import Stream
from worlddb.schema.ddl import ddl
from worlddb.schema.domains import label
from worlddb.schema.grow import grow
from worlddb.schema.model import Schema
from worlddb.schema.rules import SumEq, quote
from worlddb.semantics.pools import load_pools
from worlddb.world import image, moments
from worlddb.world.fill import fill, remove
from worlddb.world.frame import Frames
from worlddb.world.model import Recipe, World
from worlddb.world.profiles import profile as profile_named

ATTEMPTS = 12
"""How often rows that break a rule may be taken out before worlddb gives up and calls it a bug of its own."""


def generate(seed: int, profile: str = "default", *, domain: str = "", pools: str | Path | None = None) -> World:
    """Grow one world.  Pure: the same arguments give the same bytes on every machine.

    Args:
        seed: 0 <= seed < 2**63.
        profile: a name from schemas/profiles.yaml; it sets the size.
        domain: a name from schemas/domains/, or a domain file of your own (.yaml); empty: drawn from the seed.
        pools: a folder made by `worlddb pools build`; None: the pools that come with worlddb.

    Raises:
        BadRequest: the seed is out of range.
        UnknownName: no such profile or domain.
        BrokenFile: the domain file is not sound.

    >>> world = generate(42)
    >>> world.recipe.seed, world.rows > 300
    (42, True)
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise BadRequest(f"the seed is {seed!r}; give a whole number")
    if not 0 <= seed < 1 << 63:
        raise BadRequest(f"seed {seed} is out of range; take one from 0 to {(1 << 63) - 1}")
    size, words = profile_named(profile), load_pools(Path(pools) if pools else None)
    chosen = label(domain)
    stream = Stream(seed, profile)
    schema = grow(stream.child("schema"), stream.child("tables").pick(size.tables), domain)
    when = moments.era(stream.child("era"))
    locale = stream.child("locale").pick(words.locales)
    frames = fill(schema, stream.child("count").pick(size.rows), when, stream.child("world"), words, locale)
    data = _prove(schema, frames, stream.child("keys"))
    recipe = Recipe(seed=seed, profile=profile, generator=generator(), pools=words.digest[:16], domain=chosen)
    counts = {key: frame.n for key, frame in frames.made.items()}
    return World(recipe=recipe, schema=schema, image=data, now=when.now, locale=locale, counts=counts)


def _prove(schema: Schema, frames: Frames, stream: Stream) -> bytes:
    """Load the rows and ask every rule for violations; take out rows that break one, until none does."""
    statements = ddl(schema)
    for _ in range(ATTEMPTS):
        ids = image.keys(frames, stream)
        connection = image.load(frames, ids, statements)
        broken = image.violations(schema, connection)
        wrong = [] if broken else image.faults(connection, "quick_check")
        if not broken and not wrong:
            return image.serialise(connection, statements)
        failing = image.unchecked(schema, connection)
        hopeless = [n for n in broken if isinstance(schema.rules[n], SumEq)]
        if hopeless or not (broken or failing):
            fault = schema.rules[hopeless[0]].say if hopeless else wrong[0]
            raise BrokenPromise(f"{schema.domain}: {fault}")
        wrong_rows = [(schema.rules[n].table, rows) for n, rows in broken.items()]
        remove(frames, image.marks(frames, ids, [*wrong_rows, *failing.items()]))
    raise BrokenPromise(f"{schema.domain}: rows that break rules remain after {ATTEMPTS} attempts to take them out")


def check(world: World) -> list[str]:
    """Every fault of a world, one line each: SQLite's integrity and foreign keys, and all rules.  Empty: it is sound."""
    try:
        connection = world.connect()
        found = image.faults(connection)
        for table in world.schema.tables:
            rows = connection.execute(f"SELECT count(*) FROM {quote(table.name)}").fetchall()[0][0]
            if rows != world.counts.get(table.key):
                found.append(f"{table.name} has {rows} rows, {world.counts.get(table.key)} are noted")
        for number, rows in image.violations(world.schema, connection).items():
            rule = world.schema.rules[number]
            found.append(f"rule {number} ({rule.kind}) of {rule.table} is broken by {len(rows)} rows: {rule.say}")
    except apsw.Error as error:
        return [f"not a readable database: {error}"]
    return found

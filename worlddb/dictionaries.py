"""Builds the zstd dictionaries of seeds/dictionaries/, with which new stores are packed.

A store keeps a copy of the dictionaries that it was packed with, so these may be built again at any time; the worlds
and their digests do not depend on them.  Run `python -m worlddb.dictionaries seeds/dictionaries`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
import zstandard

from worlddb.files import write_whole
from worlddb.rng import Stream
from worlddb.shards import pack_task
from worlddb.world.generate import generate

SEEDS = range(4_000_000_000, 4_000_000_300)
"""Outside of every suite."""
PIECES, PIECE = 24, 4096
"""Of an image, so many pieces of so many bytes are samples: whole images teach no more and take minutes."""
SIZES = {"images.zdict": 112 * 1024, "schemas.zdict": 64 * 1024, "tasks.zdict": 64 * 1024}
"""Bytes at most; twice as many would save another 1 % of a world."""


def build_dictionaries(out: Path, seeds: Iterable[int] = SEEDS) -> None:
    """Train the dictionaries on default worlds of the given seeds and their tasks, and write them to the folder `out`.

    Raises:
        StoreError: the folder cannot be written.
    """
    pieces: list[bytes | bytearray | memoryview] = []
    schemas: list[bytes | bytearray | memoryview] = []
    tasks: list[bytes | bytearray | memoryview] = []
    for seed in seeds:
        world = generate(seed)
        stream = Stream(seed, "pieces")
        for start in (stream.below(max(1, len(world.image) - PIECE)) for _ in range(PIECES)):
            start -= start % 4096  # where a page begins
            pieces.append(world.image[start : start + PIECE])
        schemas.append(msgspec.msgpack.encode(world.schema))
        tasks += map(pack_task, world.tasks)
    for (name, size), samples in zip(SIZES.items(), (pieces, schemas, tasks), strict=True):
        write_whole(out / name, zstandard.train_dictionary(size, samples).as_bytes())


if __name__ == "__main__":
    build_dictionaries(Path(sys.argv[1]))

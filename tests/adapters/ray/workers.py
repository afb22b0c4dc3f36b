"""What the workers of the tests do, beside growing shards; a module, so that every worker can import it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from worlddb.errors import UnknownName
from worlddb.spawner import Job, grow_shard


class Doomed(NamedTuple):
    """A shard whose worker dies while the shard is half written, the first time that it is grown."""

    job: Job
    mark: Path


def grow_or_die(doomed: Doomed) -> int:
    if not doomed.mark.exists():
        doomed.mark.touch()
        shards = doomed.job.places.home / "shards"
        (shards / f".{doomed.job.number:05d}.sqlite.1-a.partial").write_bytes(b"half a shard")
        os._exit(9)
    return grow_shard(doomed.job)


def double(x: int) -> int:
    return 2 * x


def identity(_: int) -> tuple[int, str]:
    return os.getpid(), str(Path.cwd())


def refuse(x: int) -> int:
    raise UnknownName("thing", str(x), ["one"])


def stumble(x: int) -> int:
    return x // 0


def die(_: int) -> int:
    os._exit(9)

"""What is asked for: from the words of a caller to the recipe of a store."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import NamedTuple

from worlddb.codecs import DICTIONARIES
from worlddb.errors import BadRequest
from worlddb.files import short_digest
from worlddb.heldout import Scope
from worlddb.library import folder, generator
from worlddb.shards import FORMAT
from worlddb.store import StoreRecipe
from worlddb.suites import Suite, suite_named
from worlddb.version import TASKS

SHARD_WORLDS, SHARD_ROWS = 32, 32_000
"""A shard has at most so many worlds, and about so many rows: half a second of work, and little memory."""
SHARD_TASKS = 80
"""And about so many tasks, which take about 30 ms each."""
TASKS_A_WORLD, TASK_PROFILE = 10, "default"
TASK_SOURCES = {"api.yaml", "verbs.yaml", "task-profiles.yaml", "wording"}
"""Files and folders of schemas/ that tasks are made from, beside the worlds: tools, words, profiles."""


class Request(NamedTuple):
    """What the caller of `spawn` asked for; None where it did not say."""

    n: int | None = None
    seed: int | None = None
    profile: str | None = None
    suite: str | None = None
    domain: str | None = None
    tasks: int | None = None
    task_profile: str | None = None

    def filled_from(self, there: StoreRecipe) -> Request:
        """The request with what was not said taken from a store."""
        same_kind = self.profile is None and self.suite is None
        return Request(
            n=there.n if self.n is None else self.n,
            seed=there.seed if self.seed is None else self.seed,
            profile=(there.profile or None) if same_kind else self.profile,
            suite=(there.suite or None) if same_kind else self.suite,
            domain=there.domain if self.domain is None else self.domain,
            tasks=there.tasks if self.tasks is None else self.tasks,
            task_profile=there.task_profile or None if self.task_profile is None else self.task_profile,
        )


class Worlds(NamedTuple):
    """Which worlds a store has, and what its tasks may use."""

    first: int
    n: int
    profiles: tuple[str, ...]
    domains: tuple[tuple[str, ...], ...] = ()
    scope: Scope | None = None


def plan(asked: Request, pools: str, there: StoreRecipe | None = None) -> StoreRecipe:
    """The recipe of the store that a request asks for; layout and dictionaries are those of a store that is there.

    Raises:
        UnknownName: no such profile, task profile, suite or domain.
        BadRequest: n below 1, tasks below 0, or arguments that do not go together.
    """
    from worlddb.schema.domains import label
    from worlddb.tasks.shapes import task_profile as find_task_profile

    domain, tasks = label(asked.domain or ""), TASKS_A_WORLD if asked.tasks is None else asked.tasks
    worlds = _suite_worlds(asked, domain) if asked.suite else _plain_worlds(asked)
    if worlds.n < 1:
        raise BadRequest(f"n is {worlds.n}; ask for 1 world or more")
    last = worlds.first + worlds.n - 1
    if worlds.first < 0 or last >= 2**63:
        raise BadRequest(f"seeds {worlds.first} to {last} do not all lie in 0 to 2**63 - 1; choose another seed")
    if tasks < 0:
        raise BadRequest(f"tasks is {tasks}; ask for 1 or more for each world, or for 0 to have none")
    if asked.task_profile is not None:
        find_task_profile(asked.task_profile)
    size = shard_size(worlds.profiles, tasks)
    return StoreRecipe(
        format=there.format if there else FORMAT, seed=worlds.first, n=worlds.n,
        profile="" if asked.suite else worlds.profiles[0], suite=asked.suite or "", profiles=worlds.profiles,
        domain=domain, domains=() if domain else worlds.domains, tasks=tasks,
        task_profile=(asked.task_profile or TASK_PROFILE) if tasks else "", task_version=task_version() if tasks else "",
        scope=worlds.scope, generator=generator(), pools=pools,
        shard=there.shard if there else size,
        dictionaries=there.dictionaries if there else tuple(map(short_digest, shipped_dictionaries())),
    )  # fmt: skip


def shard_size(profiles: tuple[str, ...], tasks: int) -> int:
    """Worlds per shard.

    Raises:
        UnknownName: there is no such profile.
    """
    from worlddb.world.profiles import profile as find_profile

    rows = [sum(p.rows) // len(p.rows) for p in map(find_profile, profiles)]
    mean = max(1, sum(rows) // len(rows))
    return max(1, min(SHARD_WORLDS, SHARD_ROWS // mean, SHARD_TASKS // max(1, tasks)))


@cache
def task_version() -> str:
    """Version of what makes tasks, beside the worlds: of the code, and the digest of what of schemas/ they are made from."""
    home, found = folder("schemas"), sha256()
    for path in sorted(home.rglob("*")):
        place = path.relative_to(home)
        if path.is_file() and not TASK_SOURCES.isdisjoint(place.parts) and not path.name.startswith("."):
            found.update(f"{place.as_posix()}\n".encode() + path.read_bytes())
    return f"{TASKS}-{found.hexdigest()[:8]}"


def _plain_worlds(asked: Request) -> Worlds:
    if asked.n is None:
        raise BadRequest("say how many worlds to grow, for example --n 1000")
    return Worlds(asked.seed or 0, asked.n, (asked.profile or "default",))


def _suite_worlds(asked: Request, domain: str) -> Worlds:
    name = asked.suite or ""
    suite = suite_named(name)
    if asked.profile is not None:
        raise BadRequest(f"suite '{name}' brings its own profiles; leave out --profile, or leave out --suite")
    if domain and not suite.scope.domain(domain.partition("@")[0]):
        raise BadRequest(f"domain '{domain}' is held out from suite '{name}'; choose another, or leave out --suite")
    first = suite.first if asked.seed is None else asked.seed
    n = suite.n if asked.n is None else asked.n
    _refuse_foreign_seeds(name, suite, first, n)
    turn = (first - suite.first) % len(suite.profiles)
    return Worlds(first, n, suite.profiles[turn:] + suite.profiles[:turn], suite.groups, suite.scope)


def _refuse_foreign_seeds(name: str, suite: Suite, first: int, n: int) -> None:
    last = suite.first + suite.seeds - 1
    if not suite.first <= first <= first + max(n, 1) - 1 <= last:
        raise BadRequest(f"suite '{name}' has the seeds {suite.first} to {last}; choose --seed and --n within them")


def shipped_dictionaries() -> list[bytes]:
    """The zstd dictionaries of seeds/, in the order of DICTIONARIES; empty, and so of no effect, where there is none."""
    places = (folder("seeds") / "dictionaries" / name for name in DICTIONARIES)
    return [place.read_bytes() if place.exists() else b"" for place in places]

"""What OpenEnv's validator wants to find in a folder: openenv.yaml, an oracle that shows the highest reward, and canaries.

python -m worlddb.adapters.openenv_package data/out openenv/ --tasks 50

openenv.yaml      the declaration
oracle.jsonl      {"split", "index", "task", "calls": [{"name", "arguments"}]}, the gold of each task
canaries.jsonl    the same with a "canary" each: trajectories that are worth nothing
oracle.py         plays the oracle against a server: `python oracle.py http://127.0.0.1:8000`
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import yaml

from worlddb.adapters.openenv import NAME, SPLITS, WorldEnvironment
from worlddb.adapters.openenv_check import MARGIN, Call, Case, cases, play
from worlddb.store import open_store
from worlddb.version import __version__

ORACLE, CANARIES, SCRIPT = "oracle.jsonl", "canaries.jsonl", "oracle.py"
_PLAYER = '''\
"""Play the oracle of every task against a running server; fail where one is not paid in full."""

import sys
from pathlib import Path

from worlddb.adapters.openenv_package import unpaid

wrong = unpaid(sys.argv[1], Path(__file__).with_name("oracle.jsonl"))
sys.exit(f"not paid in full: {', '.join(wrong)}" if wrong else 0)
'''


def package(store: str, folder: str | Path, split: str = "all", tasks: int = 50) -> Path:
    """Write the files for the first tasks of a split; the folder.

    Raises:
        BadRequest: the store has no task in that split.
        StoreError: there is no store, or it is damaged.
    """
    home = Path(folder)
    home.mkdir(parents=True, exist_ok=True)
    given = cases(store, split, tasks)
    (home / ORACLE).write_bytes(b"".join(_line(c, c.oracle) for c in given))
    (home / CANARIES).write_bytes(b"".join(_line(c, calls, n) for c in given for n, calls in c.canaries.items()))
    (home / SCRIPT).write_text(_PLAYER)
    (home / "openenv.yaml").write_text(yaml.safe_dump(declaration(store), sort_keys=False))
    return home


def declaration(store: str) -> dict[str, Any]:
    """What openenv.yaml says."""
    recipe, env = open_store(store).recipe, WorldEnvironment(store)
    version = f"worlddb {recipe.generator}, pools {recipe.pools}, tasks {recipe.task_version}"
    return {
        "spec_version": 1, "name": NAME, "version": __version__, "type": "space", "runtime": "fastapi",
        "app": "worlddb.adapters.openenv:app_of", "port": 8000,
        "validation": {
            "reward": {"range": [0.0, 1.0], "oracle_tolerance": 0.0, "floor_margin": max(MARGIN, 0.9)},
            "resources": {"cpu": 1, "memory_mb": 2048, "disk_mb": 1024, "episode_timeout_s": 600},
            "network": {"mode": "no-network"},
            "task_distribution": {"generator_seed": recipe.seed, "dataset_version": version},
            "capabilities": {
                "oracle": {"form": "script", "location": SCRIPT},
                "verifier": {"kind": "reward_channel"},
                "task_api": True,
                "canaries": CANARIES,
                "declared_task_count": {s: env.num_tasks(s) for s in SPLITS if env.num_tasks(s)},
            },
            "types": {"tags": ["tool-use", "databases"]},
        },
    }  # fmt: skip


def unpaid(url: str, oracle: Path) -> list[str]:
    """The tasks of an oracle file that a running server does not pay in full."""
    found = [orjson.loads(line) for line in oracle.read_bytes().splitlines()]
    given = [
        Case(c["split"], c["index"], c["task"], tuple(Call(k["name"], k["arguments"]) for k in c["calls"]), {})
        for c in found
    ]

    async def rewards() -> list[float]:
        return [(await play(url, case, case.oracle)).reward for case in given]

    return [c.task for c, reward in zip(given, asyncio.run(rewards()), strict=True) if reward != 1.0]


def _line(case: Case, calls: Sequence[Call], canary: str = "") -> bytes:
    told: dict[str, Any] = {"split": case.split, "index": case.number, "task": case.task}
    told |= {"canary": canary} if canary else {}
    return orjson.dumps(told | {"calls": [c._asdict() for c in calls]}) + b"\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m worlddb.adapters.openenv_package", description=package.__doc__)
    parser.add_argument("store")
    parser.add_argument("folder")
    parser.add_argument("--split", default="all", choices=SPLITS)
    parser.add_argument("--tasks", type=int, default=50)
    asked = parser.parse_args()
    print(package(asked.store, asked.folder, asked.split, asked.tasks))


if __name__ == "__main__":
    main()

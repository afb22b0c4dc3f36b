"""Budgets and reference figures: performance.md ("How fast each stage can be") as data, by the key of a row.

`limit` is in the unit of the row and for one world; the times there are CPU medians on 2 shared cores, of a world of 10
tables, 64 columns, 1,100 rows and 7,350 cells.  `naive` and `best` are what was measured there, so that a reader can tell a
slow machine from slow code.
"""

from __future__ import annotations

from typing import Any

BUDGETS: dict[str, dict[str, Any]] = {
    "schema.ddl": {
        "limit": 0.5,
        "says": "schema -> DDL: 0.5 ms",
        "naive": "SQLModel classes 15.7 ms + create_all 2 ms",
        "best": "DDL text in apsw 0.29 ms",
    },
    "values.cells": {
        "limit": 2,
        "says": "values of a world (7,350 cells): 2 ms",
        "naive": "Faker 100 ms (56 with use_weighting=False)",
        "best": "pools + numpy by column 0.43 ms",
    },
    "populate.load": {
        "limit": 2,
        "says": "populate: 2 ms",
        "naive": "SQLModel objects 43 ms",
        "best": "apsw executemany 1.05 ms + quick_check and foreign_key_check 0.33 ms",
    },
    "image.bytes": {
        "limit": 60_000,
        "says": "image stored: at most 60 KB",
        "naive": "247 KB (4096-byte pages)",
        "best": "page_size 1024 + zstd-3 with a dictionary 58 KB",
    },
    "image.recipe": {"limit": 64, "says": "recipe: at most 64 bytes", "best": "16 to 48 bytes"},
    "spawn.two": {
        "limit": 10,
        "says": "spawn 1,000 worlds without tasks, 2 processes: at most 10 s of wall time",
        "best": "2.35 s with tools and 10 tasks each",
    },
    "spawn.bytes": {"limit": 60_000, "says": "at most 60 KB per world"},
    "startup.help": {
        "limit": 80,
        "says": "worlddb --help: at most 80 ms",
        "naive": "534 ms with everything imported",
        "best": "34 ms, click only; bare Python 8 ms",
    },
    **{
        f"act.{what}.{size}": {"limit": limit, "says": says}
        for size in ("default", "large", "huge")
        for what, limit, says in (
            ("reset", 10, "reset after 5 writes: at most 10 µs at any size (deepcopy 2.55 ms, deserialize 59 µs)"),
            ("read", 10, "indexed read call, JSON in to JSON out: at most 10 µs (pydantic + SQLModel 149 µs)"),
            ("change", 20, "write call: at most 20 µs"),
            ("diff", 100, "verdict: at most 100 µs (EXCEPT 0.34 ms at 217 KB, 33 ms at 10 MB)"),
            ("sql.key", 20, "sandboxed free SQL: at most 20 µs"),
            ("sql.join", 20, "sandboxed free SQL: at most 20 µs"),
        )
    },
    "act.episode": {
        "limit": 200,
        "says": "9-step episode, everything included: 50 µs at best, 200 µs for 5,000 a second",
    },
    "act.rate": {"limit": 5000, "says": "at least 5,000 episodes a second and core; stretch 10,000"},
    **{
        f"judge.verdict.{n}.{size}": {"limit": 100, "says": "verdict: at most 100 µs typical, at any size"}
        for size in ("default", "large", "huge")
        for n in (0, 1, 5)
    },
    "judge.episode": {"limit": 200, "says": "9-step episode with reset and verdict: 200 µs for 5,000 a second"},
    "judge.rate": {"limit": 5000, "says": "at least 5,000 episodes a second and core, verdict included"},
    "judge.gold.verdict": {"limit": 100, "says": "verdict: at most 100 µs typical"},
    "judge.task.default": {
        "limit": 30,
        "says": "12,000 admitted tasks in at most 3 minutes on 2 cores: 30 ms of CPU a task",
    },
    "act.asleep": {"limit": 2147, "says": "at least 500,000 suspended episodes per GiB"},
}

"""Spawns in processes of their own, and what makes two stores the same; for tests."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import worlddb
from worlddb.catalog import RECORDS, catalog_path
from worlddb.shards import shard_path

ROOT = Path(worlddb.__file__).parent.parent
CLI = [sys.executable, "-m", "worlddb.cli"]


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, **environment}, timeout=120,
        cwd=ROOT,
    )  # fmt: skip


def content(home: Path) -> dict[str, object]:
    """All that makes two stores the same: every byte but the catalogue's, and every row of that."""
    files = {str(p.relative_to(home)): p.read_bytes() for p in home.rglob("*") if p.is_file()}
    files.pop("catalog.sqlite")
    db = sqlite3.connect(catalog_path(home))
    tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    rows = {t: sorted(db.execute(f"SELECT * FROM {t}").fetchall()) for t in tables}
    db.close()
    assert set(rows) == {*RECORDS, "domains", "shards"}
    return {**files, **rows}


def begun(home: Path, *arguments: object, shard: int = 0, **how: Any) -> subprocess.Popen[str]:
    """A spawn in a process of its own that has just written a shard."""
    command = [*CLI, "spawn", *map(str, arguments), "--out", str(home)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, **how)
    deadline = time.monotonic() + 60
    while not shard_path(home, shard).exists() and time.monotonic() < deadline:
        time.sleep(0.002)
    return process

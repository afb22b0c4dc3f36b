"""Each folder is collected only where run.py says that its framework is there.  Stores and gold that the tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHOSEN = os.environ.get("WORLDDB_ADAPTER")
collect_ignore = [p.name for p in HERE.iterdir() if p.is_dir() and p.name != CHOSEN]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a small store: 8 worlds, 5 tasks each."""
    import worlddb

    home = tmp_path_factory.mktemp("store") / "out"
    worlddb.spawn(home, 8, profile="tiny", tasks=5, workers=1)
    return str(home)


@pytest.fixture
def place(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which data/out is the store."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "out").symlink_to(store)
    monkeypatch.chdir(tmp_path)
    return tmp_path

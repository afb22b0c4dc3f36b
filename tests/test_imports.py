"""What the quick commands load: `worlddb --help` answers at once, and `import worlddb` costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import worlddb

ROOT = Path(worlddb.__file__).parent.parent
HEAVY = {
    "apsw", "duckdb", "faker", "jsonschema", "msgspec", "numpy", "orjson", "polars", "pydantic", "rich", "sqlalchemy",
    "sqlite3", "sqlmodel", "yaml", "zstandard", "multiprocessing", "asyncio",
}  # fmt: skip


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh Python has loaded after running the code."""
    report = "import sys; print('\\n'.join(sys.modules), file=sys.stderr)"
    command = [sys.executable, "-c", f"{code}\n{report}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.partition(".")[0] for name in done.stderr.split()}


def run_cli(*arguments: str) -> str:
    return f"from worlddb.cli import cli\ntry: cli({list(arguments)!r})\nexcept SystemExit: pass"


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], ["spawn", "--help"], ["query", "-h"], []])
def test_help_loads_only_click(arguments):
    loaded = loaded_by(run_cli(*arguments))
    assert "click" in loaded
    assert not loaded & HEAVY


def test_importing_worlddb_loads_nothing():
    assert not loaded_by("import worlddb") & (HEAVY | {"click"})


def test_a_world_needs_neither_the_catalogue_nor_the_exports():
    loaded = loaded_by("import worlddb; worlddb.generate(1, 'tiny')")
    assert not loaded & {"duckdb", "faker", "polars", "sqlalchemy", "sqlmodel", "click", "rich"}


def test_a_store_is_read_without_the_catalogue(tmp_path):
    worlddb.spawn(tmp_path / "out", 1, profile="tiny", workers=1)
    loaded = loaded_by(f"import worlddb; worlddb.open_store({str(tmp_path / 'out')!r})[0]")
    assert not loaded & {"duckdb", "faker", "polars", "sqlalchemy", "sqlmodel", "numpy", "click"}


def test_every_public_name_is_there():
    for name in worlddb.__all__:
        assert getattr(worlddb, name) is not None
        assert name in dir(worlddb)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        worlddb.nothing  # noqa: B018

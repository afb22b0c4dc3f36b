"""A wheel built from the tree works elsewhere: schemas/ and seeds/ travel with it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from worlddb.world.generate import generate

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which a freshly built wheel is installed."""
    home = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(home / "dist"), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [wheel] = (home / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
        packed.extractall(home / "site")
    assert any(n.endswith("_data/schemas/domains/hotel.yaml") for n in names)
    assert any(n.endswith("_data/seeds/pools/manifest.json") for n in names)
    assert not any("tests/" in n for n in names)
    return home / "site"


def run(installed: Path, cwd: Path, *arguments: str) -> str:
    """What a command of the installed package prints, in a folder far from the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_installed_package_grows_the_same_worlds(installed: Path, tmp_path: Path) -> None:
    code = "import worlddb; print(worlddb.__file__, worlddb.generate(3).digest)"
    place, digest = run(installed, tmp_path, "-c", code).split()
    assert place.startswith(str(installed))
    assert digest == generate(3).digest


def test_the_installed_commands_work(installed: Path, tmp_path: Path) -> None:
    run(
        installed,
        tmp_path,
        "-m",
        "worlddb.cli",
        "spawn",
        "--suite",
        "smoke",
        "--n",
        "3",
        "--out",
        "store",
        "--workers",
        "1",
    )
    assert "3 of 3 worlds are sound" in run(installed, tmp_path, "-m", "worlddb.cli", "check", "store")
    run(installed, tmp_path, "-m", "worlddb.cli", "export", "store")
    assert "3" in run(installed, tmp_path, "-m", "worlddb.cli", "query", "store", "SELECT count(*) AS n FROM worlds")
    assert "hotel" in run(installed, tmp_path, "-m", "worlddb.cli", "domains")

"""Makes data/sample, the small export on which the README's queries run.  Run by `make sample` after a change of worlds."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from worlddb.export.parquet import export
from worlddb.schema.diagram import svg
from worlddb.spawner import spawn
from worlddb.world.generate import generate

SAMPLE = Path(__file__).parent.parent / "data" / "sample"
PICTURE = SAMPLE.parent.parent / "docs" / "world.svg"
PICTURED = 21
"""Seed of the world whose diagram the README shows."""
WORLDS, SEED, PROFILE = 12, 100, "small"


def main() -> None:
    """Write the sample anew."""
    shutil.rmtree(SAMPLE, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        spawn(Path(folder) / "store", WORLDS, seed=SEED, profile=PROFILE, workers=1)
        export(Path(folder) / "store", SAMPLE)
    PICTURE.write_text(svg(generate(PICTURED).schema))
    size = sum(p.stat().st_size for p in SAMPLE.rglob("*") if p.is_file())
    print(f"wrote {SAMPLE}: {WORLDS} worlds, {size / 1000:.0f} KB")


if __name__ == "__main__":
    main()

"""Writes what tests hold the generator against: golden hashes in seeds/golden.json, and schemas/domain.schema.json.

Run by `make golden` after a change that is meant to alter worlds; the difference in git is the review.
"""

from __future__ import annotations

import json
from pathlib import Path

from worlddb.schema.domains import json_schema
from worlddb.version import GENERATOR
from worlddb.world.generate import generate

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "seeds" / "golden.json"
DOMAIN_SCHEMA = ROOT / "schemas" / "domain.schema.json"
CASES = [("default", seed) for seed in range(24)] + [
    (profile, seed) for profile in ("tiny", "small", "wide") for seed in range(4)
] + [("large", 0)]  # fmt: skip


def hashes() -> dict[str, str]:
    """Recipe in words -> digest of the image."""
    return {f"{profile}/{seed}": generate(seed, profile).digest for profile, seed in CASES}


def main() -> None:
    """Write both files."""
    GOLDEN.write_text(json.dumps({"generator": GENERATOR, "images": hashes()}, indent=1) + "\n")
    DOMAIN_SCHEMA.write_text(json.dumps(json_schema(), indent=1, sort_keys=True) + "\n")
    print(f"wrote {GOLDEN} and {DOMAIN_SCHEMA}")


if __name__ == "__main__":
    main()

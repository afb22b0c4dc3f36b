"""Finds schemas/ and seeds/: at the top of a checkout, or inside an installed wheel."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from worlddb.version import GENERATOR

_PACKAGE = Path(__file__).resolve().parent


@cache
def folder(name: str) -> Path:
    """The folder `schemas` or `seeds`.

    A wheel carries them as worlddb/_data/NAME (see pyproject.toml); a checkout has them beside the package.
    """
    for place in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"worlddb is installed without its {name}/ folder; install it again")


NOT_GROWN_FROM = (
    "api.yaml", "bars.yaml", "domain.schema.json", "task-profiles.yaml", "verbs.yaml",
    "deeds.yaml", "lexicon.yaml", "personas.yaml", "policies.yaml", "rows.yaml", "users.yaml", "things.yaml", "veils.yaml",
)  # fmt: skip
"""Files of schemas/ that judge, describe or name tools, or word tasks, and do not decide what grows."""


@cache
def generator() -> str:
    """The generator's version for recipes: that of the code, and the start of the digest of schemas/ as it is here."""
    home, found = folder("schemas"), sha256()
    for path in sorted(home.rglob("*")):
        if path.is_file() and path.name not in NOT_GROWN_FROM and not path.name.startswith("."):
            found.update(f"{path.relative_to(home).as_posix()}\n".encode() + path.read_bytes())
    return f"{GENERATOR}-{found.hexdigest()[:8]}"

"""Finds schemas/ and seeds/: at the top of a checkout, or inside an installed wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path

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

"""Semantic types: what a column means, which decides how it is stored, drawn, compared and worded.

The types are data, in schemas/types.yaml: a tree in which a type inherits every field that it does not set.
"""

from __future__ import annotations

from functools import cache

import msgspec

from worlddb.errors import BrokenFile, UnknownName
from worlddb.library import folder


class SemanticType(msgspec.Struct, frozen=True, kw_only=True):
    """One row of schemas/types.yaml with everything that it inherits filled in."""

    name: str
    parent: str = ""
    sql: str = "TEXT"
    """Storage class of the column: TEXT, INTEGER or REAL."""
    source: str = "abstract"
    """How a value is drawn, in the language at the head of types.yaml; 'abstract' in types that only group others."""
    unit: str = ""
    """The unit of the stored number or moment; money is in minor units of its currency."""
    ops: tuple[str, ...] = ()
    """Operators that make sense on it, from the vocabulary at the head of types.yaml."""
    compare: str = "exact"
    """The verifier's comparison class, from the vocabulary at the head of types.yaml."""
    words: str = ""
    """The noun by which people call it ("e-mail address"); the name with spaces where empty."""
    pattern: str = ""
    """A regular expression that every value matches in full."""
    low: int | float | None = None
    high: int | float | None = None
    scale: int = 0
    """Digits after the point in REAL types."""
    values: tuple[str, ...] = ()
    """The closed set of values, where there is one: in their order where they have one, else the usual ones first."""
    check: str = ""
    """A test that the pattern cannot express (check digits, membership of a pool): a key of recognise.CHECKS."""
    temporal: str = ""
    """'date', 'datetime' or 'time' for moments stored as ISO 8601 text."""

    @property
    def wording(self) -> str:
        """How people call it."""
        return self.words or self.name.replace("_", " ")


@cache
def semantic_types() -> dict[str, SemanticType]:
    """All types by name, parents before children."""
    import yaml

    path = folder("schemas") / "types.yaml"
    rows = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["types"]
    found: dict[str, SemanticType] = {}
    for name, row in rows.items():
        parent = row.get("parent", "")
        if parent and parent not in found:
            raise BrokenFile(f"{path.name}: types.{name}.parent: '{parent}' is not defined above; move it up")
        inherited = msgspec.to_builtins(found[parent]) if parent else {}
        inherited.pop("words", None)
        if "source" in row:
            inherited.pop("check", None)
        try:
            found[name] = msgspec.convert({**inherited, **row, "name": name}, SemanticType)
        except msgspec.ValidationError as error:
            raise BrokenFile(f"{path.name}: types.{name}: {error}") from None
    return found


def semantic_type(name: str) -> SemanticType:
    """The type of that name.

    Raises:
        UnknownName: there is none.
    """
    types = semantic_types()
    if name not in types:
        raise UnknownName("semantic type", name, types)
    return types[name]


@cache
def ancestors(name: str) -> tuple[str, ...]:
    """The type's own name and those of its parents, nearest first."""
    found = []
    while name:
        found.append(name)
        name = semantic_type(name).parent
    return tuple(found)


def is_a(name: str, kind: str) -> bool:
    """True where type `name` is `kind` or descends from it."""
    return kind in ancestors(name)

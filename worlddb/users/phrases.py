"""The words of users: schemas/wording/users.yaml, checked, and sentences drawn from it."""

from __future__ import annotations

import re
from functools import cache

import msgspec

from worlddb.errors import BrokenFile, UnknownName
from worlddb.library import folder
from worlddb.rng import Stream
from worlddb.schema.domains import read_yaml

HOLES = {
    "told": {"says"}, "visible": {"says"}, "repeated": {"says"}, "unknown": {"says", "unknown"}, "named": {"label", "says"},
    "change": {"label", "says", "was"}, "state": {"thing", "state"},
}  # fmt: skip
"""Act -> what its patterns may hold; those of all others hold nothing."""
ACTS = (
    *HOLES, "readable", "unclear", "more", "yes", "no", "cannot", "look", "bye", "noted", "impossible", "also",
)  # fmt: skip
KINDS = ("identity", "value", "quantity", "date", "choice", "constraint", "credential", "place")


class Persona(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How somebody talks."""

    most: int
    """Topics that they answer in one turn."""
    tone: str
    """Which of the patterns are theirs."""


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """schemas/wording/users.yaml; its head describes the fields."""

    personas: dict[str, Persona]
    acts: dict[str, dict[str, tuple[str, ...]]]
    cues: dict[str, str]
    asks: frozenset[str]
    asides: frozenset[str]
    closings: frozenset[str]
    generic: frozenset[str]
    passed: frozenset[str]
    common: frozenset[str]
    same: dict[str, str]
    types: dict[str, tuple[str, ...]]


@cache
def users_file() -> File:
    """The file, checked.

    Raises:
        BrokenFile: it does not follow the format; the message has the key and the cure.
    """
    path = folder("schemas") / "wording" / "users.yaml"
    try:
        file = msgspec.convert(read_yaml(path), File)
    except msgspec.ValidationError as error:
        raise BrokenFile(f"{path}: {error}; the head of the file describes the format") from None
    if wrong := _wrong(file):
        raise BrokenFile(f"{path}: {wrong}")
    return file


def _wrong(file: File) -> str:
    """What does not fit together in the file, and the cure; '' where all does."""
    if missing := set(ACTS) - set(file.acts):
        return f"acts: no patterns for {', '.join(sorted(missing))}; give some"
    for act, tones in file.acts.items():
        if act not in ACTS:
            return f"acts.{act}: there is no such act; leave it out"
        if not tones.get("plain"):
            return f"acts.{act}: no tone 'plain'; it serves all tones that have no patterns of their own"
        for tone, patterns in tones.items():
            for pattern in patterns:
                if odd := set(re.findall(r"\{(.*?)\}", pattern)) ^ HOLES.get(act, set()):
                    return f"acts.{act}.{tone}: '{pattern}' lacks or does not take {', '.join(sorted(odd))}"
    for name, persona in file.personas.items():
        if persona.most < 1:
            return f"personas.{name}.most: at least 1"
    for cue, kind in file.cues.items():
        if kind not in KINDS:
            return f"cues.{cue}: '{kind}' is no kind; write one of {', '.join(KINDS)}"
    return ""


def persona_of(name: str) -> Persona:
    """The persona of that name.

    Raises:
        UnknownName: there is none.
    """
    known = users_file().personas
    if name not in known:
        raise UnknownName("persona", name, known)
    return known[name]


def line(act: str, tone: str, stream: Stream, **holes: str) -> str:
    """A sentence for the act in that tone, drawn from the stream."""
    tones = users_file().acts[act]
    pattern = stream.pick(tones.get(tone) or tones["plain"])
    return pattern.format(**holes) if holes else pattern

"""What columns and references are called: their labels in the API, made human."""

from __future__ import annotations

import re
from functools import cache, lru_cache

import msgspec

from worlddb.errors import BrokenFile
from worlddb.library import folder
from worlddb.schema.domains import read_yaml
from worlddb.tools.words import plural, singular

PREPOSITIONS = frozenset(
    ["by", "to", "with", "from", "until", "since", "for", "on", "at", "in", "of", "under", "after", "before", "up", "down",
     "into"]
)  # fmt: skip


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    types: dict[str, str]
    labels: dict[str, str]
    short: dict[str, str]
    measures: dict[str, tuple[str, str]]
    closed: dict[str, str]
    units: dict[str, tuple[str, str]]
    verbs: dict[str, str]
    passives: dict[str, tuple[str, str]]
    likes: tuple[str, ...]
    kinds: frozenset[str]
    degrees: frozenset[str]
    odd: frozenset[str]
    symbols: dict[str, str]
    moneys: dict[str, tuple[str, str]]


@cache
def words_file() -> _File:
    """schemas/wording/lexicon.yaml.

    Raises:
        BrokenFile: it does not follow the format at its head.
    """
    path = folder("schemas") / "wording" / "lexicon.yaml"
    try:
        return msgspec.convert(read_yaml(path), _File)
    except msgspec.ValidationError as error:
        raise BrokenFile(f"{path}: {error}; the head of the file describes the format") from None


def human(label: str, noun: str, kind: str, nouns: frozenset[str]) -> str:
    """What people call a column: `noun` is its table's, `kind` what it holds, `nouns` those of all tables, in plural."""
    file = words_file()
    rest = label.removeprefix(f"{noun} ")
    if rest in ("name", "title", "number", "status", "total"):
        label = rest
    if label in file.labels:
        return file.labels[label]
    words = [file.short.get(w, w) for w in re.sub(r"(?<=[a-z]{3})(?=\d$)", " ", label).split(" ")]
    if words[:2] == ["on", "call"]:
        words[:2] = ["on-call"]
    if kind in ("date", "datetime", "time"):
        words = _timely(words, kind)
    elif kind in ("number", "real") and words[-1] in file.measures and len(words) > 1:
        words.pop()
    elif kind == "number" and words[-1] == "count" and len(words) > 1:
        counted = plural("_".join(words[:-1])).replace("_", " ")
        words = words if counted in nouns else ["number", "of", *counted.split(" ")]
    elif kind == "flag" and words[0] in ("is", "was", "has") and len(words) > 1:
        words = words[1:]
    return sayable(" ".join(words))


def _timely(words: list[str], kind: str) -> list[str]:
    """'expires at' as 'expiry time', 'valid from' as 'valid from date'."""
    file, last = words_file(), {"date": "date", "time": "time", "datetime": "time"}[kind]
    if words[-1] in ("at", "on"):
        words = [*words[:-1], last]
    elif words[-1] in PREPOSITIONS or words[-1] in file.closed:
        words = [*words, last]
    if len(words) > 1 and words[-2] in file.closed:
        words = [*words[:-2], file.closed[words[-2]], words[-1]]
    return words


def several(label: str) -> str:
    """The plural of a label: that of its head ('dates of birth'), and what is no singular as it is ('steps planned')."""
    if label.startswith('"'):
        name, _, rest = label[1:].partition('" ')
        return f'"{name}" {several(rest)}'
    head, link, rest = label, "", ""
    for word in (" of ", " in "):
        head, found, after = head.partition(word)
        link, rest = (found, after) if found else (link, rest)
    last = head.rpartition(" ")[2]
    if last.endswith("ed") or singular(last) != last:
        return label
    return f"{plural(head.replace(' ', '_')).replace('_', ' ')}{link}{rest}"


def awkward(label: str) -> bool:
    """True for a reference whose label is no noun ('checked by', 'renews')."""
    words = label.split(" ")
    verb = words[0] == "travels" or (
        len(words) == 1 and len(label) > 4 and label[-2:] not in ("ss", "us", "is") and singular(label) != label
    )
    return verb or any(w in PREPOSITIONS for w in words) or len(label) < 2


def role(label: str, noun: str) -> str:
    """What a reference makes of the row it leads to: 'driver', 'approving manager', or the noun with the label beside it."""
    if label == noun or not awkward(label):
        return label
    words = label.split(" ")
    if len(words) == 2 and words[1] == "by" and re.search(r"[^i]ed$", words[0]):
        return f"{words[0][:-2]}ing {noun}"
    return f'"{label}" {noun}'


def sayable(label: str) -> str:
    """A label that stands as a noun; else named as an entry."""
    words = label.split(" ")
    odd = words[0] in PREPOSITIONS or words[-1] in PREPOSITIONS or len(label) < 2
    return f'"{label}" entry' if odd else label


@lru_cache(8192)
def in_plural(text: str) -> bool:
    """True for a label that means several: seats, dates of birth."""
    head = text.partition(" of ")[0].partition(" in ")[0].replace(" ", "_").lower()
    return head.isascii() and '"' not in head and singular(head) != head and plural(singular(head)) == head

"""Sentences of policies: the data of schemas/policies.yaml, and what fills its signs."""

from __future__ import annotations

import re
from functools import cache

import msgspec

from worlddb.errors import BrokenFile
from worlddb.library import folder
from worlddb.policies.deeds import Deed
from worlddb.rng import Stream
from worlddb.schema.domains import read_yaml
from worlddb.tasks.say import Lexicon
from worlddb.tasks.say.values import numbers, preferred
from worlddb.tools.words import Verb, Vocabulary, article, listing, plain, plural, sentence


class Spans(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Lengths of deadlines, in hours."""

    ahead: tuple[int, ...]
    back: tuple[int, ...]


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """schemas/policies.yaml; its head describes the fields."""

    roles: dict[str, tuple[str, ...]]
    spans: Spans
    counts: tuple[int, ...]
    say: dict[str, tuple[str, ...]]


@cache
def policy_words() -> Words:
    """The file, checked.

    Raises:
        BrokenFile: it does not follow its head.
    """
    path = folder("schemas") / "policies.yaml"
    try:
        found = msgspec.convert(read_yaml(path), Words)
    except msgspec.ValidationError as error:
        raise BrokenFile(f"{path}: {error}; its head describes the fields") from None
    if "default" not in found.roles or not all(len(r) > 1 for r in found.roles.values()):
        raise BrokenFile(f"{path}: roles: 'default' is needed, and every branch has two roles at least")
    return found


_NO_NOUN = re.compile(r"ed$|score|rating|level|rank|confidence|\b(active|at|by|from|on|since|to|until)\b")


def _plural(role: str) -> str:
    """'editors_in_chief'."""
    head, _, rest = role.partition("_in_")
    return f"{plural(head)}_in_{rest}" if rest else plural(role)


def one(verb: Verb, label: str) -> str:
    """'cancel a booking'."""
    return " ".join(verb.of(f" {article(label)} ").split())


def many(verb: Verb, labels: str) -> str:
    """'cancel bookings'."""
    return " ".join(verb.of(f" {labels} ").split())


def this(verb: Verb, label: str) -> str:
    """'cancel the booking'."""
    return " ".join(verb.of(f" the {label} ").split())


class Speaker:
    """Words policies of one world."""

    def __init__(self, words: Vocabulary, lexicon: Lexicon) -> None:
        self.words, self.lexicon = words, lexicon

    def say(self, form: str, stream: Stream, **signs: str) -> str:
        """A sentence of that form."""
        capital = {f"{k[:1].upper()}{k[1:]}": f"{v[:1].upper()}{v[1:]}" for k, v in signs.items()}
        return sentence(stream.pick(policy_words().say[form]).format(**signs, **capital))

    def deed(self, deed: Deed) -> dict[str, str]:
        """The signs that a deed fills."""
        label, labels = self.words.label(deed.table), self.words.labels(deed.table)
        people = deed.table in self.lexicon.people
        return {
            "doing": many(deed.verb, labels), "do_one": one(deed.verb, label), "past": deed.verb.past,
            "row": label, "a_row": article(label), "rows": labels, "its": "their" if people else "its",
            "verbs": " ".join(deed.verb.of(" them " if people else " it ").split()),
        }  # fmt: skip

    def roles(self, roles: tuple[str, ...]) -> dict[str, str]:
        """The signs that roles fill."""
        several = [plain(_plural(r)) for r in roles]
        return {"roles": listing(several, "and"), "roles_or": article(listing([plain(r) for r in roles]))}

    def field(self, table: str, column: str) -> str:
        """What a column is called by people, without its noun."""
        return self.lexicon.label((table, column))

    def limit(self, table: str, column: str, value: float) -> str:
        """'EUR 5,000', '12 kg', '3 nights'."""
        place = (table, column)
        if self.lexicon.kind(place) == "money":
            text = preferred(numbers(value, True))
            return f"{self.lexicon.currency} {text}" if self.lexicon.currency else f"{text} (in its own currency)"
        text, unit = preferred(numbers(value, False)), self.lexicon.unit(place)
        if unit is None:
            return text
        word = unit[0] if value == 1 else unit[1]
        return f"{text}{word}" if word == "%" else f"{text} {word}"

    def reads_well(self, table: str, column: str) -> bool:
        """True for a column whose label can follow 'whose' and 'its': 'due date', but not 'planned' or 'leased until'.

        A label from which the unit has been taken ('planned', of planned_minutes), or that is one, lacks its noun.
        """
        label, unit = self.field(table, column), self.lexicon.unit((table, column))
        whole = unit is None or (label == self.words.column_label(table, column) and unit[1] not in label)
        return whole and not _NO_NOUN.search(label)


def span(hours: int) -> str:
    """'24 hours', '3 days', '30 days'.

    >>> span(24), span(72), span(720)
    ('24 hours', '3 days', '30 days')
    """
    return f"{hours} hours" if hours <= 24 else f"{hours // 24} days"

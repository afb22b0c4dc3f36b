"""How the people of one world speak of its tables, columns and values: the vocabulary of the tools, made human."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import msgspec

from worlddb.errors import UnknownName
from worlddb.schema.model import Column, Schema
from worlddb.semantics.pools import load_pools
from worlddb.semantics.types import is_a, semantic_type
from worlddb.tasks.say import terms
from worlddb.tasks.say.labels import human, role, sayable, several, words_file
from worlddb.tasks.say.lexer import is_code
from worlddb.tasks.say.phrasebook import Phrases
from worlddb.tools.words import Vocabulary, plain, state_word

Pair = tuple[str, str]


class Flag(msgspec.Struct, frozen=True):
    """A yes or no in words: `shape` is adjective ('urgent'), verb ('accept cards') or noun ('wheelchair access')."""

    shape: str
    words: str
    third: str = ""
    """Of a verb: as one thing does it ('accepts cards')."""


class Lexicon:
    """The words of one world.  `now` is its clock (Unix seconds): a date of this year may be said without the year."""

    def __init__(self, schema: Schema, words: Vocabulary, locale: str, now: int) -> None:
        self.schema = schema
        self.words = words
        self.locale = locale
        self.year = datetime.fromtimestamp(now, UTC).year
        self._kinds: dict[Pair, str] = {}
        self._values: dict[Pair, dict[Any, str]] = {}
        self._phrases: dict[Pair, Phrases] = {}
        self._units: dict[Pair, tuple[str, str] | None] = {}

    @cached_property
    def currency(self) -> str:
        """The currency in which its people reckon; '' where rows say theirs."""
        own = any(is_a(c.type, "currency_code") for t in self.schema.tables for c in t.columns)
        if own:
            return ""
        try:
            return load_pools().facts(self.locale).get("currency", "")
        except UnknownName:  # grown with pools of the caller's own
            return ""

    @cached_property
    def symbol(self) -> str:
        """The sign of that currency."""
        return words_file().symbols.get(self.currency, self.currency)

    @property
    def money_names(self) -> tuple[str, ...]:
        """What people call that currency, (one, several); () where they say its code."""
        return words_file().moneys.get(self.currency, ())

    # --- what columns are

    def kind(self, place: Pair) -> str:
        """What a column holds: key, link, state, flag, enum, money, number, real, date, datetime, time or text.

        A place without a table is a figure: ('', 'number').
        """
        if place not in self._kinds:
            self._kinds[place] = self._kind(*place)
        return self._kinds[place]

    def _kind(self, table: str, column: str) -> str:
        if not table:
            return column
        if column not in self.schema[table]:
            return "text"
        found, type_ = self.schema[table][column], semantic_type(self.schema[table][column].type)
        machine = self.schema[table].lifecycle
        if parent := terms.target(self.schema, table, column):
            return "key" if parent == table and terms.own_key(self.schema, table) == column else "link"
        if machine is not None and machine.column == column:
            return "state"
        if is_a(found.type, "flag"):
            return "flag"
        if (found.values or type_.values) and type_.sql == "TEXT":
            return "enum"
        if type_.temporal:
            return type_.temporal
        if type_.unit.startswith("ISO 4217 minor"):
            return "money"
        if type_.sql == "INTEGER" and not is_a(found.type, "reference"):
            return "number"
        return "real" if type_.sql == "REAL" else "text"

    def unit(self, place: Pair) -> tuple[str, str] | None:
        """The words of its unit, (one, several)."""
        if place not in self._units:
            self._units[place] = self._unit(*place)
        return self._units[place]

    def _unit(self, table: str, column: str) -> tuple[str, str] | None:
        if not table or column not in self.schema[table] or self.kind((table, column)) not in ("number", "real"):
            return None
        file, words = words_file(), self.words.column_label(table, column).split(" ")
        if len(words) > 1 and words[-1] in file.measures:
            return file.measures[words[-1]]
        return file.units.get(semantic_type(self.schema[table][column].type).unit)

    def is_a(self, place: Pair, kind: str) -> bool:
        """True where the semantic type of a column descends from `kind`."""
        return bool(place[0]) and place[1] in self.schema[place[0]] and is_a(self.schema[place[0]][place[1]].type, kind)

    # --- what columns are called

    @cached_property
    def labels(self) -> dict[Pair, str]:
        """(table, column) -> what it is called, unique within its table."""
        found: dict[Pair, str] = {}
        for table in self.schema.tables:
            plain_ones = {c.key: self.words.column_label(table.key, c.key) for c in table.columns}
            human = {c.key: self._human(table.key, c, plain_ones[c.key]) for c in table.columns}
            often = Counter([*human.values(), *plain_ones.values()])
            for key, label in human.items():
                alone = often[label] == (2 if plain_ones[key] == label else 1)
                found[table.key, key] = label if alone else sayable(plain_ones[key])
        return found

    def _human(self, table: str, column: Column, label: str) -> str:
        said = words_file().types.get(column.type)
        return said or human(label, self.words.label(table), self.kind((table, column.key)), self._plurals)

    @cached_property
    def _plurals(self) -> frozenset[str]:
        return frozenset(self.words.labels(t.key) for t in self.schema.tables)

    def label(self, place: Pair) -> str:
        """What a column is called ('start time')."""
        return self.labels[place]

    @cached_property
    def column_phrases(self) -> tuple[Phrases, Phrases]:
        """Columns by what one value, and by what several values of them are called."""
        one, many = Phrases(), Phrases()
        places: dict[str, list[Pair]] = {}
        for place, label in self.labels.items():
            places.setdefault(label, []).append(place)
        for label, found in places.items():
            one.add(label, tuple(found))
            many.add(several(label), tuple(found))
        return one, many

    @cached_property
    def columns(self) -> dict[str, Phrases]:
        """Columns of each table by what they are called."""
        found: dict[str, Phrases] = {t.key: Phrases() for t in self.schema.tables}
        for place, label in self.labels.items():
            found[place[0]].add(label, place)
        return found

    # --- nouns

    @cached_property
    def nouns(self) -> tuple[Phrases, Phrases]:
        """Tables by what one row, and by what several rows are called."""
        one, many = Phrases(), Phrases()
        for table in self.schema.tables:
            one.add(self.words.label(table.key), table.key)
            many.add(self.words.labels(table.key), table.key)
        return one, many

    @cached_property
    def people(self) -> frozenset[str]:
        """Tables whose rows are people."""
        return frozenset(t.key for t in self.schema.tables if t.title and is_a(t[t.title].type, "person_name"))

    @cached_property
    def links(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Table -> (column, parent table) of its references."""
        found = {}
        for t in self.schema.tables:
            own = (
                (f.columns[0], f.table)
                for f in t.foreign_keys
                if len(f.columns) == 1 and f.ref == self.schema[f.table].primary_key
            )
            found[t.key] = tuple(own)
        return found

    @cached_property
    def roles(self) -> dict[Pair, str]:
        """Reference -> what the parent is to the row ('driver')."""
        return {(t, c): self.role_label(t, c, p) for t, links in self.links.items() for c, p in links}

    def role_label(self, table: str, column: str, parent: str) -> str:
        """The noun for the row that a reference leads to."""
        return role(self.words.column_label(table, column), self.words.label(parent))

    @cached_property
    def role_phrases(self) -> tuple[Phrases, Phrases]:
        """References by their roles, singular and plural."""
        one, many = Phrases(), Phrases()
        places: dict[str, list[Pair]] = {}
        for place, label in self.roles.items():
            places.setdefault(label, []).append(place)
        for label, found in places.items():
            one.add(label, tuple(found))
            many.add(several(label), tuple(found))
        return one, many

    # --- values with words of their own

    def said(self, place: Pair) -> dict[Any, str]:
        """Stored value -> its words, of a column with a closed set of values."""
        if place not in self._values:
            column = self.schema[place[0]][place[1]]
            stored = column.values or semantic_type(column.type).values
            machine = self.schema[place[0]].lifecycle
            if machine is not None and machine.column == place[1]:
                stored = machine.states
            easy = {v: v if re.search(r"\d", v) and is_code(v) else plain(state_word(v)) for v in stored}
            often = Counter(easy.values())
            self._values[place] = {
                v: w if often[w] == 1 and len(w) > 2 and not w[:1].isdigit() and not re.match(r"n\d", w) else f'"{v}"'
                for v, w in easy.items()
            }
        return self._values[place]

    def phrases(self, place: Pair) -> Phrases:
        """The same, by words."""
        if place not in self._phrases:
            made = self._phrases[place] = Phrases()
            for value, words in self.said(place).items():
                made.add(words, value)
                if words[0] != '"':
                    made.add(f'"{value}"', value)
        return self._phrases[place]

    @cached_property
    def adjectives(self) -> dict[str, dict[tuple[str, str, Any], str]]:
        """Table -> (column, op, value) -> the word that stands before the noun ('confirmed')."""
        found: dict[str, dict[tuple[str, str, Any], str]] = {}
        for t in self.schema.tables:
            own: dict[tuple[str, str, Any], str] = {}
            machine = t.lifecycle
            if machine is not None:
                for value, words in self.said((t.key, machine.column)).items():
                    if words[0] != '"' and _adjective(words):
                        own[machine.column, "eq", value] = words
            for c in t.columns:
                flag = self.flag((t.key, c.key)) if self.kind((t.key, c.key)) == "flag" else None
                own |= self._kinds_of((t.key, c.key))
                if (
                    flag
                    and flag.shape == "adjective"
                    and " " not in flag.words
                    and not flag.words.startswith(("is", "un"))
                ):
                    own[c.key, "eq", 1] = flag.words
            often = Counter(own.values())
            found[t.key] = {k: w for k, w in own.items() if often[w] == 1}
        return found

    def is_kind(self, place: Pair) -> bool:
        """True for a column that says what kind of thing a row is, so that its values may stand before the noun."""
        return self.kind(place) == "enum" and self.label(place).rpartition(" ")[2] in words_file().kinds

    def _kinds_of(self, place: Pair) -> dict[tuple[str, str, Any], str]:
        """'hospital' (organisations), 'high-priority' (tickets)."""
        last = self.label(place).rpartition(" ")[2]
        if self.kind(place) != "enum" or last not in words_file().kinds | words_file().degrees:
            return {}
        tail = f"-{last}" if last in words_file().degrees else ""
        easy = {
            v: w for v, w in self.said(place).items() if re.fullmatch(r"[a-z]{3,}", w) and w not in words_file().odd
        }
        return {(place[1], "eq", v): f"{w}{tail}" for v, w in easy.items()}

    @cached_property
    def adjective_phrases(self) -> Phrases:
        """Adjective -> ((table, condition) …)."""
        made, by = Phrases(), dict[str, list[Any]]()
        for table, own in self.adjectives.items():
            for (column, op, value), word in own.items():
                by.setdefault(word, []).append((table, (column, op, ("const", value, table, column))))
        for word, found in by.items():
            made.add(word, tuple(found))
        return made

    def flag(self, place: Pair) -> Flag:
        """How a yes is said."""
        label = self.words.column_label(*place)
        words = label.split(" ")
        file = words_file()
        if words[0] in ("is", "was") and len(words) > 1:
            return Flag("adjective", " ".join(words[1:]))
        if words[0] == "has" and len(words) > 1:
            return Flag("noun", " ".join(words[1:]))
        if words[0] == "can" and len(words) > 1:
            return Flag("can", " ".join(words[1:]))
        if words[0] in file.verbs:
            return Flag("verb", " ".join([file.verbs[words[0]], *words[1:]]), label)
        if words[-1] in file.passives and len(words) > 1:
            verb, third = file.passives[words[-1]]
            return Flag("verb", " ".join([verb, *words[:-1]]), " ".join([third, *words[:-1]]))
        if words[-1] == "flag" and len(words) > 1:
            words = words[:-1]
        if words[0] == "in" or any(words[-1].endswith(e) for e in file.likes):
            return Flag("adjective", " ".join(words))
        return Flag("noun", " ".join(words))

    # --- extremes

    @cached_property
    def extremes(self) -> dict[str, dict[tuple[str, bool], tuple[str, ...]]]:
        """Table -> (column, descending) -> superlatives that stand before the noun ('most expensive')."""
        found: dict[str, dict[tuple[str, bool], tuple[str, ...]]] = {}
        for t in self.schema.tables:
            own: dict[tuple[str, bool], tuple[str, ...]] = {}
            money = [c.key for c in t.columns if self.kind((t.key, c.key)) == "money"]
            if len(money) == 1 and self.is_a((t.key, money[0]), "price"):
                own[money[0], True] = ("most expensive", "priciest", "dearest")
                own[money[0], False] = ("cheapest", "least expensive")
            moments = [
                c.key for c in t.columns if self.kind((t.key, c.key)) in ("datetime", "date") and not self._clerical(c)
            ]
            born = [c.key for c in t.columns if c.type == "created_at"]
            if len(born) == 1:
                alone, person = moments == born, t.key in self.people
                own[born[0], True] = (
                    *(("newest", "most recent", "latest") if alone and not person else ()),
                    "most recently added" if person else "most recently created",
                )
                own[born[0], False] = ("oldest", "earliest") if alone and not person else ()
            ages = [c.key for c in t.columns if c.type == "birth_date"] if t.key in self.people else []
            if len(ages) == 1:
                own |= {(ages[0], True): ("youngest",), (ages[0], False): ("oldest",)}
            found[t.key] = {k: words for k, words in own.items() if words}
        return found

    @staticmethod
    def _clerical(column: Column) -> bool:
        return column.type in ("updated_at", "deleted_at")

    @cached_property
    def extreme_phrases(self) -> Phrases:
        """Superlative -> ((table, column, descending) …)."""
        made, by = Phrases(), dict[str, list[Any]]()
        for table, own in self.extremes.items():
            for (column, desc), words in own.items():
                for word in words:
                    by.setdefault(word, []).append((table, column, desc))
        for word, found in by.items():
            made.add(word, tuple(found))
        return made


def _adjective(words: str) -> bool:
    """True for a state that stands before a noun."""
    odd = ("spam", "void", "stock", "default", "intake", "trash", "inbox", "bid", "building", "won", "lost")
    return " " not in words and "-" not in words and words not in odd

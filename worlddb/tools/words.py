"""The words with which tools are named: nouns of tables, words of columns, verbs of states, and small English for prose.

They come from the SQL names, cleaned of a company's habits (tbl_, module prefixes, suffixes, short forms, plurals), so that
two hotels have tools of different words, and databases that were imported have them too.  The verbs, and the words whose
spelling follows no rule, are data: schemas/naming/verbs.yaml.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from functools import cache, cached_property, lru_cache
from itertools import chain, count
from keyword import kwlist
from typing import Any

import msgspec

from worlddb.errors import BrokenFile, UnknownName
from worlddb.library import folder
from worlddb.schema import naming
from worlddb.schema.domains import read_yaml
from worlddb.schema.metrics_names import snake
from worlddb.schema.model import Column, Schema, Table

WORD = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
"""What every word of a vocabulary matches in full."""
NO_PARAMETER = frozenset([*(k.lower() for k in kwlist), "self", "cls", "id"])
"""Words that Python could not take as a parameter's name, or that mean something else there."""
NO_FIELD = NO_PARAMETER | frozenset([
    "cursor", "fields", "filters", "group_by", "limit", "offset", "order_by", "page", "page_size", "query", "sort", "sort_by",
])  # fmt: skip
"""Words that a column cannot have, because tools have parameters of these names."""
_DOUBTFUL = frozenset(["cat", "cd", "doc", "dt", "inv", "org", "pos", "ref", "req", "svc", "temp", "tot", "ts", "val"])
"""Short forms that are also words, or short for something else: spelt out only where a company shortens all it can."""
_PLAIN = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"}
_LETTERS = str.maketrans(_PLAIN | {k.upper(): v.capitalize() for k, v in _PLAIN.items() if k != "ß"})
"""Letters that Unicode does not take apart."""


# --- the file


class Verb(msgspec.Struct, frozen=True):
    """What somebody does to a thing: the words of one action."""

    imperative: str
    """A verb ('check_in'), or a template where the noun stands inside ('put_{noun}_on_hold')."""
    past: str
    """Its participle in plain words ('checked in', 'put on hold'): it completes 'the booking cannot be …'."""

    def name(self, noun: str) -> str:
        """The name of a tool that does it to a `noun` ('check_in_booking', 'put_order_on_hold')."""
        return self._template.replace("{noun}", noun)

    @property
    def phrase(self) -> str:
        """The verb in plain words ('check in', 'mark as no-show')."""
        return self.of("").replace("  ", " ").strip()

    def of(self, thing: str) -> str:
        """The verb and what it is done to, in plain words ('mark a booking as no-show')."""
        before, _, after = self._template.partition("{noun}")
        return f"{before.replace('_', ' ')}{thing}{f' {plain(after[1:])}' if after else ''}"

    @property
    def _template(self) -> str:
        return self.imperative if "{noun}" in self.imperative else f"{self.imperative}_{{noun}}"


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    verb: str
    past: str


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """schemas/naming/verbs.yaml; its head describes the fields."""

    actions: dict[str, tuple[str, ...]]
    states: dict[str, str | _State]
    past: dict[str, str]
    same: frozenset[str]
    singular: dict[str, str]
    phrases: dict[str, str]
    acronyms: frozenset[str]


_KEY = re.compile(r"([a-z]\w*\.)?([a-z]\w*>)?[a-z]\w*")


@cache
def _words() -> _Words:
    """The file, checked.

    Raises:
        BrokenFile: it does not follow the format; the message has the key and the cure.
    """
    path = folder("schemas") / "naming" / "verbs.yaml"
    try:
        words = msgspec.convert(read_yaml(path), _Words)
    except msgspec.ValidationError as error:
        raise BrokenFile(f"{path}: {error}; the head of the file describes the format") from None
    verbs = {f"actions.{k}": v for k, some in words.actions.items() for v in some}
    verbs |= {f"states.{k}": v if isinstance(v, str) else v.verb for k, v in words.states.items()}
    for key, verb in verbs.items():
        if not WORD.fullmatch(verb.replace("{noun}", "noun", 1)):
            raise BrokenFile(f"{path}: {key}: '{verb}' is no verb; write 'check_in' or 'put_{{noun}}_on_hold'")
        if verb.endswith("_{noun}") or verb.startswith("{noun}"):
            raise BrokenFile(f"{path}: {key}: '{verb}' needs no {{noun}} at its end; write '{verb.split('_{')[0]}'")
    for key in words.states:
        if not _KEY.fullmatch(key):
            raise BrokenFile(f"{path}: states.{key}: no state; write state, from>to, entity.state or entity.from>to")
    for key, some in words.actions.items():
        if not some:
            raise BrokenFile(f"{path}: actions.{key}: no verb; give one at least")
    return words


# --- verbs


@cache
def synonyms(action: str) -> tuple[Verb, ...]:
    """The verbs of a generic action (get, list, create, link …), the usual one first.

    Raises:
        UnknownName: there is no such action.
    """
    if action not in _words().actions:
        raise UnknownName("action", action, _words().actions)
    return tuple(Verb(v, _past(v)) for v in _words().actions[action])


@lru_cache(65536)
def verb(state: str, *, origin: str = "", entity: str = "") -> Verb:
    """The verb of the move into a state, in any stored spelling: 'Checked in' -> check_in.

    `origin` (the state before) and `entity` (a table's key) make it more exact: from 'paused', 'active' is resume.
    """
    to, before = state_word(state), state_word(origin) if origin else ""
    keys = [f"{before}>{to}", to] if before else [to]
    known = _words().states
    for key in [f"{entity}.{k}" for k in keys if entity] + keys:
        if key in known:
            found = known[key]
            return Verb(found, _past(found)) if isinstance(found, str) else Verb(found.verb, found.past)
    base = _base(to)
    return Verb(base, to.replace("_", " ")) if base else _mark(to)


def _mark(state: str) -> Verb:
    """The verb for a state that no verb brings about: mark_{noun}_as_lost."""
    template = f"mark_{{noun}}_as_{state}"
    return Verb(template, _past(template))


def _past(imperative: str) -> str:
    """The participle of a verb or template, in plain words: 'put_{noun}_on_hold' -> 'put on hold'."""
    first, _, rest = imperative.partition("_")
    inside, rest = "{noun}" in rest, rest.replace("{noun}_", "")
    words = plain(rest) if inside else rest.replace("_", " ")
    return f"{_participle(first)} {words}".strip()


def _participle(verb: str) -> str:
    known = _words().past
    if verb in known:
        return known[verb]
    if verb.endswith("e"):
        return f"{verb}d"
    if re.search(r"[^aeiou]y$", verb):
        return f"{verb[:-1]}ied"
    return f"{verb}{verb[-1]}ed" if re.fullmatch(r"(un)?[^aeiou]+[aeiou][bdgmnpt]", verb) else f"{verb}ed"


_DOUBLED = re.compile(r"..([bdgmnprt])\1$")
_MUTE = re.compile(
    r"[vcu]$|[^z]z$|[^s]s$|[^aeiourl]l$|[aeioudlnr]g$|cre?at$|(st|[cn]|pl)or$"
    r"|(qu|[^aeiou])([aiouy][bdgklmp]|[aou]t|[iu]n|[iau]r)$"
)
"""Stems that lost an e before -ed: clos(e), approv(e), settl(e), activat(e)."""
_PARTICLES = ("back", "down", "in", "off", "on", "out", "over", "through", "up")


def _base(state: str) -> str:
    """The verb of a participle that regular English turns back ('signed_up' -> 'sign_up'), or ''."""
    first, _, particle = state.partition("_")
    if particle and particle not in _PARTICLES:
        return ""
    irregular = {past: base for base, past in _words().past.items()}
    base = irregular.get(first, "")
    if not base and first.endswith("ed") and len(first) > 4 and not first.endswith("eed"):
        stem = first[:-2]
        if stem.endswith("i"):
            base = f"{stem[:-1]}y"
        elif _DOUBLED.search(stem):
            base = stem[:-1]
        else:
            base = f"{stem}e" if _MUTE.search(stem) else stem
    return f"{base}_{particle}" if base and particle else base


# --- spelling


def state_word(value: str) -> str:
    """A stored state in snake case: 'CHECKED_IN', 'Checked in' and 'checked-in' are all checked_in."""
    return _clean(value) or "blank"


@lru_cache(65536)
def _clean(name: str) -> str:
    """Any name as snake_case ASCII that begins with a letter; '' where nothing of it is left."""
    if not name.isascii():
        name = unicodedata.normalize("NFKD", name.lower() if name.isupper() else name).translate(_LETTERS)
        name = name.encode("ascii", "ignore").decode()
    word = snake(name)
    return f"n{word}" if word[:1].isdigit() else word


@cache
def _styles() -> dict[str, Any]:
    styles: dict[str, Any] = read_yaml(folder("schemas") / "naming" / "styles.yaml")
    return styles


@cache
def _singulars() -> dict[str, str]:
    """Plural -> singular, of all words whose ending says nothing or the wrong thing."""
    words = _words()
    irregular = words.singular | {many: one for one, many in _styles()["irregular"].items()}
    odd = {*irregular.values(), *words.same, *words.acronyms}
    return {naming.plural(w): w for w in odd} | {w: w for w in odd - words.same} | irregular


@lru_cache(65536)
def singular(word: str) -> str:
    """The singular of a snake_case name: that of its last word, or of the one before 'of'.

    >>> singular("order_lines"), singular("addresses"), singular("people"), singular("ports_of_call")
    ('order_line', 'address', 'person', 'port_of_call')
    """
    thing, of, rest = word.partition("_of_")
    if thing and of and singular(thing) != thing:
        return f"{singular(thing)}{of}{rest}"
    head, _, last = word.rpartition("_")
    if last in _singulars():
        last = _singulars()[last]
    elif last.endswith("ies") and len(last) > 4:
        last = f"{last[:-3]}y"
    elif re.search(r"(ss|x|zz|ch|sh|..[^ao]us)es$", last):
        last = last[:-2]
    elif re.search(r"[^sui]s$", last):
        last = last[:-1]
    return f"{head}_{last}" if head else last


@lru_cache(65536)
def plural(word: str) -> str:
    """The plural of a snake_case name: that of its last word, or of the one before 'of'.

    >>> plural("order_line"), plural("analysis"), plural("settings"), plural("port_of_call")
    ('order_lines', 'analyses', 'settings', 'ports_of_call')
    """
    thing, of, rest = word.partition("_of_")
    if thing and of:
        return f"{plural(thing)}{of}{rest}"
    head, _, last = word.rpartition("_")
    known = {one: many for many, one in _words().singular.items()}
    if last in known:
        last = known[last]
    elif last not in _words().same:
        last = f"{last[:-2]}es" if last.endswith("is") else naming.plural(last)
    return f"{head}_{last}" if head else last


@lru_cache(65536)
def plain(word: str) -> str:
    """A snake_case word as people write it: 'check_in_from' -> 'check-in from', 'skus' -> 'SKUs'."""
    acronyms = _words().acronyms
    parts = [
        p.upper() if p in acronyms else f"{p[:-1].upper()}s" if p[-1:] == "s" and p[:-1] in acronyms else p
        for p in word.split("_")
    ]
    text = " ".join(parts)
    for apart, joined in _words().phrases.items():
        if apart in text:
            text = re.sub(rf"\b{apart}\b", joined, text)
    return text


def article(noun: str) -> str:
    """The noun with its indefinite article: 'an apartment', 'a user', 'an RFQ', 'an hour'."""
    first = noun.split(" ")[0]
    if len(first) < 6 and first.rstrip("s").isupper():
        vowel = first[0] in "AEFHILMNORSX8"
    else:
        vowel = bool(re.match(r"[aeiou8]|x-|hour|hono|heir|11|18", first, re.I)) and not re.match(
            r"uni(?![dmn])|us[aeu]|ut[ei]|ubi|ur[aei]|eu|ew|one|once", first, re.I
        )
    return f"{'an' if vowel else 'a'} {noun}"


def sentence(text: str) -> str:
    """The text with a capital at its start and a full stop at its end."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text[-1:] in ('', '.', '!', '?') else '.'}"


def listing(items: Sequence[str], last: str = "or") -> str:
    """'a, b or c'."""
    return f" {last} ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


# --- the words of one schema


_FIRST, _LAST = ("fk", "id"), ("id", "ref", "key", "no", "fk", "nr", "code", "uuid", "guid")
"""What companies put before and after the role in a column that refers."""
_SURROGATES = ("surrogate_id", "uuid", "key_code")


class Vocabulary:
    """The words of one schema's tables and columns, all by key.

    Nouns are unique over the schema, singulars and plurals together (a word such as 'staff' is both for its own table);
    words of columns are unique within their table.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._moves: dict[str, dict[tuple[str, str], Verb]] = {}

    def noun(self, table: str) -> str:
        """What one row is called ('booking')."""
        return self._nouns[table]

    def nouns(self, table: str) -> str:
        """What several rows are called ('bookings')."""
        return plural(self._nouns[table])

    def field(self, table: str, column: str) -> str:
        """What a column is called: 'id' for the row's own key, the role for a reference ('room'), else its word.

        Fit to be a parameter's name, save that a reference needs _id there (a role may be 'class').
        """
        return self._fields[table][column]

    def label(self, table: str) -> str:
        """The noun in plain words ('room type')."""
        return plain(self.noun(table))

    def labels(self, table: str) -> str:
        """The plural in plain words ('room types')."""
        return plain(self.nouns(table))

    def column_label(self, table: str, column: str) -> str:
        """The word of a column in plain words ('check-in from')."""
        return plain(self.field(table, column))

    def moves(self, table: str) -> dict[tuple[str, str], Verb]:
        """(state before, state after), as stored -> the verb; a verb leads to one state only.  Empty without a lifecycle."""
        if table not in self._moves:
            machine, owner = self.schema[table].lifecycle, dict[str, str]()
            self._moves[table] = made = {}
            for before, after in machine.moves if machine else ():
                found = verb(after, origin=before, entity=self.schema[table].key)
                clash = owner.setdefault(found.imperative, after) != after
                made[before, after] = _mark(state_word(after)) if clash else found
        return self._moves[table]

    @cached_property
    def _second(self) -> frozenset[str]:
        """Keys of tables whose name another one has, so that the naming layer put a number to it."""
        sql = {t.name.lower() for t in self.schema.tables}
        bare = {t.key: t.name.lower().rstrip("0123456789") for t in self.schema.tables}
        return frozenset(t.key for t in self.schema.tables if bare[t.key] != t.name.lower() and bare[t.key] in sql)

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """Table key -> the words of its name, without tbl, module prefix, suffix and number."""
        names = {t.key: t.name.rstrip("0123456789") if t.key in self._second else t.name for t in self.schema.tables}
        split = {k: _without(_clean(n).split("_"), first=("tbl", "tb"), last=("tbl",)) for k, n in names.items()}
        most = max(3, -(-2 * len(split) // 3))
        alone = {singular(w[0]) for w in split.values() if len(w) == 1}
        starts = Counter(w[0] for w in split.values() if len(w) > 1)
        ends = Counter(w[-1] for w in split.values() if len(w) > 1)
        grown = any(t.origin for t in self.schema.tables)
        prefixes = (
            [naming.abbreviation(self.schema.domain, 3)]
            if grown and self.schema.domain
            else [w for w in starts if singular(w) not in alone]
        )
        prefixes = [w for w in prefixes if starts[w] >= most]
        suffixes = [w for w in _styles()["suffixes"] if ends[w] >= most]
        return {k: _without(w, first=prefixes, last=suffixes) for k, w in split.items()}

    @cached_property
    def _long(self) -> dict[str, str]:
        """Short form -> long form.  A company that spells out nothing at all means even the doubtful ones as such."""
        short: dict[str, str] = _styles()["short"]
        used = {w for n in self._names.values() for w in singular("_".join(n)).split("_")}
        used |= {w for t in self.schema.tables for c in t.columns for w in _clean(c.name).split("_")}
        return {s: w for w, s in short.items() if s not in _DOUBTFUL or not used & set(short)} | {"max": "max"}

    def _spell(self, words: Iterable[str]) -> str:
        return "_".join(self._long.get(w, w) for w in words)

    @cached_property
    def _ones(self) -> dict[str, str]:
        """Table key -> the singular of its name, which two tables may share."""
        names = {k: "_".join(w) for k, w in self._names.items()}
        in_plural = 2 * sum(singular(n) != n for n in names.values()) >= len(names)
        same = {k for k, w in self._names.items() if w[-1] in _words().same and not in_plural}
        return {k: self._spell((n if k in same else singular(n)).split("_")) for k, n in names.items()}

    @cached_property
    def _nouns(self) -> dict[str, str]:
        found: dict[str, str] = {}
        taken: set[str] = set()

        def free(noun: str) -> bool:
            return noun not in NO_PARAMETER and not {noun, plural(noun)} & taken

        for key in sorted(self._ones, key=lambda k: k in self._second):
            options = [o for o in (self._ones[key], _clean(key)) if o] or ["record"]
            found[key] = _first(options, free)
            taken |= {found[key], plural(found[key])}
        return found

    @cached_property
    def _fields(self) -> dict[str, dict[str, str]]:
        return {t.key: self._table_fields(t) for t in self.schema.tables}

    def _table_fields(self, table: Table) -> dict[str, str]:
        """Column key -> word; the row's own key chooses first, then references, then the others."""
        noun, prefix = self._nouns[table.key], self._column_prefix(table)
        refers = {f.columns[0]: f.table for f in table.foreign_keys if len(f.columns) == 1}
        found: dict[str, str] = {}
        taken = {f"{n}_id" for n in self._nouns.values()}

        def give(key: str, *options: str, banned: Container[str] = NO_FIELD) -> None:
            usable = [o for o in options if o] or ["value"]
            found[key] = _first([*usable, f"{noun}_{usable[0]}"], lambda w: w not in banned and w not in taken)
            taken.update([found[key], f"{found[key]}_id"] if key in refers else [found[key]])

        whole = {c.key: _clean(c.name).split("_") for c in table.columns}
        words = {k: _without(w, first=[prefix]) for k, w in whole.items()}
        own = table.primary_key[0] if len(table.primary_key) == 1 else ""
        if own and own not in refers and _is_surrogate(table[own], words[own]):
            give(own, "id", banned=())
        for key, parent in refers.items():
            named = self._role(whole[key], parent) == self._nouns[parent]
            give(key, self._nouns[parent] if named else self._role(words[key], parent), banned=["id"])
        for key in [k for k in words if k not in found]:
            word = self._word(words[key])
            reference = f"{word[:-3]}_ref" if word.endswith("_id") else ""
            give(key, word, reference, self._word(_clean(key).split("_")))
        return found

    def _role(self, words: list[str], parent: str) -> str:
        """The role that a referring column names, or the parent's noun where it names the parent or nothing."""
        bare = _without(words, first=_FIRST)
        role = _without(bare, last=_LAST)
        nameless = role == words and role[-1] in _LAST
        if nameless or self._ones[parent] in map(self._spell, (words, bare, role)):
            return self._nouns[parent]
        return self._spell(role)

    def _word(self, words: list[str]) -> str:
        return self._spell([*words[:-1], "number"] if words[-1] == "no" else words)

    def _column_prefix(self, table: Table) -> str:
        """The table's abbreviation, where its columns begin with it (res_status); else ''."""
        names = [_clean(c.name) for c in table.columns]
        one = self._ones[table.key]
        own = naming.abbreviation(one, 4) if one else ""
        if own and all(n.startswith(own) for n in names) and any(n.startswith(f"{own}_") for n in names):
            return own
        word, shared = Counter(n.partition("_")[0] for n in names).most_common(1)[0] if names else ("", 0)
        habit = len(names) > 4 and 3 * shared >= 2 * len(names) and word not in (*_FIRST, one.partition("_")[0])
        return word if habit else ""


def _without(words: list[str], first: Sequence[str] = (), last: Sequence[str] = ()) -> list[str]:
    """The words without one of `first` and one of `last`; something always remains."""
    words = words[1:] if words[0] in first and len(words) > 1 else words
    return words[:-1] if words[-1] in last and len(words) > 1 else words


def _is_surrogate(column: Column, words: list[str]) -> bool:
    """True for a key that only identifies, as against one that says something (a country's code)."""
    return column.type in _SURROGATES or words[-1] in ("id", "uid", "uuid", "guid", "key")


def _first(options: list[str], free: Callable[[str], bool]) -> str:
    """The first option that is free; the last one with a number where none is."""
    numbers = (f"{options[-1]}_{n}" for n in count(2))
    return next(filter(free, chain(options, numbers)))

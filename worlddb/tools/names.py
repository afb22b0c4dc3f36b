"""Names of tools: a verb and a noun in the order, the case and the words of one API style, each name once and legal.

A legal name is one that every framework takes: a letter, then at most 63 letters, digits, `_` and `-`; and none that
frameworks keep for themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, count
from keyword import kwlist
from typing import TYPE_CHECKING

import msgspec

from worlddb.errors import BrokenFile
from worlddb.library import folder
from worlddb.schema.domains import read_yaml
from worlddb.schema.naming import camel
from worlddb.tools.model import Tool
from worlddb.tools.words import Vocabulary, plain, plural, synonyms

if TYPE_CHECKING:
    from worlddb.tools.styles import Style

LEGAL = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,63}")
"""What the name of a tool matches in full."""
LONGEST = 64
NO_ARGUMENT = frozenset([*(k.lower() for k in kwlist), "self", "cls", "ctx", "return"])
"""Names that a parameter may not have, because Python functions are made of tools."""


class Paging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How lists are cut: the mode (see `Reply.pages`), the two parameters, and the answer's word for where to go on."""

    mode: str
    limit: str
    at: str
    onward: str


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """schemas/naming/api.yaml; its comments describe the fields."""

    options: dict[str, dict[str, int]]
    pages: dict[str, Paging]
    verbs: tuple[int, ...]
    together: dict[str, tuple[str, ...]]
    avoided: dict[str, frozenset[str]]
    presets: dict[str, dict[str, str]]
    rest: dict[str, str]
    reserved: frozenset[str]
    general: frozenset[str]
    words: dict[str, tuple[str, ...]]


@cache
def api() -> Api:
    """The file, checked.

    Raises:
        BrokenFile: it does not follow the format; the message has the key.
    """
    path = folder("schemas") / "naming" / "api.yaml"
    try:
        found = msgspec.convert(read_yaml(path), Api)
    except msgspec.ValidationError as error:
        raise BrokenFile(f"{path}: {error}; its comments describe the format") from None
    for name, preset in found.presets.items():
        for option, value in preset.items():
            if value not in found.options.get(option, ()):
                raise BrokenFile(f"{path}: presets.{name}.{option}: '{value}' is no choice of `options`")
    return found


# --- spelling


def in_case(word: str, case: str) -> str:
    """A snake_case word in another case: snake, camel, pascal or kebab.

    >>> in_case("check_in_booking", "camel"), in_case("check_in_booking", "pascal"), in_case("get_room", "kebab")
    ('checkInBooking', 'CheckInBooking', 'get-room')
    """
    if case == "camel":
        return camel(word)
    if case == "pascal":
        return "".join(w.capitalize() for w in word.split("_"))
    return word.replace("_", "-") if case == "kebab" else word


def plainest(name: str) -> str:
    """A name without case and joints: names that are equal so are too alike for one toolset."""
    return name.replace("_", "").replace("-", "").lower()


@cache
def _reserved() -> frozenset[str]:
    return frozenset(map(plainest, api().reserved))


def is_reserved(name: str) -> bool:
    """True for a name that some framework keeps for itself, however it is spelt."""
    return plainest(name) in _reserved()


class Names:
    """Hands out names, each once: the first candidate that is legal, free and not reserved."""

    def __init__(self) -> None:
        self._taken = set(_reserved())

    def keep(self, name: str) -> str:
        """A name that must be as it is."""
        self._taken.add(plainest(name))
        return name

    def give(self, candidates: Iterable[str], case: str) -> str:
        """The first of some snake_case names that can be given; their last one with a number where none can."""
        options = list(candidates)
        for stem in chain(options, (f"{options[-1]}_{n}" for n in count(2))):
            name = in_case(_cut(stem), case)
            if plainest(name) not in self._taken and LEGAL.fullmatch(name):
                self._taken.add(plainest(name))
                return name
        raise AssertionError("numbers do not end")


def _cut(stem: str) -> str:
    """A snake_case name of at most 60 characters: whole words from its start, and its last one."""
    if len(stem) <= LONGEST - 4:
        return stem
    head, _, last = stem.rpartition("_")
    last = last[:16]
    while head and len(head) + len(last) > LONGEST - 5:
        head = head.rpartition("_")[0] or head[: LONGEST - 25]
    return f"{head}_{last}"


# --- verb and noun


def tool_names(tools: Sequence[Tool], style: Style, vocabulary: Vocabulary, names: Names) -> dict[str, str]:
    """The names of tools of an API, by key, none that `names` gave already.  A tool that has a name keeps it."""
    verbs = house_verbs(tools, style)
    found = {t.key: names.keep(t.name) for t in tools if t.name}
    for tool in tools:
        if tool.key not in found:
            found[tool.key] = names.give(_candidates(tool, style, verbs, vocabulary), style.case)
    return found


def house_verbs(tools: Iterable[Tool], style: Style) -> dict[str, str]:
    """Action -> the company's verb.  A verb that some tool has in a sense of its own stays with that tool."""
    own = {t.words.verb for t in tools if t.words.verb not in style.verbs}
    return {action: verb if verb not in own else action for action, verb in style.verbs.items()}


def draw_verbs(pick: Callable[[str, list[str], Sequence[int]], str]) -> dict[str, str]:
    """The verbs of one company: `pick(action, options, weights)` draws one of the options."""
    found = {}
    for action in actions():
        avoided = api().avoided.get(action, frozenset())
        options = [v.imperative for v in synonyms(action) if v.imperative not in avoided]
        weights = (*api().verbs, *(1 for _ in options))[: len(options)]
        found[action] = pick(action, options, weights)
    for first, others in api().together.items():
        place = [v.imperative for v in synonyms(first)].index(found[first])
        for other in others:
            some = synonyms(other)
            found[other] = some[min(place, len(some) - 1)].imperative
    return found


@cache
def actions() -> tuple[str, ...]:
    """The generic actions that verbs.yaml has synonyms for."""
    return tuple(read_yaml(folder("schemas") / "naming" / "verbs.yaml")["actions"])


def _candidates(tool: Tool, style: Style, verbs: dict[str, str], vocabulary: Vocabulary) -> Iterator[str]:
    stem = _stem(tool, style.order, verbs, vocabulary)
    if style.order == "prefixed":
        prefix = _prefix(vocabulary.schema.domain)
        stem = stem if not prefix or stem.startswith(f"{prefix}_") else f"{prefix}_{stem}"
    yield stem
    what = [w for w in re.findall("[a-z0-9]+", tool.key.partition(".")[2].lower()) if w not in stem.split("_")]
    if what:
        yield f"{stem}_{'_'.join(what)}"
    noun = vocabulary.noun(tool.table)
    if noun not in stem:
        yield f"{stem}_of_{noun}"


_LOOSE = re.compile(r"_(to|from|of|for|in|on|at|by|with)$")
"""What is left over at the end of an action when its noun goes in front: assign_agent_to_{noun}."""


def _stem(tool: Tool, order: str, verbs: dict[str, str], vocabulary: Vocabulary) -> str:
    words = tool.words
    one = words.noun or vocabulary.noun(tool.table)
    many = plural(words.noun) if words.noun else vocabulary.nouns(tool.table)
    noun = many if words.many else one
    own = tool.kind in ("transition", "action") or ".bulk_" in tool.key  # a word of the business, not one of APIs
    verb = words.verb if own else verbs.get(words.verb, words.verb)
    template = words.template or (verb if "{noun}" in verb else f"{verb}_{{noun}}")
    if words.template.startswith(f"{words.verb}_") and "{noun}" not in verb:
        template = verb + words.template.removeprefix(words.verb)
    action = _LOOSE.sub("", template.replace("_{noun}", "").replace("{noun}_", ""))
    if order == "rest":
        return _rest(tool, many, action)
    if order == "noun_verb":
        return _joined(noun, action, words.tail)
    return _joined(template.replace("{noun}", noun), words.tail)


def _rest(tool: Tool, many: str, action: str) -> str:
    """Method and path of a REST API, as one name: get_bookings_by_id, post_bookings_check_in."""
    verb, tail = tool.words.verb, f"_{tool.words.tail}" if tool.words.tail else ""
    if verb == "get" and tool.words.many:
        return f"get_{many}{tail or '_by_ids'}"
    if verb in api().rest and not tool.words.template:
        return api().rest[verb].format(nouns=many, tail=tail)
    return f"{'get' if tool.read_only else 'post'}_{many}_{action}{tail}"


def _joined(*parts: str) -> str:
    return "_".join(p for p in parts if p)


def _prefix(domain: str) -> str:
    """The word of a domain's name that says most: 'hotel', 'retail' of online_retail; '' where it has none."""
    words = [w for w in re.findall("[a-z][a-z0-9]*", domain.lower()) if w not in api().general]
    return words[0] if words else ""


def title_of(tool: Tool, vocabulary: Vocabulary) -> str:
    """A tool's title for people: 'Check in booking'."""
    text = plain(_stem(tool, "verb_noun", {}, vocabulary))
    return f"{text[:1].upper()}{text[1:]}"


def free_name(name: str, taken: set[str]) -> str:
    """A name for a parameter or field that is none of `taken` and that Python takes; it is added to `taken`."""
    candidate = f"{name}_value" if name.lower() in NO_ARGUMENT else name
    options = chain([candidate], (f"{candidate}{n}" for n in count(2)))
    found = next(o for o in options if o not in taken)
    taken.add(found)
    return found

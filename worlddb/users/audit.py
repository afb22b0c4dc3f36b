"""What no user says: checks of a model's words before an agent sees them, and of the names that a model recognises."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import orjson

ABOUT_MOST = 20
"""Names that a question may be about."""
FREE_MOST = 600
"""Characters of a free reply."""

_MARKUP = re.compile(
    r"<[/!|a-zA-Z]|\[/?INST|```|#{2,}|\{\{|[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]|^\s*(system|assistant|user)\s*:",
    re.I | re.M,
)
_MACHINE = re.compile(
    r"\b(language model|artificial intelligence|chat ?bot|openai|system prompt|a\.i\.)|\b(?-i:AI|LLM)\b"
    r"|\bi('m| am) an? (virtual )?assistant|\bmy (system )?(prompt|instructions)\b|\brole[- ]?play",
    re.I,
)
_END = re.compile(
    r"\b(?-i:STOP|TERMINATE|EXIT|DONE|END|EOS)\b|\b(good ?)?bye\b"
    r"|\b(conversation|episode|session|chat|dialogue) (is|has|can be|may be) (now |been )?"
    r"(over|ended|finished|closed|complete|terminated)|\bend of (the |this )?(conversation|episode|task|session|chat)\b"
    r"|\bend (the|this) (conversation|episode|session|chat)\b",
    re.I,
)
_NOT = re.compile(r"\b(no|not|none|nothing|never|neither|nor|cannot|without|unable)\b|n.t\b", re.I)
_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"[^\W_]+")


def unsafe(reply: str, kept: Iterable[str], own: str = "") -> str:
    """Why no user says that: a secret, marks of a machine, the end of the episode; '' where one may, or where `own`, the
    rules' text, does as well."""
    if any(_leaks(reply, secret) for secret in kept):
        return "it holds what was not asked for"
    for pattern, why in (
        (_MARKUP, "it holds marks"),
        (_MACHINE, "it speaks of being a machine"),
        (_END, "it ends the episode"),
    ):
        if (found := pattern.search(reply)) and not pattern.search(own):
            return f"{why}: {ascii(found.group())[:40]}"
    return ""


def audit(reply: str, kept: Iterable[str], owed: Iterable[str], known: str) -> str:
    """Why a free reply is not taken; '' where it is.

    `kept` are texts that it must not hold, `owed` those that it must; numbers must stand in `known`.
    """
    if not 0 < len(reply) <= FREE_MOST:
        return "too short or too long"
    if why := unsafe(reply, kept):
        return why
    if any(not holds(reply, text) for text in owed):
        return "it leaves out what was asked for"
    if strange := set(_NUMBER.findall(reply)) - set(_NUMBER.findall(known)):
        return f"a number of its own: {min(strange)}"
    return ""


def names_in(reply: str, topics: Sequence[str]) -> list[str] | None:
    """The topics that a model's reply names, unknown ones dropped; None where it is not of the form that was asked for."""
    start, end = reply.find("{"), reply.rfind("}")
    try:
        found = orjson.loads(reply[start : end + 1]) if 0 <= start < end else None
    except orjson.JSONDecodeError:
        return None
    names = found.get("about") if isinstance(found, dict) else None
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        return None
    known = {_plain(t): t for t in topics}
    return list(dict.fromkeys(known[_plain(n)] for n in names if _plain(n) in known))[:ABOUT_MOST]


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))


def negates(text: str) -> bool:
    """Whether a text says no to something."""
    return bool(_NOT.search(text))


def holds(text: str, part: str) -> bool:
    """Whether a text has another's words in it, in their order."""
    return f" {_plain(part)} " in f" {_plain(text)} " if _plain(part) else part in text


def _leaks(text: str, secret: str) -> bool:
    """Whether a text holds a secret: as it is, letter by letter, or backwards."""
    bare, hidden = _plain(text).replace(" ", ""), _plain(secret).replace(" ", "")
    return holds(text, secret) or (len(hidden) > 4 and (hidden in bare or hidden[::-1] in bare))

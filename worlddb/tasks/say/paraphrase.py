"""Optional: an instruction reworded by a language model behind an OpenAI-compatible endpoint.

The model never sees a value: every literal is masked as «1», «2» … before, and put back after.  A paraphrase is taken only if
every mask stands in it exactly once, it brings no number, name in quotation marks or known title of its own, and its length is
within bounds; otherwise, and on any failure of the endpoint, the text stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence

import msgspec

_MASK = re.compile(r"«(\d+)»")
_FOREIGN = re.compile(r"\d|[\"“”]|https?:|\w@\w")
_WORD = re.compile(r"[^\W_]+")
SHORTEST, LONGEST = 0.5, 2.0
"""Bounds of a paraphrase's length, by the masked text's."""
PROMPT = (
    "Rephrase the request below as another person would write it, in English. Keep its meaning exactly: every step, condition "
    "and question, in the same order, and nothing else. Tokens such as «1» stand for values: keep each exactly once, unchanged. "
    "Add no names, numbers, dates or quotation marks. Answer with the rephrased request only."
)


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where the model is."""

    url: str
    """Base URL, up to and without '/chat/completions': 'http://localhost:8000/v1'."""
    model: str
    key: str = ""
    """Sent as bearer token where it is not empty."""
    timeout: float = 30.0
    """Seconds."""
    temperature: float = 0.9


class Outcome(msgspec.Struct, frozen=True):
    """The text that stands, whether it is the model's, and if not, why."""

    text: str
    taken: bool
    why: str = ""


def mask(text: str, literals: Sequence[str]) -> tuple[str, list[str]]:
    """The text with every occurrence of a literal masked, the longest literals first, and what each mask stands for."""
    found: list[str] = []
    wanted = sorted({x for x in literals if x}, key=lambda x: (-len(x), x))
    if not wanted:
        return text, found
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(x)}(?!\w)" for x in wanted))

    def put(m: re.Match[str]) -> str:
        found.append(m.group())
        return f"«{len(found)}»"

    return pattern.sub(put, text), found


def unfit(masked: str, paraphrase: str, known: Collection[str] = ()) -> str:
    """Why a paraphrase of a masked text cannot be taken; '' where it can."""
    wanted, got = sorted(_MASK.findall(masked)), sorted(_MASK.findall(paraphrase))
    if wanted != got:
        return "a placeholder is missing, repeated or new"
    bare = _MASK.sub(" ", paraphrase)
    if "«" in bare or "»" in bare:
        return "a placeholder is broken"
    if not SHORTEST * len(masked) <= len(paraphrase) <= LONGEST * len(masked):
        return "too short or too long"
    own = _MASK.sub(" ", masked)
    if extra := [m.group() for m in _FOREIGN.finditer(bare) if m.group() not in own]:
        return f"a value of its own: {extra[0]}"
    after, before = _spaced(bare), _spaced(own)
    for title in known:
        plain = _spaced(title)
        if plain.strip() and plain in after and plain not in before:
            return f"a name of its own: {title}"
    return ""


def _spaced(text: str) -> str:
    """The words of a text in lower case, with single spaces between and around them."""
    return f" {' '.join(_WORD.findall(text.lower()))} "


def paraphrase(text: str, literals: Sequence[str], endpoint: Endpoint, known: Collection[str] = ()) -> Outcome:
    """The text reworded, or as it is.

    `literals` are the values that it states, as written in it; `known` are names of the world that it must not bring in.
    Never raises for what the endpoint does: timeouts, errors and nonsense leave the text as it is.
    """
    masked, values = mask(text, literals)
    try:
        reply = _ask(masked, endpoint)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:  # URLError and timeouts are OSErrors
        return Outcome(text, False, f"no answer: {type(error).__name__}")
    if why := unfit(masked, reply, known):
        return Outcome(text, False, why)
    return Outcome(_MASK.sub(lambda m: values[int(m.group(1)) - 1], reply), True)


def _ask(masked: str, endpoint: Endpoint) -> str:
    """The model's answer to the masked text."""
    from urllib.request import Request, urlopen

    if not endpoint.url.startswith(("http://", "https://")):
        raise ValueError("not a web address")
    body = {
        "model": endpoint.model,
        "temperature": endpoint.temperature,
        "messages": [{"role": "system", "content": PROMPT}, {"role": "user", "content": masked}],
    }
    headers = {"Content-Type": "application/json"} | (
        {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
    )
    request = Request(f"{endpoint.url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers)
    with urlopen(request, timeout=endpoint.timeout) as answer:
        content = json.loads(answer.read())["choices"][0]["message"]["content"]
    if not isinstance(content, str):
        raise TypeError("no text")
    return content.strip()

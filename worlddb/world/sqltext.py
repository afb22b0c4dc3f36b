"""What the text of an agent's SQL shows before SQLite sees it: its statements, and what the authorizer is never told of.

The text is cut into tokens as SQLite's own tokenizer cuts it; nothing is parsed beyond the arguments of a few functions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import count, pairwise

import msgspec

Value = str | int | float | bytes | None
Parameters = Sequence[Value] | Mapping[str, Value]


class Refused(msgspec.Struct, frozen=True):
    """SQL that was not carried out, and why: the agent's mistake, therefore data."""

    code: str
    """SQL_ERROR, SQL_NOT_ALLOWED, SQL_BUDGET_EXCEEDED or SQL_TOO_LARGE."""
    message: str
    """What is wrong and what to do about it."""


READING = frozenset({"SELECT", "VALUES", "WITH"})
WRITING = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE"})
DATES = {"date": 1, "time": 1, "datetime": 1, "julianday": 1, "unixepoch": 1, "strftime": 2}
"""Functions of time -> the position of their first modifier."""
TRIMS = frozenset({"trim", "ltrim", "rtrim"})
HIDDEN = frozenset({"rowid", "_rowid_", "oid"})
ZONES = ("localtime", "utc")
"""Modifiers that ask for the time zone of the machine."""

_WORD = r"[A-Za-z0-9_$\x80-\U0010ffff]"
_TOKEN = re.compile(
    rf"""[ \t\n\f\r]++ | --[^\n]*+ | /\*(?:[^*]|\*(?!/))*+(?:\*/)?+
    | '[^']*+(?:''[^']*+)*+' | "[^"]*+(?:""[^"]*+)*+" | `[^`]*+(?:``[^`]*+)*+` | \[[^\]]*+\]
    | [$@:#](?:{_WORD}|::)*+(?:\([^)\s]*+\)?)? | {_WORD}++ | \|\| | .""",
    re.VERBOSE | re.DOTALL,
)
"""One token as SQLite's own tokenizer cuts it, as far as quotes, comments and names go."""


class Statement(msgspec.Struct, frozen=True):
    """One statement of a text."""

    sql: str
    kind: str
    """Its first word."""
    names: frozenset[str]
    """All words in it, in lower case, without quotes."""
    zone_by_parameter: bool
    """Whether a modifier of a date function is a parameter, so that parameters must not name a time zone."""


class Stop(Exception):
    """Carries a refusal out of the depth in which it is found."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.refused = Refused(code, message)


def denied(message: str) -> Stop:
    """To be raised for what an agent may not do."""
    return Stop("SQL_NOT_ALLOWED", message)


@lru_cache(maxsize=512)
def statements(sql: str) -> tuple[Statement, ...] | Refused:
    """The statements of a text, without comments around them."""
    if "\0" in sql:
        return Refused("SQL_ERROR", "the SQL holds a NUL character; remove it")
    pieces: list[list[str]] = [[]]
    for token in _TOKEN.findall(sql):
        if token == ";":
            pieces.append([])
        else:
            pieces[-1].append(token)
    try:
        found = tuple(_statement(piece) for piece in pieces if any(map(_counts, piece)))
    except Stop as stop:
        return stop.refused
    return found or Refused("SQL_ERROR", "there is no statement; write a SELECT")


def _counts(token: str) -> bool:
    return token[0] not in " \t\n\f\r" and not token.startswith(("--", "/*"))


def _plain(token: str) -> str:
    """A name without its quotes, in lower case; anything else as it is."""
    return (token[1:-1] if token[0] in '"`[' else token).lower()


def _statement(piece: list[str]) -> Statement:
    tokens = [t for t in piece if _counts(t)]
    words = [_plain(t) for t in tokens]
    if any(a == "or" and b == "rollback" for a, b in pairwise(words)):
        raise denied("OR ROLLBACK is not allowed; use OR ABORT or OR IGNORE")
    by_parameter = False
    for i, word in enumerate(words[:-1]):
        if word in DATES and words[i + 1] == "(":
            modifiers = list(_arguments(tokens, i + 2))[DATES[word] :]
            for modifier in modifiers:
                by_parameter |= _modifier(word, modifier)
        elif word in TRIMS and words[i + 1] == "(":
            for characters in list(_arguments(tokens, i + 2))[1:]:
                if len(characters) != 1 or characters[0][0] != "'" or len(characters[0]) > 20:
                    raise denied(f"the second argument of {word}() must be a literal of at most 18 characters")
    return Statement("".join(piece), words[0].upper(), frozenset(words), by_parameter)


def _arguments(tokens: list[str], start: int) -> Iterator[list[str]]:
    """The arguments of a call whose bracket opens before `start`, as tokens; what stands in inner brackets counts as one `()`."""
    depth, argument = 0, list[str]()
    for token in tokens[start:]:
        if token == ")":
            depth -= 1
            if depth < 0:
                break
        if depth == 0:
            if token == ",":
                yield argument
                argument = []
            else:
                argument.append(token)
        if token == "(":
            depth += 1
    yield argument


def _modifier(function: str, argument: list[str]) -> bool:
    """Whether a modifier of a date function is a parameter.

    Raises:
        Stop: it might turn out as 'localtime' or 'utc', which depend on the machine.  A chain of || cannot if it begins
            or ends with text that neither of them begins or ends with.
    """
    if len(argument) == 1:
        only = argument[0]
        if only[0] in "?:@" or only[0].isdigit():
            return not only[0].isdigit()
        if only[0] == "'" and only[1:-1].strip().lower() not in ZONES:
            return False
    elif len(argument) > 2 and ">" not in argument:
        first, last = argument[0].lower(), argument[-1].lower()
        if argument[1] == "||" and first[0] == "'" and not any(z.startswith(first[1:-1]) for z in ZONES):
            return False
        if argument[-2] == "||" and last[0] == "'" and not any(z.endswith(last[1:-1]) for z in ZONES):
            return False
    elif len(argument) == 2 and argument[0] in "+-" and argument[1].isdigit():
        return False
    raise denied(
        f"a modifier of {function}() must be plain text such as '-7 days', or '+' || n || ' days'; "
        "all times are UTC, so 'localtime' and 'utc' are not available"
    )


def checked(parameters: Parameters | None, most: int) -> Parameters | None:
    """The parameters, known to be of types that SQLite takes and of at most `most` bytes together.

    Raises:
        Stop: one of them is not.
    """
    if parameters is None:
        return None
    if not isinstance(parameters, list | tuple | dict):
        raise Stop("SQL_ERROR", "parameters must be a list, or an object of names and values")
    size = 0
    for name, value in parameters.items() if isinstance(parameters, dict) else zip(count(1), parameters, strict=False):
        if isinstance(value, str | bytes):
            size += len(utf8(value)) if isinstance(value, str) else len(value)
        elif isinstance(value, int):
            if not -(2**63) <= value < 2**63:
                raise Stop("SQL_ERROR", f"parameter {name} is an integer of more than 64 bits")
        elif value is not None and not isinstance(value, float):
            raise Stop(
                "SQL_ERROR", f"parameter {name} must be text, a number or null, and not a {type(value).__name__}"
            )
    if size > most:
        raise Stop("SQL_TOO_LARGE", f"the parameters have {size:,} bytes; at most {most:,} are accepted")
    return parameters


def utf8(text: str) -> bytes:
    """The text as bytes.

    Raises:
        Stop: it holds lone surrogates, as JSON can.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Stop("SQL_ERROR", "the text holds half a surrogate pair, which is no character") from None

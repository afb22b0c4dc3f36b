"""What the text of an agent's SQL shows before SQLite sees it, and the lists of what it may use.

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


_WEIGHTS = {
    1: """abs avg ceil ceiling char coalesce concat concat_ws count cume_dist current_date current_time current_timestamp
        date datetime dense_rank first_value floor format group_concat hex if ifnull iif julianday lag last_value lead
        length likelihood likely lower ltrim max min mod nth_value ntile nullif octet_length percent_rank pi pow power
        printf quote rank round row_number rtrim sign sqrt string_agg substr substring sum time timediff total trim trunc
        typeof unicode unixepoch unlikely upper zeroblob""",
    4: "strftime",
    5: """-> ->> json json_array json_array_length json_error_position json_extract json_group_array json_group_object
        json_insert json_object json_quote json_remove json_replace json_set json_type json_valid""",
    10: "glob instr like replace",
}
FUNCTIONS = {name: weight for weight, names in _WEIGHTS.items() for name in names.split()}
"""The functions an agent may call, and by how much each makes its steps fewer.  Left out are those whose answer depends
on chance, on the machine, on its mathematics library or on other calls, and those whose work grows with the square of a text."""

TABLE_FUNCTIONS = frozenset({"json_each", "json_tree"})

READING = frozenset({"SELECT", "VALUES", "WITH"})
WRITING = frozenset({"INSERT", "UPDATE", "DELETE"})
DATES = {"date": 1, "time": 1, "datetime": 1, "julianday": 1, "unixepoch": 1, "strftime": 2}
"""Functions of time -> the position of their first modifier."""
TRIMS = frozenset({"trim", "ltrim", "rtrim"})
_CALLS = frozenset({*DATES, *TRIMS})
HIDDEN = frozenset({"rowid", "_rowid_", "oid"})
ZONES = ("localtime", "utc")
"""Modifiers that ask for the time zone of the machine."""

_WORD = r"[A-Za-z0-9_$\x80-\U0010ffff]"
_TOKEN = re.compile(
    rf"""(?:[ \t\n\f\r]++ | --[^\n]*+ | /\*(?:[^*]|\*(?!/))*+(?:\*/)?+)
    | ('[^']*+(?:''[^']*+)*+' | "[^"]*+(?:""[^"]*+)*+" | `[^`]*+(?:``[^`]*+)*+` | \[[^\]]*+\]
    | [$@:#](?:{_WORD}|::)*+(?:\([^)\s]*+\)?)? | {_WORD}++ | \|\| | .)""",
    re.VERBOSE | re.DOTALL,
)
"""One token as SQLite's own tokenizer cuts it, as far as quotes, comments and names go; spaces and comments are no group."""


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
    try:
        found = tuple([_statement(piece, tokens) for piece, tokens in _pieces(sql)])
    except Stop as stop:
        return stop.refused
    return found or Refused("SQL_ERROR", "there is no statement; write a SELECT")


def _pieces(sql: str) -> list[tuple[str, list[str]]]:
    """What stands between semicolons, each with its tokens."""
    tokens: list[str] = [t for t in _TOKEN.findall(sql) if t]
    if ";" not in tokens:
        return [(sql, tokens)] if tokens else []
    found, start, tokens = [], 0, []
    for match in _TOKEN.finditer(sql + ";"):
        if match[1] == ";":
            if tokens:
                found.append((sql[start : match.start()], tokens))
            start, tokens = match.end(), []
        elif match[1]:
            tokens.append(match[1])
    return found


def _statement(sql: str, tokens: list[str]) -> Statement:
    words = [t[1:-1].lower() if t[0] in '"`[' else t.lower() for t in tokens]
    names = frozenset(words)
    if "rollback" in names and ("or", "rollback") in pairwise(words):
        raise denied("OR ROLLBACK is not allowed; use OR ABORT or OR IGNORE")
    pairs = zip(words, words[1:], [*words[2:], ""], strict=False)
    if words[0] == "replace" or any(a == "or" and b == "replace" and c != "(" for a, b, c in pairs):
        raise denied("REPLACE is not allowed; use ON CONFLICT (...) DO UPDATE, or UPDATE")
    by_parameter = not names.isdisjoint(_CALLS) and _calls(tokens, words)
    return Statement(sql, words[0].upper(), names, by_parameter)


def _calls(tokens: list[str], words: list[str]) -> bool:
    """Whether a modifier of a date function is a parameter.

    Raises:
        Stop: an argument of a date function or of trim() is not harmless for sure.
    """
    by_parameter = False
    for i, (word, after) in enumerate(pairwise(words)):
        if after != "(" or word not in _CALLS:
            continue
        arguments = list(_arguments(tokens, i + 2))
        if word in DATES:
            for modifier in arguments[DATES[word] :]:
                by_parameter |= _modifier(word, modifier)
        elif any(len(a) != 1 or a[0][0] != "'" or len(a[0]) > 20 for a in arguments[1:]):
            raise denied(f"the second argument of {word}() must be a literal of at most 18 characters")
    return by_parameter


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

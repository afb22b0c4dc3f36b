"""Arguments: what an agent gave for a tool, checked against its JSON Schema and turned into bound values.

The checks are those of JSON Schema, of the small part of it that tools use; a test holds them against the jsonschema
library.  Some things are refused beyond it: text with NUL or half surrogates, JSON that cannot be kept, dates that no
calendar has, blank text where some is needed, and a newline at the end of what has a pattern.  Of several mistakes the first
is told, with what was expected.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, TypeAlias

import orjson

from worlddb.tools.model import Error, JsonSchema, Param

Check: TypeAlias = Callable[[Any], "str | None"]
"""Gives what is wrong with a value ('expected an integer, got "x"', perhaps with a path in front), or None."""

LONGEST = 256_000
"""Bytes of JSON that the arguments of one call may have."""
_FORMATS = {
    "date": re.compile(r"\d{4}-\d{2}-\d{2}$"),
    "uuid": re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"),
}
MOMENT = r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2})?Z?$"
"""The pattern of a date and time as an argument; stored as 'YYYY-MM-DD HH:MM:SS', UTC."""
DAY_OR_MOMENT = r"^\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2})?Z?)?$"
"""The same in filters, where a day alone stands for its first moment, or as the end of a range for its last."""
TEXT_MAX = 4000
JSON_MOST = 20_000


class Refused(Exception):
    """Arguments that a tool does not take; never leaves this room."""

    def __init__(self, message: str, parameter: str = "", cure: str = "") -> None:
        super().__init__(message)
        self.error = Error(code="INVALID_ARGUMENT", message=message, parameter=parameter, cure=cure)


def shown(value: Any) -> str:
    """A value as the agent wrote it, cut to a readable length."""
    try:
        text = orjson.dumps(value).decode()
    except (TypeError, ValueError, RecursionError):  # nothing that JSON knows
        text = own_words(value, ascii)
    return text if len(text) <= 60 else f"{text[:57]}..."


def own_words(value: object, say: Callable[[object], str]) -> str:
    """What a value says of itself, by `repr` or `ascii`; its type where it is an object of the caller's that says nothing."""
    try:
        return say(value)
    except Exception:  # __repr__ is the caller's code: whatever it raises
        return f"a {type(value).__name__}"


# --- checks


def compile_check(schema: JsonSchema) -> Check:
    """The check of one schema."""
    names = schema.get("type", [])
    types = [names] if isinstance(names, str) else list(names)
    by_type = {t: _MAKERS[t](schema) for t in types}
    allowed = tuple(schema["enum"]) if "enum" in schema else None
    expected = _expected(types, schema)

    def check(value: Any) -> str | None:
        name = _type_of(value)
        if name == "integer" and "integer" not in by_type and "number" in by_type:
            name = "number"
        elif name == "number" and "number" not in by_type and "integer" in by_type and value == int(value):
            name = "integer"
        if name not in by_type:
            return f"expected {expected}, got {shown(value)}"
        if allowed is not None and value not in allowed:
            return f"expected {expected}, got {shown(value)}"
        return by_type[name](value)

    return check


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number" if value - value == 0 else "not a number"
    names: dict[type, str] = {str: "string", list: "array", tuple: "array", dict: "object"}
    return names.get(type(value), type(value).__name__)


_A = {
    "integer": "an integer", "number": "a number", "string": "a string", "boolean": "true or false", "array": "a list",
    "object": "an object", "null": "null",
}  # fmt: skip


def _expected(types: list[str], schema: JsonSchema) -> str:
    if "enum" in schema:
        return f"one of {', '.join(shown(v) for v in schema['enum'])}"
    words = " or ".join(_A[t] for t in types)
    if schema.get("format"):
        words += f" ({schema['format']})"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{words} from {low} to {high}"
    return (
        f"{words} of at least {low}" if low is not None else f"{words} of at most {high}" if high is not None else words
    )


def _nothing(schema: JsonSchema) -> Check:
    return lambda value: None


def _number(schema: JsonSchema) -> Check:
    low, high = schema.get("minimum"), schema.get("maximum")

    def check(value: Any) -> str | None:
        if low is not None and value < low:
            return f"must be at least {low}, got {shown(value)}"
        if high is not None and value > high:
            return f"must be at most {high}, got {shown(value)}"
        return None if -(2**63) <= value < 2**63 else f"is too large: {shown(value)}"

    return check


def _string(schema: JsonSchema) -> Check:
    pattern = re.compile(schema["pattern"], re.ASCII) if "pattern" in schema else None
    shape = schema.get("format", "")
    least, most = schema.get("minLength", 0), schema.get("maxLength", TEXT_MAX)

    def check(value: str) -> str | None:
        if not least <= len(value) <= most:
            return f"must have {least} to {most} characters, got {len(value)}"
        if "\0" in value or not _encodes(value):
            return "holds characters that are no text"
        if least and not value.strip():
            return "must not be blank"
        if shape == "date" or (pattern is not None and pattern.pattern in (MOMENT, DAY_OR_MOMENT)):
            return _calendar(value, shape, pattern)
        if pattern is not None and (not pattern.search(value) or value.endswith("\n")):
            return f"must match {pattern.pattern}, got {shown(value)}"
        if shape in _FORMATS and not _FORMATS[shape].match(value):
            return f"expected a {shape}, got {shown(value)}"
        return None

    return check


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _calendar(value: str, shape: str, pattern: re.Pattern[str] | None) -> str | None:
    try:
        if shape == "date":
            if _FORMATS["date"].match(value):
                date.fromisoformat(value)
                return None
        elif pattern is not None and pattern.search(value) and not value.endswith("\n"):
            datetime.fromisoformat(value.removesuffix("Z"))
            return None
    except ValueError:
        pass
    return f"expected a date such as 2024-03-01{'' if shape else ' 14:30:00'}, got {shown(value)}"


def _array(schema: JsonSchema) -> Check:
    item = compile_check(schema["items"])
    least, most = schema.get("minItems", 0), schema.get("maxItems", 1000)
    unique = schema.get("uniqueItems", False)

    def check(value: list[Any]) -> str | None:
        if not least <= len(value) <= most:
            return f"must have {least} to {most} items, got {len(value)}"
        for at, one in enumerate(value):
            if wrong := item(one):
                return f"[{at}]{_joint(wrong)}{wrong}"
        if unique and len({orjson.dumps(v) for v in value}) < len(value):
            return "holds an item twice"
        return None

    return check


def _object(schema: JsonSchema) -> Check:
    fields = {name: compile_check(s) for name, s in schema.get("properties", {}).items()}
    required = schema.get("required", ())
    closed = schema.get("additionalProperties", True) is False

    def check(value: dict[Any, Any]) -> str | None:
        for name, one in value.items():
            if name not in fields:
                if closed or not isinstance(name, str):
                    return f".{_legible(name)} is unknown; expected {', '.join(fields) or 'nothing'}"
                continue
            if wrong := fields[name](one):
                return f".{name}{_joint(wrong)}{wrong}"
        lost = [name for name in required if name not in value]
        return f".{lost[0]} is missing" if lost else None

    return check


def _legible(name: Any) -> str:
    """A name of the agent's that can be told again, whatever it is."""
    text = str(name)[:80] if isinstance(name, str | int) else shown(name)
    return text if _encodes(text) and "\0" not in text else ascii(text)[1:-1]


def _joint(wrong: str) -> str:
    """What stands between a step of a path and the rest: nothing before a further step, a space before the words."""
    return "" if wrong[0] in ".[" else " "


_MAKERS: dict[str, Callable[[JsonSchema], Check]] = {
    "null": _nothing, "boolean": _nothing, "integer": _number, "number": _number, "string": _string, "array": _array,
    "object": _object,
}  # fmt: skip


# --- values to bind


def _moment(value: str) -> str:
    text = value.removesuffix("Z").replace("T", " ")
    return text + {19: "", 16: ":00", 10: " 00:00:00"}[len(text)]


def _last_moment(value: str) -> str:
    return f"{value} 23:59:59" if len(value) == 10 else _moment(value)


def _like(value: str) -> str:
    return "%" + re.sub(r"([%_\\])", r"\\\1", value.strip()) + "%"


def _json_text(value: Any) -> str:
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except (TypeError, ValueError, RecursionError):
        raise Refused(
            "a value holds what JSON cannot keep: a large number, half a character, or too many levels"
        ) from None
    if len(text) > JSON_MOST:
        raise Refused(f"a value has {len(text)} characters as JSON; at most {JSON_MOST} are taken")
    return text


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "flag": int,
    "datetime": _moment,
    "datetime_end": _last_moment,
    "text": str.strip,
    "like": _like,
    "json": lambda v: _json_text(v),
    "keys": lambda v: orjson.dumps(list(dict.fromkeys(v))).decode(),
}


def encode_cursor(offset: int) -> str:
    """The opaque token of a place in a list."""
    return base64.urlsafe_b64encode(f"at:{offset}".encode()).decode().rstrip("=")


def decode_cursor(token: str) -> int | None:
    """The place that a token stands for; None for what is no token of ours."""
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except ValueError:
        return None
    head, _, number = text.partition(":")
    offset = int(number) if head == "at" and number.isascii() and number.isdigit() and len(number) < 10 else None
    return offset if offset is not None and encode_cursor(offset) == token else None


class Reader:
    """Reads the arguments of one tool."""

    def __init__(self, params: tuple[Param, ...], least: int = 0) -> None:
        self._least = least
        self._params = {p.name: (p, compile_check(p.schema)) for p in params if not p.hidden}
        self._required = tuple(p.name for p in params if p.required)
        every = (*params, *(f for p in params if p.convert == "spread" for f in p.fields))
        self._absent = {p.key: p.default for p in every if p.default is not None or p.binds_null}
        self._page = next((p.key for p in params if p.convert == "page"), "")

    def read(self, arguments: Any) -> dict[str, Any]:
        """The values to bind, by parameter key.

        Raises:
            Refused: with what is wrong.
        """
        given = self._object(arguments)
        binds = self._absent.copy()
        for name, value in given.items():
            known = self._params.get(name)
            if known is None:
                raise self._unknown(name)
            param, check = known
            if wrong := check(value):
                raise _refusal(name, wrong)
            if param.convert == "spread":
                names = {f.name: f for f in param.fields}
                binds.update({names[n].key: _bind(names[n], one) for n, one in value.items()})
            else:
                binds[param.key] = _bind(param, value)
        for name in self._required:
            if name not in given:
                description = self._params[name][0].schema.get("description", "")
                raise Refused(f"{name} is missing", name, f"Give {name}: {description}" if description else "")
        if len(given) < self._least:
            optional = [n for n in self._params if n not in self._required]
            raise Refused(f"give at least one of {', '.join(optional)}", cure="Say what should change.")
        if self._page:
            binds["offset"] = (binds.get(self._page, 1) - 1) * binds["limit"]
        return binds

    def _object(self, arguments: Any) -> dict[str, Any]:
        if isinstance(arguments, str | bytes):
            if len(arguments) > LONGEST:
                raise Refused(f"the arguments are longer than {LONGEST} bytes")
            try:
                arguments = orjson.loads(arguments or b"{}")
            except orjson.JSONDecodeError as error:
                raise Refused(f"the arguments are no JSON: {error}") from None
        if arguments is None:
            return {}
        if not isinstance(arguments, dict):
            raise Refused(f"the arguments must be an object, got {shown(arguments)}")
        return arguments

    def _unknown(self, name: Any) -> Refused:
        import difflib

        known, told = list(self._params), _legible(name)
        near = difflib.get_close_matches(told, known, n=1)
        words = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known) or 'no parameters'}"
        return Refused(f"there is no parameter {shown(told)}; {words}", told if near else "")


def _refusal(name: str, wrong: str) -> Refused:
    if wrong[0] not in ".[":
        return Refused(f"{name} {wrong}" if wrong[:8] != "expected" else f"{name}: {wrong}", name)
    step, _, rest = wrong.partition(" ")
    return Refused(f"{name}{step} {rest}" if rest[:8] != "expected" else f"{name}{step}: {rest}", name + step)


def _bind(param: Param, value: Any) -> Any:
    if value is None:
        return None
    if param.convert == "cursor":
        offset = decode_cursor(value)
        if offset is None:
            raise Refused(
                f"{param.name} is no cursor of this tool", param.name, "Leave it out to start at the beginning."
            )
        return offset
    if param.fields:
        return [_item(param, one) for one in value]
    if param.values:
        value = [param.values.get(v, v) for v in value] if isinstance(value, list) else param.values.get(value, value)
    if isinstance(value, float) and param.schema.get("type") in ("integer", ["integer", "null"]):
        return int(value)
    convert = _CONVERT.get(param.convert)
    return convert(value) if convert else value


def _item(param: Param, given: dict[str, Any]) -> dict[str, Any]:
    """The bound values of one item of an array of objects, by `item_<field>`."""
    found = {f"item_{f.key}": f.default for f in param.fields}
    names = {f.name: f for f in param.fields}
    for name, value in given.items():
        found[f"item_{names[name].key}"] = _bind(names[name], value)
    return found

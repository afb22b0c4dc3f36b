"""Tools, answers and row changes as lines of text for people, and row changes as data for scripts.

Everything here is pure: nouns in, lines out.  A line of a change begins with its sign, by which a terminal colours it:
`+` a new row, `-` a row that is gone, `~` a value that differs.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from worlddb.schema.model import Schema, Table
from worlddb.tools.arguments import DAY_OR_MOMENT, MOMENT, shown
from worlddb.tools.choose import faults
from worlddb.tools.model import KINDS, Fault, JsonSchema, Result, Tool
from worlddb.tools.refused import rule_name
from worlddb.tools.words import Vocabulary, article, plain, sentence
from worlddb.world.diff import Change, Diff, Row

SIGNS = {"insert": "+", "update": "~", "delete": "-"}
CELL = 40
"""Characters that one cell of a table may have."""
GAP = "  "
WIDTH = 110
"""Where the texts about one tool are wrapped."""
TABLE = 118
"""Where a table of tools ends if no terminal says how wide it is."""
LEAST, MOST = 24, 22
"""Characters that a table of tools leaves for what a tool does, and those that each of its other texts gets at most."""


# --- row changes


def diff_lines(schema: Schema, changes: Iterable[Change]) -> list[str]:
    """Row changes as lines: `+ bookings 513: guest_id: 31, …`, `~ bookings 42: status: "held" -> "confirmed"`."""
    return [line for change in changes for line in _change_lines(schema, change)]


def _change_lines(schema: Schema, change: Change) -> Iterator[str]:
    table = schema[change.table]
    start = f"{SIGNS[change.op]} {table.name} {'/'.join(map(str, change.key))}"
    if change.before is not None and change.after is not None:
        for column, old, new in zip(table.columns, change.before, change.after, strict=True):
            if old != new:
                yield f"{start}: {column.name}: {shown(old)} -> {shown(new)}"
        return
    row = change.after if change.before is None else change.before
    known = zip(table.columns, row or (), strict=True)
    told = [f"{c.name}: {shown(v)}" for c, v in known if v is not None and c.key not in table.primary_key]
    yield f"{start}: {', '.join(told)}" if told else start


def diff_summary(diff: Diff | Sequence[Change]) -> str:
    """How many rows changed, in words: '3 rows changed: 1 inserted, 2 updated'."""
    changes = diff.changes if isinstance(diff, Diff) else diff
    counts = Counter(c.op for c in changes)
    words = {"insert": "inserted", "update": "updated", "delete": "deleted"}
    told = ", ".join(f"{counts[op]} {word}" for op, word in words.items() if counts[op])
    return f"{len(changes)} row{'s' * (len(changes) != 1)} changed: {told}" if changes else "no rows changed"


def change_data(schema: Schema, change: Change) -> dict[str, Any]:
    """One row change for scripts: {op, table, key: {column: value}, before: {column: value} or None, after: the same}."""
    table = schema[change.table]
    key = {table[k].name: _plain(v) for k, v in zip(table.primary_key, change.key, strict=True)}
    before, after = _row_data(table, change.before), _row_data(table, change.after)
    return {"op": change.op, "table": table.name, "key": key, "before": before, "after": after}


def _row_data(table: Table, row: Row | None) -> dict[str, Any] | None:
    return None if row is None else {c.name: _plain(v) for c, v in zip(table.columns, row, strict=True)}


def _plain(value: Any) -> Any:
    """A stored value as JSON knows it; a blob as SQL writes it."""
    return f"x'{value.hex()}'" if isinstance(value, bytes) else value


# --- answers


def answer_data(result: Result) -> Any:
    """What the agent reads, as data."""
    return orjson.loads(result.json)


def pretty(data: Any) -> str:
    """Any answer as indented JSON."""
    return orjson.dumps(data, option=orjson.OPT_INDENT_2).decode()


def answer_lines(data: Any, width: int = 0, items: str = "") -> list[str]:
    """An answer as people read it: rows as tables, everything else a field a line.

    `items` names the list that is the answer itself; what stands beside it is then told in a last line.  `width` is that
    of the terminal, in characters; 0 cuts nothing off.
    """
    if not isinstance(data, dict):
        return pretty(data).splitlines()
    if items in data and _is_rows(data[items]):
        return _rows_lines(data[items], width) + _rest({k: v for k, v in data.items() if k != items})
    if isinstance(data.get("columns"), list) and isinstance(data.get("rows"), list):
        found = table_lines([str(c) for c in data["columns"]], data["rows"], width)
        return found + _rest({k: v for k, v in data.items() if k not in ("columns", "rows")})
    if len(data) == 1 and isinstance(row := next(iter(data.values())), dict):  # one row in an envelope
        return answer_lines(row, width)
    lists = {k: v for k, v in data.items() if v and _is_rows(v)}
    margin = max((len(k) for k in data if k not in lists), default=0)
    lines = [f"{k.ljust(margin)}{GAP}{_line(v)}" for k, v in data.items() if k not in lists]
    for name, rows in lists.items():
        lines += [f"{name}:", *(f"{GAP}{line}" for line in _rows_lines(rows, max(width - len(GAP), 0)))]
    return lines


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, dict) for v in value)


def _rows_lines(rows: list[dict[str, Any]], width: int) -> list[str]:
    columns = list(dict.fromkeys(k for row in rows for k in row))
    return table_lines(columns, [[row.get(c) for c in columns] for row in rows], width) if rows else ["(none)"]


def _rest(data: dict[str, Any]) -> list[str]:
    return [f"({', '.join(f'{k}: {_line(v)}' for k, v in data.items())})"] if data else []


def _line(value: Any) -> str:
    """A value on one line: text as it stands, but without what would steer a terminal; everything else as JSON."""
    if not isinstance(value, str):
        return orjson.dumps(value).decode()
    return "".join(c if c.isprintable() else "�" for c in " ".join(value.split()))


def table_lines(columns: Sequence[str], rows: Sequence[Sequence[Any]], width: int = 0) -> list[str]:
    """Rows under their column names, numbers to the right.  Columns beyond `width` are named in a last line instead."""
    cells = [["" if v is None else _cut(_line(v)) for v in row] for row in rows]
    widths = [max(len(c), *(len(row[i]) for row in cells)) if cells else len(c) for i, c in enumerate(columns)]
    right = [bool(rows) and all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(columns))]
    fit = len(columns)
    while width and fit > 1 and sum(widths[:fit]) + len(GAP) * (fit - 1) > width:
        fit -= 1

    def line(values: Sequence[str]) -> str:
        found = zip(values[:fit], widths, right, strict=False)
        return GAP.join(v.rjust(w) if r else v.ljust(w) for v, w, r in found).rstrip()

    lines = [line(columns), line(["─" * w for w in widths]), *map(line, cells)]
    return lines if fit == len(columns) else [*lines, f"(not shown: {', '.join(columns[fit:])})"]


def _cut(text: str, most: int = CELL) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


# --- tools


def tool_row(tool: Tool, schema: Schema) -> dict[str, str]:
    """What a table of tools says of one: name, kind, writes, required arguments, and what it does."""
    return {
        "tool": tool.name, "kind": tool.kind, "writes": writes_text(tool, schema),
        "required": ", ".join(tool.parameters.get("required", ())), "what it does": tool.description,
    }  # fmt: skip


def writes_text(tool: Tool, schema: Schema) -> str:
    """The tables that a call may change, with the signs of changes: '+~bookings ~rooms'."""
    signs: dict[str, set[str]] = {}
    for table, op in tool.writes:
        signs.setdefault(schema[table].name, set()).add(SIGNS[op])
    return " ".join(f"{''.join(s for s in SIGNS.values() if s in ops)}{name}" for name, ops in signs.items())


def tools_lines(tools: Iterable[Tool], schema: Schema, width: int = TABLE) -> list[str]:
    """A table of tools, at most `width` wide: long cells are cut, and columns that leave no room are named in a last line.

    What a tool is called is never cut.
    """
    rows = [tool_row(t, schema) for t in tools]
    if not rows:
        return []
    widths = {c: max(len(c), *(len(row[c]) for row in rows)) for c in rows[0]}
    hidden = []
    while _room(widths, width) < LEAST and len(widths) > 2:
        hidden.append(next(c for c in ("required", "writes", "what it does") if c in widths))
        del widths[hidden[-1]]
    if "what it does" in widths:
        widths["what it does"] = max(min(widths["what it does"], _room(widths, width)), LEAST)
    for column in ("writes", "required"):
        if column in widths:
            widths[column] = min(widths[column], MOST)
    lines = [
        GAP.join(_cut(cells[c], w).ljust(w) for c, w in widths.items()).rstrip()
        for cells in ({c: c for c in widths}, {c: "─" * w for c, w in widths.items()}, *rows)
    ]
    return [*lines, f"(not shown: {', '.join(reversed(hidden))})"] if hidden else lines


def _room(widths: dict[str, int], width: int) -> int:
    """What is left for the last column beside the others, of which two may be cut."""
    others = (min(w, MOST) if c in ("writes", "required") else w for c, w in widths.items() if c != "what it does")
    return width - sum(others) - len(GAP) * (len(widths) - 1)


def kinds_text(tools: Iterable[Tool]) -> str:
    """How many tools there are of each kind: '31 tools: 8 get, 6 list, …'."""
    counts = Counter(t.kind for t in tools)
    total = sum(counts.values())
    told = ", ".join(f"{counts[k]} {k}" for k in KINDS if counts[k])
    return f"{total} tool{'s' * (total != 1)}: {told}" if total else "no tools"


def tool_lines(tool: Tool, schema: Schema) -> list[str]:
    """All that there is to say of one tool: parameters, answer, what it writes, what may refuse it."""
    writes = writes_text(tool, schema)
    head = f"{tool.name} ({tool.kind}; {f'writes {writes}' if writes else 'reads only'})"
    lines = [*_wrapped(head, "", GAP), *_wrapped(tool.description, "", "")]
    required = set(tool.parameters.get("required", ()))
    params = [(n + "*" * (n in required), _about(s)) for n, s in tool.parameters.get("properties", {}).items()]
    least = f"; give at least {tool.least}" if tool.least > len(required) else ""
    lines += _section(f"Parameters (* required{least})", params)
    lines += _section("Answer", [(n, _about(s)) for n, s in _fields(tool.returns)])
    found = [*faults(tool.steps), *([tool.reply.missing] if tool.read_only and tool.reply.missing else [])]
    lines += _section("Errors", [(f.code, _told(f, tool)) for f in dict.fromkeys(found)])
    if tool.rules:
        lines += ["", "Rules"]
    for rule in _rules(tool, schema):
        lines += _wrapped(rule, GAP, GAP * 2)
    return lines


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    """A text in lines, the first and the others set in so far."""
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _rules(tool: Tool, schema: Schema) -> Iterator[str]:
    """The rules that may refuse a call, as sentences; those that are no sentence of the schema with their names."""
    says = {rule_name(r, r.table): sentence(r.say) for r in schema.rules}
    own = {f.rule: _filled(f.message, tool) for f in reversed([*faults(tool.steps)]) if f.rule}
    words = Vocabulary(schema)
    for rule in tool.rules:
        kind, _, table = rule.partition(":")
        if rule in says:
            yield says[rule]
        elif rule in own:
            yield f"{own[rule]} [{rule}]"
        elif kind == "move" and table in schema:
            yield f"{_moved(schema[table], words)} [{rule}]"
        else:
            yield rule


def _moved(table: Table, words: Vocabulary) -> str:
    """The sentence of the law that keeps states to their moves."""
    column = words.column_label(table.key, table.lifecycle.column) if table.lifecycle else "state"
    return f"The {column} of {article(words.label(table.key))} changes only as its moves allow."


def _section(title: str, rows: Sequence[tuple[str, str]]) -> list[str]:
    """A title, and under it a name and a text for each row, the text wrapped beside its name; nothing without rows."""
    if not rows:
        return []
    margin = max(len(name) for name, _ in rows) + 2 * len(GAP)
    found = ["", title]
    for name, text in rows:
        first, *more = textwrap.wrap(text, max(WIDTH - margin, 40), break_on_hyphens=False) or [""]
        found += [f"{GAP}{name}".ljust(margin) + first, *(" " * margin + line for line in more)]
    return [line.rstrip() for line in found]


def _about(schema: JsonSchema) -> str:
    """What a value is, and of what kind."""
    text = schema.get("description", "")
    if "default" in text:
        schema = {k: v for k, v in schema.items() if k != "default"}
    return f"{text} [{schema_text(schema)}]".strip()


def schema_text(schema: JsonSchema) -> str:
    """A JSON Schema in words: 'integer, 1 to 100, default 20', 'one of held, confirmed, or null', 'list of text'."""
    if "type" not in schema and "enum" not in schema:
        return " or ".join(schema_text(s) for s in schema.get("anyOf", ())) or "anything"
    types = schema.get("type", "string")
    names = [types] if isinstance(types, str) else list(types)
    options = [v for v in schema.get("enum", ()) if v is not None]
    if options:
        words = f"one of {', '.join(_line(v) for v in options)}"
    else:
        words = " or ".join(_type_text(n, schema) for n in names if n != "null")
    words += " or null" if words and "null" in names else "null" if "null" in names else ""
    words += "".join(f", {bound}" for bound in _bounds(schema))
    return f"{words}, default {_line(schema['default'])}" if schema.get("default") is not None else words


def _type_text(name: str, schema: JsonSchema) -> str:
    if name == "array":
        return f"list of {schema_text(schema['items'])}" if "items" in schema else "list"
    if name == "object" and schema.get("properties"):
        required = schema.get("required", ())
        names = ", ".join(k + "*" * (k in required) for k in schema["properties"])
        return f"{{{names}}}"
    if name != "string":
        return name
    if "format" in schema:
        return _FORMATS.get(schema["format"], str(schema["format"]))
    return _PATTERNS.get(schema.get("pattern", ""), "text")


_FORMATS = {"uuid": "UUID", "email": "e-mail address", "date-time": "date and time"}
_PATTERNS = {
    MOMENT: "date and time", DAY_OR_MOMENT: "date, or date and time", r"^([01]\d|2[0-3]):[0-5]\d$": "time of day",
    "^[A-Z]{2}$": "2 capital letters", "^[A-Z]{3}$": "3 capital letters",
}  # fmt: skip
"""What the patterns of the schemas mean; others are shown as they are."""
_NUMBERED = re.compile(r"\^([\w-]+)\[0-9\]\+\$")


def _bounds(schema: JsonSchema) -> Iterator[str]:
    for low, high, unit in (
        ("minimum", "maximum", ""),
        ("minItems", "maxItems", "item"),
        ("minProperties", "", "field"),
    ):
        least, most = schema.get(low), schema.get(high)
        if least is not None or most is not None:
            limits = (
                f"at least {least}" if most is None else f"at most {most}" if least is None else f"{least} to {most}"
            )
            counted = f" {unit}{'s' * ((most or least) != 1)}" if unit else ""
            yield f"{limits}{counted}"
    pattern = schema.get("pattern", "")
    if numbered := _NUMBERED.fullmatch(pattern):
        yield f"such as {numbered[1]}12"
    elif pattern and pattern not in _PATTERNS:
        yield f"matches {pattern}"


def _fields(schema: JsonSchema, path: str = "") -> Iterator[tuple[str, JsonSchema]]:
    """Path and schema of every value in an answer."""
    for name, inner in schema.get("properties", {}).items():
        items = inner.get("items", {})
        if "properties" in items:
            yield from _fields(items, f"{path}{name}[].")
        else:
            yield f"{path}{name}", inner


def _told(fault: Fault, tool: Tool) -> str:
    """The message of an error and its cure, with words where a call's own values will stand."""
    return _filled(f"{fault.message} {fault.cure}".strip(), tool)


_HOLES = {
    "state": "<its state>", "at": "<its ID>", "lost": "<its ID>", "first": "<its ID>", "n": "<number>", "many": "<number>",
    "was": "<its value>", "after": "<the new value>", "other": "<another one>", "ways": "…", "why": "…",
}  # fmt: skip
"""What stands in the text about an error for what its query finds; whole clauses are left open."""


def _filled(template: str, tool: Tool) -> str:
    """A message with `<name>` for the arguments of the call, and words for what the tool finds out itself."""
    names = {p.key: p.name for p in tool.params}
    names |= {f"item_{f.key}": f.name for p in tool.params for f in p.fields}

    def word(hole: re.Match[str]) -> str:
        key = hole[1]
        if key in names:
            return f"<{names[key]}>"
        before, was, after = key.rpartition("was_")
        return (
            _HOLES.get(key) or f"<{'its ' if was else ''}{plain(before.strip('_') + '_' + after if before else after)}>"
        )

    return re.sub(r"\{(\w+)[^}]*\}", word, template)

"""What a new colleague would be given to read: a world's handbook and the description of its data, as Markdown.

Everything is told in the words of the world's API: entities by their nouns, fields by the names that the tools show.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from worlddb.schema.ddl import ddl
from worlddb.schema.model import ForeignKey, Lifecycle, Schema, Table
from worlddb.tools.model import Field, JsonSchema, Reply
from worlddb.tools.toolset import Toolset
from worlddb.tools.words import Vocabulary, article, listing, plain, plural, sentence

_UNITS = """\
- Amounts of money are whole numbers of the currency's minor unit: 1234 is 12.34. Other units stand with their field.
- Moments are 'YYYY-MM-DD HH:MM:SS' in UTC ('2026-03-09 14:05:00'), dates 'YYYY-MM-DD', times of day 'HH:MM' in local time.
- The system has a clock of its own, by which 'now' and 'today' are meant. Time stands still while you look; each change takes a
  minute, and a call that is refused takes none."""

_ERRORS = """\
A call that is refused changes nothing, and answers with an object of this form:

    {"error": {"code": "NOT_FOUND", "message": "what is wrong", "cure": "what to do about it"}}

It may also have a 'parameter', the argument that is to blame, and a 'rule', the name of the rule behind it. The codes:

- UNKNOWN_TOOL: there is no tool of that name.
- INVALID_ARGUMENT: an argument is missing, unknown, or of the wrong form.
- NOT_FOUND: nothing has that key.
- RULE_VIOLATION: a rule of the business, or the state that something is in, forbids it.
- CONFLICT: it is taken, overlaps, or is still in use.
- FORBIDDEN: it is frozen, or not for you to change."""

_SQL_ERRORS = """
- SQL_ERROR, SQL_NOT_ALLOWED: the statement is wrong, or does what is not allowed here.
- SQL_BUDGET_EXCEEDED, SQL_TOO_LARGE: the statement works too long, or answers too much; ask for less."""


def handbook(schema: Schema, toolset: Toolset) -> str:
    """What the business is, its entities, states and rules, the units, and how errors look."""
    words = Vocabulary(schema)
    parts = [
        f"# {schema.title}", schema.summary, "## Units and time", _UNITS,
        "## What there is", *(_entity(schema, words, t) for t in schema.tables),
        *_rules(schema, words),
        "## Errors", _ERRORS + (_SQL_ERRORS if has_sql(toolset) else ""),
    ]  # fmt: skip
    return "\n\n".join(p for p in parts if p) + "\n"


def _rules(schema: Schema, words: Vocabulary) -> list[str]:
    """The rules as sentences, with what their words mean where the tools have others; nothing where there are none."""
    if not schema.rules:
        return []
    told = "\n".join(f"- {sentence(r.say)}" for r in schema.rules)
    parts = ["## Rules of the business", "The system refuses whatever would break one of these.", told]
    if others := _other_words(schema, words):
        meant = "\n".join(f"- '{rule}' is called {tool} here" for rule, tool in others)
        parts += ["The rules, and what a refusal quotes of them, use some words that the tools do not:", meant]
    return parts


def _other_words(schema: Schema, words: Vocabulary) -> list[tuple[str, str]]:
    """(word of the rules, word of the tools) for every entity of which a rule speaks by another word than the tools."""
    tables = {form: t.key for t in schema.tables for form in (plain(t.key), plural(plain(t.key)))}
    longest = sorted(tables, key=len, reverse=True)  # a 'room type' is no room
    spoken = re.compile(rf"\b({'|'.join(map(re.escape, longest))})\b", re.IGNORECASE)
    found = {tables[word.lower()] for r in schema.rules for word in spoken.findall(r.say) if word.lower() in tables}
    pairs = ((plain(t.key), words.label(t.key)) for t in schema.tables if t.key in found)
    return [(rule, tool) for rule, tool in pairs if rule != tool]


def schema_text(schema: Schema, toolset: Toolset) -> str:
    """How the data is shaped: the CREATE statements where the toolset has SQL, else every entity with its fields."""
    if has_sql(toolset):
        return "".join(f"{statement};\n\n" for statement in ddl(schema)).rstrip() + "\n"
    words, shown = Vocabulary(schema), fields_shown(toolset)
    parts = [f"# {schema.title}: entities and their fields"]
    for table in schema.tables:
        own = [shown[table.key, c.key] for c in table.columns if (table.key, c.key) in shown]
        parts += [f"## {_heading(words, table)}", "\n".join(_field(f) for f in own) or "No tool shows its fields."]
    return "\n\n".join(parts) + "\n"


def has_sql(toolset: Toolset) -> bool:
    """Whether the agent can write SQL."""
    return any(t.kind == "sql" for t in toolset)


def fields_shown(toolset: Toolset) -> dict[tuple[str, str], Field]:
    """(table key, column key) -> the field by which tools show that column; those about the table itself say it best."""
    found: dict[tuple[str, str], Field] = {}
    for own in (True, False):
        for tool in toolset:
            for field in _fields(tool.reply):
                if (field.table == tool.table) is own and field.column:
                    found.setdefault((field.table, field.column), field)
    return found


def _fields(reply: Reply) -> Iterator[Field]:
    yield from reply.fields
    for _, inner in reply.nested:
        yield from _fields(inner)


def _entity(schema: Schema, words: Vocabulary, table: Table) -> str:
    """One entity: what it belongs to, what belongs to it, and its states."""
    lines = [f"### {_heading(words, table)}"]
    if table.foreign_keys:
        lines.append(f"Refers to: {'; '.join(_parent(words, table, f) for f in table.foreign_keys)}.")
    gone = [words.labels(t.key) for t, f in schema.children[table.key] if f.on_delete == "CASCADE" and t is not table]
    if gone:
        lines.append(f"With {article(words.label(table.key))} go its {listing(list(dict.fromkeys(gone)), 'and')}.")
    if table.lifecycle:
        lines.append(_states(words, table, table.lifecycle))
    return "\n\n".join(lines)


def _heading(words: Vocabulary, table: Table) -> str:
    """The plural, and the word that the rules use for it where that is another one."""
    label, meant = words.label(table.key), plain(table.key)
    many = words.labels(table.key)
    return f"{many[:1].upper()}{many[1:]}{f' (also called {meant})' if meant != label else ''}"


def _parent(words: Vocabulary, table: Table, key: ForeignKey) -> str:
    """'gadget', 'driver (refuse worker, optional)'."""
    role = words.column_label(table.key, key.columns[0]) if len(key.columns) == 1 else plain(key.key)
    label = words.label(key.table)
    notes = [label] * (role not in (label, "id")) + ["optional"] * key.nullable
    return (label if role == "id" else role) + (f" ({', '.join(notes)})" if notes else "")


def _states(words: Vocabulary, table: Table, machine: Lifecycle) -> str:
    """The first state, and every move with the verb of it."""
    column, verbs = words.column_label(table.key, machine.column), words.moves(table.key)
    lines = [f"Its {column} is first '{machine.initial}', and then goes:", ""]
    for state in machine.states:
        ways = [f"'{after}' ({verbs[state, after].phrase})" for after in machine.exits(state)]
        lines.append(f"- from '{state}' to {listing(ways)}" if ways else f"- '{state}' is final")
    return "\n".join(lines)


def _field(field: Field) -> str:
    text = str(field.schema.get("description", ""))
    return f"- {field.name} ({_type(field.schema)}){f': {text}' if text else ''}"


def _type(schema: JsonSchema) -> str:
    """A JSON Schema in a few words: 'string, date, may be null'."""
    types = [schema["type"]] if isinstance(schema.get("type"), str) else list(schema.get("type", ["any"]))
    notes = [listing([t for t in types if t != "null"])]
    notes += [str(schema["format"])] if "format" in schema else []
    notes += ["one of " + ", ".join(str(v) for v in schema["enum"] if v is not None)] if "enum" in schema else []
    notes += ["may be null"] if "null" in types else []
    return ", ".join(notes)

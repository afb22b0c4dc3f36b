"""A schema for people: a tree for the terminal, a Mermaid ER diagram, and (see diagram_svg) an SVG."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from worlddb.schema.diagram_svg import svg
from worlddb.schema.model import Column, ForeignKey, Lifecycle, Schema, Table
from worlddb.semantics.types import semantic_type

__all__ = ["mermaid", "svg", "tree"]

WIDTH = 116
"""Characters after which a line of the tree is cut."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")
_RESERVED = frozenset({
    "one", "only", "zero", "many", "more", "or", "to", "optionally", "erdiagram", "title", "direction", "style",
    "class", "classdef", "end", "u", "o", "tb", "bt", "lr", "rl", "td", "acctitle", "accdescr", "default",
})  # fmt: skip
"""Words that Mermaid's grammar reads as its own, as an entity's name."""


def tree(schema: Schema, samples: Mapping[str, Sequence[object]] | None = None) -> str:
    """The schema as text: each table with its columns, keys, references, states, and below all of them the rules.

    Args:
        schema: any schema, grown or reflected.
        samples: table key -> one row (values in the order of the columns), shown beside the columns as an example.

    >>> from worlddb.schema.domains import expand, load_domain
    >>> print(tree(expand(load_domain("hotel"))).splitlines()[0].split(",")[0])
    Hotel
    """
    counts = [f"{len(schema.tables)} tables", f"{sum(1 for _ in schema.edges())} references"]
    counts += [f"{len(schema.rules)} rules"] if schema.rules else []
    counts += [schema.style] if schema.style else []
    lines = [f"{schema.title}, {', '.join(counts)}"]
    for table in schema.tables:
        last = table is schema.tables[-1] and not schema.rules
        lines += _branch(_head(table), _columns(schema, table, (samples or {}).get(table.key, ())), last=last)
    if schema.rules:
        lines += _branch("rules", [f"{schema[r.table].name}: {r.say}" for r in schema.rules], last=True)
    return "\n".join(_cut(line) for line in lines)


def _branch(head: str, leaves: Sequence[str], *, last: bool) -> Iterator[str]:
    yield f"{'└' if last else '├'}─ {head}"
    stem = "   " if last else "│  "
    for number, leaf in enumerate(leaves, 1):
        yield f"{stem}{'└' if number == len(leaves) else '├'}─ {leaf}"


def _cut(line: str) -> str:
    line = "".join(c if c.isprintable() else "�" for c in line)
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def _head(table: Table) -> str:
    return f"{table.name}  ({table.archetype})" if table.archetype else table.name


def _columns(schema: Schema, table: Table, sample: Sequence[object]) -> list[str]:
    """One line for each column: name, type, what is special about it, and an example."""
    refers = {c: f for f in table.foreign_keys for c in f.columns}
    name_width = max((len(c.name) for c in table.columns), default=0)
    words = [semantic_type(c.type).wording for c in table.columns]
    word_width = max(map(len, words), default=0)
    lines = []
    for number, (column, wording) in enumerate(zip(table.columns, words, strict=True)):
        notes = list(_notes(schema, table, column, refers.get(column.key)))
        if number < len(sample):
            notes.append(f"e.g. {sample[number]}")
        lines.append(f"{column.name:<{name_width}}  {wording:<{word_width}}  {', '.join(notes)}".rstrip())
    if table.lifecycle and (moves := _other_moves(table.lifecycle)):
        lines.append(f"other moves of {table[table.lifecycle.column].name}: {moves}")
    for keys in table.uniques:
        lines.append(f"unique together: {', '.join(table[k].name for k in keys)}")
    return lines


def _notes(schema: Schema, table: Table, column: Column, refers: ForeignKey | None) -> Iterator[str]:
    if column.key in table.primary_key:
        yield "key"
    if refers:
        yield f"-> {schema[refers.table].name}"
    if column.unique:
        yield "unique"
    if column.nullable:
        yield "may be empty"
    if table.lifecycle and table.lifecycle.column == column.key:
        yield " > ".join(table.lifecycle.happy)
    elif column.values:
        yield " | ".join(column.values)
    if column.formula:
        yield "= " + re.sub(r"[a-z]\w*", lambda m: table[m[0]].name if m[0] in table else m[0], column.formula)


def _other_moves(lifecycle: Lifecycle) -> str:
    """'placed > cancelled; paid > refunded': every move off the usual way."""
    usual = set(zip(lifecycle.happy, lifecycle.happy[1:], strict=False))
    return "; ".join(f"{a} > {b}" for a, b in lifecycle.moves if (a, b) not in usual)


# --- Mermaid


def mermaid(schema: Schema) -> str:
    """The schema as a Mermaid `erDiagram`.  Names that Mermaid would not take stand as labels or comments."""
    ids = _ids(t.name for t in schema.tables)
    by_key = dict(zip((t.key for t in schema.tables), ids, strict=True))
    lines = ["erDiagram"]
    for table in schema.tables:
        alias = by_key[table.key]
        shown = alias if alias == table.name else f'{alias}["{_label(table.name)}"]'
        lines += [f"  {shown} {{", *(f"    {a}" for a in _attributes(table)), "  }"]
    for table, key in schema.edges():
        left = "|o" if key.nullable else "||"
        right = "o|" if key.unique else "o{"
        role = _label(", ".join(table[c].name for c in key.columns))
        lines.append(f'  {by_key[key.table]} {left}--{right} {by_key[table.key]} : "{role}"')
    return "\n".join(lines) + "\n"


def _ids(names: Iterable[str]) -> list[str]:
    """An identifier for each name, all different (Mermaid tells upper from lower case)."""
    found: list[str] = []
    for name in names:
        plain = bool(_PLAIN.match(name)) and name.lower() not in _RESERVED
        base = name if plain else "t_" + re.sub(r"[^A-Za-z0-9_]", "_", name)
        number, fresh = 2, base
        while fresh in found:
            fresh, number = f"{base}_{number}", number + 1
        found.append(fresh)
    return found


def _label(text: str) -> str:
    """A text that may stand between double quotes: Mermaid has no escape for these."""
    return re.sub(r"[%\\\x00-\x1f\x7f]", "_", text.replace('"', "'")).strip() or "_"


def _attributes(table: Table) -> Iterator[str]:
    """`type name PK, FK "comment"` for each column."""
    refers = {c for f in table.foreign_keys for c in f.columns}
    for column in table.columns:
        name = re.sub(r"[^A-Za-z0-9_]", "_", column.name)
        name = name if name[:1].isalpha() or name[:1] == "_" else f"_{name}"
        marks = [
            mark
            for mark, true in (
                ("PK", column.key in table.primary_key),
                ("FK", column.key in refers),
                ("UK", column.unique),
            )
            if true
        ]
        comments = [column.name] if name != column.name else []
        comments += ["may be empty"] if column.nullable else []
        comments += [" | ".join(column.values)] if column.values else []
        comment = f'"{_label("; ".join(comments))}"' if comments else ""
        yield " ".join(part for part in (column.type, name, ", ".join(marks), comment) if part)

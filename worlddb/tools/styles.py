"""API styles: how one company names its tools, parameters and answers, and how it cuts lists into pages.

Kinds draft tools in keys and canonical snake_case names.  `dress` gives them the names of a style and makes the JSON Schemas
that agents are shown; their programs stay as they are.  What a company can choose from is data: schemas/naming/api.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from worlddb.errors import UnknownName
from worlddb.rng import Stream
from worlddb.schema.model import Schema
from worlddb.tools.model import Field, JsonSchema, Param, Reply, Statement, Tool
from worlddb.tools.names import Names, Paging, api, draw_verbs, free_name, in_case, title_of, tool_names
from worlddb.tools.words import Vocabulary

LIMIT_ALONE = 1000
"""The greatest limit of a list that has no way to go on."""
_BESIDE = ("total", "next_offset", "next_cursor", "page", "has_more")


class Style(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The habits of one API.  Without arguments: the preset 'crud'."""

    name: str = "crud"
    case: str = "snake"
    """Of tool names: snake, camel, pascal or kebab."""
    order: str = "verb_noun"
    """verb_noun, noun_verb, rest or prefixed."""
    verbs: dict[str, str] = {}
    """The company's word for a generic action: {'get': 'fetch'}."""
    own_id: str = "long"
    """The parameter that finds a row: 'long' (booking_id) or 'short' (id), where the tool is about that row."""
    key_field: str = "short"
    """The same in answers."""
    reference: str = "id"
    """What refers to another row: 'id' (room_id) or 'bare' (room)."""
    pages: str = "offset"
    """A key of `pages` in api.yaml."""
    total: bool = False
    """Whether lists tell how many rows there are in all."""
    items: str = "items"
    """What the array of a list is called; '{nouns}': the plural of what it holds."""
    envelope: str = ""
    """What one row stands under: '' (nothing), '{noun}', or a word."""
    rows: str = "objects"
    """'objects', or 'compact': {columns, rows}."""
    filters: str = "flat"
    """'flat', or 'nested': in one object parameter."""
    batched: bool = False
    """Whether there are tools that get several rows at once."""

    @property
    def words(self) -> str:
        """The case of parameters and fields."""
        return "camel" if self.case in ("camel", "pascal") else "snake"

    @property
    def paging(self) -> Paging:
        """How lists are cut."""
        return api().pages[self.pages]


def style_named(name: str) -> Style:
    """A preset of api.yaml.

    Raises:
        UnknownName: there is none of that name.
    """
    presets = api().presets
    if name not in presets:
        raise UnknownName("API style", name, presets)
    return _style(name, presets[name], {})


def draw_style(stream: Stream) -> Style:
    """The style of one world; its name tells the choices that are not the usual ones ('camel, cursor')."""
    options = api().options
    chosen = {k: stream.child(k).weighted(tuple(some), tuple(some.values())) for k, some in options.items()}
    usual = {k: next(iter(some)) for k, some in options.items()}
    told = [f"{k} {v}" if v in ("yes", "") else v for k, v in chosen.items() if v != usual[k]]
    verbs = draw_verbs(lambda action, some, weights: stream.child("verb", action).weighted(some, weights))
    return _style(", ".join(told) or "crud", chosen, verbs)


def _style(name: str, choices: dict[str, str], verbs: dict[str, str]) -> Style:
    given = {k: v == "yes" if k in ("total", "batched") else v for k, v in choices.items()}
    return Style(name=name, verbs=verbs, **given)  # type: ignore[arg-type]


# --- dressing


def dress(
    tools: Sequence[Tool],
    style: Style,
    vocabulary: Vocabulary,
    *,
    names: Names | None = None,
    naming: Style | None = None,
) -> tuple[Tool, ...]:
    """Tools in the names of a style, with their JSON Schemas.  Every name is legal, and there once.

    `names` goes on where other tools of the API have names already; `naming` is the style of the tools' names alone.
    """
    public = tool_names(tools, naming or style, vocabulary, names or Names())
    tailor = _Tailor(style, vocabulary)
    return tuple(t if t.parameters else tailor.fit(t, public[t.key]) for t in tools)


class _Tailor:
    """Dresses the tools of one API."""

    def __init__(self, style: Style, vocabulary: Vocabulary) -> None:
        self.style, self.vocabulary = style, vocabulary
        self._refers = references(vocabulary.schema)

    def fit(self, tool: Tool, name: str) -> Tool:
        """The tool in this style."""
        reply = self._reply(tool.reply, tool)
        renamed = {a.name: b.name for a, b in zip(tool.reply.fields, reply.fields, strict=True)}
        params = self._params(tool, renamed)
        return replace(
            tool, name=name, title=tool.title or title_of(tool, self.vocabulary), params=params, reply=reply,
            parameters=parameters_schema(params, tool.least), returns=returns_schema(reply),
        )  # fmt: skip

    def _word(self, canonical: str, table: str, column: str) -> str:
        """A canonical name of a parameter or field in the words of the style."""
        if self.style.reference == "bare" and (table, column) in self._refers and canonical.endswith("_id"):
            canonical = canonical[:-3]
        return in_case(canonical, self.style.words)

    # --- parameters

    def _params(self, tool: Tool, renamed: dict[str, str]) -> tuple[Param, ...]:
        given = self._paged(tool) if tool.reply.shape == "page" else list(tool.params)
        taken: set[str] = set()
        params = [self._param(p, tool, renamed, taken) for p in given]
        filters = [p for p in params if p.role == "filter" and not p.required and not p.hidden]
        if self.style.filters == "nested" and len(filters) > 1:
            at = params.index(filters[0])
            params = [p for p in params if p not in filters]
            params.insert(at, _nested(filters, free_name("filters", {p.name for p in params})))
        return tuple(params)

    def _paged(self, tool: Tool) -> list[Param]:
        """The parameters, those of the pages in the style's way."""
        paging, found = self.style.paging, []
        onward = any(p.role == "cursor" for p in tool.params)
        for param in tool.params:
            if param.role == "cursor":
                param = _place(param, paging)
            elif param.role == "limit" and onward:
                param = replace(param, name=paging.limit)
                if not paging.mode:
                    param = replace(param, schema=_wider(param.schema))
            found.append(param)
        return found

    def _param(self, param: Param, tool: Tool, renamed: dict[str, str], taken: set[str]) -> Param:
        if param.hidden:
            return param
        fields: tuple[Param, ...] = ()
        schema = param.schema
        if param.fields:
            inner: set[str] = set()
            fields = tuple(self._param(f, tool, {}, inner) for f in param.fields)
            schema = {**schema, "items": parameters_schema(fields, 0)}
        values: dict[str, Any] = {}
        if param.role in ("sort", "choice"):
            schema, values = self._choices(schema, renamed)
        return replace(
            param, name=free_name(self._param_name(param, tool), taken), fields=fields, schema=schema, values=values
        )

    def _param_name(self, param: Param, tool: Tool) -> str:
        style, name = self.style, param.name
        if param.role == "key":
            if style.own_id == "short" and param.key == "id" and param.table == tool.table:
                return "id"
            if style.reference == "bare" and param.table != tool.table:
                return in_case(name.removesuffix("_id") or name, style.words)
        return self._word(name, param.table, param.column)

    def _choices(self, schema: JsonSchema, renamed: dict[str, str]) -> tuple[JsonSchema, dict[str, Any]]:
        """The schema with the words of the style among its values, and what they stand for."""
        inner = schema.get("items", schema)
        spelt = {v: self._choice(v, renamed) for v in inner.get("enum", ()) if isinstance(v, str)}
        values = {public: v for v, public in spelt.items() if public != v}
        if not values or len(set(spelt.values())) < len(spelt):
            return schema, {}
        changed = {**inner, "enum": [spelt.get(v, v) for v in inner["enum"]]}
        if isinstance(inner.get("default"), str):
            usual = inner["default"]
            changed["default"] = spelt.get(usual, usual)
            changed["description"] = inner["description"].replace(f"default: {usual}", f"default: {changed['default']}")
        return (changed if inner is schema else {**schema, "items": changed}), values

    def _choice(self, value: str, renamed: dict[str, str]) -> str:
        sign = "-" if value.startswith("-") else ""
        word = value.removeprefix("-")
        return sign + renamed.get(word, in_case(word, self.style.words))

    # --- answers

    def _reply(self, reply: Reply, tool: Tool | None) -> Reply:
        """The reply in this style; nested ones (without their tool) keep their rows as a plain array."""
        taken: set[str] = set()
        fields = tuple(self._field(f, taken) for f in reply.fields)
        nested = tuple((free_name(in_case(n, self.style.words), taken), self._reply(r, None)) for n, r in reply.nested)
        reply = replace(reply, fields=fields, nested=nested)
        if tool is None:
            return reply
        if reply.shape in ("row", "value"):
            return replace(reply, envelope=self._envelope(reply, tool))
        items = in_case(self.style.items.format(nouns=self.vocabulary.nouns(tool.table)), self.style.words)
        compact = self.style.rows == "compact" and not nested
        reply = replace(reply, items=items, compact=compact)
        return self._page(reply, tool) if reply.shape == "page" else reply

    def _field(self, field: Field, taken: set[str]) -> Field:
        name = self._word(field.name, field.table, field.column)
        if field.name == "id" and field.table and self.style.key_field == "long":
            name = in_case(f"{self.vocabulary.noun(field.table)}_id", self.style.words)
        return replace(field, name=free_name(name, taken))

    def _envelope(self, reply: Reply, tool: Tool) -> str:
        """One row under its noun or a general word; a value, which is no row, only under the latter."""
        word = self.style.envelope
        if "{noun}" in word:
            word = word.format(noun=self.vocabulary.noun(tool.table)) if reply.shape == "row" else ""
        return in_case(word, self.style.words) if word else ""

    def _page(self, reply: Reply, tool: Tool) -> Reply:
        paging = self.style.paging
        mode = paging.mode if any(p.role == "cursor" for p in tool.params) else ""
        names = {n: in_case(n, self.style.words) for n in _BESIDE}
        if mode in ("offset", "cursor"):
            names[f"next_{mode}"] = in_case(paging.onward, self.style.words)
        return replace(
            reply, pages=mode, names={k: v for k, v in names.items() if k != v},
            total=reply.total or counting(reply.query) if self.style.total else None,
        )  # fmt: skip


def references(schema: Schema) -> frozenset[tuple[str, str]]:
    """(table, column) of everything that refers to a row of its own: single-column foreign keys."""
    return frozenset((t.key, f.columns[0]) for t, f in schema.edges() if len(f.columns) == 1)


def counting(query: Statement) -> Statement | None:
    """The query that counts all rows of a page's query; None for one of an unknown form."""
    head, _, tail = query.sql.rpartition(" ORDER BY ")
    if not head or " LIMIT " not in tail:
        return None
    choices = {k: v for k, v in query.choices.items() if f"{{{k}}}" in head}
    return Statement(sql=f"SELECT count(*) FROM ({head})", clauses=query.clauses, choices=choices)


def _place(param: Param, paging: Paging) -> Param:
    """The parameter that says where a page begins."""
    if paging.mode == "offset":
        return replace(param, name=paging.at)
    if paging.mode == "page":
        schema = {
            "type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 1,
            "description": "Which page to return, from 1 (default 1).",
        }  # fmt: skip
        return replace(param, key="page", name=paging.at, schema=schema, convert="page", default=None)
    if paging.mode == "cursor":
        text = f"Where to go on: the {paging.onward} of the answer before; leave it out to start at the beginning."
        schema = {"type": "string", "minLength": 1, "maxLength": 100, "description": text}
        return replace(param, name=paging.at, schema=schema, convert="cursor", default=0)
    return replace(param, hidden=True, default=0)


def _wider(schema: JsonSchema) -> JsonSchema:
    text = f"How many to return at most (1 to {LIMIT_ALONE}, default {schema['default']})."
    return {**schema, "maximum": LIMIT_ALONE, "description": text}


def _nested(filters: list[Param], name: str) -> Param:
    schema = {
        **parameters_schema(tuple(filters), 0),
        "description": "What the results must meet; all that is given must hold.",
    }
    return Param(key="filters", name=name, schema=schema, role="filter", convert="spread", fields=tuple(filters))


# --- JSON Schema


def parameters_schema(params: Iterable[Param], least: int) -> JsonSchema:
    """The JSON Schema of a tool's arguments."""
    shown = [p for p in params if not p.hidden]
    schema: JsonSchema = {"type": "object", "properties": {p.name: p.schema for p in shown}}
    if required := [p.name for p in shown if p.required]:
        schema["required"] = required
    if least > len(required):
        schema["minProperties"] = least
    schema["additionalProperties"] = False
    return schema


def returns_schema(reply: Reply) -> JsonSchema:
    """The JSON Schema of a tool's answer."""
    if reply.shape in ("row", "value"):
        row = _row(reply)
        return _object({reply.envelope: {**row, "description": "The result."}}) if reply.envelope else row
    found = _compact(reply) if reply.compact else {reply.items: {"type": "array", "items": _row(reply)}}
    if reply.shape == "page":
        found |= {reply.names.get(k, k): v for k, v in _beside(reply).items()}
    return _object(found)


def _beside(reply: Reply) -> dict[str, JsonSchema]:
    """What stands beside the rows of a page."""
    found: dict[str, JsonSchema] = {}
    if reply.total:
        found["total"] = {"type": "integer", "description": "How many there are in all."}
    if reply.pages in ("cursor", "offset"):
        types = ["string" if reply.pages == "cursor" else "integer", "null"]
        found[f"next_{reply.pages}"] = {"type": types, "description": "Where to go on; null at the end."}
    elif reply.pages == "page":
        found["page"] = {"type": "integer", "description": "Which page this is."}
    found["has_more"] = {"type": "boolean", "description": "Whether there are more than are shown."}
    return found


def _row(reply: Reply) -> JsonSchema:
    nested = {n: {"type": "array", "items": _row(r)} for n, r in reply.nested}
    return _object({**{f.name: f.schema for f in reply.fields}, **nested})


def _compact(reply: Reply) -> dict[str, JsonSchema]:
    count = len(reply.fields)
    row = {
        "type": "array", "prefixItems": [{**f.schema, "title": f.name} for f in reply.fields],
        "minItems": count, "maxItems": count,
    }  # fmt: skip
    columns = {"type": "array", "items": {"type": "string"}, "const": [f.name for f in reply.fields]}
    return {
        "columns": {**columns, "description": "What the values of a row are called, in their order."},
        "rows": {"type": "array", "items": row, "description": "A list of values for each row."},
    }


def _object(properties: dict[str, JsonSchema]) -> JsonSchema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}

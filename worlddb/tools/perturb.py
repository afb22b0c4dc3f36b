"""Perturbations: the same API, made harder to read or to choose from.

They change names, texts and what is on offer, never programs and never keys: a gold call by keys (`worlddb.tools.keys`) works
under all of them, as long as its tool is not among those that were removed on request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from worlddb.errors import BadRequest
from worlddb.library import folder
from worlddb.rng import Stream
from worlddb.schema.domains import domain_names, domain_schema, read_yaml
from worlddb.schema.metrics_names import snake
from worlddb.schema.model import Schema
from worlddb.schema.naming import abbreviation
from worlddb.tools.choose import Keys, faults, is_batch
from worlddb.tools.model import KINDS, Fault, Field, Guard, JsonSchema, Param, Reply, Statement, Tool, Words
from worlddb.tools.names import Names, api, free_name
from worlddb.tools.styles import Style, draw_style, parameters_schema
from worlddb.tools.words import Vocabulary, plain

OPAQUE = 3
DOMAINS_TRIED = 40
NEAR_SHARE = 3
"""One distractor in so many is a narrower twin of a real tool; the others are of another business."""


class Perturbation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is done to an API; nothing, by default."""

    rename_tools: int = 0
    """1: other words and order; 2: abbreviated; 3: opaque (tool_07)."""
    rename_params: int = 0
    """1: other words; 2: abbreviated; 3: opaque (arg_2)."""
    terse: int = 0
    """1: only the beginning of a tool's description, up to the first full stop or semicolon; 2: no description of a tool; 3: none
    of parameters either."""
    distractors: int = 0
    """Further tools that no task needs: of things that this world does not have, and narrower twins of real ones.  They
    never change anything."""
    removed: int | tuple[str, ...] = 0
    """So many tools less, drawn at random; or those of these keys or kinds."""
    strand: bool = False
    """Whether a tool may be removed that alone tells keys which others take; else it stays."""
    shuffled: bool = False
    """Whether the tools come in random order."""
    salt: int = 0
    """Another number, another draw."""


def check(perturbation: Perturbation) -> None:
    """Refuse levels that there are not.

    Raises:
        BadRequest: a level or number is out of range, or a kind is unknown.
    """
    for name, most in (("rename_tools", 3), ("rename_params", 3), ("terse", 3), ("distractors", 200)):
        if not 0 <= getattr(perturbation, name) <= most:
            raise BadRequest(f"a perturbation's {name} is 0 to {most}, got {getattr(perturbation, name)}")
    if isinstance(perturbation.removed, int) and perturbation.removed < 0:
        raise BadRequest(f"a perturbation removes 0 tools or more, got {perturbation.removed}")


# --- before dressing: what is on offer


def offer(tools: tuple[Tool, ...], perturbation: Perturbation, schema: Schema, stream: Stream) -> tuple[Tool, ...]:
    """The drafts without the removed ones, with the narrower twins, in the order of the perturbed API.

    Raises:
        BadRequest: it removes keys that the API does not have.
    """
    stream = stream.child("perturb", str(perturbation.salt))
    kept = remove(tools, perturbation, schema, stream.child("removed"))
    near = perturbation.distractors // NEAR_SHARE
    twins = stream.child("twins").sample(narrower(kept, Vocabulary(schema)), near) if near else []
    return (*kept, *twins)


def remove(tools: tuple[Tool, ...], perturbation: Perturbation, schema: Schema, stream: Stream) -> tuple[Tool, ...]:
    """The tools that stay."""
    if isinstance(perturbation.removed, int):
        order = stream.shuffled(tools) if perturbation.removed else []
        most = perturbation.removed
    else:
        unknown = set(perturbation.removed) - {t.key for t in tools} - set(KINDS)
        if unknown:
            raise BadRequest(f"this API has no tool and there is no kind '{sorted(unknown)[0]}'; see the tools' keys")
        order = [t for t in tools if t.key in perturbation.removed or t.kind in perturbation.removed]
        most = len(order)
    keys, gone = Keys(schema), set[str]()
    before = len(keys.unobtainable(tools))
    for tool in order:
        if len(gone) == most:
            break
        rest = [t for t in tools if t.key not in gone and t is not tool]
        if perturbation.strand or len(keys.unobtainable(rest)) <= before:
            gone.add(tool.key)
    return tuple(t for t in tools if t.key not in gone)


def narrower(tools: Sequence[Tool], vocabulary: Vocabulary) -> list[Tool]:
    """Twins of listing tools that fix one of their filters: list_confirmed_bookings."""
    found = []
    for tool in tools:
        if tool.kind != "list" or tool.words.template or tool.words.tail:
            continue
        for param in tool.params:
            inner = param.schema.get("items", param.schema)
            if param.role == "filter" and len(inner.get("enum", ())) > 1:
                found += [_twin(tool, param, v, vocabulary) for v in inner["enum"] if isinstance(v, str)]
    return found


def _twin(tool: Tool, param: Param, value: str, vocabulary: Vocabulary) -> Tool:
    word = "_".join(re.findall("[a-z0-9]+", value.lower())) or "special"
    bound: Any = msgspec.json.encode([value]).decode() if param.convert == "keys" else value
    fixed = replace(param, hidden=True, required=False, default=bound)
    said, labels = plain(param.name), vocabulary.labels(tool.table)
    return replace(
        tool, key=f"{tool.key}@{param.key}={value}", kind="distractor",
        words=Words(verb=tool.words.verb, many=True, template=f"{tool.words.verb}_{word}_{{noun}}"), title="",
        description=f"List {labels} whose {said} is {value}.",
        params=tuple(fixed if p is param else p for p in tool.params),
    )  # fmt: skip


# --- tools of another business


def strangers(
    number: int,
    perturbation: Perturbation,
    schema: Schema,
    dressing: Callable[[list[Tool], Vocabulary], tuple[Tool, ...]],
    stream: Stream,
) -> tuple[Tool, ...]:
    """`number` tools of things that this world does not have, dressed; they find nothing, and change nothing."""
    stream = stream.child("perturb", str(perturbation.salt), "strangers")
    here = (
        {t.key for t in schema.tables}
        | {n for t in schema.tables for n in t.aka}
        | {t.name.lower() for t in schema.tables}
    )
    found: list[Tool] = []
    for name in stream.sample(domain_names(), DOMAINS_TRIED):
        if len(found) >= number:
            break
        if name == schema.domain:
            continue
        vocabulary, drafts = _drafts(name)
        fit = [t for t in drafts if t.table not in here and vocabulary.noun(t.table) not in here]
        tables = sorted({t.table for t in fit})
        chosen = set(stream.child(name, "tables").sample(tables, max(2, number // 4)))
        some = stream.child(name).sample([t for t in fit if t.table in chosen], max(4, number // 2))
        found += dressing(some[: number - len(found)], vocabulary)
    return tuple(_homeless(t, schema) for t in found)


def _homeless(tool: Tool, schema: Schema) -> Tool:
    """The dressed tool without the tables of its own schema, which nobody here could look up."""

    def plain_param(param: Param) -> Param:
        return replace(param, table="", column="", fields=tuple(map(plain_param, param.fields)))

    def plain_reply(reply: Reply) -> Reply:
        fields = tuple(replace(f, table="", column="") for f in reply.fields)
        return replace(reply, fields=fields, nested=tuple((n, plain_reply(r)) for n, r in reply.nested))

    params = tuple(map(plain_param, tool.params))
    return replace(tool, table=schema.tables[0].key, params=params, reply=plain_reply(tool.reply))


@lru_cache(8)
def _drafts(domain: str) -> tuple[Vocabulary, tuple[Tool, ...]]:
    """The tools of a domain that can be made to find nothing."""
    from worlddb.tools.kinds import propose
    from worlddb.tools.site import Site

    site = Site(domain_schema(domain))
    found = (_emptied(t, domain) for t in propose(site) if t.kind not in ("aggregate", "predicate") and not is_batch(t))
    return site.words, tuple(t for t in found if t is not None)


def _emptied(tool: Tool, domain: str) -> Tool | None:
    """The tool over a database without any row; None where it would still do something."""
    fault = next((f for f in faults(tool.steps) if f.code == "NOT_FOUND" and _told(f, tool)), None)
    shows = tool.reply.shape in ("rows", "page") or tool.reply.missing is not None
    if fault is None and not (tool.read_only and shows):
        return None
    steps = (Guard(query=Statement(sql="SELECT 1 AS gone"), fault=fault),) if fault else ()
    return replace(
        tool, key=f"{domain}/{tool.key}", kind="distractor", steps=steps, reply=_nothing(tool.reply), writes=(), rules=()
    )  # fmt: skip


def _told(fault: Fault, tool: Tool) -> bool:
    """True for a fault whose message needs nothing but required parameters."""
    bound = {p.key for p in tool.params if p.required and not p.fields}
    return bool(fault.parameter in bound and set(re.findall(r"\{(\w+)", fault.message + fault.cure)) <= bound)


def _nothing(reply: Reply) -> Reply:
    """The answer where there are no rows."""
    shown = ", ".join("NULL" for _ in reply.fields) or "NULL"
    fields: tuple[Field, ...] = tuple(replace(f, convert="") for f in reply.fields)
    return replace(
        reply, query=Statement(sql=f"SELECT {shown} WHERE 0"), fields=fields, keys=(), covers=None,
        total=Statement(sql="SELECT 0") if reply.total else None,
    )  # fmt: skip


# --- after dressing: names and texts


def naming_style(style: Style, perturbation: Perturbation, stream: Stream) -> Style:
    """The style whose verbs and order the tools' names take: another one at level 1 of `rename_tools`."""
    if perturbation.rename_tools != 1:
        return style
    stream = stream.child("perturb", str(perturbation.salt), "naming")
    drawn = (draw_style(stream.child(str(n))) for n in range(100))
    return next(s for s in drawn if s.order != style.order and s.verbs.get("list") != style.verbs.get("list", "list"))


def rework(tools: tuple[Tool, ...], perturbation: Perturbation, stream: Stream) -> tuple[Tool, ...]:
    """Dressed tools with the names, texts and order of the perturbed API."""
    stream = stream.child("perturb", str(perturbation.salt))
    if perturbation.rename_params:
        tools = tuple(_rename_params(t, perturbation.rename_params, stream.child("params")) for t in tools)
    if perturbation.rename_tools > 1:
        tools = _rename_tools(tools, perturbation.rename_tools, stream.child("tools"))
    if perturbation.terse:
        tools = tuple(_terse(t, perturbation.terse) for t in tools)
    return tuple(stream.child("order").shuffled(tools)) if perturbation.shuffled else tools


def _rename_tools(tools: tuple[Tool, ...], level: int, stream: Stream) -> tuple[Tool, ...]:
    """Abbreviated or opaque names; free SQL and plug-ins keep theirs."""
    names = Names()
    for tool in tools:
        if tool.kind in ("sql", "plugin"):
            names.keep(tool.name)
    numbers = stream.shuffled(range(1, len(tools) + 1))
    found = []
    for number, tool in zip(numbers, tools, strict=True):
        if tool.kind not in ("sql", "plugin"):
            stem = f"tool_{number:02}" if level == OPAQUE else shortened(snake(tool.name))
            name = names.give([stem], "snake")
            tool = replace(tool, name=name, title=name)
        found.append(tool)
    return tuple(found)


def shortened(word: str) -> str:
    """A snake_case name with its longer words abbreviated.

    >>> shortened("get_booking_by_reference")
    'get_bkng_by_ref'
    """
    short: dict[str, str] = _short()
    return "_".join(short.get(w, abbreviation(w, 4) if len(w) > 5 else w) for w in word.split("_"))


@cache
def _short() -> dict[str, str]:
    return dict(read_yaml(folder("schemas") / "naming" / "styles.yaml")["short"])


@cache
def _columns() -> dict[str, list[str]]:
    found: dict[str, list[str]] = read_yaml(folder("schemas") / "naming" / "columns.yaml")
    return found


def _rename_params(tool: Tool, level: int, stream: Stream) -> Tool:
    if tool.kind in ("sql", "plugin"):
        return tool
    params = _renamed(tool.params, level, stream)
    return replace(tool, params=params, parameters=parameters_schema(params, tool.least))


def _renamed(params: tuple[Param, ...], level: int, stream: Stream) -> tuple[Param, ...]:
    taken: set[str] = set()
    found = []
    for number, param in enumerate(params, 1):
        if not param.hidden:
            fields = _renamed(param.fields, level, stream)
            name = free_name(f"arg_{number}" if level == OPAQUE else _other(param, level, stream), taken)
            param = replace(param, name=name, fields=fields, schema=_schema(param, fields))
        found.append(param)
    return tuple(found)


def _schema(param: Param, fields: tuple[Param, ...]) -> JsonSchema:
    """The schema of a parameter over its renamed fields."""
    if not fields:
        return param.schema
    if param.convert == "spread":
        return {**param.schema, **parameters_schema(fields, 0)}
    return {**param.schema, "items": parameters_schema(fields, 0)}


_WHOLE = ("limit", "offset", "page", "cursor", "sort", "query")
"""Words that mean something else inside of a name."""


def _other(param: Param, level: int, stream: Stream) -> str:
    """Another name of a parameter: abbreviated, or in other words, the same ones throughout the API."""
    name = snake(param.name)
    if level == 2:
        return shortened(name)
    options = [o for o in _columns().get(param.column, ()) if o != name and "{" not in o]
    if options and param.role == "value":
        return stream.child(param.column).pick(options)
    other = api().words
    if param.role in ("limit", "cursor", "sort", "search"):  # as a whole: budget_limit is no limit
        return stream.child(name).pick(other[name]) if name in other else name
    other = {k: v for k, v in other.items() if k not in _WHOLE}
    return "_".join(stream.child(w).pick(other[w]) if w in other else w for w in name.split("_"))


_CLAUSE = re.compile(r"(?:\([^()]*\)|[^.;(]|[.;](?=\S)|(?<=\s)[.;]|\()*")
"""All before the first full stop or semicolon that ends something: not within brackets, and not one that stands alone."""


def first_clause(text: str) -> str:
    """The beginning of a text up to its first full stop or semicolon, closed with a full stop."""
    match = _CLAUSE.match(text)
    found = match[0].strip() if match else ""
    return f"{found}." if found and found[-1] not in ".!?" else found


def _terse(tool: Tool, level: int) -> Tool:
    text = first_clause(tool.description) if level == 1 else ""
    if level < 3:
        return replace(tool, description=text, title=tool.title if level == 1 else tool.name)
    params = tuple(_mute(p) for p in tool.params)
    parameters = _silent(tool.parameters)
    return replace(tool, description="", title=tool.name, params=params, parameters=parameters)


def _mute(param: Param) -> Param:
    return replace(param, schema=_silent(param.schema), fields=tuple(map(_mute, param.fields)))


def _silent(schema: JsonSchema) -> JsonSchema:
    """A JSON Schema without its descriptions; properties may have that name."""
    found = {k: v for k, v in schema.items() if k != "description"}
    if "properties" in found:
        found["properties"] = {n: _silent(s) for n, s in found["properties"].items()}
    if isinstance(found.get("items"), dict):
        found["items"] = _silent(found["items"])
    return found

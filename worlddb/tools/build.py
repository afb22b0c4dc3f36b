"""World -> Toolset: propose what the schema could have, choose, dress in a style, perturb if asked to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from worlddb.errors import BadRequest, UnknownName
from worlddb.rng import Stream
from worlddb.tools.choose import choose
from worlddb.tools.kinds import propose
from worlddb.tools.model import Tool
from worlddb.tools.names import Names
from worlddb.tools.perturb import Perturbation, check, naming_style, offer, rework, strangers
from worlddb.tools.plugin import Plugin, PluginRunner, plugin
from worlddb.tools.site import Site
from worlddb.tools.sql import SqlRunner, sql_tool
from worlddb.tools.styles import Style, draw_style, dress, style_named
from worlddb.tools.toolset import Runs, Toolset
from worlddb.tools.words import Vocabulary
from worlddb.world.model import World

SETS = {
    "crud": (True, False),
    "sql": (False, True),
    "both": (True, True),
    "sql_read": (False, True),
    "both_read": (True, True),
}
"""Name -> whether there are tools of the business, whether there is free SQL; in *_read it only reads."""


def toolset(
    world: World, style: Style | str | None = None, *, sets: str = "crud", perturb: Perturbation | None = None,
    plugins: Sequence[Plugin | Callable[..., object]] = (),
) -> Toolset:  # fmt: skip
    """The API of a world: equal arguments give equal bytes.

    `style` is a Style, the name of a preset of schemas/naming/api.yaml, or None: drawn from the world's seed.  `sets` is
    'crud' (the tools of the business), 'sql' (free SQL), 'both', or for SQL that only reads 'sql_read' and 'both_read'.
    A function among the `plugins` counts as `plugin(function)`.

    Raises:
        UnknownName: there is no such style or set.
        BadRequest: a perturbation or a plug-in that cannot be.
    """
    if sets not in SETS:
        raise UnknownName("set of tools", sets, SETS)
    stream = Stream(world.recipe.seed, "tools", world.recipe.profile)
    if isinstance(style, str):
        style = style_named(style)
    style = style or draw_style(stream.child("style"))
    made = _plugins(plugins)
    fixed = [p.tool(world.schema) for p in made]
    special: dict[str, Callable[[Tool], Runs]] = {p.key: _runner(p, world) for p in made}
    business, sql = SETS[sets]
    if sql:
        fixed.append(sql_tool(world.schema, write=not sets.endswith("_read")))
        special["sql.run"] = lambda tool: SqlRunner(tool, world.schema)
    tools = _business(world, style, perturb, fixed, stream) if business else tuple(fixed)
    return Toolset(world.schema, tools, style, special)


def _business(
    world: World, style: Style, perturb: Perturbation | None, fixed: list[Tool], stream: Stream
) -> tuple[Tool, ...]:
    """The tools of the business and the `fixed` ones, which have their names already."""
    schema, site, names = world.schema, Site(world.schema), Names()
    drafts = choose(schema, propose(site), stream.child("choose"), batched=style.batched)
    if perturb is None:
        return dress((*drafts, *fixed), style, site.words, names=names)
    check(perturb)
    naming = naming_style(style, perturb, stream)

    def dressing(tools: Sequence[Tool], vocabulary: Vocabulary) -> tuple[Tool, ...]:
        return dress(tools, style, vocabulary, names=names, naming=naming)

    own = dressing((*offer(drafts, perturb, schema, stream), *fixed), site.words)
    missing = perturb.distractors - sum(t.kind == "distractor" for t in own)
    return rework((*own, *strangers(missing, perturb, schema, dressing, stream)), perturb, stream)


def _plugins(given: Sequence[Plugin | Callable[..., object]]) -> list[Plugin]:
    made = [p if isinstance(p, Plugin) else plugin(p) for p in given]
    names = [p.name for p in made]
    for name in names:
        if names.count(name) > 1:
            raise BadRequest(f"there are two plug-ins named '{name}'; give one of the functions another name")
    return made


def _runner(made: Plugin, world: World) -> Callable[[Tool], Runs]:
    return lambda tool: PluginRunner(made, world.schema)

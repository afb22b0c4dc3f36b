"""World -> Toolset: propose what the schema could have, choose, dress in a style."""

from __future__ import annotations

from worlddb.rng import Stream
from worlddb.tools.kinds import propose
from worlddb.tools.site import Site
from worlddb.tools.styles import Style, draw_style, dress, style_named
from worlddb.tools.toolset import Toolset
from worlddb.world.model import World


def toolset(world: World, style: Style | str | None = None, *, sets: str = "crud") -> Toolset:
    """The API of a world."""
    stream = Stream(world.recipe.seed, "tools", world.recipe.profile)
    site = Site(world.schema)
    if isinstance(style, str):
        style = style_named(style)
    style = style or draw_style(stream.child("style"))
    return Toolset(world.schema, dress(propose(site), style, site.words), style)

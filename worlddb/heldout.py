"""What is held out: domains, tools and structures that tasks for training never meet, so that evaluation measures transfer.

seeds/suites/held-out.yaml lists it; a store of a suite carries it in its recipe, as its Scope.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated

import msgspec

from worlddb.schema.model import Table
from worlddb.tools.model import Tool

SIDES = ("train", "eval")
"""`train` keeps away from all that is held out; `eval` takes held-out structures only, with any tool and in any table."""
_BULK = "bulk_"


class Scope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the tasks of a suite may use.  Without a side: everything."""

    side: str = ""
    domains: tuple[str, ...] = ()
    """Held-out domains; a table of such a domain stays one when it is grafted into a world of another."""
    tools: tuple[str, ...] = ()
    """Patterns ('transfer_*') of the last parts of tool keys that are held out."""
    structures: Annotated[int, msgspec.Meta(ge=2)] = 10
    """One of so many structures is held out."""

    def holds_out(self, structure: str) -> bool:
        """True for the structures that are kept for evaluation; `structure` is a hash in hex (`Card.structure`)."""
        return int(structure[-12:], 16) % self.structures == 0

    def structure(self, hash_hex: str) -> bool:
        """May a task have this structure?  Train and eval share none."""
        return not self.side or self.holds_out(hash_hex) == (self.side == "eval")

    def tool_key(self, key: str) -> bool:
        """May the gold of a task call the tool of this key?  Bulk forms go with the action: 'bulk_renew' with 'renew'."""
        last = key.rpartition(".")[2].removeprefix(_BULK)
        return self.side != "train" or not any(fnmatchcase(last, pattern) for pattern in self.tools)

    def tool(self, tool: Tool) -> bool:
        """May the gold of a task call this tool?"""
        return self.tool_key(tool.key)

    def domain(self, name: str) -> bool:
        """May a task be about what comes from this domain?"""
        return self.side != "train" or name not in self.domains

    def table(self, table: Table) -> bool:
        """May a task touch this table, by the domain that it comes from?"""
        return self.domain(table.origin)

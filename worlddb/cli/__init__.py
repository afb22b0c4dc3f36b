"""The command line: every command parses, calls one library function, and prints.

The modules of this room import click and nothing heavy at their top, so that `worlddb --help` answers at once.
"""

from __future__ import annotations

from typing import Any

import click

from worlddb.cli.act import call, handbook, tools
from worlddb.cli.chat import chat
from worlddb.cli.data import export, query
from worlddb.cli.domains import domains
from worlddb.cli.eval import compare, curriculum, evaluate
from worlddb.cli.grow import spawn
from worlddb.cli.judge import diff, verify
from worlddb.cli.look import check, list_worlds, open_world, show, stats
from worlddb.cli.play import play
from worlddb.cli.pools import pools
from worlddb.cli.report import report
from worlddb.cli.serve import serve
from worlddb.cli.tasks import solve, tasks
from worlddb.errors import WorlddbError
from worlddb.version import __version__

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


class Commands(click.Group):
    """A group whose commands end with one line and a status where the library raises."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except WorlddbError as error:
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order in which one meets them."""
        return list(self.commands)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="worlddb")
def cli() -> None:
    """Grow random relational databases ("worlds") from a seed, and look into them.

    \b
    Begin with:
      worlddb spawn --n 1000         a thousand worlds, in data/out
      worlddb list                   what they are
      worlddb show 42                one of them
      worlddb tools 42               what an agent can do in it
      worlddb play 42                be the agent
      worlddb tasks 42               what an agent may be asked to do
      worlddb solve 42 3             how one of them is done, and judged
      worlddb chat 42 3              do it yourself
      worlddb eval data/out --agent random     how well an agent does
      worlddb export                 all of them as Parquet
      worlddb query "SELECT domain, count(*) FROM worlds GROUP BY 1"

    \b
    Shell completion:
      eval "$(_WORLDDB_COMPLETE=bash_source worlddb)"     (or zsh_source, fish_source)
    """


for _command in (
    spawn, list_worlds, show, open_world, tools, call, play, handbook, tasks, solve, chat, verify, evaluate, compare,
    curriculum, report, diff, serve, stats, check, export, query, domains, pools,
):  # fmt: skip
    cli.add_command(_command)


def main() -> None:
    """The entry point of the `worlddb` script."""
    cli(prog_name="worlddb")

"""The command that serves worlds to agents."""

from __future__ import annotations

from pathlib import Path

import click

from worlddb.cli.common import note_unfinished, store_argument


@click.command()
@store_argument
@click.option("--mcp", "transport", type=click.Choice(["stdio", "http"]), required=True, help="Transport of MCP.")
@click.option("--world", default="", help="The world: id, seed or '#index'; over HTTP, that of paths that name none.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 is any free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need a token.")
@click.option(
    "--token", default="", envvar="WORLDDB_TOKEN", help="Token that every request must bear [$WORLDDB_TOKEN]."
)
@click.option(
    "--admin-token", default="", envvar="WORLDDB_ADMIN_TOKEN",
    help="Token of the trainer's routes, where agents hold the other one [$WORLDDB_ADMIN_TOKEN].",
)  # fmt: skip
@click.option("--style", default="", help="Style of the API, such as rest; each world's own if not given.")
@click.option(
    "--sets", type=click.Choice(["crud", "sql", "both", "sql_read", "both_read"]), default="crud", show_default=True,
    help="Tools of the business, free SQL, or both; with _read, SQL that changes nothing.",
)  # fmt: skip
@click.option("--max-episodes", default=10_000, show_default=True, help="Episodes kept live; others sleep meanwhile.")
def serve(
    path: Path, transport: str, world: str, port: int, host: str, token: str, admin_token: str, style: str, sets: str,
    max_episodes: int,
) -> None:  # fmt: skip
    """Serve the worlds of the store PATH (data/out if not given) to agents, by the Model Context Protocol.

    Over stdio a process is one episode of one world.  Over HTTP each address is an episode, begun on first use:
    /worlds/{world}/episodes/{episode}/mcp.  Beside it, for whoever trains the agent: POST …/reset, GET …/state, …/journal
    and …/score, DELETE …/episodes/{episode}, GET /worlds and /health.

    \b
    Examples:
      worlddb serve --mcp stdio --world hotel-42
      worlddb serve data/small --mcp http --port 8000
      worlddb serve data/small --mcp http --host 0.0.0.0 --token "$(openssl rand -hex 16)"
    """
    from worlddb.errors import BadRequest
    from worlddb.store import open_store

    try:
        from worlddb.adapters.mcp import run
        from worlddb.adapters.mcp.episodes import Episodes
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "worlddb":
            raise
        raise BadRequest(
            f"serving needs the package '{package}'; install it with: pip install 'worlddb[mcp]'"
        ) from None

    store = open_store(path)
    note_unfinished(store)
    if not len(store):
        raise BadRequest(f"{path} has no worlds yet; 'worlddb spawn --resume --out {path}' grows them")
    episodes = Episodes(store, lambda w: w.toolset(style or None, sets=sets), live=max_episodes)
    name = store[world].id if world else ""

    def say(line: str) -> None:
        click.echo(line, err=True)

    if transport == "stdio":
        run.serve_stdio(episodes, name or store[0].id, say)
    else:
        try:
            run.serve_http(episodes, name, say, host=host, port=port, token=token, admin_token=admin_token)
        except KeyboardInterrupt:  # how a server usually ends
            say("stopped")

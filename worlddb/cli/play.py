"""The command `play`: a prompt at which a person acts as the agent."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from worlddb.cli.act import find_api, open_session, painted, save_session, world_options
from worlddb.cli.line import parameters, read_text, tool_named
from worlddb.errors import StoreError, WorlddbError

if TYPE_CHECKING:
    from prompt_toolkit.history import History
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

    from worlddb.tools.model import Tool
    from worlddb.tools.session import Entry, Session


@click.command()
@click.argument("world")
@world_options
@click.option(
    "--session", "file", type=click.Path(path_type=Path, dir_okay=False), help="Go on with the episode in this file."
)
def play(world: str, store: Path | None, profile: str, style: str, sets: str, file: Path | None) -> None:
    """Act in a world as an agent does: call its tools at a prompt, see what changes, take it back.

    WORLD is an id (hotel-12), a seed (42) or an index in the store ('#12').  At the prompt, help tells what there is and
    Tab completes tools, parameters, choices and keys.  Without a terminal the lines are read from stdin.

    \b
    Examples:
      worlddb play 42
      worlddb play hotel-12 --sets both
      worlddb play '#0' --store data/small
      printf 'tools get\\nquit\\n' | worlddb play 42
    """
    found, toolset = find_api(world, store, profile, style, sets)
    player = Player(open_session(found, toolset, file), file)
    if sys.stdin.isatty() and sys.stdout.isatty():
        on_terminal(player)
    else:
        from_pipe(player)


class Player:
    """What a line at the prompt does: takes lines, gives texts.  `over` once it was told to quit."""

    def __init__(self, session: Session, file: Path | None = None) -> None:
        self.session = session
        self.over = False
        self.width = 0
        """Of the terminal, in characters; 0: nothing is cut off."""
        self.paint: Callable[[str], str] = str
        """Colours a line of a diff."""
        self._file = file
        """Where the episode was loaded from or saved to: the one file that may be written again."""

    @property
    def commands(self) -> dict[str, Command]:
        """The words that are no tools."""
        return COMMANDS

    @property
    def prompt(self) -> str:
        """The world and its clock, which moves on with every change."""
        now = datetime.fromtimestamp(self.session.now, UTC)
        return f"{self.session.world.id} {now:%Y-%m-%d %H:%M}> "

    @property
    def greeting(self) -> str:
        """What a person needs to know first."""
        from worlddb.tools.show import kinds_text

        world, toolset = self.session.world, self.session.toolset
        has = f"{world.schema.title}, {world.rows} rows.  {kinds_text(toolset)}."
        return f"{has}\nType help, tools, or the name of a tool; Ctrl-D leaves."

    def answer(self, line: str) -> str:
        """The text that answers one line; empty for an empty line."""
        word, _, rest = line.strip().partition(" ")
        if not word:
            return ""
        command = self.commands.get(word)
        try:
            return command.run(self, rest.strip()) if command else self.other(f"{word} {rest}")
        except WorlddbError as error:
            return f"Error: {error}"

    def other(self, line: str) -> str:
        """What a line does that begins with no command: it calls a tool."""
        return self.call(line)

    # --- the commands

    def call(self, rest: str) -> str:
        """Call a tool: the answer, and the changes that it made."""
        name, _, text = rest.strip().partition(" ")
        if not name:
            return "say which tool: call TOOL ARGUMENTS"
        tool = tool_named(self.session.toolset, name)
        return self._call(name, read_text(tool, text.strip()), tool.reply.items if tool else "")

    def _call(self, name: str, arguments: Any, items: str = "") -> str:
        from worlddb.tools import show

        result = self.session.call(name, arguments)
        entry = self.session.journal[-1]
        data = show.answer_data(result)
        if not result.ok:
            return show.pretty(data)
        lines = show.answer_lines(data, self.width, items)
        if entry.wrote:
            lines += [*self._diff(entry.changes), show.diff_summary(entry.changes)]
        return "\n".join(lines)

    def help(self, rest: str) -> str:
        """All that there is to say of one tool, or of the commands."""
        from worlddb.tools.show import tool_lines

        if rest:
            return "\n".join(tool_lines(self.session.toolset[rest], self.session.world.schema))
        commands = (f"  {c.usage:<15} {c.does}" for c in self.commands.values())
        return "\n".join(["Commands:", *commands, "", *syntax(self.session)])

    def tools(self, rest: str) -> str:
        """The tools whose name, kind or purpose has the given text in it."""
        from worlddb.tools import show

        pattern = rest.lower()
        found = [
            t for t in self.session.toolset if any(pattern in text.lower() for text in (t.name, t.kind, t.description))
        ]
        lines = show.tools_lines(found, self.session.world.schema, self.width or show.TABLE)
        return "\n".join([*lines, show.kinds_text(found)])

    def diff(self, rest: str) -> str:
        """The net changes of the episode."""
        from worlddb.tools.show import diff_summary

        diff = self.session.diff()
        return "\n".join([*self._diff(diff.changes), diff_summary(diff)])

    def last(self, rest: str) -> str:
        """The last answer as the agent reads it."""
        from worlddb.tools import show

        journal = self.session.journal
        return show.pretty(show.answer_data(journal[-1].result)) if journal else "no call yet"

    def undo(self, rest: str) -> str:
        """Take back the last call that changed something; those that came after it go with it."""
        from worlddb.tools.show import diff_summary

        if not any(e.changes for e in self.session.journal):
            return "nothing to take back"
        after = -1
        entry: Entry | None = None
        while entry is None or not entry.changes:
            entry = self.session.undo()
            assert entry is not None, "one that changed something is in the journal"
            after += 1
        others = f", and {after} call{'s' * (after != 1)} after it that changed nothing" if after else ""
        return f"took back call {entry.number}, {entry.name} ({diff_summary(entry.changes)}){others}"

    def reset(self, rest: str) -> str:
        """Back to the start."""
        self.session.reset()
        return "back at the start"

    def journal(self, rest: str) -> str:
        """Every call so far."""
        from worlddb.tools.show import table_lines

        rows = [
            (e.number, e.name, _short(e.arguments), e.result.error.code if e.result.error else "ok", len(e.changes))
            for e in self.session.journal
        ]
        return "\n".join(table_lines(("call", "tool", "arguments", "result", "rows changed"), rows, self.width))

    def sql(self, rest: str) -> str:
        """Run SQL, where the toolset has it."""
        tool = next((t for t in self.session.toolset if t.kind == "sql"), None)
        if tool is None:
            return "this toolset has no free SQL; start with: worlddb play WORLD --sets both"
        return self._call(tool.name, {"sql": rest})

    def save(self, rest: str) -> str:
        """Write the episode to a file."""
        file = Path(rest) if rest else self._file
        if file is None:
            return "say where: save FILE"
        if file.exists() and file != self._file:
            raise StoreError(f"{file} exists already; choose another name, or remove it first")
        save_session(self.session, file)
        self._file = file
        return f"{len(self.session.journal)} calls are in {file}"

    def load(self, rest: str) -> str:
        """Go on with the episode in a file."""
        if not rest:
            return "say what: load FILE"
        if not Path(rest).exists():
            raise StoreError(f"there is no file {rest}; 'save {rest}' makes one")
        self.session = open_session(self.session.world, self.session.toolset, Path(rest))
        self._file = Path(rest)
        return f"{len(self.session.journal)} calls made again; 'journal' shows them"

    def quit(self, rest: str) -> str:
        """Leave."""
        self.over = True
        return ""

    # --- help for them

    def _diff(self, changes: Any) -> list[str]:
        from worlddb.tools.show import diff_lines

        return [self.paint(line) for line in diff_lines(self.session.world.schema, changes)]


def syntax(session: Session) -> list[str]:
    """How calls are written, shown with tools and a key that the world has."""
    tools = [t for t in session.toolset if t.read_only]
    pages = ((t, p) for t in tools for p in t.params if p.role == "limit" and not t.parameters.get("required"))
    keyed = ((t, _a_key(session, t)) for t in tools if len(t.parameters.get("required", ())) == 1)
    shown = []
    if page := next(pages, None):
        tool, limit = page
        shown += [(f"{tool.name} {limit.name}=5", ""), (f'{tool.name} {{"{limit.name}": 5}}', "the same as JSON")]
    if one := next(((t, k) for t, k in keyed if k), None):
        shown.append((f"{one[0].name} {one[1]}", "a bare value goes to the next required parameter"))
    if sql := next((t for t in session.toolset if t.kind == "sql"), None):
        shown.append((f'{sql.name} "SELECT 1 AS one"', "values with blanks stand in quotes"))
    margin = max((len(line) for line, _ in shown), default=0)
    return [
        "A tool is called by its name and its arguments, which are names and values or JSON:",
        *(f"  {line.ljust(margin)}   {note}".rstrip() for line, note in shown),
        "At a terminal the keys Tab and ↑ complete and repeat.",
    ]


def _a_key(session: Session, tool: Tool) -> str:
    """A value that the one required parameter of a tool can have, as one types it; empty where none is known."""
    from worlddb.cli.complete import Completions

    name = tool.parameters["required"][0]
    if tool.kind != "get" or "type" not in (schema := parameters(tool)[name]) or schema["type"] == "array":
        return ""
    return next((c.text for c in Completions(lambda: session, ()).of(f"{tool.name} {name}=")), "")


def _short(arguments: Any) -> str:
    """Arguments on one line, as one would type them."""
    if isinstance(arguments, dict):
        return " ".join(f"{k}={v}" for k, v in arguments.items())
    return "" if arguments is None else str(arguments)


class Command(NamedTuple):
    """A word that is no tool."""

    usage: str
    does: str
    run: Callable[[Any, str], str]


COMMANDS: dict[str, Command] = {
    c.usage.split()[0]: c
    for c in (
        Command("help [TOOL]", "this text, or all about one tool", Player.help),
        Command("tools [TEXT]", "the tools; those that have TEXT in name, kind or purpose", Player.tools),
        Command("call TOOL …", "call a tool, even one that is named like a command", Player.call),
        Command("last", "the last answer as the agent reads it, in full", Player.last),
        Command("diff", "what the episode has changed, in sum", Player.diff),
        Command("undo", "take back the last call that changed something", Player.undo),
        Command("reset", "back to the start", Player.reset),
        Command("journal", "every call so far", Player.journal),
        Command("sql QUERY", "run SQL (with --sets sql or both)", Player.sql),
        Command("save FILE", "write the episode to a file", Player.save),
        Command("load FILE", "go on with the episode in a file", Player.load),
        Command("quit", "leave", Player.quit),
    )
}


# --- where the lines come from


def from_pipe(player: Player) -> None:
    """Read lines from stdin; print each after its prompt, so that the output reads like a session at a terminal."""
    click.echo(player.greeting)
    for line in sys.stdin:
        click.echo(f"{player.prompt}{line.rstrip()}")
        if text := player.answer(line):
            click.echo(text)
        if player.over:
            return


def on_terminal(player: Player, *, input: Input | None = None, output: Output | None = None) -> None:
    """Ask for lines at a prompt with completion and history.  Ctrl-C drops the line or stops a call; Ctrl-D leaves."""
    from prompt_toolkit import PromptSession

    from worlddb.cli.complete import Completions, as_completer

    asking: PromptSession[str] = PromptSession(
        history=_history(), completer=as_completer(Completions(lambda: player.session, tuple(player.commands))),
        complete_while_typing=True, input=input, output=output,
    )  # fmt: skip
    player.paint = painted
    click.echo(player.greeting)
    while not player.over:
        try:
            line = asking.prompt(player.prompt)
            player.width = asking.output.get_size().columns
            if text := player.answer(line):
                click.echo(text)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return


def _history() -> History:
    """Lines of earlier days, where the user's folder for such things can be written; else those of today."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    file = Path(click.get_app_dir("worlddb")) / "play_history"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(file))

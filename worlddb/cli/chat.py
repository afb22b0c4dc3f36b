"""The command `chat`: a person is the agent, calls tools and talks with the user of a task."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worlddb.cli.line import read_text, tool_named
from worlddb.cli.play import COMMANDS, Command, Player, from_pipe, on_terminal
from worlddb.cli.tasks import find_tasks, task_options

if TYPE_CHECKING:
    from worlddb.episode.play import Episode


@click.command()
@click.argument("world")
@click.argument("task")
@click.option("--style", default="", help="Style of the API, such as crud; the world's own if not given.")
@task_options
def chat(world: str, task: str, style: str, store: Path | None, profile: str, task_profile: str, n: int | None) -> None:
    """Be the agent of a task: call tools, talk with the user, submit, and see how it is judged.

    WORLD is an id (hotel-12), a seed (12) or an index in the store ('#12'), TASK a number or an id (hotel-12/3).  A line that
    begins with no tool or command is said to the user.  Without a terminal the lines are read from stdin.

    \b
    Examples:
      worlddb chat 12 3 --task-profile interactive
      worlddb chat hotel-12 hotel-12/3
      printf 'Which one do you mean?\\nsubmit\\n' | worlddb chat 12 1 --task-profile interactive
    """
    from worlddb.episode.play import Episode

    found = find_tasks(world, store, profile, task_profile, n)
    chatter = Chatter(Episode(found, found.task(task), found.toolset(style or None)))
    if sys.stdin.isatty() and sys.stdout.isatty():
        on_terminal(chatter)
    else:
        from_pipe(chatter)


class Chatter(Player):
    """A player who has a task, and a user to talk with."""

    def __init__(self, episode: Episode) -> None:
        super().__init__(episode.session)
        self.episode = episode

    @property
    def commands(self) -> dict[str, Command]:
        """Those of `play` that make sense here, and those about the user."""
        return CHAT

    @property
    def greeting(self) -> str:
        """The request, and what a person needs to know first."""
        seen = self.episode.reset()
        parts = [seen.instruction, seen.form, seen.briefing]
        told = "\n\n".join(p for p in parts if p)
        return f"{told}\n\nType help, tools, the name of a tool, or what you say to the user; submit ends it."

    def other(self, line: str) -> str:
        """A call, where the line begins with a tool; else it is said to the user."""
        name = line.split(" ", 1)[0]
        return self.call(line) if tool_named(self.session.toolset, name) else self.tell(line)

    # --- the commands

    def tell(self, rest: str) -> str:
        """Say something to the user."""
        return self._talk("user.tell", {"message": rest.strip()})

    def ask(self, rest: str) -> str:
        """Ask the user; what stands behind a bar is what it is about: ask Which day? | due_date."""
        question, _, about = rest.partition("|")
        names = [name.strip() for name in about.split(",") if name.strip()]
        return self._talk("user.ask", {"question": question.strip(), **({"about": names} if names else {})})

    def confirm(self, rest: str) -> str:
        """Ask whether the user wants a call."""
        name, _, text = rest.strip().partition(" ")
        tool = tool_named(self.session.toolset, name)
        if tool is None:
            return "say which call: confirm TOOL ARGUMENTS"
        return self._talk("user.confirm", {"action": name, "arguments": read_text(tool, text.strip()) or {}})

    def _talk(self, key: str, arguments: dict[str, Any]) -> str:
        tool = self.session.toolset.by_key(key)
        if tool is None:
            return "nobody is there to talk with: this task has no user"
        result = self.episode.call(tool.name, arguments)
        if result.ok:
            return f"\u201c{result.data['reply']}\u201d"
        return result.error.message if result.error else ""

    def task(self, rest: str) -> str:
        """The request once more."""
        return self.episode.task.instruction if hasattr(self.episode.task, "instruction") else ""

    def handbook(self, rest: str) -> str:
        """The rules of the house."""
        return self.episode.handbook()

    def submit(self, rest: str) -> str:
        """End it, with an answer or without, and be judged."""
        import orjson

        from worlddb.episode.verify import UNANSWERED

        answer: Any = UNANSWERED
        if rest:
            try:
                answer = orjson.loads(rest)
            except orjson.JSONDecodeError:
                answer = rest
        self.over = True
        return str(self.episode.submit(answer))


CHAT: dict[str, Command] = {
    **{k: COMMANDS[k] for k in ("help", "tools", "call", "last", "diff", "journal")},
    **{
        c.usage.split()[0]: c
        for c in (
            Command("task", "the request once more", Chatter.task),
            Command("handbook", "the rules of the house", Chatter.handbook),
            Command("tell TEXT", "say something to the user; so does a line that begins with no command", Chatter.tell),
            Command("ask TEXT | …", "ask the user; names of what it is about may follow a bar", Chatter.ask),
            Command("confirm TOOL …", "ask the user whether they want a call", Chatter.confirm),
            Command(
                "submit ANSWER", "end it, and be judged; without an answer where none is asked for", Chatter.submit
            ),
        )
    },
    "quit": COMMANDS["quit"],
}

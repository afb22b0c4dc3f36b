"""The command `chat`: a person is the agent, calls tools and talks with the user of a task."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worlddb.cli.line import read_text, tool_named
from worlddb.cli.play import COMMANDS, Command, Player, from_pipe, on_terminal
from worlddb.cli.tasks import find_tasks, task_options

if TYPE_CHECKING:
    from worlddb.episode.company import Voice
    from worlddb.episode.play import Episode
    from worlddb.tasks.model import Task
    from worlddb.tools.faults import Faults
    from worlddb.users.endpoint import Cache
    from worlddb.users.llm import LLMUser
    from worlddb.users.simulate import User

KEY = "WORLDDB_VOICE_KEY"
"""Environment variable with the key of the endpoint; a key on a command line would be seen by others."""
LONGEST = 20
"""Replies of which the model's part is told one by one, at most."""


@click.command()
@click.argument("world")
@click.argument("task")
@click.option("--style", default="", help="Style of the API, such as crud; the world's own if not given.")
@click.option(
    "--faults", default="", metavar="KIND=SHARE,...", help="Calls fail so often: transient=0.1,timeout=0.05,seed=3."
)
@click.option(
    "--voice-url", default="", metavar="URL", help="A language model speaks for the user: base URL of its endpoint."
)
@click.option("--voice-model", default="", metavar="NAME", help="Name of that model.")
@click.option(
    "--voice-mode",
    type=click.Choice(["paraphrase", "understand", "free"]),
    default="paraphrase",
    show_default=True,
    help="What the model does: reword replies, recognise what is asked for, or reply itself.",
)
@click.option("--voice-cache", type=click.Path(path_type=Path), metavar="FILE", help="Keep its replies in this file.")
@click.option("--offline", is_flag=True, help="Ask no endpoint: its replies come from --voice-cache.")
@task_options
def chat(
    world: str,
    task: str,
    style: str,
    faults: str,
    voice_url: str,
    voice_model: str,
    voice_mode: str,
    voice_cache: Path | None,
    offline: bool,
    store: Path | None,
    profile: str,
    task_profile: str,
    n: int | None,
) -> None:
    """Be the agent of a task: call tools, talk with the user, submit, and see how it is judged.

    WORLD is an id (hotel-12), a seed (12) or an index in the store ('#12'), TASK a number or an id (hotel-12/3).  A line that
    begins with no tool or command is said to the user.  Without a terminal the lines are read from stdin.

    The user speaks by rules.  With --voice-url and --voice-model a model behind an OpenAI-compatible endpoint has a part in
    it; its key is taken from the environment variable WORLDDB_VOICE_KEY.

    \b
    Examples:
      worlddb chat 12 3 --task-profile interactive
      worlddb chat hotel-12 hotel-12/3 --faults transient=0.1,timeout=0.05
      printf 'Which one do you mean?\\nsubmit\\n' | worlddb chat 12 1 --task-profile interactive
      worlddb chat 12 1 --task-profile policy --voice-url http://localhost:8000/v1 --voice-model mine --voice-cache said.jsonl
      worlddb chat 12 1 --task-profile policy --voice-model mine --voice-cache said.jsonl --offline
    """
    from worlddb.episode.play import Episode

    given = _faults(faults)
    voice = _Voice(voice_url, voice_model, voice_mode, voice_cache, offline)
    found = find_tasks(world, store, profile, task_profile, n)
    chosen = found.task(task)
    episode = Episode(found, chosen, found.toolset(style or None), faults=given, voice=voice.of(chosen))
    chatter = Chatter(episode, voice.made)
    if sys.stdin.isatty() and sys.stdout.isatty():
        on_terminal(chatter)
    else:
        from_pipe(chatter)


def _faults(text: str) -> Faults | None:
    """Faults as one types them; None where none are given.

    Raises:
        UnknownName: there is no such kind.
        BadRequest: this is no share.
    """
    if not text:
        return None
    from worlddb.errors import BadRequest, UnknownName
    from worlddb.tools.faults import KINDS, Faults
    from worlddb.tools.faulty import faults_beside

    shares, seed = dict[str, float](), 0
    for part in text.split(","):
        kind, _, share = (word.strip() for word in part.partition("="))
        if kind not in (*KINDS, "seed"):
            raise UnknownName("fault", kind, (*KINDS, "seed"))
        try:
            if kind == "seed":
                seed = int(share)
            else:
                shares[kind] = float(share)
        except ValueError:
            raise BadRequest(
                f"--faults takes KIND=SHARE with commas between, such as transient=0.1, not '{part}'"
            ) from None
    found = Faults(seed=seed, **shares)
    faults_beside(found)  # says which share is none
    return found


class _Voice:
    """The model that speaks for the user, as the options name it."""

    def __init__(self, url: str, model: str, mode: str, file: Path | None, offline: bool) -> None:
        """Nothing given: nobody.

        Raises:
            BadRequest: something is missing, or does not go together.
            StoreError: the file of replies cannot be read or written.
        """
        from worlddb.errors import BadRequest

        self.wanted = bool(url or model or file or offline)
        self.made: list[LLMUser] = []
        """The user with the model's voice, once there is one."""
        if not self.wanted:
            return
        if not model:
            raise BadRequest("whose voice is it? name the model with --voice-model")
        if offline and file is None:
            raise BadRequest("--offline takes replies from a file; name it with --voice-cache")
        if not offline and not url.startswith(("http://", "https://")):
            raise BadRequest(
                f"--voice-url is the base URL of the endpoint, such as http://localhost:8000/v1, not '{url}'"
            )
        from worlddb.tasks.say.paraphrase import Endpoint

        self._endpoint = Endpoint(url=url, model=model, key=os.environ.get(KEY, ""))
        self._mode, self._cache = mode, _cache(file, offline)

    def of(self, task: Task) -> Voice | None:
        """Who makes the task's user speak so; None where no voice is wanted.

        Raises:
            BadRequest: the task has no user.
        """
        if not self.wanted:
            return None
        from worlddb.errors import BadRequest
        from worlddb.users.llm import LLMUser

        if task.user is None:
            raise BadRequest(
                f"{task.id} has no user to speak for; tasks of --task-profile interactive or policy have one"
            )

        def speak(user: User) -> LLMUser:
            self.made.append(LLMUser(user, self._endpoint, self._mode, self._cache, instruction=task.instruction))
            return self.made[-1]

        return speak


def _cache(file: Path | None, offline: bool) -> Cache:
    """The replies in a file, which can be read (offline), or written."""
    from worlddb.errors import StoreError
    from worlddb.users.endpoint import Cache

    try:
        if file is not None:
            if not offline:
                file.parent.mkdir(parents=True, exist_ok=True)
            file.open("rb" if offline else "ab").close()
        return Cache(file, offline=offline)
    except OSError as error:
        does = "read" if offline else "written"
        raise StoreError(f"{file} cannot be {does}: {error.strerror}; name another with --voice-cache") from None


class Chatter(Player):
    """A player who has a task, and a user to talk with."""

    def __init__(self, episode: Episode, voices: Sequence[LLMUser] = ()) -> None:
        """`voices`: the user, where a model speaks for them."""
        super().__init__(episode.session)
        self.episode = episode
        self._voices = voices
        self._seen = episode.reset()

    @property
    def commands(self) -> dict[str, Command]:
        """Those of `play` that make sense here, and those about the user."""
        return CHAT

    @property
    def greeting(self) -> str:
        """The request, and what a person needs to know first."""
        parts = [self._seen.instruction, self._seen.form, self._seen.briefing]
        told = [_wrapped(p) for p in parts if p]
        told.append("Type help, tools, the name of a tool, or what you say to the user; submit ends it.")
        return "\n\n".join(told)

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
        return self._seen.instruction

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
        return "\n".join([str(self.episode.submit(answer)), *self._spoken()])

    def _spoken(self) -> list[str]:
        """Which replies are the model's, in a line each that is not."""
        flags = [f for voice in self._voices for f in voice.flags(self.session.journal)]
        rest = [f for f in flags if f.why]
        head = f"the model had a part in {sum(f.taken for f in flags)} of {len(flags)} replies for which it was asked"
        return [head, *(f"  call {f.number}: {f.why}" for f in rest[:LONGEST])] if self._voices else []


def _wrapped(text: str) -> str:
    """Prose in lines that a person can read."""
    import textwrap

    from worlddb.tools.show import TABLE

    return "\n".join(textwrap.fill(line, TABLE, break_on_hyphens=False) for line in text.splitlines())


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

"""The commands that evaluate agents: eval, compare, curriculum."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worlddb.cli.common import DEFAULT_STORE, Command, crew_options, json_option, print_json, print_table, progress

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from worlddb.agents.evaluate import Outcome
    from worlddb.agents.make import Spec
    from worlddb.runs.words import Sheet

RUNS = Path("data/runs")
MISSED = 3
"""Attempts that could not be made, of which the reason is shown."""

_AGENT = (
    click.option(
        "--agent", required=True, type=click.Choice(["oracle", "null", "random", "first-row", "replay", "chat"]),
        help="Who plays.",
    ),
    click.option("--model", help="chat: name of the model."),
    click.option("--base-url", metavar="URL", help="chat: the endpoint, up to and without /chat/completions."),
    click.option("--key-env", metavar="NAME", help="chat: variable of the environment that holds the endpoint's key."),
    click.option("--temperature", type=float, help="chat: sent with each request; the endpoint's own if not given."),
    click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="chat: of one message."),
    click.option("--request", metavar="JSON", help="chat: further fields of each request, as a JSON object."),
    click.option("--turns", type=click.IntRange(1), metavar="N", help="chat: messages of an attempt, at most; 50 if not given."),
    click.option("--tokens", type=click.IntRange(1), metavar="N", help="chat: completion tokens of an attempt, at most."),
    click.option("--timeout", type=float, metavar="S", help="chat: seconds to wait for a message; 120 if not given."),
    click.option("--attempts", type=click.Path(path_type=Path), help="replay: a run, or a file of attempts as JSON lines."),
    click.option("--seed", type=int, help="random: another seed, other calls."),
)  # fmt: skip
OF = {
    "chat": ("model", "base_url", "key_env", "temperature", "max_tokens", "request", "turns", "tokens", "timeout"),
    "replay": ("attempts",), "random": ("seed",),
}  # fmt: skip
"""Agent -> the options that are its own."""


def _complete_task_profile(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from worlddb.tasks.shapes import task_profiles

    return [CompletionItem(n, help=p.summary) for n, p in task_profiles().items() if n.startswith(incomplete)]


def agent_options(command: Command) -> Command:
    """--agent and the options of each."""
    for option in reversed(_AGENT):
        command = option(command)
    return command


@click.command("eval")
@click.argument("path", default=str(DEFAULT_STORE))
@agent_options
@click.option("--k", type=click.IntRange(1), default=1, show_default=True, help="Attempts at each task.")
@click.option("--tasks", type=click.IntRange(1), metavar="N", help="The first N tasks only.")
@click.option(
    "--task-profile", default="", shell_complete=_complete_task_profile,
    help="Make tasks of this profile (easy, default, hard …) instead of taking those that the worlds have.",
)  # fmt: skip
@click.option("--profile", default="default", show_default=True, help="Profile to grow with where PATH is a world.")
@click.option("--concurrency", type=click.IntRange(1), default=32, show_default=True, help="chat: attempts at a time.")
@crew_options
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run  [default: data/runs/ and its name]")
@json_option
def evaluate(
    path: str, agent: str, k: int, tasks: int | None, task_profile: str, profile: str, concurrency: int, workers: int | None,
    backend: str, address: str | None, out: Path | None, as_json: bool, **given: Any,
) -> None:  # fmt: skip
    """Have an agent play tasks, k times each, and report how it does.

    PATH is a store, or a world: an id (hotel-12) or a seed (12).  What is played is kept in a run, a folder with all attempts
    as JSON lines and Parquet and with reports as Markdown and HTML.  The same command goes on with a run that was interrupted.

    The agents oracle, null, random and first-row show what a number is worth: the oracle plays the gold, the others should
    hardly ever succeed.  chat is a model behind any endpoint that speaks Chat Completions.

    \b
    Examples:
      worlddb eval data/out --agent oracle
      worlddb eval data/out --agent chat --model qwen3 --base-url http://localhost:8000/v1 --k 4
      worlddb eval data/out --agent chat --model m --base-url https://api.example.com/v1 --key-env API_KEY --temperature 0
      worlddb eval 12 --agent random --task-profile hard --tasks 20
      worlddb eval data/out --agent replay --attempts data/runs/qwen3 --out data/runs/again
    """
    from worlddb.agents.evaluate import evaluate as play
    from worlddb.runs.publish import publish
    from worlddb.runs.words import headline, sheets

    spec = _spec(agent, given)
    home = out or RUNS / _slug(spec, path)
    began = time.monotonic()
    try:
        with progress("playing tasks") as report:
            found = play(
                path, home, spec, k=k, tasks=tasks, task_profile=task_profile, profile=profile, concurrency=concurrency,
                workers=workers, backend=backend, address=address, progress=report,
            )  # fmt: skip
    except KeyboardInterrupt:
        click.echo(f"{home} keeps what was finished; the same command goes on with it", err=True)
        raise
    took = time.monotonic() - began
    _note_missed(found)
    made = publish(found.run)
    if as_json:
        print_json(made.summary)
    else:
        click.echo(f"{headline(made.summary)}\n")
        _print(list(sheets(made.summary)))
        click.echo(f"{made.summary.attempts:,} attempts in {home}, {took:.1f} s; {made.html} shows them")
    if found.missed:
        raise SystemExit(1)


def _spec(agent: str, given: dict[str, Any]) -> Spec:
    """The agent with the options that it was given.

    Raises:
        UsageError: one of them is another agent's.
    """
    from worlddb.agents.make import Spec

    options = {name: value for name, value in given.items() if value is not None}
    for name in options:
        if name not in OF.get(agent, ()):
            owner = next(a for a, names in OF.items() if name in names)
            raise click.UsageError(f"--{name.replace('_', '-')} is an option of the agent '{owner}', not of '{agent}'")
    if "attempts" in options:
        options["attempts"] = str(options["attempts"])
    request = _object(options.pop("request", ""))
    request |= {name: options.pop(name) for name in ("temperature", "max_tokens") if name in options}
    return Spec(agent, {**options, **({"request": request} if request else {})})


def _object(text: str) -> dict[str, Any]:
    import json

    try:
        found = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise click.UsageError(f"--request is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise click.UsageError("--request takes a JSON object, such as '{\"top_p\": 0.9}'")
    return found


def _slug(spec: Spec, path: str) -> str:
    """A name for the run of an agent over a store."""
    return re.sub(r"[^\w.-]+", "-", f"{spec.options.get('model', spec.name)}-{Path(path).name}").strip("-.")


def _note_missed(found: Outcome) -> None:
    for one in found.missed[:MISSED]:
        click.echo(f"note: {one.task}, run {one.run} was not attempted: {one.why}", err=True)
    if found.missed:
        click.echo(f"note: {len(found.missed)} attempts could not be made; the same command tries them again", err=True)


def _print(sheets: Sequence[Sheet]) -> None:
    for sheet in sheets:
        click.echo(sheet.title)
        print_table(sheet.columns, sheet.rows)
        click.echo()


@click.command()
@click.argument("run_a", type=click.Path(path_type=Path))
@click.argument("run_b", type=click.Path(path_type=Path))
@json_option
def compare(run_a: Path, run_b: Path, as_json: bool) -> None:
    """Compare two runs task by task.

    Only tasks that both attempted count.  B - A is the difference of their pass rates with a 95 % bootstrap interval; won and
    lost are the tasks that B passes more or less often than A, and p is how likely so uneven a split would be if neither were
    better (sign test).  '*' marks differences whose interval keeps to one side of zero, with p below 0.05.

    \b
    Examples:
      worlddb compare data/runs/base data/runs/tuned
      worlddb compare data/runs/base data/runs/tuned --json
    """
    from worlddb.runs import compare as compare_runs
    from worlddb.runs import open_run
    from worlddb.runs.words import compared

    found = compare_runs(open_run(run_a), open_run(run_b))
    if as_json:
        print_json(found)
        return
    click.echo(f"A is {found.a.label} ({run_a}), B is {found.b.label} ({run_b})\n")
    _print(list(compared(found)))
    if found.only_a or found.only_b:
        click.echo(
            f"note: {found.only_a:,} tasks are only in A, {found.only_b:,} only in B; they do not count", err=True
        )


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--band", default="0.2,0.8", show_default=True, metavar="LOW,HIGH", help="Pass rates of the shapes that are taken."
)
@json_option
def curriculum(run: Path, band: str, as_json: bool) -> None:
    """Print a profile of tasks like those that a run solves only sometimes.

    It weighs families and lengths whose pass rate lies within the band, the harder ones more; as YAML, for
    'worlddb spawn --task-profile FILE'.  With --json: the weights of each family and length.

    \b
    Examples:
      worlddb curriculum data/runs/qwen3 > harder.yaml
      worlddb curriculum data/runs/qwen3 --band 0,0.5 --json
    """
    from worlddb.errors import BadRequest
    from worlddb.runs import curriculum as weigh
    from worlddb.runs import harder, open_run
    from worlddb.runs.curriculum import profile_text

    try:
        low, high = (float(part) for part in band.split(","))
    except ValueError:
        raise BadRequest(f"--band takes two pass rates, such as 0.2,0.8, not '{band}'") from None
    found = open_run(run)
    if as_json:
        print_json([{"family": f, "calls": c, "weight": w} for (f, c), w in weigh(found, (low, high)).items()])
    else:
        click.echo(profile_text(harder(found, (low, high))), nl=False)

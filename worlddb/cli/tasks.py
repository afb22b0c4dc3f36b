"""The commands about tasks: what a world's tasks are, and how they are solved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worlddb.cli.common import Command, json_option, print_json, print_table, save_text, terminal_width

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from worlddb.episode.play import Episode
    from worlddb.tasks.model import Task
    from worlddb.world.model import World


def _complete_task_profile(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from worlddb.tasks.shapes import task_profiles

    return [CompletionItem(n, help=p.summary) for n, p in task_profiles().items() if n.startswith(incomplete)]


_OPTIONS = (
    click.option(
        "--store", type=click.Path(path_type=Path), help="Take the world from this store; else from data/out, or grow it."
    ),
    click.option(
        "--profile", default="default", show_default=True, help="Profile to grow with where no store has the world."
    ),
    click.option(
        "--task-profile", default="", shell_complete=_complete_task_profile,
        help="Make tasks of this profile (easy, default, hard, nestful, randomworld, interactive, policy, faulty) instead of "
        "those that the world has.",
    ),
    click.option("--n", type=click.IntRange(1), metavar="N", help="Make so many tasks, 10 if not given."),
)  # fmt: skip


def task_options(command: Command) -> Command:
    """--store, --profile, --task-profile and --n: which world, and which of its tasks."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def find_tasks(world: str, store: Path | None, profile: str, task_profile: str, n: int | None) -> World:
    """The world that the options name, holding the tasks that they ask for.

    Raises:
        UnknownName: there is no such world or profile.
        BadRequest: the store has no tasks of it.
    """
    from worlddb.errors import BadRequest
    from worlddb.store import find_world

    found = find_world(world, store, profile)
    if task_profile or n:
        from worlddb.gate import tasks_of

        made = tasks_of(found, n or 10, task_profile or "default").tasks
        found.hold_tasks(lambda: made)
    if not found.tasks:
        raise BadRequest(
            f"{found.id} has no tasks; make some with --n 10, or grow a store with 'worlddb spawn --tasks 10'"
        )
    return found


@click.command()
@click.argument("world")
@click.argument("task", required=False)
@task_options
@json_option
def tasks(
    world: str, task: str | None, store: Path | None, profile: str, task_profile: str, n: int | None, as_json: bool
) -> None:
    """Show the tasks of a world, or all that there is to say of one.

    WORLD is an id (hotel-12), a seed (12) or an index in the store ('#12').  TASK is a number or an id (hotel-12/3); it
    is shown with its structure, the calls of the gold, what must change and what must be answered, the proofs of its
    descriptions as SQL, and what the admission gate measured.

    \b
    Examples:
      worlddb tasks 12
      worlddb tasks 12 3
      worlddb tasks hotel-12 hotel-12/3 --json
      worlddb tasks 12 --task-profile hard --n 20
      worlddb tasks '#0' --store data/small
    """
    from worlddb.episode import show

    found = find_tasks(world, store, profile, task_profile, n)
    toolset = found.toolset()
    if task is not None and as_json:
        print_json(show.task_data(found.task(task), toolset))
    elif task is not None:
        click.echo("\n".join(show.task_lines(found.task(task), toolset, terminal_width())))
    elif as_json:
        print_json([show.task_data(t, toolset) for t in found.tasks])
    else:
        print_table(show.TASK_COLUMNS, [show.task_row(t) for t in found.tasks])


@click.command()
@click.argument("world")
@click.argument("task", required=False)
@click.option("--all", "every", is_flag=True, help="Solve every task of the world, a line each.")
@click.option(
    "--drop", type=int, default=0, metavar="CALL", help="Leave this call of the gold out, and see what is missing."
)
@click.option("--style", default="", help="Style of the API, such as crud; the world's own if not given.")
@click.option(
    "--record", type=click.Path(path_type=Path, dir_okay=False), help="Write the trajectory to this file, for 'verify'."
)
@task_options
@json_option
def solve(
    world: str, task: str | None, every: bool, drop: int, style: str, record: Path | None, store: Path | None,
    profile: str, task_profile: str, n: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Play the gold of a task call by call, and judge what came of it.

    WORLD is an id (hotel-12), a seed (12) or an index in the store ('#12'), TASK a number or an id (hotel-12/3).  Shown
    are the calls with their answers, the net changes as '+', '-' and '~', what was submitted, and the verdict.  The exit
    status is 1 where a task was not solved.

    \b
    Examples:
      worlddb solve 12 3
      worlddb solve 12 3 --drop 1
      worlddb solve 12 --all
      worlddb solve 12 3 --style rest --json
      worlddb solve 12 3 --record trajectory.json
    """
    from worlddb.episode.solve import solve as play_gold

    if every == (task is not None):
        raise click.UsageError("give either a TASK or --all")
    if every and (record or drop):
        raise click.UsageError("--record and --drop are about one TASK; leave out --all")
    found = find_tasks(world, store, profile, task_profile, n)
    toolset = found.toolset(style or None)
    chosen = found.tasks if every else (found.task(task or ""),)
    played = [(t, play_gold(found, t, toolset, without=drop)) for t in chosen]
    if record is not None:
        made = {"profile": found.recipe.profile, "task_profile": task_profile, "n": n, "style": style}
        save_text(record, _recorded(*played[0], {k: v for k, v in made.items() if v}))
    if as_json:
        data = [_data(t, e) for t, e in played]
        print_json(data if every else data[0])
    elif every:
        print_table(("task", "family", "calls", "rows changed", "verdict"), [_row(t, e) for t, e in played])
    else:
        _print_episode(*played[0], left_out=drop)
    if not all(_solved(e) for _, e in played):
        raise SystemExit(1)


def _solved(episode: Episode) -> bool:
    return episode.verdict is not None and episode.verdict.success


def _row(task: Task, episode: Episode) -> tuple[Any, ...]:
    verdict = str(episode.verdict).partition("\n")[0]
    return task.id.rpartition("/")[2], task.family, len(episode.session.journal), len(episode.session.diff()), verdict


def _print_episode(task: Task, episode: Episode, left_out: int) -> None:
    from worlddb.cli.act import painted
    from worlddb.episode import show
    from worlddb.episode.solve import submitted
    from worlddb.tools.show import diff_lines, diff_summary

    width = terminal_width()
    click.echo("\n".join(show.instruction_lines(task, width)))
    session = episode.session
    for entry in session.journal:
        tool = session.toolset[entry.name]
        click.echo(f"\n{entry.number}> {show.call_text(entry.name, entry.arguments)}")
        click.echo("\n".join(show.result_lines(entry.result, tool.reply.items, width)))
    if left_out:
        click.echo(f"\nleft out: {show.gold_lines(task, session.toolset)[left_out - 1].lstrip()}")
    diff = session.diff()
    click.echo("\nnet changes")
    for line in (*diff_lines(session.world.schema, diff), diff_summary(diff)):
        click.echo(painted(line))
    click.echo(f"\nsubmitted: {show.submitted_text(submitted(task))}\n{episode.verdict}")


def _data(task: Task, episode: Episode) -> dict[str, Any]:
    """A solved task for scripts: calls as 'call --json' shows them, net changes, answer, verdict."""
    import json

    from worlddb.cli.act import call_data
    from worlddb.tools.show import change_data

    session = episode.session
    assert episode.verdict is not None
    return {
        "task": task.id, "instruction": task.instruction, "calls": [call_data(session, e) for e in session.journal],
        "changes": [change_data(session.world.schema, c) for c in session.diff()], "answer": task.answer,
        "verdict": json.loads(episode.verdict.json),
    }  # fmt: skip


def _recorded(task: Task, episode: Episode, made: dict[str, Any]) -> str:
    """The trajectory as JSON, with what it takes to find the task again."""
    import msgspec

    from worlddb.episode.play import record_of
    from worlddb.episode.solve import submitted

    data = msgspec.to_builtins(record_of(episode, submitted(task)))
    data["skeleton"] = task.card.skeleton
    return msgspec.json.format(msgspec.json.encode({**data, **made}), indent=2).decode() + "\n"

"""The commands that judge and compare: trajectories, and databases before and after."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from worlddb.cli.common import json_option, print_json
from worlddb.cli.tasks import find_tasks, task_options

if TYPE_CHECKING:
    from worlddb.episode.verdict import Verdict

_MADE = {"profile": str, "task_profile": str, "n": int}
"""What a recorded trajectory says of how its world and task were made, and of what type it is."""


class BadInput(click.ClickException):
    """Nothing was judged: the exit status is neither that of a success nor that of a failure."""

    exit_code = 2


@click.command()
@click.argument("trajectory", required=False, metavar="[TRAJECTORY.json]")
@click.option("--task", default="", metavar="ID", help="The task (hotel-12/3), where the trajectory does not say it.")
@click.option("--before", type=click.Path(path_type=Path), help="The database before; the world as grown if not given.")
@click.option(
    "--after", type=click.Path(path_type=Path), help="The database after: judge this instead of a trajectory."
)
@click.option("--answer", metavar="JSON", help="With --after: the answer that was submitted, as JSON or plain text.")
@task_options
@json_option
def verify(
    trajectory: str | None, task: str, before: Path | None, after: Path | None, answer: str | None, store: Path | None,
    profile: str, task_profile: str, n: int | None, as_json: bool,
) -> None:  # fmt: skip
    """Judge a recorded trajectory, or two snapshots of a database.

    TRAJECTORY.json (- for stdin) is {world, task, calls: [{name, arguments}], answer}, as 'worlddb solve --record' writes
    it, or a list of Chat Completions messages with tool calls, the last of them 'submit'.  Its calls are made again.
    With --after an agent that acted elsewhere is judged from the database alone; what only a journal could tell is named
    as not judged.

    The exit status is 0 for a success, 1 for a failure, and 2 where nothing could be judged.

    \b
    Examples:
      worlddb solve 12 3 --record trajectory.json && worlddb verify trajectory.json
      worlddb verify - --task hotel-12/3 --json < messages.json
      worlddb verify --task hotel-12/3 --before a.sqlite --after b.sqlite --answer '{"street": "Main St 4"}'
    """
    from worlddb.errors import WorlddbError

    if (trajectory is None) == (after is None):
        raise click.UsageError("give either a TRAJECTORY.json or --after")
    if after is None and (before is not None or answer is not None):
        raise click.UsageError("--before and --answer go with --after; a trajectory has its own answer")
    options = {"profile": profile, "task_profile": task_profile, "n": n}
    given = {k for k in options if _was_given(k)}
    try:
        if after is not None:
            verdict = _judged_databases(task, before, after, answer, store, options)
        else:
            verdict = _judged_record(_read(trajectory or ""), task, store, options, given)
    except WorlddbError as error:
        raise BadInput(str(error)) from None
    click.echo(verdict.json.decode() if as_json else _text(verdict))
    if not verdict.success:
        raise SystemExit(2 if verdict.invalid else 1)


def _was_given(option: str) -> bool:
    source = click.get_current_context().get_parameter_source(option)
    return source is not click.core.ParameterSource.DEFAULT


def _read(name: str) -> bytes:
    from worlddb.errors import StoreError

    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise StoreError(f"{name} cannot be read: {error.strerror}") from None


def _judged_record(data: bytes, task: str, store: Path | None, options: dict[str, Any], given: set[str]) -> Verdict:
    from worlddb.episode.play import judge, trajectory_of
    from worlddb.errors import BadRequest

    record = trajectory_of(data)
    wanted = task or record.task
    if not wanted:
        raise BadRequest("the trajectory does not say its task; add --task hotel-12/3")
    notes = _notes(data)
    made = {k: notes[k] for k, kind in _MADE.items() if k not in given and isinstance(notes.get(k), kind)}
    found = find_tasks(_world_of(wanted), store, **{**options, **made})
    judged = found.task(wanted)
    if notes.get("skeleton", judged.card.skeleton) != judged.card.skeleton:
        raise BadRequest(
            f"the trajectory is one of another task than this {wanted}; add the --store or options of its tasks"
        )
    return judge(record, found, judged)


def _world_of(task: str) -> str:
    from worlddb.errors import BadRequest

    world, slash, _ = task.rpartition("/")
    if not slash:
        raise BadRequest(f"'{task}' is no id of a task; write the world and the number, as in hotel-12/3")
    return world


def _notes(data: bytes) -> dict[str, Any]:
    """What a record says beside its trajectory."""
    import orjson

    record = orjson.loads(data)
    return record if isinstance(record, dict) else {}


def _judged_databases(
    task: str, before: Path | None, after: Path, answer: str | None, store: Path | None, options: dict[str, Any]
) -> Verdict:
    from worlddb.episode.snapshots import verify_snapshots
    from worlddb.episode.verify import UNANSWERED
    from worlddb.errors import BadRequest

    if not task:
        raise BadRequest("say which task: --task hotel-12/3")
    _databases(*([before] if before else []), after)
    found = find_tasks(_world_of(task), store, **options)
    submitted = UNANSWERED if answer is None else _answer(answer)
    return verify_snapshots(found, found.task(task).goal, before, after, submitted)


def _databases(*files: Path) -> None:
    """Refuse files that are no databases: they say nothing about an agent.

    Raises:
        StoreError: one of them is none.
    """
    from worlddb.episode.snapshots import opened
    from worlddb.errors import StoreError

    for file in files:
        try:
            with opened(file):
                pass
        except StoreError as error:
            named = str(file) in str(error)
            raise StoreError(str(error) if named else f"{file}: {error}") from None


def _answer(text: str) -> Any:
    """JSON, or the text that it is where that is none."""
    import orjson

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _text(verdict: Verdict) -> str:
    return "\n".join([str(verdict), *(f"not judged: {what}" for what in verdict.not_judged)])


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--table", "tables", multiple=True, help="Only this table; repeatable.")
@json_option
def diff(before: Path, after: Path, tables: tuple[str, ...], as_json: bool) -> None:
    """Show the net row changes between two SQLite files.

    BEFORE and AFTER are databases of any origin, of one schema; rows are the same where their primary keys are.  A new
    row is marked '+', one that is gone '-', a value that differs '~'.  Neither file is changed.

    \b
    Examples:
      worlddb diff before.sqlite after.sqlite
      worlddb diff before.sqlite after.sqlite --table orders --json
    """
    from worlddb.cli.act import painted
    from worlddb.episode.databases import compared
    from worlddb.tools import show

    _databases(before, after)
    schema, changes = compared(before, after, tables)
    if as_json:
        print_json([show.change_data(schema, c) for c in changes])
        return
    for line in (*show.diff_lines(schema, changes), show.diff_summary(changes)):
        click.echo(painted(line))

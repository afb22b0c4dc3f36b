"""The command that makes a store."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from worlddb.cli.common import DEFAULT_STORE, crew_options, progress

Command = TypeVar("Command", bound=Callable[..., Any])


def _part(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """'2/8' -> (2, 8)."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", value, re.ASCII)
    if not found:
        raise click.BadParameter(f"'{value}' is not of the form I/K, as 0/8 is the first of eight parts")
    return int(found[1]), int(found[2])


def _complete_profile(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from worlddb.world.profiles import profiles

    return [CompletionItem(n, help=p.summary) for n, p in profiles().items() if n.startswith(incomplete)]


def _complete_suite(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from worlddb.suites import suites

    return [CompletionItem(n, help=s.summary) for n, s in suites().items() if n.startswith(incomplete)]


def _complete_task_profile(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from worlddb.tasks.shapes import task_profiles

    return [CompletionItem(n, help=p.summary) for n, p in task_profiles().items() if n.startswith(incomplete)]


@click.command()
@click.option("--n", type=int, metavar="N", help="How many worlds; a suite and --resume know by themselves.")
@click.option("--seed", type=int, help="Seed of the first world, 0 if not given; world i has seed SEED + i.")
@click.option("--profile", shell_complete=_complete_profile, help="Size: default, tiny, small, large, huge or wide.")
@click.option("--suite", shell_complete=_complete_suite, help="Seeds and a mix of profiles: train, eval or smoke.")
@click.option("--domain", help="Grow this domain only: a name ('worlddb domains' lists them) or a file of your own.")
@click.option("--tasks", type=int, metavar="N", help="Tasks for each world, 10 if not given; 0 for none.")
@click.option(
    "--task-profile",
    shell_complete=_complete_task_profile,
    help="Of what kind: easy, default, hard, nestful, randomworld, interactive, policy or faulty.",
)
@click.option("--pools", type=click.Path(path_type=Path), help="Folder of your own value pools.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=DEFAULT_STORE, show_default=True, help="Folder to make."
)
@click.option("--resume", is_flag=True, help="Complete a store that was interrupted.")
@click.option(
    "--shard",
    metavar="I/K",
    callback=_part,
    help="Grow the I-th of K parts only, counted from 0; other calls grow the others.",
)
@click.option("--recipe-only", is_flag=True, help="Lay the store out, and grow none of its worlds yet.")
@crew_options
def spawn(
    n: int | None,
    seed: int | None,
    profile: str | None,
    suite: str | None,
    domain: str | None,
    tasks: int | None,
    task_profile: str | None,
    pools: Path | None,
    out: Path,
    resume: bool,
    shard: tuple[int, int] | None,
    recipe_only: bool,
    workers: int | None,
    backend: str,
    address: str | None,
) -> None:
    """Grow worlds, each with tasks for agents, into a new store.

    The same options give the same worlds and tasks, whoever grows them.  A store that was interrupted, even by kill -9, keeps
    its finished shards of worlds; --resume grows the rest.

    With --shard, machines that share a folder grow one store together, as the jobs of a SLURM array do: each is given the
    same options and another part.  A part that was killed is completed by the same call.

    \b
    Examples:
      worlddb spawn --n 1000
      worlddb spawn --n 50 --seed 7 --profile small --out data/small
      worlddb spawn --n 100 --tasks 20 --task-profile hard --out data/hard
      worlddb spawn --n 1000 --tasks 0 --out data/worlds
      worlddb spawn --suite eval --out data/eval
      worlddb spawn --resume
      worlddb spawn --n 1000000 --out /shared/million --shard $SLURM_ARRAY_TASK_ID/100
      worlddb spawn --n 100000 --out /shared/many --backend ray --address auto
    """
    from worlddb.spawner import spawn as spawn_store

    began = time.monotonic()
    try:
        with progress("growing worlds") as report:
            store = spawn_store(
                out, n, seed=seed, profile=profile, suite=suite, domain=domain, tasks=tasks,
                task_profile=task_profile, pools=pools, workers=workers, backend=backend, address=address, part=shard,
                recipe_only=recipe_only, resume=resume, progress=report,
            )  # fmt: skip
    except KeyboardInterrupt:
        cure = "the same call" if shard else f"'worlddb spawn --resume --out {out}'"
        click.echo(f"{out} keeps what was finished; {cure} completes it", err=True)
        raise
    if not store.finished:
        click.echo(f"{len(store)} of {store.recipe.n} worlds are in {out}; other parts, or --resume, grow the others")
        return
    took, each = time.monotonic() - began, store.bytes / len(store) / 1000
    made = f" with {store.count_tasks()} tasks" if store.recipe.tasks else ""
    click.echo(f"{len(store)} worlds in {out}{made}: {took:.1f} s, {each:.1f} KB a world")

"""`python -m tests.bench`: measure, write JSON, print a table."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from tests.bench import act, commands, judge, report, rubric, stages
from tests.bench.measure import Row, load_average, machine
from worlddb.version import GENERATOR, __version__

STAGES: dict[str, Callable[[stages.Effort], Iterator[Row]]] = {
    "schema": stages.schema, "values": stages.values, "populate": stages.populate, "image": stages.image_,
    "generate": stages.generate_, "spawn": commands.spawn, "use": commands.use, "startup": commands.startup,
    "act": act.act, "judge": judge.judge, "rubric": rubric.rubric_,
}  # fmt: skip


def measure(names: list[str], effort: stages.Effort) -> dict[str, Any]:
    """Run the stages of those names; all that was found, with the facts of the machine."""
    before, begun = load_average(), time.perf_counter()
    found: dict[str, list[Row]] = {}
    for name in names:
        click.echo(f"measuring {name} ...", err=True)
        found[name] = list(STAGES[name](effort))
    return {
        "worlddb": __version__,
        "generator": GENERATOR,
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(time.perf_counter() - begun, 1),
        "effort": effort._asdict(),
        "machine": machine(),
        "load_before": before,
        "load_after": load_average(),
        "stages": found,
    }


def encoded(result: dict[str, Any]) -> bytes:
    """The result as indented JSON, each row with its ratios."""
    plain = msgspec.to_builtins(result)
    for name, rows in result["stages"].items():
        for row, built in zip(rows, plain["stages"][name], strict=True):
            built["ratios"] = row.ratios
    return msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n"


@click.command()
@click.option("--json", "target", default="data/bench.json", show_default=True, help="Where to write; - for stdout.")
@click.option("--only", multiple=True, type=click.Choice(list(STAGES)), help="Only this stage; may be repeated.")
@click.option("--quick", is_flag=True, help="Few worlds and repeats: a look, not a measurement.")
@click.option("--n", type=click.IntRange(min=1), help="Worlds of a spawn [default: 200].")
@click.option("--repeats", type=click.IntRange(min=1), help="Repeats of each way [default: 7].")
def main(target: str, only: tuple[str, ...], quick: bool, n: int | None, repeats: int | None) -> None:
    """Measure worlddb beside the naive way, in one run.

    Times are medians with the least and the greatest; `cpu` counts user and system time of all processes.  Other work on
    the machine shows in the load average and in a wall time above the CPU time.
    """
    from rich.console import Console

    effort = stages.QUICK if quick else stages.Effort()
    effort = effort._replace(n=n or effort.n, repeats=repeats or effort.repeats)
    result = measure([s for s in STAGES if not only or s in only], effort)
    data = encoded(result)
    # nine columns do not fit the 80 letters that a pipe or a file is taken for
    console = Console(stderr=target == "-", width=None if sys.stdout.isatty() else 190)
    if target == "-":
        click.echo(data.decode(), nl=False)
    else:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).write_bytes(data)
    report.table(result["stages"], console)
    report.split(result["stages"], console)
    facts = result["machine"]
    console.print(f"{facts['cpu']}, {facts['cores']} cores, Python {facts['python']}; load {result['load_before'][0]} "
                  f"before, {result['load_after'][0]} after; {result['seconds']} s", highlight=False)  # fmt: skip
    if target != "-":
        console.print(f"written to {target}", highlight=False)


if __name__ == "__main__":
    main()

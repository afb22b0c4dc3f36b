"""The commands about value pools."""

from __future__ import annotations

from pathlib import Path

import click

from worlddb.cli.common import json_option, print_json, print_table


@click.group()
def pools() -> None:
    """Value pools: the names, cities and words that rows are filled with."""


@pools.command()
@click.option("--locale", "locales", multiple=True, required=True, help="Such as sv_SE; may be given several times.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the draw from Faker.")
def build(locales: tuple[str, ...], out: Path, seed: int) -> None:
    """Build pools of your own from the installed Faker.

    \b
    Example:
      worlddb pools build --locale sv_SE --locale en_US --out my_pools
      worlddb spawn --n 100 --pools my_pools --out data/swedish
    """
    from worlddb.semantics.build import build_pools

    build_pools(out, locales, seed)
    click.echo(f"pools of {', '.join(locales)} are in {out}; use them with 'worlddb spawn --pools {out}'")


@pools.command("show")
@click.option("--pools", "path", type=click.Path(path_type=Path), help="Folder of pools, else the shipped ones.")
@json_option
def show_pools(path: Path | None, as_json: bool) -> None:
    """Say what pools hold: digest, locales, and how many values each pool has."""
    from worlddb.semantics.pools import load_pools

    found = load_pools(path)
    sizes = [(loc, name, len(found.words(name, loc))) for loc in found.locales for name in found.names(loc)]
    if as_json:
        print_json({"digest": found.digest, "locales": list(found.locales), "pools": sizes})
        return
    click.echo(f"digest {found.digest}\nlocales {', '.join(found.locales)}\n")
    print_table(("locale", "pools", "values"), [
        (loc, sum(1 for s in sizes if s[0] == loc), sum(s[2] for s in sizes if s[0] == loc)) for loc in found.locales
    ])  # fmt: skip

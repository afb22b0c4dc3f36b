"""The command about domain files."""

from __future__ import annotations

from pathlib import Path

import click

from worlddb.cli.common import json_option, print_json, print_table


@click.command()
@click.option("--check", "file", type=click.Path(path_type=Path), help="Validate a domain file of your own instead.")
@json_option
def domains(file: Path | None, as_json: bool) -> None:
    """List the domains that worlds grow from, or validate a domain file.

    \b
    Examples:
      worlddb domains
      worlddb domains --check my_domains/bakery.yaml
      worlddb spawn --n 20 --domain my_domains/bakery.yaml --out data/bakery
    """
    from worlddb.schema.domains import domain_names, load_domain, read_domain

    if file is not None:
        domain = read_domain(file)
        click.echo(f"{file} is sound: {len(domain.entities)} entities, {len(domain.rules)} rules")
        click.echo(f"grow worlds from it with: worlddb spawn --n 20 --domain {file} --out data/{domain.id}")
        return
    columns = ("domain", "group", "entities", "rules", "title")
    loaded = map(load_domain, domain_names())
    rows = [(d.id, d.group, len(d.entities), len(d.rules), d.title) for d in loaded]
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)

"""SQL over an export, by DuckDB: one view per table."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Any, NamedTuple

from worlddb.errors import QueryError, StoreError
from worlddb.export.parquet import MANIFEST, OF_TASKS, TABLES, export_path, read_manifest


class Answer(NamedTuple):
    """The result of a query."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def query(path: str | Path, sql: str) -> Answer:
    """Run SQL over an export, or that of a store; its views are worlds, tables, columns, keys, rules, tasks, gold, rejections
    and rows.

    Raises:
        StoreError: `path` holds no export.
        QueryError: DuckDB refused the SQL; the message is its own, in one line.
    """
    import duckdb

    home = find_export(Path(path))
    if not sql.strip(" ;\n\t"):
        raise QueryError("there is no SQL to run; try 'SELECT count(*) FROM rows'")
    with duckdb.connect() as db:
        try:
            # nothing is fetched from the network: a missing extension is an error, at once
            db.execute("SET autoinstall_known_extensions = false")
            for name in _tables(home):
                db.execute(f"CREATE VIEW {name} AS SELECT * FROM {_source(home, name)}")
            relation = db.execute(sql)
            columns = [str(d[0]) for d in relation.description or ()] if relation else []
            return Answer(columns, relation.fetchall() if columns else [])
        except duckdb.Error as error:
            raise QueryError(one_line(str(error))) from None
        except RuntimeError as error:  # how DuckDB reports Ctrl-C
            raise KeyboardInterrupt from error


def _tables(home: Path) -> list[str]:
    """The tables of an export; one that was made before there were tasks lacks those of tasks."""
    old = read_manifest(home).recipe.format < 2
    return [name for name in TABLES if not (old and name in OF_TASKS and not (home / name).exists())]


def _source(home: Path, name: str) -> str:
    """The files of a table as SQL; listed one by one, for a folder's name may hold what a pattern would read."""
    files = sorted((home / name).rglob("*.parquet"))
    if not files:
        raise QueryError(f"{home} has no files of '{name}'; run 'worlddb export' again")
    quoted = ", ".join("'" + glob.escape(str(f)).replace("'", "''") + "'" for f in files)
    return f"read_parquet([{quoted}], hive_partitioning = {name == 'rows'})"


def one_line(message: str) -> str:
    """The first lines of a database's error message, as one line without the drawing of the place."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("LINE ", "^"))]
    return " ".join(kept[:3]) or "the query failed"


def find_export(path: Path) -> Path:
    """The folder of the export that `path` is, or has.

    Raises:
        StoreError: there is none; the message says how to make it.
    """
    for place in (path, export_path(path)):
        if (place / MANIFEST).exists():
            return place
    if (path / "store.json").exists():
        raise StoreError(f"{path} is not exported yet; run 'worlddb export {path}' first")
    raise StoreError(f"{path} holds no export and no store; make them with 'worlddb spawn' and 'worlddb export'")

"""Parquet from lines of JSON, by DuckDB: typed columns, rows streamed, a row group at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from worlddb.errors import StoreError

GROUP = 2048
"""Rows of a row group; DuckDB's least."""
MEMORY = "1GB"
LONGEST = 1 << 25
"""Bytes of a row as JSON, at most."""


def write_parquet(lines: Path, target: Path, columns: Mapping[str, str], scratch: Path) -> None:
    """Write the Parquet file `target` of a file of JSON lines.

    `columns` are types as DuckDB calls them; a column of type JSON has Parquet's logical type JSON, which pyarrow and `datasets`
    read as such.  `scratch` is a folder for what does not fit into memory.

    Raises:
        StoreError: the file cannot be written.
    """
    import duckdb

    with duckdb.connect() as db:
        try:
            db.execute("SET autoinstall_known_extensions = false")
            db.execute(f"SET memory_limit = '{MEMORY}'")
            db.execute("SET threads = 1")  # rows come in order, and a second thread would hold row groups of its own
            db.execute("SET temp_directory = ?", [str(scratch)])
            db.execute(f"COPY ({_select(lines, columns)}) TO {_text(target)} "
                       f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP})")  # fmt: skip
        except duckdb.Error as error:
            target.unlink(missing_ok=True)
            raise StoreError(
                f"{target} cannot be written ({str(error).splitlines()[0]}); choose another --out"
            ) from None
        except RuntimeError as error:  # how DuckDB reports Ctrl-C
            target.unlink(missing_ok=True)
            raise KeyboardInterrupt from error


def _select(lines: Path, columns: Mapping[str, str]) -> str:
    types = ", ".join(f"{_text(name)}: {_text(type_)}" for name, type_ in columns.items())
    return (
        f"SELECT * FROM read_json({_text(lines)}, format = 'newline_delimited', columns = {{{types}}}, "
        f"maximum_object_size = {LONGEST})"
    )


def _text(value: str | Path) -> str:
    return "'" + str(value).replace("'", "''") + "'"

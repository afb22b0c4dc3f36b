"""All attempts of a run as one Parquet file, in the order of worlds, tasks and runs."""

from __future__ import annotations

from pathlib import Path

from worlddb.errors import StoreError
from worlddb.files import partial_path, publish, unwritable
from worlddb.runs.folder import CURE, Run

NAME = "attempts.parquet"
LARGEST = 256_000_000
"""Bytes of one attempt as JSON."""
_READ = {
    "task": "VARCHAR", "run": "INTEGER", "reward": "DOUBLE", "shaped": "DOUBLE", "family": "VARCHAR", "level": "VARCHAR",
    "scenario": "VARCHAR", "calls": "INTEGER", "writes": "INTEGER", "ring": "VARCHAR", "stopped": "VARCHAR", "used": "INTEGER",
    "prompt_tokens": "BIGINT", "completion_tokens": "BIGINT", "seconds": "DOUBLE", "tools": "VARCHAR", "attempt": "JSON",
}  # fmt: skip
_OUT = """
SELECT regexp_replace(task, '/[^/]*$', '') AS world, attempt->>'profile' AS profile, (attempt->>'seed')::BIGINT AS seed,
       coalesce(attempt->>'agent', 'gold') AS agent, * EXCLUDE (attempt),
       (attempt->'answer')::VARCHAR AS answer, (attempt->'messages')::VARCHAR AS messages,
       (attempt->'verdict')::VARCHAR AS verdict, (attempt->'card')::VARCHAR AS card
FROM read_json($parts, columns = {columns}, format = 'newline_delimited', ignore_errors = true, maximum_object_size = {largest})
WHERE task IS NOT NULL AND attempt IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY task, run) = 1
ORDER BY seed, world, try_cast(regexp_extract(task, '[^/]*$') AS INTEGER), run
"""
"""Messages, verdict, card and answer are JSON texts; a line that a kill has torn is passed over."""


def write_table(run: Run) -> Path:
    """Write attempts.parquet, in the place of an older one.  DuckDB sorts it, on disk where it is too large for memory.

    Raises:
        StoreError: a part is damaged, or the file cannot be written.
    """
    import duckdb

    path = run.path / NAME
    partial = partial_path(path)
    columns = "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in _READ.items()) + "}"
    sql = _OUT.format(columns=columns, largest=LARGEST).replace("$parts", _list(run.parts))
    try:
        with duckdb.connect() as db:
            db.execute("SET autoinstall_known_extensions = false")
            db.execute(f"COPY ({sql}) TO {_text(partial)} (FORMAT parquet, COMPRESSION zstd)")
        publish(partial, path)
    except duckdb.Error as error:
        raise StoreError(f"{path} cannot be made: {str(error).partition(chr(10))[0]}; {CURE}") from None
    except OSError as error:
        raise unwritable(path, error.strerror or str(error), CURE) from None
    finally:
        partial.unlink(missing_ok=True)
    return path


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _list(paths: list[Path]) -> str:
    return "[" + ", ".join(map(_text, paths)) + "]"

"""Files that are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from worlddb.errors import StoreError


def short_digest(data: bytes) -> str:
    """The first 16 hex digits of the SHA-256."""
    return sha256(data).hexdigest()[:16]


def partial_path(path: Path) -> Path:
    """The temporary name of a file that is being written."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def publish(partial: Path, path: Path) -> None:
    """Sync a finished file to disk and give it its name; raises OSError."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    partial = partial_path(path)
    try:
        partial.write_bytes(data)
        publish(partial, path)
    except OSError as error:
        raise unwritable(path, error.strerror or str(error)) from None
    finally:
        partial.unlink(missing_ok=True)


def unwritable(path: Path, why: str, cure: str = "finished worlds are kept; mend that and add --resume") -> StoreError:
    """The error for a file that cannot be written."""
    return StoreError(f"{path} cannot be written ({why}); {cure}")

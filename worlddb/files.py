"""Files that are whole or absent, whatever happens while they are written."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from worlddb.errors import StoreError


def short_digest(data: bytes) -> str:
    """The first 16 hex digits of the SHA-256."""
    return sha256(data).hexdigest()[:16]


def partial_path(path: Path) -> Path:
    """A temporary name for a file that is being written; each is another, whichever machine asks."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")


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


def write_first(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all, unless somebody else has just done so.

    Raises:
        StoreError: the disk is full or the folder cannot be written.
    """
    whole = partial_path(path)
    try:
        write_whole(whole, data)
        try:
            path.hardlink_to(whole)  # of several who do so at once, one succeeds
        except FileExistsError:
            pass
        except OSError:  # a file system without hard links
            whole.replace(path)
    finally:
        whole.unlink(missing_ok=True)


@contextmanager
def claimed(place: Path, *, alone: bool) -> Iterator[bool]:
    """Hold a file or folder, alone or with others who do not want it alone; False where others hold it otherwise.

    The claim ends with the process at the latest.  Machines that share a folder see one another's claims on files, of those
    on folders that depends on the file system; where it knows no locks, everybody gets what they claim.

    Raises:
        StoreError: there is no such file or folder, or it cannot be opened.
    """
    try:
        handle = os.open(place, os.O_RDONLY if place.is_dir() else os.O_RDWR)
    except OSError as error:
        raise unwritable(place, error.strerror or str(error)) from None
    try:
        yield _locked(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
    finally:
        os.close(handle)


def _locked(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # no locks on this file system
        return True
    return True


def unwritable(path: Path, why: str, cure: str = "finished worlds are kept; mend that and add --resume") -> StoreError:
    """The error for a file that cannot be written."""
    return StoreError(f"{path} cannot be written ({why}); {cure}")

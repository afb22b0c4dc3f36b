"""Value pools: versioned lists of words, cities and quantile tables, so that no world depends on the installed Faker.

A folder of pools holds `manifest.json`, `common.json` and one `LOCALE.json` for each locale, as written by
`worlddb.semantics.build.build_pools`.  The digest covers the content, not the layout, of every file.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from worlddb.errors import BrokenFile, UnknownName
from worlddb.library import folder

VERSION = 1
CURE = "restore the folder, or build it again with `worlddb pools build`"


class Manifest(msgspec.Struct, frozen=True):
    """manifest.json: what the folder holds, and the sha256 of each file's canonical content."""

    version: int
    digest: str
    locales: list[str]
    files: dict[str, str]
    faker: str = ""


class Common(msgspec.Struct, frozen=True):
    """common.json: what all locales share."""

    words: dict[str, list[str]]
    quantiles: dict[str, list[int]]


class Place(msgspec.Struct, frozen=True, array_like=True):
    """One city with everything that has to agree with it; `postcode` and `area` are patterns."""

    name: str
    region: str
    code: str
    postcode: str
    area: str
    latitude: int
    """In 1e-5 degrees, as `longitude`."""
    longitude: int
    timezone: str


class Locale(msgspec.Struct, frozen=True):
    """LOCALE.json: words of the language, facts of the country, and its cities."""

    facts: dict[str, str]
    cities: list[Place]
    words: dict[str, list[str]]


class Pools:
    """The pools of one folder, unpacked into numpy arrays on first use.  Treat every array as read-only."""

    def __init__(self, manifest: Manifest, common: Common, local: dict[str, Locale]) -> None:
        """Wrap what was read; callers use `load_pools`."""
        self.version = manifest.version
        self.digest = manifest.digest
        self.locales = tuple(local)
        self._common = common
        self._local = local
        self._words: dict[tuple[str, str], NDArray[Any]] = {}
        self._quantiles: dict[str, NDArray[np.int64]] = {}
        self.memo: dict[Any, Any] = {}
        """Whatever else is derived from these pools once, by a key of the deriver's choice."""

    def words(self, name: str, locale: str = "") -> NDArray[Any]:
        """The words of pool `name`, those of the locale where it has its own: an object array of str, never empty.

        Raises:
            UnknownName: no such pool, or no such locale.
        """
        key = (name, locale)
        if key not in self._words:
            self._words[key] = texts(self._find(name, locale))
        return self._words[key]

    def _find(self, name: str, locale: str) -> list[str]:
        own = self._locale(locale).words if locale else {}
        if name in own:
            return own[name]
        if name in self._common.words:
            return self._common.words[name]
        if locale and name == "first_any":
            return own["first_female"] + own["first_male"]
        if locale and name == "city":
            return [c.name for c in self._locale(locale).cities]
        raise UnknownName("pool", name, [*own, *self._common.words])

    def names(self, locale: str = "") -> list[str]:
        """The names of all pools, with those of `locale`."""
        own = self._locale(locale).words if locale else {}
        return sorted({*own, *self._common.words})

    def quantiles(self, name: str) -> NDArray[np.int64]:
        """A table of 4,096 quantiles, at (i + 1/2) / 4096; the names and scales stand in build.py: `TABLES`.

        Raises:
            UnknownName: no such table.
        """
        if name not in self._quantiles:
            if name not in self._common.quantiles:
                raise UnknownName("quantile table", name, self._common.quantiles)
            self._quantiles[name] = np.array(self._common.quantiles[name], dtype=np.int64)
        return self._quantiles[name]

    def facts(self, locale: str) -> dict[str, str]:
        """The locale's country, currency, language and patterns (phone, number plate, tax number …)."""
        return self._locale(locale).facts

    def cities(self, locale: str) -> list[Place]:
        """The locale's cities; never empty."""
        return self._locale(locale).cities

    def _locale(self, name: str) -> Locale:
        if name not in self._local:
            raise UnknownName("locale", name, self._local)
        return self._local[name]


def texts(items: Iterable[str]) -> NDArray[Any]:
    """An object array of str (numpy's own constructor would make fixed-width text)."""
    rows = list(items)
    out = np.empty(len(rows), dtype=object)
    out[:] = rows
    return out


def canonical(content: Any) -> str:
    """The sha256 of a JSON value, whatever its layout and the order of its keys."""
    return sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def overall(files: dict[str, str]) -> str:
    """The digest of a folder from those of its files."""
    return sha256("\n".join(f"{name} {files[name]}" for name in sorted(files)).encode()).hexdigest()


def load_pools(path: Path | None = None) -> Pools:
    """Read the pools of a folder; without one, those that come with worlddb.  Cached by folder.

    Raises:
        BrokenFile: a file is missing, is no valid JSON, or is not the one that the manifest speaks of.
    """
    return _load((path or folder("seeds") / "pools").resolve())


@cache
def _load(path: Path) -> Pools:
    manifest = _decode(path / "manifest.json", _read(path / "manifest.json"), Manifest)
    if manifest.version != VERSION:
        raise BrokenFile(f"{path / 'manifest.json'}: version: {manifest.version}, expected {VERSION}; {CURE}")
    if overall(manifest.files) != manifest.digest:
        raise BrokenFile(f"{path / 'manifest.json'}: digest: it is not that of `files`; {CURE}")
    if set(manifest.files) != {"common.json", *(f"{name}.json" for name in manifest.locales)}:
        raise BrokenFile(f"{path / 'manifest.json'}: files: not those of the locales; {CURE}")
    common = _checked(path / "common.json", manifest, Common)
    return Pools(manifest, common, {n: _checked(path / f"{n}.json", manifest, Locale) for n in manifest.locales})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BrokenFile(f"{path}: cannot be read ({error.strerror}); {CURE}") from None


_FIRST_USE = Lock()
"""msgspec prepares a type when it is first used, which several threads must not do at once."""


def _decode(path: Path, raw: bytes, kind: type[Any]) -> Any:
    try:
        with _FIRST_USE:
            return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise BrokenFile(f"{path}: {error}; {CURE}") from None


def _checked(path: Path, manifest: Manifest, kind: type[Any]) -> Any:
    content = _decode(path, _read(path), kind)
    if canonical(content) != manifest.files.get(path.name):
        raise BrokenFile(f"{path}: digest: the content is not what the manifest says; {CURE}")
    return content

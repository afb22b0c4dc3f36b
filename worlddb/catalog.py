"""The catalogue: what people ask about the worlds of a store, as SQLModel records in catalog.sqlite.

It is made from the shards, one shard per transaction, and made again where a kill left it behind or it was removed.
A record is made of the row of the same name in describe.py, which explains the fields; tables join on `position` and
`table_ordinal`.  This module imports SQLModel (0.3 s), so others import it inside functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import new_class
from typing import get_type_hints

from sqlalchemy import delete, func, insert
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import registry
from sqlmodel import Field, Session, SQLModel, col, create_engine, select

from worlddb.codecs import Codecs, read_codecs
from worlddb.describe import KINDS, Description, describe
from worlddb.errors import StoreError, UnknownName
from worlddb.files import unwritable
from worlddb.shards import DomainNote, read_domains, read_shard, shard_path
from worlddb.store import Store

_UNWRITABLE = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_BUSY", "SQLITE_LOCKED")


class Catalog(SQLModel, registry=registry()):
    """The base of all records, with a MetaData of their own."""


class Compact(Catalog):
    """The base of those of which there are many: stored in the order of their keys, which halves them."""

    __table_args__ = {"sqlite_with_rowid": False}


class WorldRecord(Catalog, table=True):
    """One world.  It has a class in full, and not of `_record`, for the sake of those who read its fields."""

    __tablename__ = "worlds"
    position: int = Field(primary_key=True)
    world: str = Field(unique=True)
    seed: int
    profile: str
    domain: str = Field(index=True)
    domain_group: str
    title: str
    naming: str
    locale: str
    now: int
    tables: int
    columns: int
    foreign_keys: int
    rules: int
    rows: int
    bytes: int
    stored_bytes: int
    digest: str


def _record(name: str, keys: str, left_out: str) -> type[Catalog]:
    """The record of the rows of a kind: its keys, then their other fields in order, but for those that are left out."""
    types = get_type_hints(KINDS[name])
    for field in left_out.split():
        del types[field]
    primary = {key: Field(primary_key=True) for key in keys.split()}
    annotations = {key: types[key] for key in primary} | types
    body = {"__module__": __name__, "__annotations__": annotations, "__tablename__": name, **primary}
    record: type[Catalog] = new_class(
        f"{name.title()}Record", (Compact,), {"table": True}, lambda space: space.update(body)
    )
    return record


RECORDS: dict[str, type[Catalog]] = {
    "worlds": WorldRecord,
    "tables": _record("tables", "position table_ordinal", "world"),
    "columns": _record("columns", "position table_ordinal ordinal", "world table_name storage"),
    "keys": _record("keys", "position table_ordinal ordinal", "world table_name"),
    "rules": _record("rules", "position ordinal", "world"),
    "tasks": _record(
        "tasks", "position number", "world task persona register hidden distractors traps skeleton answer twin"
    ),
    "rejections": _record("rejections", "position family reason", "world"),
}
"""Kind of rows -> its record."""


class DomainRecord(Catalog, table=True):
    """One domain of the store."""

    __tablename__ = "domains"
    id: str = Field(primary_key=True)
    group: str
    title: str
    summary: str


class ShardRecord(Catalog, table=True):
    """One shard that the catalogue covers."""

    __tablename__ = "shards"
    number: int = Field(primary_key=True)
    worlds: int


def catalog_path(home: Path) -> Path:
    """Where the catalogue of a store lies."""
    return home / "catalog.sqlite"


class Writer:
    """Keeps a catalogue in step with the shards."""

    def __init__(self, home: Path, codecs: Codecs, path: Path | None = None) -> None:
        """Open the catalogue of the store in `home`, or begin one; `path` puts it elsewhere.

        Raises:
            StoreError: it is damaged, or cannot be written.
        """
        self._home, self._codecs = home, codecs
        self._path = path or catalog_path(home)
        self._engine = _engine(self._path)
        with _errors(self._path):
            Catalog.metadata.create_all(self._engine)
            with Session(self._engine) as session:
                self.shards = set(session.exec(select(ShardRecord.number)))
        """Numbers of the shards that the catalogue covers."""

    def add(self, number: int) -> None:
        """Cover one more shard; does nothing where it is covered already.

        Raises:
            StoreError: the shard is damaged, or the catalogue cannot be written.
        """
        if number in self.shards:
            return
        path = shard_path(self._home, number)
        domains = read_domains(path)
        rows = describe(read_shard(path, self._codecs), domains)
        with _errors(self._path), self._engine.begin() as db:
            _insert(db, rows, domains)
            db.execute(insert(ShardRecord), [{"number": number, "worlds": len(rows.worlds)}])
        self.shards.add(number)

    def forget(self, number: int, positions: range) -> None:
        """Uncover a shard that is gone."""
        with _errors(self._path), self._engine.begin() as db:
            for name in RECORDS:
                position = Catalog.metadata.tables[name].c.position
                db.execute(delete(position.table).where(position >= positions.start, position < positions.stop))
            db.execute(delete(ShardRecord).where(col(ShardRecord.number) == number))
        self.shards.discard(number)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()


def _insert(db: Connection, rows: Description, domains: Sequence[DomainNote]) -> None:
    for name, record in RECORDS.items():
        # tuples in the order of the record's columns: half the time of dicts
        places = [KINDS[name]._fields.index(field) for field in record.model_fields]
        if found := list(map(itemgetter(*places), getattr(rows, name))):
            db.exec_driver_sql(str(insert(record).compile(db)), found)
    if domains:
        db.execute(insert(DomainRecord).prefix_with("OR IGNORE"), [d._asdict() for d in domains])


def worlds(store: Store, domain: str = "", profile: str = "", locale: str = "") -> list[WorldRecord]:
    """The store's worlds as the catalogue has them, in order, filtered where a filter is given.

    Raises:
        UnknownName: no world of the store has that domain, profile or locale.
        StoreError: the catalogue is missing or damaged.
    """
    filters = {
        "domain": (WorldRecord.domain, domain),
        "profile": (WorldRecord.profile, profile),
        "locale": (WorldRecord.locale, locale),
    }
    wanted = select(WorldRecord).order_by(col(WorldRecord.position))
    with _reading(store) as session:
        for what, (column, value) in filters.items():
            if value:
                known = set(session.exec(select(column).distinct()))
                if value not in known:
                    raise UnknownName(f"{what} in {store.path}", value, known)
                wanted = wanted.where(column == value)
        return list(session.exec(wanted))


def task_counts(store: Store) -> dict[int, int]:
    """Position -> tasks, of the worlds that have some.

    Raises:
        StoreError: the catalogue is missing or damaged.
    """
    with _reading(store) as session:
        if "tasks" not in _names(session.connection()):
            return {}  # of a store that was made before there were tasks
        position = Catalog.metadata.tables["tasks"].c.position
        counts = session.execute(select(position, func.count()).group_by(position))
        return {row[0]: row[1] for row in counts}


def differences(store: Store) -> list[str]:
    """Where the catalogue is not what the shards make it: 'rules: 3 rows', or SQLite's word on a damaged file.

    Raises:
        StoreError: the catalogue is missing or damaged, or a shard is.
    """
    with _reading(store) as session:
        damage = [str(row[0]) for row in session.connection().exec_driver_sql("PRAGMA integrity_check(3)")]
    if damage != ["ok"]:
        return damage
    with TemporaryDirectory() as folder, closing(Writer(store.path, _codecs(store), Path(folder) / "again")) as again:
        for number in store.shards:
            again.add(number)
        return list(_compare(catalog_path(store.path), Path(folder) / "again"))


def _codecs(store: Store) -> Codecs:
    return read_codecs(store.path, store.recipe)


def _compare(one: Path, other: Path) -> Iterator[str]:
    """For each table, how many rows stand in one catalogue alone."""
    engine = _engine(one)
    with _errors(one), engine.connect() as db:
        db.exec_driver_sql("ATTACH ? AS other", (str(other),))
        known = _names(db)
        for name in Catalog.metadata.tables:
            if name not in known:  # made before there were tasks: as good as empty
                db.exec_driver_sql(f"CREATE TEMP TABLE {name} AS SELECT * FROM other.{name} LIMIT 0")
            here = "main" if name in known else "temp"
            halves = (
                f"SELECT * FROM {a}.{name} EXCEPT SELECT * FROM {b}.{name}"
                for a, b in ((here, "other"), ("other", here))
            )
            rows = sum(db.exec_driver_sql(f"SELECT count(*) FROM ({half})").scalar_one() for half in halves)
            if rows:
                yield f"{name}: {rows} rows"
    engine.dispose()


def _names(db: Connection) -> set[str]:
    """The tables that a catalogue has."""
    rows = db.exec_driver_sql("SELECT name FROM main.sqlite_schema WHERE type = 'table'")
    return {str(row[0]) for row in rows}


@contextmanager
def _reading(store: Store) -> Iterator[Session]:
    path = catalog_path(store.path)
    if not path.exists():
        raise StoreError(f"{path} is missing; 'worlddb spawn --resume --out {store.path}' makes it again")
    engine = _engine(path)
    try:
        with _errors(path), Session(engine) as session:
            yield session
    finally:
        engine.dispose()


def _engine(path: Path) -> Engine:
    return create_engine(URL.create("sqlite", database=str(path)))  # a path may hold what a URL may not


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        if getattr(error.orig, "sqlite_errorname", "").startswith(_UNWRITABLE):
            raise unwritable(path, str(error.orig)) from None
        cure = f"remove it, and 'worlddb spawn --resume --out {path.parent}' makes it again"
        raise StoreError(f"{path} is damaged ({error.orig}); {cure}") from None

"""The naive ways to act: pydantic arguments and an ORM session per app, deep copies to reset, EXCEPT to see what changed."""

from __future__ import annotations

import copy
import json
from typing import Any

import pydantic
from sqlmodel import Session as Orm
from sqlmodel import create_engine, select

from worlddb.schema.model import Table
from worlddb.schema.rules import quote
from worlddb.tools.session import Session
from worlddb.world.model import World


class NaiveApp:
    """One table of a world behind hand-made tools: SQLModel classes, arguments as pydantic models."""

    def __init__(self, world: World, table: Table, key: Any) -> None:
        engine = create_engine("sqlite://")
        connection = engine.raw_connection()
        connection.driver_connection.deserialize(world.image)  # type: ignore[union-attr]
        self._orm = Orm(engine)
        models = world.models()
        self._model, self._above = models[table.key], models[table.foreign_keys[0].table]
        self._key, self._id = key, table[table.primary_key[0]].name
        self._parent = table[table.foreign_keys[0].columns[0]].name
        self._changed = (
            next(c.name for c in table.columns if c.nullable and c.key not in table.key_columns)
            if any(c.nullable and c.key not in table.key_columns for c in table.columns)
            else ""
        )
        self._arguments = pydantic.create_model("Arguments", id=(type(key), ...))
        self._text = json.dumps({"id": key})

    def get(self) -> str:
        """One row by its key."""
        given = self._arguments.model_validate_json(self._text)
        row = self._orm.get(self._model, given.id)  # type: ignore[attr-defined]
        self._orm.expire_all()
        return row.model_dump_json()

    def list(self) -> str:
        """Twenty rows of the same parent."""
        given = self._arguments.model_validate_json(self._text)
        row = self._orm.get(self._model, given.id)  # type: ignore[attr-defined]
        parent = getattr(row, self._parent)
        found = self._orm.exec(select(self._model).where(getattr(self._model, self._parent) == parent).limit(20)).all()
        made = json.dumps([one.model_dump(mode="json") for one in found])
        self._orm.expire_all()
        return made

    def join(self, given: dict[str, Any]) -> str:
        """A parent with its children."""
        key = next(iter(given.values()))
        row = self._orm.get(self._above, key)
        own = getattr(self._model, self._parent) == key
        found = self._orm.exec(select(self._model).where(own).limit(50)).all()
        made = json.dumps(row.model_dump(mode="json") | {"children": [one.model_dump(mode="json") for one in found]})
        self._orm.expire_all()
        return made

    def write(self) -> str:
        """One row changed, and the change taken back."""
        given = self._arguments.model_validate_json(self._text)
        row = self._orm.get(self._model, given.id)  # type: ignore[attr-defined]
        if self._changed:
            setattr(row, self._changed, None)
        self._orm.flush()
        made = row.model_dump_json()
        self._orm.rollback()
        return made


class Copies:
    """A world as dicts in memory, as hand-made environments hold it."""

    def __init__(self, world: World) -> None:
        connection = world.connect()
        self._rows = {
            t.key: [
                dict(zip([c.name for c in t.columns], row, strict=True))
                for row in connection.execute(
                    f"SELECT {', '.join(quote(c.name) for c in t.columns)} FROM {quote(t.name)}"
                )
            ]
            for t in world.schema.tables
        }

    def reset(self) -> Any:
        """The state at the start, again."""
        return copy.deepcopy(self._rows)


class Excepts:
    """The state of a session beside the world as it was, in one connection."""

    def __init__(self, world: World, session: Session) -> None:
        self._db = world.connect()
        self._db.execute("ATTACH ':memory:' AS base").fetchall()
        self._db.deserialize("base", world.image)
        self._db.execute("PRAGMA foreign_keys = OFF").fetchall()
        for change in session.diff().changes:
            table = world.schema[change.table]
            if change.before is not None:
                where = " AND ".join(f"{quote(table[k].name)} = ?" for k in table.primary_key)
                self._db.execute(f"DELETE FROM main.{quote(table.name)} WHERE {where}", change.key)
            if change.after is not None:
                holes = ", ".join("?" * len(change.after))
                self._db.execute(f"INSERT INTO main.{quote(table.name)} VALUES ({holes})", change.after)
        self._tables = [quote(t.name) for t in world.schema.tables]

    def diff(self) -> list[Any]:
        """Rows that only one side has, over all tables."""
        found = []
        for name in self._tables:
            for one, other in (("main", "base"), ("base", "main")):
                found += self._db.execute(f"SELECT * FROM {one}.{name} EXCEPT SELECT * FROM {other}.{name}").fetchall()
        return found

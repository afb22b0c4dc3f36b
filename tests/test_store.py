"""The store: what goes in comes out, and damage is named."""

from __future__ import annotations

import pickle
import shutil
import sqlite3
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest

from worlddb.catalog import RECORDS, catalog_path, differences, worlds
from worlddb.check import check_store
from worlddb.describe import KINDS, describe, samples
from worlddb.errors import StoreError, UnknownName
from worlddb.shards import FORMAT, read_domains, shard_path
from worlddb.spawner import spawn
from worlddb.store import Store, find_world, open_store
from worlddb.world.generate import generate

N, SEED = 40, 100


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store of two shards, not to be changed."""
    path = tmp_path_factory.mktemp("store") / "out"
    spawn(path, N, seed=SEED, profile="tiny", tasks=0, workers=1)
    return path


@pytest.fixture
def copy(home, tmp_path):
    """A copy of that store, to damage."""
    return Path(shutil.copytree(home, tmp_path / "copy"))


def test_a_world_comes_back_as_it_was_grown(home):
    world, grown = open_store(home)[7], generate(SEED + 7, "tiny")
    assert world.image == grown.image
    assert world.digest == grown.digest
    assert world.recipe == grown.recipe
    assert world.schema == grown.schema
    assert (world.now, world.locale, world.counts) == (grown.now, grown.locale, grown.counts)


def test_index_slice_iteration_and_names_agree(home):
    store = open_store(home)
    ids = [world.id for world in store]
    assert len(store) == len(ids) == N
    assert ids == list(store.ids())
    assert store[0].id == ids[0]
    assert store[-1].id == ids[-1]
    assert [w.id for w in store[30:36:2]] == ids[30:36:2]
    assert store[ids[5]].id == store[str(SEED + 5)].id == store["#5"].id == ids[5]
    assert ids[3] in store
    assert "hotel-1" not in store
    assert store.finished
    assert repr(store) == f"<Store {home}: {N} worlds>"


def test_an_index_out_of_range(home):
    with pytest.raises(IndexError):
        open_store(home)[N]


def test_an_unknown_world_gets_a_suggestion(home):
    store = open_store(home)
    right = store[5].id
    domain, _, seed = right.rpartition("-")
    with pytest.raises(UnknownName, match=f"did you mean '{right}'"):
        store[f"{domain[:-1]}-{seed}"]
    with pytest.raises(UnknownName, match="no world named 'nothing'"):
        store["nothing"]


def test_a_store_pickles(home):
    assert pickle.loads(pickle.dumps(open_store(home)))[0].id == open_store(home)[0].id


def test_a_store_stands_alone(home, monkeypatch):
    """A later worlddb may ship other dictionaries; the store has its own."""
    monkeypatch.setattr("worlddb.request.shipped_dictionaries", lambda: pytest.fail("the store looked outside itself"))
    assert open_store(home)[0].image


def test_find_world_grows_what_no_store_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    world = generate(3, "tiny")
    assert find_world("3", profile="tiny").digest == world.digest
    assert find_world(world.id, profile="tiny").digest == world.digest
    with pytest.raises(UnknownName, match=world.id):
        find_world("nosuchdomain-3", profile="tiny")
    with pytest.raises(StoreError, match="holds no store"):
        find_world("nothing")
    with pytest.raises(StoreError, match="holds no store"):
        find_world("3", tmp_path)


# --- damage


def test_no_store(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(StoreError, match=r"holds no store; make one with 'worlddb spawn"):
            open_store(path)


def test_a_damaged_store_json(copy):
    (copy / "store.json").write_text("{")
    with pytest.raises(StoreError, match=r"store\.json is damaged"):
        open_store(copy)


def test_a_store_of_a_newer_format(copy):
    file = copy / "store.json"
    file.write_bytes(
        msgspec.json.encode(msgspec.json.decode(file.read_bytes()) | {"format": FORMAT + 1, "seed": "new"})
    )
    with pytest.raises(StoreError, match="upgrade worlddb"):
        open_store(copy)


def test_a_shard_of_a_newer_format(copy):
    with sqlite3.connect(shard_path(copy, 0)) as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    with pytest.raises(StoreError, match="upgrade worlddb"):
        open_store(copy)[0]


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
def test_a_shard_that_is_no_database(copy, content):
    shard_path(copy, 1).write_bytes(content)
    store = open_store(copy)
    assert store[0].image
    for read in (lambda: store[N - 1], lambda: list(store), lambda: list(store.ids())):
        with pytest.raises(StoreError, match=r"00001\.sqlite is damaged .*--resume"):
            read()


def test_a_flipped_bit_in_an_image(copy):
    with sqlite3.connect(shard_path(copy, 0)) as db:
        (image,) = db.execute("SELECT image FROM worlds WHERE position = 0").fetchone()
        flipped = image[:200] + bytes([image[200] ^ 1]) + image[201:]
        db.execute("UPDATE worlds SET image = ? WHERE position = 0", (flipped,))
    db.close()
    with pytest.raises(StoreError, match="is damaged"):
        open_store(copy)[0]
    assert open_store(copy)[1].image


def test_a_row_missing_from_a_shard(copy):
    with sqlite3.connect(shard_path(copy, 0)) as db:
        db.execute("DELETE FROM worlds WHERE position = 3")
    db.close()
    with pytest.raises(StoreError, match="world 3 is missing"):
        open_store(copy)[3]


@pytest.mark.parametrize("name", ["images.zdict", "schemas.zdict", "tasks.zdict"])
def test_a_missing_or_wrong_dictionary(copy, name):
    (copy / name).write_bytes(b"something else")
    with pytest.raises(StoreError, match=f"{name} is not the dictionary"):
        open_store(copy)[0]
    (copy / name).unlink()
    with pytest.raises(StoreError, match=f"{name} cannot be read"):
        open_store(copy)[0]


def test_an_unfinished_store_opens_and_says_so(copy):
    shard_path(copy, 0).unlink()
    store = open_store(copy)
    assert not store.finished
    assert "unfinished" in repr(store)
    assert len(store) == N - 32
    assert store[0].recipe.seed == SEED + 32
    assert store[str(SEED + 33)].recipe.seed == SEED + 33
    with pytest.raises(StoreError, match="not grown yet"):
        store[str(SEED)]


# --- the catalogue


def test_records_are_a_part_of_the_rows():
    for name, record in RECORDS.items():
        known = get_type_hints(KINDS[name])
        assert {k: f.annotation for k, f in record.model_fields.items()}.items() <= known.items(), name


def test_the_catalogue_says_what_the_worlds_are(home):
    store = open_store(home)
    found = worlds(store)
    assert [w.world for w in found] == list(store.ids())
    assert differences(store) == []
    assert {r.world: r.digest for r in found} == {w.id: w.digest for w in store}
    for record, world in zip(found, store, strict=True):
        assert (record.rows, record.bytes) == (world.rows, len(world.image))
        assert record.tables == len(world.schema.tables)
        assert record.rules == len(world.schema.rules)


def test_the_catalogue_has_every_table_column_key_and_rule(home):
    store = open_store(home)
    db = sqlite3.connect(catalog_path(home))
    world = store[4]

    def rows(sql):
        return db.execute(
            sql.format("FROM worlds JOIN", "USING (position) WHERE worlds.world = ?"), [world.id]
        ).fetchall()

    tables = rows("SELECT table_name, tables.rows {} tables {} ORDER BY table_ordinal")
    assert tables == [(t.name, world.counts[t.key]) for t in world.schema.tables]
    columns = rows("SELECT column_name {} columns {} ORDER BY table_ordinal, ordinal")
    assert columns == [(c.name,) for t in world.schema.tables for c in t.columns]
    rules = rows("SELECT kind, sentence {} rules {} ORDER BY ordinal")
    assert rules == [(r.kind, r.say) for r in world.schema.rules]
    roles = rows("SELECT role {} keys {} AND kind = 'foreign' ORDER BY table_ordinal, ordinal")
    assert roles == [(f.key,) for t in world.schema.tables for f in t.foreign_keys]
    domains = {row[0] for row in db.execute("SELECT id FROM domains")}
    assert domains == {w.schema.domain for w in store}
    db.close()


def test_filters(home):
    store = open_store(home)
    one = worlds(store)[0]
    assert {w.domain for w in worlds(store, domain=one.domain)} == {one.domain}
    assert {w.locale for w in worlds(store, locale=one.locale)} == {one.locale}
    with pytest.raises(UnknownName, match=r"no profile in .* named 'huge'"):
        worlds(store, profile="huge")


def test_a_missing_or_damaged_catalogue(copy):
    catalog_path(copy).write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"catalog\.sqlite is damaged .*remove it"):
        worlds(open_store(copy))
    catalog_path(copy).write_bytes(b"")
    with pytest.raises(StoreError, match=r"catalog\.sqlite is damaged \(no such table"):
        worlds(open_store(copy))
    catalog_path(copy).unlink()
    with pytest.raises(StoreError, match=r"catalog\.sqlite is missing; 'worlddb spawn --resume"):
        worlds(open_store(copy))


def test_describe_speaks_of_what_is_there(home):
    store = open_store(home)
    found = describe(store.shard_entries(1), read_domains(shard_path(home, 1)))
    assert len(found.worlds) == N - 32
    assert all(w.domain_group for w in found.worlds)
    assert {k.kind for k in found.keys} >= {"primary", "foreign"}


def test_samples_show_the_first_rows(home):
    world = open_store(home)[0]
    for name, columns, rows in samples(world, 2):
        assert 1 <= len(rows) <= 2
        assert all(len(row) == len(columns) for row in rows)
        assert name in {t.name for t in world.schema.tables}


def test_few_shards_stay_open(home, monkeypatch):
    monkeypatch.setattr("worlddb.store._OPEN_SHARDS", 1)
    store = open_store(home)
    assert isinstance(store, Store)
    assert [store[i].recipe.seed for i in (0, N - 1, 1)] == [SEED, SEED + N - 1, SEED + 1]


@pytest.mark.parametrize(
    "change", ["UPDATE worlds SET title = 'HACKED'", "DELETE FROM rules", "UPDATE columns SET nullable = 1 - nullable"]
)
def test_a_catalogue_that_was_tampered_with(copy, change):
    with sqlite3.connect(catalog_path(copy)) as db:
        db.execute(change)
    found = check_store(copy, workers=1)
    assert [f.where for f in found.faults] == ["catalog"]
    assert "differs from the shards" in found.faults[0].what


def test_a_store_file_that_is_no_text(copy):
    (copy / "store.json").write_bytes(b"\xff\xfe" * 20)
    with pytest.raises(StoreError, match=r"store\.json is damaged"):
        open_store(copy)


def test_a_filter_that_no_world_meets_gets_a_suggestion(home):
    store = open_store(home)
    domain = store[0].schema.domain
    assert {w.domain for w in worlds(store, domain)} == {domain}
    with pytest.raises(UnknownName, match=f"did you mean '{domain}'"):
        worlds(store, domain[:-1])

"""Worlds: every rule holds in the data, the data is coherent, and the recipe alone decides the bytes."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import unicodedata
from pathlib import Path

import apsw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.golden import GOLDEN, hashes
from worlddb.errors import BadRequest, StoreError, UnknownName
from worlddb.library import generator
from worlddb.rng import Stream
from worlddb.schema.ddl import checks
from worlddb.schema.domains import domain_names, domain_schema
from worlddb.schema.model import Schema
from worlddb.schema.rules import KINDS, Balance, SumEq, Window, quote
from worlddb.semantics.pools import load_pools
from worlddb.semantics.recognise import recognises
from worlddb.semantics.types import is_a
from worlddb.version import GENERATOR
from worlddb.world import image, moments
from worlddb.world.cures import CURES
from worlddb.world.fill import fill
from worlddb.world.formula import evaluate
from worlddb.world.frame import Frames
from worlddb.world.generate import check, generate
from worlddb.world.model import World
from worlddb.world.profiles import profile, profiles

SEEDS = st.integers(0, 2**63 - 1)
WORLDS = [generate(seed) for seed in range(30)]


def assert_sound(world: World) -> None:
    """What every world promises."""
    assert check(world) == []
    with world.connect() as connection:
        for table in world.schema.tables:
            assert connection.execute(f"SELECT count(*) FROM {quote(table.name)}").fetchall() == [
                (world.counts[table.key],)
            ]
            for body in checks(world.schema, table):
                found = connection.execute(f"SELECT 1 FROM {quote(table.name)} WHERE NOT ({body}) LIMIT 1").fetchall()
                assert not found, (world.id, table.key, body)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_any_seed_gives_a_sound_world(seed: int) -> None:
    assert_sound(generate(seed))


@settings(max_examples=8, deadline=None)
@given(SEEDS, st.sampled_from(["tiny", "small", "wide"]))
def test_any_profile_gives_a_sound_world(seed: int, name: str) -> None:
    world = generate(seed, name)
    assert_sound(world)
    assert min(profile(name).rows) * 0.3 <= world.rows <= max(profile(name).rows) * 1.3


@pytest.mark.campaign
@pytest.mark.parametrize("block", range(15))
def test_campaign_of_worlds(block: int) -> None:
    thin = 0
    for seed in range(10_000 + block * 100, 10_000 + block * 100 + 100):
        world = generate(seed)
        assert_sound(world)
        thin += sum(n == 0 for n in world.counts.values())
    assert thin <= 20, "more than 2 % of tables are empty"


@pytest.mark.campaign
@pytest.mark.parametrize("name", domain_names())
def test_campaign_of_domains(name: str) -> None:
    for seed in range(8):
        assert_sound(generate(seed, domain=name))
    assert_sound(generate(0, "large", domain=name))


@pytest.mark.campaign
def test_campaign_of_huge_worlds() -> None:
    for seed in range(3):
        world = generate(seed, "huge")
        assert_sound(world)
        assert world.rows > 50_000


@pytest.mark.parametrize("name", profiles())
def test_rows_follow_the_profile(name: str) -> None:
    if name == "huge":
        pytest.skip("huge worlds are part of `make campaign`")
    rows = [generate(seed, name).rows for seed in range(4)]
    wanted = profile(name).rows
    assert min(wanted) * 0.4 <= float(np.median(rows)) <= max(wanted) * 1.2


# --- identity and determinism


def test_golden_hashes() -> None:
    golden = json.loads(GOLDEN.read_text())
    assert golden["generator"] == GENERATOR
    drift = {k for k, v in hashes().items() if golden["images"].get(k) != v}
    assert not drift, (
        f"{len(drift)} images changed: raise GENERATOR in version.py and run `make golden` if that is meant"
    )


@pytest.mark.parametrize("hash_seed", ["0", "12345"])
def test_the_process_does_not_matter(hash_seed: str) -> None:
    code = "from worlddb import generate; print(*(generate(s).digest for s in (29, 3, 11)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    assert done.stdout.split() == [WORLDS[29].digest, WORLDS[3].digest, WORLDS[11].digest]


def test_a_new_table_leaves_the_others_as_they_are() -> None:
    """Named streams: what is drawn for one table does not depend on which others there are."""
    whole = replace(domain_schema("library"), rules=())
    leaf = next(t for t in reversed(whole.tables) if not whole.children[t.key])
    part = Schema(domain="library", title="", tables=tuple(t for t in whole.tables if t is not leaf))
    sizes = {"one": frames_of(whole), "other": frames_of(part)}
    for table in part.tables:
        one, other = sizes["one"][table.key], sizes["other"][table.key]
        rows = min(one.n, other.n)
        assert rows > 0
        for column in table.columns:
            if column.key in table.parents or one.n != other.n:
                continue
            assert one.cols[column.key].tolist() == other.cols[column.key].tolist(), (table.key, column.key)


def frames_of(schema: Schema) -> Frames:
    """Filled with 25 rows a table, whatever the number of tables."""
    from worlddb.world import plan

    whole = sum(plan.WEIGHT[t.size] for t in schema.tables)
    return fill(schema, 4 * whole, moments.Era(1_600_000_000, 1_700_000_000), Stream(1), load_pools(), "en_US")


def test_a_recipe_fits_64_bytes() -> None:
    recipe = WORLDS[0].recipe
    assert str(recipe) == f"default/0/{generator()}/{load_pools().digest[:16]}"
    longest = max(domain_names(), key=len)
    for name in profiles():
        assert len(str(replace(recipe, seed=2**63 - 1, profile=name, domain=longest)).encode()) <= 64 + len(longest) + 1
        assert len(str(replace(recipe, seed=2**63 - 1, profile=name)).encode()) <= 64


# --- the image


def test_the_image_opens_in_another_client(tmp_path: Path) -> None:
    world = WORLDS[1]
    path = world.save(tmp_path / "world.sqlite")
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert db.execute("PRAGMA application_id").fetchone() == (image.APPLICATION_ID,)
        tables = {
            r[0] for r in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        }
        assert tables == {t.name for t in world.schema.tables}
        declared = sum(len({k[0] for k in db.execute(f"PRAGMA foreign_key_list({quote(t)})")}) for t in tables)
        assert declared == sum(len(t.foreign_keys) for t in world.schema.tables)
    with pytest.raises(StoreError, match="exists already"):
        world.save(path)
    with pytest.raises(StoreError, match="cannot be written"):
        world.save(tmp_path / "nowhere" / "world.sqlite")


def test_constraints_are_enforced() -> None:
    for world in WORLDS[:10]:
        with world.connect() as db:
            child, key = next((t, f) for t, f in world.schema.edges() if world.counts[t.key] and world.counts[f.table])
            with pytest.raises(apsw.ConstraintError):
                db.execute(f"UPDATE {quote(child.name)} SET {quote(child[key.columns[0]].name)} = 'no such row'")
            for table in world.schema.tables:
                closed = [c for c in table.columns if c.values]
                if closed and world.counts[table.key]:
                    with pytest.raises(apsw.ConstraintError):
                        db.execute(f"UPDATE {quote(table.name)} SET {quote(closed[0].name)} = 'no such value'")


def changed(world: World, sql: str) -> World:
    """The world after a statement that no constraint stopped."""
    db = world.connect()
    db.execute("PRAGMA foreign_keys = OFF").fetchall()
    db.execute("PRAGMA ignore_check_constraints = ON").fetchall()
    db.execute(sql)
    return replace(world, image=bytes(db.serialize("main")))


def test_a_broken_world_is_found() -> None:
    """`check` finds a missing parent, a wrong total and a damaged file."""
    world, rule = next(
        (w, r) for w in WORLDS for r in w.schema.rules if r.kind == "sum_eq" and not r.where and w.counts[r.table]
    )
    table = world.schema[rule.table]
    spoilt = changed(world, f"UPDATE {quote(table.name)} SET {quote(table[rule.column].name)} = 987654321")
    assert any("sum_eq" in line for line in check(spoilt))
    key = next(f for t, f in world.schema.edges() if world.counts[t.key] and not f.nullable)
    orphaned = changed(world, f"DELETE FROM {quote(world.schema[key.table].name)}")
    assert any("missing row" in line for line in check(orphaned))
    torn = replace(world, image=world.image[:2048] + b"\xff" * 2048 + world.image[4096:])
    assert check(torn)


# --- coherence


def each_table(kind: str):
    """(world, table, rows as dicts by column key) of all tables of an archetype."""
    for world in WORLDS:
        with world.connect() as db:
            for table in world.schema.tables:
                if table.archetype == kind or kind == "any":
                    names = ", ".join(quote(c.name) for c in table.columns)
                    rows = db.execute(f"SELECT {names} FROM {quote(table.name)}").fetchall()
                    yield world, table, [dict(zip([c.key for c in table.columns], r, strict=True)) for r in rows]


def letters(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.lower().replace("ß", "ss").replace("ø", "o").replace("ł", "l"))
    return "".join(c for c in plain if c.isascii() and c.isalpha())


def test_mail_addresses_belong_to_their_people() -> None:
    seen = matched = 0
    for kind in ("party", "staff"):
        for _, _, rows in each_table(kind):
            for row in rows:
                if row.get("email") and row.get("full_name"):
                    seen += 1
                    last = letters(row["full_name"].split()[-1])
                    matched += last[:4] in letters(row["email"].split("@")[0]) or last[:2] in letters(
                        row["email"].split("@")[0]
                    )
    assert seen > 300
    assert matched / seen > 0.97


def test_nothing_happened_after_now() -> None:
    for world, table, rows in each_table("any"):
        for column in table.columns:
            if is_a(column.type, "created_at") or is_a(column.type, "stamp_at") or is_a(column.type, "updated_at"):
                late = [r[column.key] for r in rows if r[column.key] and r[column.key] > text(world.now)]
                assert not late, (world.id, table.key, column.key)


def text(moment: int) -> str:
    return str(np.datetime64(moment, "s")).replace("T", " ")


def test_stamps_follow_the_state() -> None:
    """A row bears the stamps of the states on its way and no others, in order, after its birth."""
    stamped = 0
    for _, table, rows in each_table("any"):
        machine = table.lifecycle
        if not machine or not machine.stamps:
            continue
        for row in rows:
            way = [s for s in machine.routes[row["status"]] if s in machine.stamps]
            taken = [row[machine.stamps[s]] for s in way]
            assert all(taken), (table.key, row)
            assert taken == sorted(taken)
            assert not any(row[k] for s, k in machine.stamps.items() if s not in way)
            stamped += len(taken)
    assert stamped > 300


def test_nothing_changed_before_it_was_there() -> None:
    for world, table, rows in each_table("any"):
        if "created_at" not in table:
            continue
        followers = ["updated_at", *(table.lifecycle.stamps.values() if table.lifecycle else ())]
        for key in (k for k in followers if k in table):
            early = [r for r in rows if r[key] and r[key] < r["created_at"]]
            assert not early, (world.id, table.key, key)


def test_every_kind_of_rule_has_a_cure_or_is_a_total() -> None:
    assert set(CURES) | {SumEq, Balance} == set(KINDS)


def test_children_are_born_after_their_parents() -> None:
    early = seen = 0
    for world in WORLDS:
        with world.connect() as db:
            for child, key in world.schema.edges():
                parent = world.schema[key.table]
                if "created_at" not in child or "created_at" not in parent or key.nullable or child.key == parent.key:
                    continue
                if any(
                    isinstance(r, Window) and (r.table, r.time) == (child.key, "created_at") for r in world.schema.rules
                ):
                    continue  # where the window closed before the parent was there, the rule wins
                sql = (
                    f"SELECT count(*), sum(c.{quote(child['created_at'].name)} < p.{quote(parent['created_at'].name)}) FROM "
                    f"{quote(child.name)} c JOIN {quote(parent.name)} p ON p.{quote(parent[key.ref[0]].name)} = "
                    f"c.{quote(child[key.columns[0]].name)}"
                )
                n, wrong = db.execute(sql).fetchall()[0]
                seen, early = seen + n, early + (wrong or 0)
    assert seen > 5000
    assert early / seen < 0.002, "only what a later table's rules moved"


def test_values_are_of_their_type() -> None:
    seen = 0
    for world, table, rows in each_table("any"):
        totals = {r.column for r in world.schema.rules if isinstance(r, SumEq) and r.table == table.key}
        for column in table.columns:
            if (
                column.key in table.key_columns
                or column.values
                or column.low is not None
                or column.formula
                or column.key in totals
            ):
                continue
            for row in rows[:5]:
                if row[column.key] is not None:
                    assert recognises(column.type, row[column.key]), (
                        table.key,
                        column.key,
                        column.type,
                        row[column.key],
                    )
                    seen += 1
    assert seen > 3000


def test_nulls_stand_only_where_they_may() -> None:
    nulls = 0
    for _, table, rows in each_table("any"):
        for column in table.columns:
            empty = sum(r[column.key] is None for r in rows)
            assert column.nullable or not empty
            nulls += empty
    assert nulls > 1000


def test_links_of_many_kinds_exist() -> None:
    """The decorations of real databases are there: trees, cycles, composite keys, polymorphic pairs, uuid and code keys."""
    worlds = [generate(s, "tiny" if s % 3 else "small").schema for s in range(150)] + [w.schema for w in WORLDS]
    tables = [t for s in worlds for t in s.tables]
    assert any(f.table == t.key for s in worlds for t, f in s.edges())
    assert any(t.polymorphic for t in tables)
    assert {t.key_style for t in tables} == {"integer", "uuid", "code", "composite"}
    assert any(is_a(c.type, "document") for t in tables for c in t.columns)
    assert any(f.on_delete == "CASCADE" for t in tables for f in t.foreign_keys)
    assert any(f.unique for t in tables for f in t.foreign_keys)
    assert {w.locale for w in WORLDS} >= {"en_US", "de_DE"}


# --- formulas, bad input


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 9))
def test_formulas_agree_with_sqlite(a: int, b: int, c: int) -> None:
    formula = "a * b - (a + b) / c + a / c * 2"
    values = {"a": np.array([a]), "b": np.array([b]), "c": np.array([c])}
    ours = int(evaluate(formula, values.__getitem__)[0])
    theirs = apsw.Connection(":memory:").execute(
        f"SELECT {formula.replace('a', f'({a})').replace('b', f'({b})').replace('c', str(c))}"
    )
    assert theirs.fetchall() == [(ours,)]


def test_bad_arguments() -> None:
    with pytest.raises(UnknownName, match="did you mean 'default'"):
        generate(0, "defualt")
    with pytest.raises(UnknownName, match="did you mean 'hotel'"):
        generate(0, domain="hotle")
    for seed in (-1, 2**63):
        with pytest.raises(BadRequest, match="out of range"):
            generate(seed)


def test_a_domain_file_of_ones_own(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "schemas" / "domains" / "library.yaml").read_text()
    path = tmp_path / "reading_room.yaml"
    path.write_text(text.replace("id: library", "id: reading_room"))
    world = generate(5, domain=str(path))
    assert world.schema.domain == "reading_room"
    assert world.recipe.domain.startswith("reading_room@")
    assert check(world) == []
    path.write_text(text.replace("id: library", "id: reading_room").replace("patron", "reader"))
    assert generate(5, domain=str(path)).recipe.domain != world.recipe.domain
    with pytest.raises(BadRequest, match="give that file"):
        generate(5, domain=world.recipe.domain)


def test_threads_may_generate_at_once() -> None:
    code = (
        "import sys; sys.setswitchinterval(1e-5)\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from worlddb.world.generate import generate\n"
        "with ThreadPoolExecutor(8) as pool: print(*(w.digest for w in pool.map(generate, range(24))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent.parent
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [w.digest for w in WORLDS[:24]]


def test_the_recipe_names_the_schemas_that_it_grew_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    from worlddb import library

    shutil.copytree(library.folder("schemas"), tmp_path / "schemas")
    before = library.generator()
    with (tmp_path / "schemas" / "domains" / "hotel.yaml").open("a") as file:
        file.write("# changed\n")
    monkeypatch.setattr(library, "folder", lambda name: tmp_path / name)
    assert library.generator.__wrapped__() != before

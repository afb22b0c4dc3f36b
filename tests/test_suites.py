"""Suites: what one side trains on and what the other is judged by have nothing in common."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from worlddb import suites as suites_module
from worlddb.check import check_store
from worlddb.disjoint import check_disjoint
from worlddb.errors import BadRequest, BrokenFile, UnknownName
from worlddb.heldout import Scope
from worlddb.request import Request, plan
from worlddb.rng import Stream
from worlddb.schema.domains import domain_names, load_domain
from worlddb.spawner import spawn
from worlddb.store import draw_domain
from worlddb.suites import held_out, suite_named, suites
from worlddb.world.generate import generate

SEEDS = range(2000)
HASHES = [f"{Stream(seed, 'hash').bits(1)[0]:016x}" for seed in SEEDS]
TRAIN, EVAL = (suite_named(name).scope for name in ("train", "eval"))


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict[str, Path]:
    """A small store of each suite, with tasks."""
    home = tmp_path_factory.mktemp("suites")
    for name in ("train", "eval", "smoke"):
        spawn(home / name, 4, suite=name, tasks=3, workers=1)
    return {name: home / name for name in ("train", "eval", "smoke")}


def rewrite(home: Path, side: str, **changes: object) -> None:
    """Have a store say that it is of another side."""
    file = home / "store.json"
    scope = msgspec.to_builtins(msgspec.structs.replace(held_out(), side=side, **changes)) if side else None
    file.write_bytes(msgspec.json.encode(msgspec.json.decode(file.read_bytes()) | {"scope": scope}))


# --- seeds and worlds


def test_suites_share_no_seed():
    spans = sorted((s.first, s.first + s.seeds) for s in suites().values())
    assert set(suites()) == {"train", "eval", "smoke"}
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert spans[0][0] >= 10**9  # below lie the seeds that people choose for themselves


def test_a_suite_mixes_profiles_by_seed_alone(stores):
    store = spawn(stores["smoke"], resume=True, workers=1)
    assert [w.recipe.profile for w in store] == list(suites()["smoke"].profiles)[:4]
    later = plan(Request(n=3, suite="smoke", seed=suites()["smoke"].first + 3), "0" * 16)
    assert later.world(0).profile == store[3].recipe.profile


def test_a_domain_depends_on_the_seed_alone():
    suite = suites()["eval"]
    one = plan(Request(n=50, suite="eval"), "0" * 16)
    other = plan(Request(n=5, suite="eval", seed=suite.first + 40, tasks=0), "0" * 16)
    assert [other.world(i) for i in range(5)] == [one.world(40 + i) for i in range(5)]


def test_the_domains_of_worlds():
    drawn = {
        name: Counter(draw_domain(s.first + i, s.groups) for i in SEEDS) for name, s in suites().items()
    }  # fmt: skip
    held = set(held_out().domains)
    others = set(domain_names()) - held
    assert set(drawn["train"]) == set(drawn["smoke"]) == others
    assert set(drawn["eval"]) == held | others
    assert 0.45 < sum(drawn["eval"][d] for d in held) / len(SEEDS) < 0.55


def test_what_is_held_out_is_spread():
    domains = held_out().domains
    assert 10 <= len(domains) == len(set(domains)) <= 15
    assert len({load_domain(d).group for d in domains}) >= 10
    assert held_out().structures == 5


def test_a_recipe_of_a_suite_makes_the_world_again(stores):
    for world in spawn(stores["eval"], resume=True, workers=1):
        recipe = world.recipe
        assert recipe.domain == world.schema.domain
        assert generate(recipe.seed, recipe.profile, domain=recipe.domain).digest == world.digest


# --- what tasks may use


def test_train_and_eval_share_the_structures_out():
    assert all(TRAIN.structure(h) != EVAL.structure(h) for h in HASHES)
    assert all(Scope().structure(h) for h in HASHES)
    assert 0.17 < sum(map(EVAL.structure, HASHES)) / len(HASHES) < 0.23


def test_held_out_tools():
    for key in ("bookings.swap", "order.split", "contract.bulk_renew", "account.transfer_funds", "ticket.escalate"):
        assert not TRAIN.tool_key(key)
        assert EVAL.tool_key(key)
        assert Scope().tool_key(key)
    for key in ("booking.get", "split.list", "order.split_evenly", "transfer_funds.list"):
        assert TRAIN.tool_key(key)


def test_every_pattern_of_held_out_tools_meets_one():
    met = set()
    for seed in range(30):
        keys = [tool.key for tool in generate(seed).toolset() if not TRAIN.tool(tool)]
        met |= {p for p in held_out().tools for key in keys if not Scope(side="train", tools=(p,)).tool_key(key)}
    assert met == set(held_out().tools)


def test_tables_that_came_from_a_held_out_domain():
    grafted = 0
    for seed in range(60):
        schema = generate(seed, "small", domain="hotel").schema
        for table in schema.tables:
            assert TRAIN.table(table) == (table.origin not in held_out().domains)
            assert EVAL.table(table)
            grafted += not TRAIN.table(table)
    assert grafted


def test_a_held_out_domain_is_refused_to_train(tmp_path):
    with pytest.raises(BadRequest, match="domain 'law_firm' is held out from suite 'train'; choose another"):
        spawn(tmp_path / "out", 1, suite="train", domain="law_firm")
    recipe = plan(Request(n=2, suite="eval", domain="law_firm"), "0" * 16)
    assert {recipe.world(i).domain for i in range(2)} == {"law_firm"}
    assert recipe.domains == ()


# --- stores


def test_stores_of_suites_keep_to_their_side(stores):
    for name, home in stores.items():
        report = check_store(home, regrow=True, workers=1)
        assert report.ok, report.faults
        assert report.tasks.admitted > 0, name


def test_the_stores_have_nothing_in_common(stores):
    found = check_disjoint([stores["train"], stores["eval"], stores["smoke"]])
    assert found.ok
    assert len(found.pairs) == 3
    assert all(s.worlds == 4 and s.tasks > 0 and s.structures > 0 for s in found.stores)
    train_eval = found.pairs[0]
    assert (train_eval.worlds, train_eval.structures) == (0, 0)


def test_a_store_has_all_in_common_with_itself(stores):
    (pair,) = check_disjoint([stores["eval"], stores["eval"]]).pairs
    assert pair.worlds == 4
    assert pair.structures == check_disjoint([stores["eval"]]).stores[0].structures
    assert "4 worlds are the same" in pair.faults[0]


@pytest.mark.parametrize(
    ("one", "other", "fault"), [("train", "train", False), ("train", "eval", True), ("", "", True)]
)
def test_shared_structures_are_a_fault_unless_both_are_of_one_side(stores, tmp_path, one, other, fault):
    for name, side in (("one", one), ("other", other)):
        rewrite(Path(shutil.copytree(stores["smoke"], tmp_path / name)), side)
    (pair,) = check_disjoint([tmp_path / "one", tmp_path / "other"]).pairs
    assert pair.structures > 0
    assert any("structures are the same" in f for f in pair.faults) == fault


def test_stores_with_different_lists_of_what_is_held_out(stores, tmp_path):
    rewrite(Path(shutil.copytree(stores["eval"], tmp_path / "other")), "eval", tools=("swap",))
    (pair,) = check_disjoint([stores["train"], tmp_path / "other"]).pairs
    assert pair.faults == ("they were spawned with different lists of what is held out; spawn one of them again",)


def test_a_store_that_left_its_side_is_told(tmp_path):
    store = spawn(tmp_path / "plain", 6, domain="law_firm", profile="small", tasks=4, workers=1)
    rewrite(store.path, "train")
    assert "its domain 'law_firm' is held out" in " ".join(f.what for f in check_store(store.path, workers=1).faults)
    rewrite(store.path, "eval")
    told = [f.where for f in check_store(store.path, workers=1).faults if "no held-out one" in f.what]
    outside = [t.id for _, t in store.tasks() if not EVAL.structure(t.card.structure)]
    assert told == outside != []


# --- what is refused


def test_an_unknown_suite():
    with pytest.raises(UnknownName, match="did you mean 'train'"):
        suite_named("trane")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("held-out", "domains: [hotels]\n", "no domain named 'hotels'; did you mean 'hotel'"),
        ("held-out", "structures: 1\n", "structures"),
        ("eval", "summary: x\n", "missing required field"),
        ("eval", "summary: x\nfirst: 1\nseeds: 1\nn: 1\nmix: {tiny: 1}\nside: both\ndomains: [others]\n", "side"),
    ],
)
def test_broken_files(tmp_path, monkeypatch, file, text, message):
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / f"{file}.yaml").write_text(text)
    monkeypatch.setattr(suites_module, "folder", lambda name: tmp_path)
    read = held_out if file == "held-out" else suites
    with pytest.raises(BrokenFile, match=message):
        read.__wrapped__()

"""What a gold changed becomes a goal: by column classes, the same from any start, several ways in few words."""

from __future__ import annotations

import random
from itertools import combinations

import msgspec
import pytest

import worlddb
from tests.shop import INSIDE, SHOP, WINDOW, changed, order, random_episode, same_calls, structure
from worlddb.episode.verify import Trail, verdict_on
from worlddb.tasks.compile import alternative_of, goal_of, settled
from worlddb.tasks.forms import forms_of, window_in
from worlddb.tasks.goal import (
    Alternative,
    Answer,
    Anything,
    Bag,
    Clock,
    Equal,
    Goal,
    Json,
    Near,
    New,
    OneOf,
    Text,
    folded,
)
from worlddb.tasks.merge import merged
from worlddb.tools.session import Start
from worlddb.world.diff import Diff


def test_every_class_of_column_has_its_matcher():
    row = order(id=7, placed_at=INSIDE, remark="Call  first", synced=INSIDE, day=INSIDE[:10])
    (insert,) = alternative_of(SHOP, changed(("order", (7,), None, row)), WINDOW).inserts
    assert insert.values == {
        "id": Anything(), "placed_at": Clock(), "closed_at": Equal(value=None), "label": Text(value="Blue"),
        "remark": Text(value="Call  first"), "weight": Near(value=2.5, tolerance=0.005), "total": Equal(value=100),
        "tags": Bag(values=("a", "b")), "more": Json(value={"x": 1}), "synced": Anything(), "due": Equal(value="2024-01-01"),
        "day": Clock(),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"closed_at": INSIDE}, {"closed_at": Clock()}),
        ({"closed_at": INSIDE}, {"closed_at": None}, {"closed_at": Equal(value=None)}),
        ({}, {"placed_at": INSIDE}, None),
        ({}, {"synced": INSIDE}, None),
        ({}, {"placed_at": "2023-05-05 10:00:00"}, {"placed_at": Equal(value="2023-05-05 10:00:00")}),
        ({}, {"placed_at": INSIDE, "total": 5}, {"total": Equal(value=5)}),
        ({}, {"label": "BLUE"}, {"label": Equal(value="BLUE")}),
        ({}, {"label": "Red"}, {"label": Text(value="Red")}),
        ({}, {"due": "2024-02-02"}, {"due": Equal(value="2024-02-02")}),
        ({}, {"remark": ""}, {"remark": Text(value="")}),
    ],
)
def test_an_update_holds_what_was_changed_on_purpose(before, after, expected):
    diff = changed(("order", (1,), order(**before), order(**before | after)))
    updates = alternative_of(SHOP, diff, WINDOW).updates
    assert [u.values for u in updates] == ([] if expected is None else [expected])


def test_references_to_new_rows_become_variables():
    one = alternative_of(SHOP, structure([5], [(20, 5, None, 1), (21, 5, 20, 2), (22, 1, None, 3)]))
    assert {i.var for i in one.inserts} == {"new1", "new2", "new3", "new4"}
    by_quantity = {i.values["quantity"].value: i for i in one.inserts if i.table == "line"}
    head = next(i.var for i in one.inserts if i.table == "order")
    assert by_quantity[1].values["order"] == New(var=head)
    assert by_quantity[2].values["next"] == New(var=by_quantity[1].var)
    assert by_quantity[3].values["order"] == Equal(value=1)


def test_composite_keys_and_polymorphic_pairs_follow_new_rows():
    diff = structure([5], [(20, 5, None, 1)])
    diff.add("label", (5, 20), None, (5, 20))
    diff.add("label", (1, 20), None, (1, 20))
    diff.add("comment", (9,), None, (9, "Order", "5", "Thanks"))
    diff.add("comment", (10,), None, (10, "Line", "5", "Thanks"))
    one = alternative_of(SHOP, diff)
    var = {i.table: i.var for i in one.inserts if i.table in ("order", "line")}
    labels = [i.values for i in one.inserts if i.table == "label"]
    assert {"order": New(var=var["order"]), "line": New(var=var["line"])} in labels
    assert {"order": Equal(value=1), "line": New(var=var["line"])} in labels
    bodies = {i.values["on_type"].value: i.values["on_id"] for i in one.inserts if i.table == "comment"}
    assert bodies == {"Order": New(var=var["order"]), "Line": Equal(value="5")}


def test_variables_depend_on_no_key():
    dice = random.Random(4)
    goals = set()
    for _ in range(50):
        orders, lines = dice.sample(range(100, 999), 4), dice.sample(range(1000, 1999), 8)
        rows = [(lines[i], orders[i % 4], lines[i - 1] if i % 3 else None, 1 + i // 4) for i in range(8)]
        goals.add(msgspec.json.encode(alternative_of(SHOP, structure(orders, rows))))
    assert len(goals) == 1


def test_a_junction_with_a_mere_number_is_what_it_links():
    old, new = (3, 1, 8, "2023-01-01 00:00:00"), (30, 1, 8, INSIDE)
    again = changed(("tag", (3,), old, None), ("tag", (30,), None, new))
    assert [(c.op, c.key, c.after) for c in settled(SHOP, again.changes)] == [("update", (3,), (3, 1, 8, INSIDE))]
    assert alternative_of(SHOP, again, WINDOW) == Alternative()  # its clock moved on within the episode: the same link
    late = changed(("tag", (3,), old, None), ("tag", (30,), None, (30, 1, 8, "2099-01-01 00:00:00")))
    assert verdict_on(Goal(), lambda: Trail(SHOP, again, WINDOW)).success
    assert not verdict_on(Goal(), lambda: Trail(SHOP, late, WINDOW)).success
    turned = settled(SHOP, changed(("tag", (3,), old, (3, 1, 9, old[3]))).changes)
    assert [(c.op, (c.after or c.before)[1:3]) for c in turned] == [("insert", (1, 9)), ("delete", (1, 8))]


# --- several golds


def relabelled(key: int, label: str = "Red") -> Diff:
    return changed(("order", (key,), order(id=key), order(id=key, label=label)))


def test_any_of_several_rows_is_a_pool():
    goal = goal_of(SHOP, [relabelled(k) for k in (1, 2, 3)])
    (one,) = goal.alternatives
    assert [(p.keys, p.count, p.values) for p in one.pools] == [(((1,), (2,), (3,)), 1, {"label": Text(value="Red")})]
    assert not one.updates


def test_two_of_several_rows_are_a_pool_of_two_and_only_if_all_pairs_are_there():
    def pair(a: int, b: int) -> Diff:
        return changed(*(("order", (k,), order(id=k), None) for k in (a, b, 9)))

    pairs = list(combinations((1, 2, 3, 4), 2))
    (one,) = goal_of(SHOP, [pair(*p) for p in pairs]).alternatives
    assert [(p.keys, p.count, p.values) for p in one.pools] == [(((1,), (2,), (3,), (4,)), 2, None)]
    assert [d.key for d in one.deletes] == [(9,)]
    assert len(goal_of(SHOP, [pair(*p) for p in pairs[:-1]]).alternatives) == 5


def test_any_of_several_values_is_a_one_of_and_pairs_of_values_stay_pairs():
    def made(total: int, due: str) -> Diff:
        return changed(("order", (7,), None, order(id=7, total=total, due=due)))

    (one,) = goal_of(SHOP, [made(t, "2024-01-01") for t in (5, 6, 7)]).alternatives
    assert one.inserts[0].values["total"] == OneOf(values=(5, 6, 7))
    (both,) = goal_of(SHOP, [made(t, d) for t in (5, 6) for d in ("2024-01-01", "2024-01-02")]).alternatives
    assert both.inserts[0].values["due"] == OneOf(values=("2024-01-01", "2024-01-02"))
    assert len(goal_of(SHOP, [made(5, "2024-01-01"), made(6, "2024-01-02")]).alternatives) == 2


def test_equal_golds_count_once_and_answers_stay_with_their_golds():
    assert len(goal_of(SHOP, [relabelled(1)] * 3).alternatives) == 1
    answers = [Answer(kind="number", value=v) for v in (1, 2)]
    goal = goal_of(SHOP, [relabelled(1), relabelled(2)], answers)
    assert [(a.updates[0].key, a.answer) for a in goal.alternatives] == [((1,), 0), ((2,), 1)]
    shared = goal_of(SHOP, [relabelled(1), relabelled(2)], answers[:1] * 2)
    assert (len(shared.answers), len(shared.alternatives), shared.alternatives[0].answer) == (1, 1, None)


def test_nothing_changed_is_one_empty_alternative():
    goal = goal_of(SHOP, [Diff()], [Answer(kind="number", value=4)])
    assert goal.alternatives == (Alternative(),)
    assert goal.changes_nothing
    assert merged([]) == ()


# --- on worlds


@pytest.mark.parametrize("seed", range(40))
def test_another_start_compiles_to_an_equal_goal(seed):
    world, dice, compared = worlddb.generate(seed, "small"), random.Random(seed), 0
    for attempt in range(8):
        session = world.session()
        random_episode(session, dice)
        twin = same_calls(session, Start(clock=7_777 + 1_000 * attempt, ids=1 + 31 * attempt))
        if twin is None:
            continue
        compared += 1
        one = alternative_of(world.schema, session.diff(), window_in(session))
        assert alternative_of(world.schema, twin.diff(), window_in(twin)) == one
    assert compared >= 4


@pytest.mark.parametrize("seed", range(0, 40, 5))
def test_goals_travel_as_json(seed):
    world = worlddb.generate(seed, "small")
    session = world.session()
    random_episode(session, random.Random(seed), 12)
    goal = goal_of(world.schema, [session.diff()], [Answer(kind="none")], windows=[window_in(session)])
    again = msgspec.json.decode(msgspec.json.encode(goal), type=Goal)
    assert again == goal
    assert any(a.inserts or a.updates for a in again.alternatives)


@pytest.mark.parametrize("seed", range(12))
def test_every_table_has_a_form_that_speaks_of_all_its_columns(seed):
    schema = worlddb.generate(seed, "tiny").schema
    forms = forms_of(schema)
    assert forms_of(schema) is forms
    for table in schema.tables:
        form = forms[table.key]
        assert form.columns == tuple(c.key for c in table.columns)
        assert len(form.classes) == len(form.scales) == len(form.happened) == len(form.columns)
        assert [form.columns[i] for i in form.key] == list(table.primary_key)
        assert {form.columns[i] for r in form.references for i in r.columns} >= {
            c for f in table.foreign_keys for c in f.columns
        }


def test_folding_keeps_letters_that_only_look_alike_apart():
    assert folded(" \uff26ull\u3000Width\t text ") == "full width text"
    assert folded("\u0410nna") != folded("Anna")  # a Cyrillic letter
    assert folded("Straße") == folded("STRASSE")

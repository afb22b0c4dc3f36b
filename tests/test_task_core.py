"""Drafts, routes, gold and cards: what families plan with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import worlddb
from worlddb.errors import UnknownName
from worlddb.rng import Stream
from worlddb.tasks import columns, draft, shapes
from worlddb.tasks.card import card_of
from worlddb.tasks.draft import Draft
from worlddb.tasks.enact import Gold, Stuck, enact
from worlddb.tasks.families import FAMILIES
from worlddb.tasks.ground import Ground
from worlddb.tasks.model import Card
from worlddb.tasks.plan import Asked, Each, Find, Fold, Of, Plan, Where
from worlddb.tasks.reckon import calculated, folded, grouped, meets
from worlddb.tasks.shapes import Shape, task_profile, task_profiles
from worlddb.tools.keys import call_of
from worlddb.tools.session import Start

SEEDS = range(24)


@pytest.fixture(scope="module")
def grounds() -> dict[int, Ground]:
    return {seed: Ground(worlddb.generate(seed)) for seed in SEEDS}


def golds(ground: Ground, seed: int, count: int = 12) -> Iterator[tuple[Plan, Gold]]:
    """Questions of one world with their golds."""
    for number in range(count):
        stream = Stream(seed, "core", str(number))
        plan = FAMILIES["question"](Draft(ground, stream), stream.below(3), 8)
        if isinstance(plan, Plan):
            try:
                yield plan, enact(ground, plan)
            except Stuck:
                continue


def test_most_questions_can_be_answered_by_calls(grounds: dict[int, Ground]) -> None:
    done = {seed: sum(1 for _ in golds(ground, seed)) for seed, ground in grounds.items()}
    assert sum(done.values()) > 5 * len(done)
    assert min(done.values()) >= 1


def test_a_gold_has_no_dead_and_no_repeated_call(grounds: dict[int, Ground]) -> None:
    for seed, ground in grounds.items():
        for _, gold in golds(ground, seed):
            used = {i for call in gold.calls for i in call.uses} | gold.answered_by
            assert used >= {i for i, call in enumerate(gold.calls) if not call.writes}
            said = [(c.tool, repr(sorted(c.arguments.items()))) for c in gold.calls if not c.writes]
            assert len(set(said)) == len(said)
            assert all(i < at for at, call in enumerate(gold.calls) for i in call.uses)


def test_what_the_gold_finds_is_what_the_draft_meant(grounds: dict[int, Ground]) -> None:
    seen = 0
    for seed, ground in grounds.items():
        for plan, gold in golds(ground, seed):
            meant = Draft.again(ground, plan)
            for node in plan.nodes:
                known = gold.known.get(node.name)
                if known is not None and isinstance(node, Find):
                    keys = ground.schema[node.table].primary_key
                    assert [[r[k] for k in keys] for r in known.rows] == [
                        [r[k] for k in keys] for r in meant.rows(node.name)
                    ]
                    seen += 1
                elif known is not None and isinstance(node, Fold):
                    assert known.value == pytest.approx(meant.value(Of(node=node.name)), abs=0.01)
                    seen += 1
    assert seen > 200


def test_gold_calls_can_be_made_again_one_by_one(grounds: dict[int, Ground]) -> None:
    for seed, ground in list(grounds.items())[:8]:
        for _, gold in golds(ground, seed, 6):
            session = ground.world.session(ground.toolset)
            for call in gold.calls:
                said = call_of(ground.toolset, call.tool, call.arguments)
                assert session.call(said.name, said.arguments).ok
            assert [e.result for e in session.journal] == [e.result for e in gold.session.journal]


def test_gold_is_the_same_from_another_start(grounds: dict[int, Ground]) -> None:
    for seed, ground in list(grounds.items())[:8]:
        for plan, gold in golds(ground, seed, 6):
            again = enact(ground, plan, start=Start(clock=90_000, ids=500))
            assert again.calls == gold.calls
            assert again.answer == gold.answer


def test_a_title_in_a_long_table_is_searched_or_turned_to() -> None:
    ground = Ground(worlddb.generate(0))
    long = [
        t for t in ground.schema.tables if len(ground.table(t.key)) > 100 and columns.names(t) and ground.readers[t.key]
    ]
    assert long
    for table in long:
        maker = Draft(ground, Stream(1, "long", table.key))
        name = maker.refer(table.key, ground.table(table.key)[-1], 0)
        if name is None:
            continue
        (column,) = list(columns.asks(table))[:1]
        gold = enact(ground, maker.plan("question", Asked(shape="value", what=(Of(node=name, column=column.key),))))
        pages = [c.arguments.get("offset", 0) for c in gold.calls]
        assert pages == sorted(set(pages))
        assert all(call.uses == (at,) for at, call in enumerate(gold.calls[1:]))


def test_a_plan_that_no_tool_serves_is_stuck(grounds: dict[int, Ground]) -> None:
    ground = next(g for g in grounds.values() if any(not r for r in g.readers.values()))
    table = next(ground.schema[k] for k, r in ground.readers.items() if not r)
    find = Find(name="f", table=table.key, many=True)
    plan = Plan(
        family="question", nodes=(find,), asked=Asked(shape="set", what=(Each(node="f", column=table.primary_key[0]),))
    )
    with pytest.raises(Stuck, match="no tool shows it"):
        enact(ground, plan)


def test_ties_are_refused(grounds: dict[int, Ground]) -> None:
    tried = 0
    for ground in grounds.values():
        for table in ground.schema.tables:
            for column in columns.numbers(table):
                values = [r[column.key] for r in ground.table(table.key) if r[column.key] is not None]
                if len(values) < 2 or values.count(max(values)) < 2 or not ground.readers[table.key]:
                    continue
                find = Find(name="f", table=table.key, sort=column.key, desc=True, take=1)
                asked = Asked(shape="value", what=(Of(node="f", column=column.key),))
                with pytest.raises(Stuck):
                    enact(ground, Plan(family="question", nodes=(find,), asked=asked))
                tried += 1
    assert tried > 20


def test_drafts_share_equal_nodes_and_forget(grounds: dict[int, Ground]) -> None:
    ground = grounds[0]
    table = next(t for t in ground.schema.tables if columns.names(t) and ground.readers[t.key])
    maker = Draft(ground, Stream(0, "share"))
    row = next(r for r in ground.table(table.key))
    where = maker.equals(table, columns.names(table)[0], row)
    assert maker.find(table.key, where) == maker.find(table.key, where)
    mark = maker.mark()
    maker.find(table.key, many=True)
    maker.back(mark)
    assert len(maker.nodes) == 1


def test_sets_have_the_size_that_was_asked_for(grounds: dict[int, Ground]) -> None:
    found = 0
    for seed, ground in grounds.items():
        for table in ground.schema.tables:
            maker = Draft(ground, Stream(seed, "sets", table.key))
            name = maker.gather(table.key, 3, 9)
            if name is not None:
                found += 1
                assert 3 <= len(maker.rows(name)) <= 9
                assert any(isinstance(n, Find) and n.name == name and n.many for n in maker.nodes)
    assert found > 60


@pytest.mark.parametrize(
    ("op", "value", "wanted", "expected"),
    [
        ("eq", 1, [1], True), ("ne", None, [1], False), ("null", None, [], True), ("set", None, [], False), ("set", 0, [], True),
        ("in", "a", ["a", "b"], True), ("not_in", "c", ["a"], True), ("not_in", None, ["a"], False), ("ge", 2, [2], True),
        ("lt", "2024-01-01", ["2024-01-02"], True), ("gt", 3, [None], False),
    ],
)  # fmt: skip
def test_conditions(op: str, value: object, wanted: list[object], expected: bool) -> None:
    assert meets(value, op, wanted) is expected  # type: ignore[arg-type]


def test_figures_are_exact() -> None:
    assert folded("sum", [0.1, 0.2]) == pytest.approx(0.3)
    assert folded("sum", []) == 0
    assert folded("mean", []) is None
    assert folded("mean", [1, 2]) == 1.5
    assert (folded("least", [3, 1]), folded("greatest", [3, 1])) == (1, 3)
    assert calculated("percent", 250, 15) == 38  # 37.5, half up
    assert calculated("days_after", "2024-02-28", 2) == "2024-03-01"
    assert calculated("days_after", "2024-02-28 10:30:00", -1) == "2024-02-27 10:30:00"
    assert calculated("days_between", "2024-02-28 23:59:59", "2024-03-01") == 2
    assert grouped([{"a": 1}, {"a": 1}, {"a": 2}, {"a": None}], "a", "count", "", True) == 1


def test_cards_measure_the_graph_of_calls(grounds: dict[int, Ground]) -> None:
    ground = grounds[3]
    for plan, gold in golds(ground, 3):
        card = card_of(ground, plan, gold)
        assert card.calls == len(gold.calls) >= card.depth >= 1
        assert card.width * card.depth >= card.calls
        assert card.structure != card.skeleton
        assert card == card_of(ground, plan, enact(ground, plan))


def test_structure_knows_no_world_and_skeleton_does(grounds: dict[int, Ground]) -> None:
    structures: dict[str, set[int]] = {}
    skeletons: dict[str, set[int]] = {}
    for seed, ground in grounds.items():
        for plan, gold in golds(ground, seed):
            card = card_of(ground, plan, gold)
            structures.setdefault(card.structure, set()).add(seed)
            skeletons.setdefault(card.skeleton, set()).add(seed)
    assert max(map(len, structures.values())) > 3  # one structure in several worlds
    assert max(map(len, skeletons.values())) < len(SEEDS) / 2


@pytest.mark.parametrize("name", sorted(task_profiles()))
def test_profiles_draw_the_shares_that_they_name(name: str) -> None:
    profile = task_profile(name)
    drawn = [profile.draw(Stream(i, "shapes")) for i in range(4000)]
    total = sum(profile.calls.values())
    for text, share in profile.calls.items():
        least = int(text.partition("-")[0])
        assert sum(s.least == least for s in drawn) / 40 == pytest.approx(100 * share / total, abs=2.5)
    assert sum(s.writes for s in drawn) / 40 == pytest.approx(profile.writes, abs=3)
    assert sum(s.width > 1 for s in drawn) / 40 == pytest.approx(profile.wide, abs=3)
    for number, share in profile.fan_in.items():
        assert sum(s.fan_in >= int(number) for s in drawn) / 40 >= share - 3
    for number, share in profile.fan_out.items():
        assert sum(s.fan_out >= int(number) for s in drawn) / 40 >= share - 3


def test_a_shape_is_met_or_not() -> None:
    card = Card(calls=3, writes=1, depth=2, width=2, fan_in=1, fan_out=1, operators=())
    assert Shape(least=3, most=3, writes=True, width=2).met_by(card)
    assert not Shape(least=3, most=3, writes=False).met_by(card)
    assert not Shape(least=4, most=5, writes=True).met_by(card)
    assert not Shape(least=1, most=5, writes=True, fan_in=2).met_by(card)


def test_unknown_profiles_are_named() -> None:
    with pytest.raises(UnknownName, match="default"):
        shapes.task_profile("defualt")


def test_round_limits() -> None:
    assert [draft._step(v) for v in (0, 7, 19, 20, 250, 18_880)] == [1, 1, 1, 10, 100, 1000]


def test_where_is_data() -> None:
    assert Where(column="a").op == "eq"


def test_two_sets_for_one_column_both_count(grounds: dict[int, Ground]) -> None:
    """Parents that have a child in either of two sets: neither condition may hide the other."""
    tried = 0
    for ground in grounds.values():
        for child, link in (pair for t in ground.schema.tables for pair in ground.children(t.key)):
            here, parent = link.columns[0], ground.schema[link.table]
            rows = [r for r in ground.table(child.key) if r[here] is not None]
            for column in columns.choices(child):
                kinds = sorted({r[column.key] for r in rows if r[column.key] is not None}, key=repr)[:2]
                if len(kinds) < 2 or not ground.readers[child.key] or not ground.readers[parent.key]:
                    continue
                maker = Draft(ground, Stream(0, "both"))
                sets = [
                    maker.find(child.key, maker.equals(child, column, {column.key: kind}), many=True) for kind in kinds
                ]
                both = [Where(column=parent.primary_key[0], op="in", value=Each(node=s, column=here)) for s in sets]
                name = maker.find(parent.key, *both, many=True)
                asked = Asked(shape="set", what=(Each(node=name, column=parent.primary_key[0]),))
                try:
                    gold = enact(ground, maker.plan("question", asked))
                except Stuck:
                    continue
                own = [{r[here] for r in rows if r[column.key] == kind} for kind in kinds]
                assert set(gold.answer) == own[0] & own[1]
                tried += 1
    assert tried > 20

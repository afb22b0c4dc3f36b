"""The second judge of `tests.oracle` is sound, and it and the verifier agree on random trajectories."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import pytest

from tests.mutations import Bench, bench, wandering
from tests.oracle import Oracle, Right, Undecided, same_answer, window_of
from tests.shop import INSIDE, SHOP, WINDOW, order
from worlddb.tools.session import Start

SEEDS = (0, 3, 8, 13, 21, 28)


# --- the oracle itself


class _Shop(Oracle):
    """The oracle over the small schema of `tests.shop`, with given states."""

    def __init__(self) -> None:
        self.schema, self.made = SHOP, set()
        self.specs = {t.key: self._spec(t) for t in SHOP.tables}
        self.initial = {**{t.key: {} for t in SHOP.tables}, "order": {(1,): order(), (2,): order(id=2)}}


def same(mine: dict[str, list[tuple]], right: dict[str, list[tuple]]) -> bool:  # type: ignore[type-arg]
    from tests.oracle import _Isomorphism

    shop, states = _Shop(), []
    for given in (mine, right):
        state = {t.key: dict(shop.initial[t.key]) for t in SHOP.tables}
        for table, rows in given.items():
            state[table].update({tuple(r[i] for i in shop.specs[table].key): r for r in rows})
        states.append(state)
    return _Isomorphism(shop, states[0], tuple(WINDOW), Right(states[1], tuple(WINDOW))).found()  # type: ignore[arg-type]


def test_new_rows_may_have_other_keys() -> None:
    right = {"order": [order(id=7, label="x", placed_at=INSIDE)], "line": [(1, 7, None, 2), (2, 7, 1, 3)]}
    assert same(right, right)
    assert same({"order": [order(id=9, label="X ", placed_at=INSIDE)], "line": [(5, 9, None, 2), (4, 9, 5, 3)]}, right)
    for wrong in (
        {"order": [order(id=9, label="x", placed_at=INSIDE)], "line": [(5, 1, None, 2), (4, 9, 5, 3)]},
        {"order": [order(id=9, label="x", placed_at=INSIDE)], "line": [(5, 9, 4, 2), (4, 9, None, 3)]},
        {"order": [order(id=9, label="x", placed_at=INSIDE)], "line": [(5, 9, None, 2), (4, 9, 4, 3)]},
        {"order": [order(id=9, label="x", placed_at="2099-01-01 00:00:00")], "line": [(5, 9, None, 2), (4, 9, 5, 3)]},
        {"order": [order(id=9, label="x", placed_at=INSIDE)], "line": [(5, 9, None, 2)]},
        {"order": [order(id=9, label="x", placed_at=INSIDE)], "line": [(5, 9, None, 2), (4, 9, 5, 3), (6, 9, 5, 3)]},
        {"order": [order(id=9, label="\u0445", placed_at=INSIDE)], "line": [(5, 9, None, 2), (4, 9, 5, 3)]},
    ):
        assert not same(wrong, right), wrong


def test_attributes_may_not_be_crossed() -> None:
    def two(*pairs: tuple[str, int]) -> dict[str, list[tuple]]:  # type: ignore[type-arg]
        return {"order": [order(id=10 + i, label=a, total=b, placed_at=INSIDE) for i, (a, b) in enumerate(pairs)]}

    assert same(two(("a", 1), ("b", 2)), two(("b", 2), ("a", 1)))
    assert not same(two(("a", 2), ("b", 1)), two(("a", 1), ("b", 2)))


@pytest.mark.parametrize(
    ("mine", "right", "expected"),
    [
        ({}, {}, True),
        ({"total": 5}, {"total": 5}, True),
        ({"total": 5}, {}, False),
        ({}, {"total": 5}, False),
        ({"label": "BLUE"}, {}, False),
        ({"label": "new  Label"}, {"label": "New label"}, True),
        ({"label": "BLUE"}, {"label": "blue"}, False),
        ({"label": ""}, {"label": None}, False),
        ({"weight": 3.004}, {"weight": 3.0}, True),
        ({"weight": 3.006}, {"weight": 3.0}, False),
        ({"tags": '["c", "b"]'}, {"tags": '["b","c"]'}, True),
        ({"tags": '["c"]'}, {"tags": '["b","c"]'}, False),
        ({"more": '{"y": [1, 2], "x": 1}'}, {"more": '{"x":1,"y":[1,2]}'}, True),
        ({"more": '{"y": [2, 1], "x": 1}'}, {"more": '{"x":1,"y":[1,2]}'}, False),
        ({"placed_at": INSIDE}, {}, True),
        ({"placed_at": "2099-01-01 00:00:00"}, {}, False),
        ({"closed_at": INSIDE}, {}, False),
        ({"closed_at": "2023-11-14 22:21:00"}, {"closed_at": INSIDE}, True),
        ({"synced": "2099-01-01 00:00:00"}, {}, True),
        ({"due": "2024-01-02"}, {}, False),
    ],
)
def test_values(mine: dict[str, object], right: dict[str, object], expected: bool) -> None:
    assert same({"order": [order(**mine)]}, {"order": [order(**right)]}) is expected


def test_links_without_a_name_are_what_they_link() -> None:
    assert same({"tag": [(1, 1, 4, INSIDE), (2, 2, 4, INSIDE)]}, {"tag": [(9, 2, 4, INSIDE), (8, 1, 4, INSIDE)]})
    assert not same({"tag": [(1, 1, 5, INSIDE)]}, {"tag": [(1, 1, 4, INSIDE)]})


def test_answers() -> None:
    assert same_answer("number", 100, 0.5, 18880, "$188.80")
    assert same_answer("number", 100, 0.5, 18880, 188.8)
    assert not same_answer("number", 100, 0.5, 18880, 188)
    assert not same_answer("number", 0, 0, 3, True)
    assert same_answer("text", 0, 0, "Blue  Room", "blue room")
    assert not same_answer("text", 0, 0, "Blue", "Blue or red")
    assert same_answer("datetime", 0, 0, "2026-01-02 10:00:00", "2026-01-02T10:00:00")


@pytest.mark.parametrize("seed", SEEDS)
def test_golds_of_another_time_come_to_the_same(seed: int) -> None:
    for case in bench(seed).cases:
        here, there = case.played(), case.played(start=Start(ids=9))
        if not all(e.result.ok for e in there.journal):
            continue
        assert case.oracle.reaches(there, case.oracle.right(here)), case.task.id
        assert case.oracle.idle(here) is not bool(case.writes), case.task.id
        assert window_of(here)[0] <= window_of(here)[1]


# --- agreement


def agreement(benches: Iterable[Bench], each: int) -> Counter[str]:
    """Random trajectories under both judges.  What they disagree on is told."""
    found, told = Counter[str](), list[str]()
    for case in (c for b in benches for c in b.cases):
        for n in range(each):
            session, answer = wandering(case, random.Random(f"{case.task.id} {n}"))
            verdict = case.judge(session, answer)
            assert not verdict.invalid, f"{case.task.id} {n}: {verdict}"
            try:
                paid = case.paid(session, answer)
            except Undecided:
                found["undecided"] += 1
                continue
            found["judged"] += 1
            found["paid"] += paid
            found["changed"] += bool(session.diff())
            if paid is not verdict.success:
                told.append(f"{case.task.id} {n}: the oracle {'pays' if paid else 'does not'}; {verdict}")
    assert not told, "\n".join(told)
    return found


def test_both_judges_agree() -> None:
    found = agreement(map(bench, SEEDS), 6)
    assert found["judged"] >= 300
    assert found["undecided"] <= 0.02 * found["judged"]
    assert 0.2 < found["paid"] / found["judged"] < 0.8
    assert found["changed"] > 0.4 * found["judged"]


@pytest.mark.campaign
def test_campaign_of_agreement() -> None:
    found = agreement(map(bench, range(60)), 10)
    print(dict(found))
    assert found["judged"] >= 3_000
    assert found["undecided"] <= 0.02 * found["judged"]

"""Verdicts on states: what fits a goal, what does not, and what is said about it."""

from __future__ import annotations

import random
import time
from itertools import permutations
from typing import Any

import msgspec
import pytest

from tests.shop import INSIDE, SHOP, WINDOW, changed, order, structure
from worlddb.episode.rows import perfect
from worlddb.episode.verdict import RINGS, Line, Verdict
from worlddb.episode.verify import UNANSWERED, Trail, verdict_on
from worlddb.tasks.compile import goal_of
from worlddb.tasks.goal import (
    Alternative,
    Answer,
    Anything,
    Bag,
    Clock,
    Delete,
    Equal,
    Facts,
    Goal,
    Insert,
    Json,
    Near,
    New,
    OneOf,
    Pool,
    Text,
    Update,
)
from worlddb.world.diff import Diff


def judged(goal: Goal, diff: Diff, answer: Any = UNANSWERED) -> Verdict:
    goal = msgspec.json.decode(msgspec.json.encode(goal), type=Goal)  # as it travels
    return verdict_on(goal, lambda: Trail(SHOP, diff, WINDOW, answer))


def update(key: int = 1, **values: Any) -> Goal:
    return Goal(alternatives=(Alternative(updates=(Update(table="order", key=(key,), values=values),)),))


def became(key: int = 1, **values: Any) -> Diff:
    return changed(("order", (key,), order(id=key), order(id=key, **values)))


def told(verdict: Verdict) -> list[tuple[str, str, tuple[Any, ...], str]]:
    return [(line.kind, line.table, line.key, line.column) for line in verdict.lines]


# --- matchers


@pytest.mark.parametrize(
    ("column", "matcher", "right", "wrong"),
    [
        ("total", Equal(value=2), [2], [3, None, "2"]),
        ("total", Equal(value=None), [None], [0, ""]),
        ("label", Equal(value=""), [""], [None, " "]),
        ("label", Text(value="Late check-out"), ["late  CHECK-OUT ", "Late\u00a0check-out"], ["Late checkout", "", None]),
        ("label", Text(value="Anna"), ["ANNA", "\uff21nna"], ["\u0410nna", "Ann"]),
        ("remark", Facts(has=("late", "room 4"), lacks=("cancel",)), ["Late in ROOM  4"], ["late", "late, room 4: cancel", None]),
        ("total", OneOf(values=(2, 3, None)), [2, 3, None], [4, "2"]),
        ("weight", Near(value=3.5, tolerance=0.005), [3.5, 3.505, 3.495], [3.506, None, "3.5"]),
        ("tags", Bag(values=("a", "a", "c")), ['["c","a","a"]', '[ "a", "c","a" ]'],
         ['["a","c"]', '["a","a","c","c"]', "a,a,c", None]),
        ("more", Json(value={"x": [1, 2], "y": True}), ['{"y": true, "x": [1.0,2]}'],
         ['{"x":[2,1],"y":true}', '{"x":[1,2],"y":1}', "{"]),
        ("closed_at", Clock(), [WINDOW.low, WINDOW.high, INSIDE, "2023-11-14T22:20:00Z", "2023-11-14"],
         ["2023-11-14 22:23:21", "2023-11-14 22:13:19", "2099-01-01 00:00:00", None, "today", "2023-11-14 99:00:00", 5]),
        ("label", Anything(), ["x", None], []),
    ],
)  # fmt: skip
def test_matchers(column, matcher, right, wrong):
    for value in right:
        diff = became(**{column: value, "due": "2024-05-05"})
        assert judged(update(**{column: matcher, "due": Equal(value="2024-05-05")}), diff).success, value
    for value in wrong:
        diff = became(**{column: value, "due": "2024-05-05"})
        verdict = judged(update(**{column: matcher, "due": Equal(value="2024-05-05")}), diff)
        assert not verdict.success, value
        assert [(line.kind, line.column) for line in verdict.lines] in ([("WRONG", column)], [("MISSING", column)])


# --- updates and deletes


def test_the_right_update_and_nothing_else():
    goal = update(total=Equal(value=5))
    assert judged(goal, became(total=5)).success
    nothing = judged(goal, Diff())
    assert (nothing.reward, nothing.shaped, told(nothing)) == (0.0, 0.0, [("MISSING", "order", (1,), "total")])
    assert str(nothing.lines[0]) == "MISSING orders 1.total should become 5"
    wrong = judged(goal, became(total=6))
    assert (wrong.ring, told(wrong)) == ("wrong value", [("WRONG", "order", (1,), "total")])
    assert str(wrong.lines[0]) == "WRONG orders 1.total is 6, and should be 5"
    more = judged(goal, became(total=5, label="Red"))
    assert (more.ring, told(more)) == ("collateral", [("EXTRA", "order", (1,), "label")])
    other = judged(goal, became(2, total=5))
    assert other.ring == "wrong target"
    assert sorted(told(other)) == [("EXTRA", "order", (2,), "total"), ("MISSING", "order", (1,), "total")]


def test_clock_columns_that_move_on_are_reported_and_not_judged():
    goal = update(total=Equal(value=5))
    verdict = judged(goal, became(total=5, placed_at=INSIDE, synced="whenever"))
    assert verdict.success
    assert [line.kind for line in verdict.lines] == ["NOTE"]
    beside = became(total=5)
    beside.add("order", (2,), order(id=2), order(id=2, placed_at=INSIDE))
    assert judged(goal, beside).success
    assert judged(Goal(), changed(("order", (2,), order(id=2), order(id=2, placed_at=INSIDE)))).success


@pytest.mark.parametrize("moment", ["2023-11-14 22:23:21", "2030-01-01 00:00:00", "2022-01-01 00:00:00", "soon", None])
def test_clock_columns_that_move_elsewhere_are_wrong(moment):
    assert not judged(update(total=Equal(value=5)), became(total=5, placed_at=moment)).success
    assert not judged(Goal(), became(placed_at=moment)).success


def test_a_stamp_that_appears_or_goes_is_judged():
    assert not judged(Goal(), became(closed_at=INSIDE)).success, "a soft delete is something"
    assert judged(update(closed_at=Clock()), became(closed_at=INSIDE)).success
    gone = changed(("order", (1,), order(closed_at=INSIDE), order()))
    assert not judged(Goal(), gone).success
    assert judged(update(closed_at=Equal(value=None)), gone).success


def test_a_delete_is_neither_a_soft_delete_nor_a_recreation():
    goal = Goal(alternatives=(Alternative(deletes=(Delete(table="order", key=(1,)),)),))
    gone = changed(("order", (1,), order(), None))
    assert judged(goal, gone).success
    assert not judged(goal, became(closed_at=INSIDE)).success
    again = changed(("order", (1,), order(), None), ("order", (9,), None, order(id=9)))
    assert told(judged(goal, again)) == [("EXTRA", "order", (9,), "")]
    assert not judged(Goal(), again).success
    assert not judged(update(closed_at=Clock()), gone).success, "nor is it the other way round"
    all_gone = changed(*(("order", (k,), order(id=k), None) for k in range(1, 60)))
    verdict = judged(goal, all_gone)
    assert not verdict.success
    assert verdict.shaped < 0.02
    assert verdict.lines[-1].text == "and 18 more differences"


def test_tolerated_columns_and_tables():
    goal = msgspec.structs.replace(update(total=Equal(value=5)), tolerated=(("order", "label"), ("line", "")))
    diff = became(total=5, label="Other")
    diff.add("line", (3,), None, (3, 1, None, 1))
    assert judged(goal, diff).success
    assert not judged(goal, became(total=5, remark="Other")).success


def test_any_alternative_will_do_but_no_mixture():
    ways = tuple(
        Alternative(updates=(Update(table="order", key=(k,), values={"total": Equal(value=v)}),))
        for k, v in ((1, 5), (2, 6))
    )
    goal = Goal(alternatives=ways)
    assert judged(goal, became(1, total=5)).success
    assert judged(goal, became(2, total=6)).success
    assert not judged(goal, became(1, total=6)).success
    both = became(1, total=5)
    both.add("order", (2,), order(id=2), order(id=2, total=6))
    assert not judged(goal, both).success


def test_the_nearest_alternative_is_explained():
    ways = [
        Alternative(updates=tuple(Update(table="order", key=(k,), values={"total": Equal(value=0)}) for k in keys))
        for keys in ((1, 2, 3), (4, 5, 6))
    ]
    diff = changed(*(("order", (k,), order(id=k), order(id=k, total=0)) for k in (4, 5)))
    verdict = judged(Goal(alternatives=tuple(ways)), diff)
    assert told(verdict) == [("MISSING", "order", (6,), "total")]
    assert verdict.shaped == pytest.approx(0.5 * 4 / 6)


def test_pools():
    values = {"total": Equal(value=0)}
    pool = Pool(table="order", keys=((1,), (2,), (3,)), count=2, values=values)
    goal = Goal(alternatives=(Alternative(pools=(pool,)),))

    def zeroed(*keys: int) -> Diff:
        return changed(*(("order", (k,), order(id=k), order(id=k, total=0)) for k in keys))

    assert judged(goal, zeroed(1, 3)).success
    assert judged(goal, zeroed(2, 3)).success
    assert [line.kind for line in judged(goal, zeroed(2)).lines] == ["MISSING"]
    assert [line.kind for line in judged(goal, zeroed(1, 2, 3)).lines] == ["EXTRA"]
    assert not judged(goal, zeroed(1, 4)).success
    wrong = zeroed(1)
    wrong.add("order", (2,), order(id=2), order(id=2, total=1))
    assert told(judged(goal, wrong)) == [("WRONG", "order", (2,), "total")]
    gone = Goal(alternatives=(Alternative(pools=(Pool(table="order", keys=((1,), (2,)), count=1, values=None),)),))
    assert judged(gone, changed(("order", (2,), order(id=2), None))).success
    assert not judged(gone, Diff()).success
    assert "1 of 1, 2 should be removed" in judged(gone, Diff()).lines[0].text


def test_pools_that_overlap_find_a_partition():
    a = Pool(table="order", keys=((1,), (2,)), count=1, values={"total": Equal(value=0)})
    b = Pool(table="order", keys=((1,), (3,)), count=1, values={"total": OneOf(values=(0, 1))})
    goal = Goal(alternatives=(Alternative(pools=(a, b)),))
    for first, second in (((1, 0), (3, 1)), ((2, 0), (1, 1)), ((2, 0), (1, 0)), ((1, 0), (3, 0))):
        diff = changed(*(("order", (k,), order(id=k), order(id=k, total=v)) for k, v in (first, second)))
        assert judged(goal, diff).success, (first, second)
    diff = changed(*(("order", (k,), order(id=k), order(id=k, total=v)) for k, v in ((2, 1), (1, 0))))
    assert not judged(goal, diff).success


# --- new rows

LINES = [(20, 5, None, 1), (21, 5, 20, 2), (22, 6, None, 1), (23, 6, 22, 3)]


def test_new_rows_match_under_any_numbers_and_in_any_order():
    goal = goal_of(SHOP, [structure([5, 6], LINES)])
    dice = random.Random(1)
    for _ in range(40):
        new = dict(zip([5, 6, 20, 21, 22, 23], dice.sample(range(100, 200), 6), strict=True))
        lines = [(new[k], new[o], new.get(n), q) for k, o, n, q in LINES]
        assert judged(goal, structure([new[5], new[6]], lines)).success


@pytest.mark.parametrize(
    "lines",
    [
        [(20, 5, None, 1), (21, 5, 20, 3), (22, 6, None, 1), (23, 6, 22, 2)],  # attributes crossed between two new rows
        [(20, 5, None, 1), (21, 6, 20, 2), (22, 6, None, 1), (23, 5, 22, 3)],  # the same, by references
        [(20, 5, None, 1), (21, 5, 22, 2), (22, 6, None, 1), (23, 6, 20, 3)],  # heads crossed
        [(20, 5, None, 1), (21, 5, 21, 2), (22, 6, None, 1), (23, 6, 22, 3)],  # refers to itself
        [(20, 5, None, 1), (21, 1, 20, 2), (22, 6, None, 1), (23, 6, 22, 3)],  # on an existing order
        LINES[:3],
        [*LINES, (24, 6, None, 1)],
        [(20, 5, None, 2), *LINES[1:]],
    ],
)
def test_new_rows_that_are_otherwise_linked_do_not_match(lines):
    goal = goal_of(SHOP, [structure([5, 6], LINES)])
    verdict = judged(goal, structure([5, 6], lines))
    assert not verdict.success
    assert verdict.lines
    assert 0 < verdict.shaped < 0.5


def test_one_line_of_two_is_not_two_lines_of_one():
    goal = goal_of(SHOP, [structure([5], [(20, 5, None, 2)])])
    verdict = judged(goal, structure([5], [(20, 5, None, 1), (21, 5, None, 1)]))
    assert not verdict.success
    assert {line.kind for line in verdict.lines} == {"WRONG", "EXTRA"}


def test_rows_that_were_there_follow_new_ones():
    diff = structure([5, 6], [])
    diff.add("line", (1,), (1, 1, None, 4), (1, 5, None, 4))
    goal = goal_of(SHOP, [diff])
    assert New(var="new1") in [m for u in goal.alternatives[0].updates for m in u.values.values()]
    other = structure([60, 50], [])  # the labels follow the order: 60 is what 5 was
    other.add("line", (1,), (1, 1, None, 4), (1, 60, None, 4))
    assert judged(goal, other).success
    crossed = structure([60, 50], [])
    crossed.add("line", (1,), (1, 1, None, 4), (1, 50, None, 4))
    assert not judged(goal, crossed).success
    lost = structure([60, 50], [])
    lost.add("line", (1,), (1, 1, None, 4), (1, 2, None, 4))
    assert told(judged(goal, lost)) == [("WRONG", "line", (1,), "order")]


def test_two_rows_that_exchange_their_content():
    goal = goal_of(SHOP, [changed(("order", (1,), order(label="Red"), order(label="Green")))])
    swapped = changed(
        ("order", (1,), order(label="Red"), order(label="Green")),
        ("order", (2,), order(id=2, label="Green"), order(id=2, label="Red")),
    )
    assert judged(goal, swapped).ring == "collateral"


def alike(count: int, first: int = 100) -> Diff:
    return changed(*(("line", (first + i,), None, (first + i, 1, None, 1)) for i in range(count)))


def test_thirty_rows_alike_and_one_of_them_wrong():
    goal = goal_of(SHOP, [alike(30)])
    assert judged(goal, alike(30, 500)).success
    assert not judged(goal, alike(29, 500)).success
    wrong = alike(29, 500)
    wrong.add("line", (900,), None, (900, 1, None, 2))
    started = time.perf_counter()
    assert [line.kind for line in judged(goal, wrong).lines] == ["WRONG"]
    assert time.perf_counter() - started < 1


def ring_of_lines(*sizes: int, first: int = 100) -> Diff:
    """Rings of new lines, each of which refers to the next: nothing but their length tells one ring from another."""
    rows = []
    for size in sizes:
        keys = list(range(first, first + size))
        rows += [("line", (k,), None, (k, 1, keys[(i + 1) % size], 1)) for i, k in enumerate(keys)]
        first += size
    return changed(*rows)


def test_rings_of_rows_that_only_their_links_tell_apart():
    goal = goal_of(SHOP, [ring_of_lines(3, 4)])
    assert judged(goal, ring_of_lines(4, 3, first=300)).success
    assert not judged(goal, ring_of_lines(7)).success
    big = goal_of(SHOP, [ring_of_lines(15, 15)])
    assert judged(big, ring_of_lines(15, 15, first=300)).success
    started = time.perf_counter()
    verdict = judged(big, ring_of_lines(14, 16))
    assert not verdict.success
    assert time.perf_counter() - started < 5


def drawn(dice: random.Random, size: int) -> list[tuple[int, int | None, int]]:
    """New lines by index: which order (0, 1: new ones; 2: an old one), which next line, what quantity."""
    return [
        (dice.randrange(3), dice.choice([None, *range(size)]), dice.randint(1, 2)) for _ in range(size)
    ]  # fmt: skip


def as_diff(lines: list[tuple[int, int | None, int]], first: int) -> Diff:
    keys = [first + i for i in range(len(lines))]
    rows = [(k, (50, 51, 1)[o], None if n is None else keys[n], q) for k, (o, n, q) in zip(keys, lines, strict=True)]
    return structure([50, 51], rows)


def same_shape(one: list[tuple[int, int | None, int]], other: list[tuple[int, int | None, int]]) -> bool:
    """By trying every way to name the new rows (the two orders have labels of their own)."""
    return any(
        all(
            other[to] == (one[i][0], None if one[i][1] is None else naming[one[i][1]], one[i][2])
            for i, to in enumerate(naming)
        )
        for naming in permutations(range(len(one)))
    )


@pytest.mark.parametrize("seed", range(8))
def test_new_rows_match_exactly_where_some_naming_makes_them_equal(seed):
    dice, agreed = random.Random(seed), [0, 0]
    for _ in range(150):
        size = dice.randint(1, 5)
        one = drawn(dice, size)
        naming = dice.sample(range(size), size)
        other: list[Any] = [None] * size
        for i, (o, n, q) in enumerate(one):
            other[naming[i]] = (o, None if n is None else naming[n], q)
        if dice.random() < 0.6:  # one value differs, which now and then gives the same shape again
            at = dice.randrange(size)
            other[at] = dice.choice(drawn(dice, size))
        expected = same_shape(one, other)
        assert judged(goal_of(SHOP, [as_diff(one, 100)]), as_diff(other, 200)).success is expected, (one, other)
        agreed[expected] += 1
    assert min(agreed) > 20


def test_perfect_assigns_each_its_own():
    dice = random.Random(2)
    for _ in range(300):
        size = dice.randint(1, 6)
        options = {str(i): [o for o in range(size) if dice.random() < 0.5] for i in range(size)}
        found = perfect(options)
        best = 0

        def grow(i: int, used: frozenset[int], options: dict[str, list[int]] = options, size: int = size) -> bool:
            return i == size or any(grow(i + 1, used | {o}) for o in options[str(i)] if o not in used)

        if found is None:
            assert not grow(0, frozenset())
        else:
            best = len(set(found.values()))
            assert best == size
            assert all(found[v] in options[v] for v in options)


# --- answers with states, outcome


def test_answers_belong_to_their_alternatives():
    answers = (Answer(kind="text", value="one"), Answer(kind="text", value="two"))
    ways = tuple(
        Alternative(updates=(Update(table="order", key=(k,), values={"total": Equal(value=5)}),), answer=i)
        for i, k in enumerate((1, 2))
    )
    goal = Goal(alternatives=ways, answers=answers)
    assert judged(goal, became(1, total=5), "One").success
    assert judged(goal, became(2, total=5), "two").success
    crossed = judged(goal, became(2, total=5), "one")
    assert (crossed.success, crossed.ring) == (False, "answer")
    assert crossed.lines[0].text == "'one', expected 'two'"


def test_shaped_is_the_formula():
    goal = msgspec.structs.replace(
        update(total=Equal(value=5), label=Text(value="Red")), answers=(Answer(kind="number", value=4),)
    )
    half = judged(goal, became(total=5), 4)  # row and total of row, total, label
    assert half.shaped == pytest.approx(0.5 * (2 * 2 / 3 + 1) / 3)
    assert judged(goal, became(total=5), 3).shaped == pytest.approx(0.5 * (2 * 2 / 3) / 3)
    assert judged(goal, became(total=5, label="red"), 3).shaped == pytest.approx(0.5 * 2 / 3)
    full = judged(goal, became(total=5, label="red"), 4)
    assert (full.shaped, full.reward, full.success) == (1.0, 1.0, True)


def test_where_nothing_may_change():
    goal = Goal(answers=(Answer(kind="none"),))
    assert judged(goal, Diff(), None).success
    assert judged(goal, Diff(), "impossible").success
    assert (judged(goal, Diff()).shaped, judged(goal, Diff(), "done").shaped) == (0.0, 0.0)
    acted = judged(goal, became(total=5), None)
    assert (acted.success, acted.shaped, acted.ring) == (False, 0.0, "collateral")


def test_spraying_is_worth_nothing():
    goal = update(total=Equal(value=5))
    sprayed = changed(*(("order", (k,), order(id=k), order(id=k, total=5)) for k in range(1, 200)))
    verdict = judged(goal, sprayed)
    assert not verdict.success
    assert verdict.shaped < 0.01


def test_a_hundred_thousand_writes_do_not_hang():
    goal = goal_of(SHOP, [structure([5, 6], LINES)])
    flood = structure([5, 6], LINES)
    for i in range(100_000):
        flood.add("line", (1000 + i,), None, (1000 + i, 1, None, 1))
    started = time.perf_counter()
    verdict = judged(goal, flood)
    assert not verdict.success
    assert verdict.shaped < 0.01
    assert len(verdict.lines) < 60
    assert time.perf_counter() - started < 20


def test_a_verifier_that_fails_pays_nothing():
    def trail() -> Trail:
        raise RuntimeError("no trail")

    for verdict in (verdict_on(Goal(), trail), judged(update(nothing_of_this_name=Equal(value=1)), Diff())):
        assert verdict.invalid
        assert (verdict.success, verdict.reward, verdict.shaped) == (False, 0.0, 0.0)
        assert "verifier failed" in verdict.lines[0].text
    two = Insert(var="new1", table="order", values={"total": New(var="nobody")})
    assert judged(Goal(alternatives=(Alternative(inserts=(two,)),)), structure([5], [])).invalid


def test_verdicts_are_json():
    import json

    verdict = judged(update(total=Equal(value=5)), became(total=6))
    found = json.loads(verdict.json)
    assert (found["success"], found["reward"], found["ring"], found["invalid"]) == (False, 0.0, "wrong value", False)
    assert [line["kind"] for line in found["lines"]] == ["WRONG"]
    assert "WRONG orders 1.total" in str(verdict)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict
    assert verdict.ring in RINGS
    assert str(Line(kind="NOTE", text="x")) == "NOTE x"

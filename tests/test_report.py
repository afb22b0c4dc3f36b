"""Reports over many runs: estimators, groups, scenarios, bad input, the command."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from worlddb.cli.report import report as command
from worlddb.errors import BadRequest, StoreError
from worlddb.report import Report, Runs, Tally, columns_of, pass_all, pass_any, row_of


def lines(*runs: dict[str, Any]) -> list[bytes]:
    return [json.dumps(run).encode() for run in runs]


def attempts(task: str, rewards: str, **more: Any) -> list[dict[str, Any]]:
    """An attempt for each letter: '110' passed twice and failed once."""
    return [{"task": task, "run": n, "reward": float(r), **more} for n, r in enumerate(rewards)]


def of(*runs: dict[str, Any], by: list[str] | None = None, ks: list[int] | None = None) -> Report:
    return Runs(by).read(lines(*runs)).report(ks)


# --- estimators


@pytest.mark.parametrize("n", range(1, 8))
def test_the_estimators_are_the_shares_of_all_draws(n):
    for c, k in product(range(n + 1), range(1, n + 1)):
        draws = list(combinations([True] * c + [False] * (n - c), k))
        assert pass_all(n, c, k) == pytest.approx(sum(map(all, draws)) / len(draws))
        assert pass_any(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_the_estimators_are_unbiased():
    dice, rate, k = random.Random(5), 0.6, 3
    tallies = [(6, sum(dice.random() < rate for _ in range(6))) for _ in range(20_000)]
    assert sum(pass_all(n, c, k) for n, c in tallies) / len(tallies) == pytest.approx(rate**k, abs=0.01)
    assert sum(pass_any(n, c, k) for n, c in tallies) / len(tallies) == pytest.approx(1 - (1 - rate) ** k, abs=0.01)


def test_more_attempts_are_harder_to_pass_all_and_easier_to_pass_any():
    for c in range(9):
        alls, anys = [pass_all(8, c, k) for k in range(1, 9)], [pass_any(8, c, k) for k in range(1, 9)]
        assert alls == sorted(alls, reverse=True)
        assert anys == sorted(anys)
        assert alls[0] == pytest.approx(anys[0]) == pytest.approx(c / 8)


# --- figures


def test_figures_by_hand():
    found = of(*attempts("a-1/1", "1100"), *attempts("a-1/2", "1111"), *attempts("a-1/3", "00"), ks=[1, 2, 4]).all
    assert (found.tasks, found.runs) == (3, 10)
    assert found.reward == pytest.approx((0.5 + 1 + 0) / 3)
    assert found.pass_all == pytest.approx({1: (0.5 + 1 + 0) / 3, 2: (1 / 6 + 1 + 0) / 3, 4: (0 + 1) / 2})
    assert found.pass_any == pytest.approx({1: (0.5 + 1 + 0) / 3, 2: (5 / 6 + 1 + 0) / 3, 4: 1.0})
    assert found.counted == {1: 3, 2: 3, 4: 2}


def test_what_no_task_has_attempts_for_is_no_number():
    found = of(*attempts("a-1/1", "11"), ks=[1, 8]).all
    assert found.pass_all == {1: 1.0, 8: None}
    assert found.counted == {1: 1, 8: 0}


def test_ks_are_those_that_were_made():
    assert list(of(*attempts("a-1/1", "11011"), *attempts("a-1/2", "1")).all.counted) == [1, 2, 4]


def test_all_variants_of_a_scenario_with_one_attempt_each_is_a_share():
    runs = [
        *attempts("a-1/1", "1"), *attempts("a-1/1v1", "1", scenario="a-1/1"),
        *attempts("a-1/2", "1"), *attempts("a-1/2v1", "0", scenario="a-1/2"),
        *attempts("a-1/3", "1", scenario=""),
    ]  # fmt: skip
    found = of(*runs).all
    assert (found.tasks, found.scenarios, found.variants) == (5, 3, 2)
    assert found.all_variants == {1: pytest.approx(2 / 3)}
    assert found.pass_all == {1: pytest.approx(4 / 5)}


def test_all_variants_with_several_attempts_is_a_chance():
    dice = random.Random(3)
    runs = [attempts(f"a-1/{v}", "".join(dice.choice("011") for _ in range(4)), scenario="a-1/0") for v in range(3)]
    found = of(*(r for some in runs for r in some), ks=[1, 2]).all
    for k in (1, 2):
        draws = list(product(*(combinations([r["reward"] == 1 for r in some], k) for some in runs)))
        brute = sum(all(all(draw) for draw in chosen) for chosen in draws) / len(draws)
        assert found.all_variants[k] == pytest.approx(brute)


def test_a_scenario_counts_where_all_its_variants_have_so_many_attempts():
    runs = [*attempts("a-1/1", "11"), *attempts("a-1/2", "1", scenario="a-1/1"), *attempts("a-1/3", "10")]
    found = of(*runs, ks=[1, 2]).all
    assert found.all_variants == {1: pytest.approx((1 + 0.5) / 2), 2: 0.0}
    assert of(*runs[:3], ks=[2]).all.all_variants == {2: None}


def test_groups_are_what_the_runs_have():
    runs = [
        *attempts("a-1/1", "10", family="question", level="L0"), *attempts("a-1/2", "11", family="single", level="L2"),
        *attempts("a-1/3", "00", family="single"),
    ]  # fmt: skip
    found = of(*runs)
    assert [t.by for t in found.tables] == ["family", "level"]  # no run has a profile
    family, level = found.tables
    assert {line.group: (line.tasks, line.reward) for line in family.lines} == {
        "question": (1, 0.5),
        "single": (2, 0.5),
    }
    assert [line.group for line in level.lines] == ["L0", "L2", None]
    for table in found.tables:
        assert sum(line.runs for line in table.lines) == found.all.runs


def test_runs_of_one_task_may_be_of_several_groups():
    runs = [*attempts("a-1/1", "11", model="new"), *attempts("a-1/1", "00", model="old")]
    found = of(*runs, by=["model", "task", "scenario"])
    assert {line.group: line.reward for line in found.tables[0].lines} == {"new": 1.0, "old": 0.0}
    assert [[line.group for line in t.lines] for t in found.tables[1:]] == [["a-1/1"], ["a-1/1"]]
    assert (found.all.tasks, found.all.runs, found.all.reward) == (1, 4, 0.5)


def test_groups_of_numbers_and_words_are_in_order():
    values: list[Any] = [10, 2, "b", "", None, 2.5, True]
    runs = [{"task": f"a-1/{n}", "reward": 1, "size": value} for n, value in enumerate(values)]
    assert [line.group for line in of(*runs, by=["size"]).tables[0].lines] == [True, 2, 2.5, 10, "", "b", None]


def test_the_bar_decides_who_passes():
    runs = lines(
        {"task": "a-1/1", "reward": 0.9}, {"task": "a-1/2", "reward": 0.1 + 0.7}, {"task": "a-1/3", "reward": 0.79}
    )
    assert Runs(bar=0.8).read(runs).report().all.pass_all == {1: pytest.approx(2 / 3)}
    assert Runs().read(runs).report().all.pass_all == {1: 0.0}


def test_files_are_read_as_one_in_any_order():
    runs = lines(*attempts("a-1/1", "1100"), *attempts("a-1/2", "0111", family="single"))
    whole = Runs().read(runs).report()
    assert Runs().read(runs[:3]).read(runs[3:]).report() == whole
    assert Runs().read(random.Random(1).sample(runs, len(runs))).report() == whole


def test_tallies_add_up():
    tally = Tally(2, 1, 1.5)
    tally.add(Tally(3, 3, 3.0))
    assert (tally.n, tally.passed, tally.reward) == (5, 4, 4.5)


def test_only_tallies_are_kept():
    def many(count: int) -> Iterator[bytes]:
        for n in range(count):
            yield b'{"task": "a-1/%d", "reward": %d, "transcript": "%s"}' % (n % 10, n % 3 == 0, b"x" * 2000)

    Runs().read(many(10))
    tracemalloc.start()
    found = Runs().read(many(20_000)).report()
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.all.runs == 20_000
    assert held < 1_000_000  # of 40 MB that were read


# --- bad input

BAD = {
    "no JSON": b"{", "no object": b"[1]", "no task": b'{"reward": 1}', "an empty task": b'{"task": "", "reward": 1}',
    "no reward": b'{"task": "a-1/1"}', "a flag for a reward": b'{"task": "a-1/1", "reward": true}',
    "a text for a reward": b'{"task": "a-1/1", "reward": "1"}', "too large a reward": b'{"task": "a-1/1", "reward": 1e999}',
    "no UTF-8": b'{"task": "\xff", "reward": 1}', "a list to group by": b'{"task": "a-1/1", "reward": 1, "family": []}',
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_bad_line_is_named(what):
    with pytest.raises(BadRequest, match=r"^runs.jsonl, line 3: ") as caught:
        Runs().read([b'{"task": "a-1/1", "reward": 1}', b"  ", BAD[what]], "runs.jsonl")
    assert "\n" not in str(caught.value)
    assert '"reward": 1.0}' in str(caught.value)


def test_the_same_attempt_counts_once():
    runs = lines(*attempts("a-1/1", "11"))
    with pytest.raises(BadRequest, match="line 3: the same line stood before: run 0 of a-1/1"):
        Runs().read([*runs, runs[0]])
    unnamed = b'{"task": "a-1/1", "reward": 1}'
    assert Runs().read([unnamed, unnamed]).report().all.runs == 2  # nothing tells them apart, and nothing has to


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Runs().report(), "there are no runs"),
        (lambda: of(*attempts("a-1/1", "1"), ks=[0]), "from 1 on"),
        (lambda: of(*attempts("a-1/1", "1"), ks=[]), "from 1 on"),
        (lambda: of(*attempts("a-1/1", "1"), by=["colour"]), "no run has a 'colour'"),
        (lambda: Runs(["reward"]), "cannot be grouped by 'reward'"),
        (lambda: Runs(bar=0), "above 0"),
        (lambda: Runs(bar=float("nan")), "above 0"),
    ],
)
def test_what_cannot_be_reported_is_said(call, says):
    with pytest.raises(BadRequest, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


# --- the command


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "runs.jsonl"
    runs = [
        *attempts("a-1/1", "1100", family="question"), *attempts("a-1/2", "1111", family="single"),
        *attempts("a-1/2b", "1000", family="single", scenario="a-1/2"), *attempts("a-1/3", "10", family="single"),
    ]  # fmt: skip
    path.write_bytes(b"\n".join(lines(*runs)))
    return path


def ran(*arguments: Any, **more: Any) -> Any:
    return CliRunner().invoke(command, [str(a) for a in arguments], **more)


def test_the_command_prints_a_table(file):
    done = ran(file)
    assert done.exit_code == 0, done.output
    head, whole, *rest = done.stdout.splitlines()
    found = Runs().read(file.read_bytes().splitlines()).report()
    assert head.split() == list(columns_of(found))
    assert whole.split() == ["all", *row_of(found, found.all)]
    assert [line.split()[0] for line in rest if line.strip()] == ["family", "question", "single"]
    assert "k = 4 is over the 3 of 4 tasks" in done.stderr


def test_the_command_gives_json(file):
    done = ran(file, "--json", "--k", "1,3", "--by", "task")
    found = json.loads(done.stdout)
    ours = Runs(["task"]).read(file.read_bytes().splitlines()).report([1, 3])
    assert found == json.loads(msgspec.json.encode(ours))
    assert set(found["all"]["pass_all"]) == {"1", "3"}


def test_the_command_reads_from_a_pipe(file):
    assert ran("-", input=file.read_bytes()).stdout == ran(file).stdout


def test_errors_of_the_command_are_those_of_the_library(file, tmp_path):
    for arguments, kind, says in (
        ((tmp_path / "no.jsonl",), StoreError, "cannot be read"), ((tmp_path,), StoreError, "cannot be read"),
        ((file, "--k", "a"), BadRequest, "--k takes"), ((file, "--k", "0"), BadRequest, "from 1 on"),
        ((file, "--by", "colour"), BadRequest, "no run has"),
    ):  # fmt: skip
        done = ran(*arguments)
        assert isinstance(done.exception, kind)
        assert says in str(done.exception)
        assert "\n" not in str(done.exception)

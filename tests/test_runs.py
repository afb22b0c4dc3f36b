"""Stored runs: parts that outlive a kill, figures by hand, comparisons, curricula, the reports."""

from __future__ import annotations

import json
import random
import re
import threading
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import numpy as np
import polars
import pytest
import yaml
from msgspec.structs import replace

from worlddb.attempts import Attempt, gold_attempt
from worlddb.episode.verdict import Line, Verdict
from worlddb.errors import BadRequest, StoreError
from worlddb.report import Runs
from worlddb.rng import Stream
from worlddb.runs import begin_run, compare, curriculum, harder, open_run, summary
from worlddb.runs.compare import bootstrap, is_clear, sign_test
from worlddb.runs.curriculum import profile_text
from worlddb.runs.figures import wilson
from worlddb.runs.folder import Run, Toolsets
from worlddb.runs.model import Manifest, kept
from worlddb.runs.plots import Bar, bars, curves, heat
from worlddb.runs.publish import publish
from worlddb.runs.words import compared, markdown
from worlddb.tasks.shapes import TaskProfile, task_profile
from worlddb.world.generate import generate

MANIFEST = Manifest(
    source="data/out",
    digest="d",
    agent="oracle",
    k=2,
    tasks=4,
    task_profile="default",
    version="1",
    options={"seed": 1},
)
FAILED = Verdict(
    success=False, reward=0.0, shaped=0.2, ring="wrong value", lines=(Line(kind="WRONG", text="<b>a & b"),)
)
PASSED = Verdict(success=True, reward=1.0, shaped=1.0)


@pytest.fixture(scope="module")
def gold() -> Attempt:
    world = generate(12, "tiny")
    return gold_attempt(world, world.tasks[0])


def made(gold: Attempt, task: str, run: int, passed: bool, **more: Any) -> Attempt:
    card = replace(gold.card, **{k: more.pop(k) for k in ("calls", "writes", "level") if k in more})
    fields = {"world": task.rpartition("/")[0], "task": task, "run": run, "card": card, **more}
    return replace(gold, **{"verdict": PASSED if passed else FAILED, **fields})


def filled(home: Path, attempts: list[Attempt], **fields: Any) -> Run:
    tasks = len({a.task for a in attempts})
    run = begin_run(home, replace(MANIFEST, **{"tasks": tasks, **fields}))
    with run.writing() as writer:
        for one in attempts:
            writer.put(kept(one))
    return run


def by_rates(gold: Attempt, rates: dict[str, str], **fields: Any) -> list[Attempt]:
    """Attempts of tasks 'family/calls/world-1/2' by letters: '110' passed twice and failed once."""
    found = []
    for name, letters in rates.items():
        family, calls, task = name.split("/", 2)
        for run, letter in enumerate(letters):
            found.append(made(gold, task, run, letter == "1", family=family, calls=int(calls), **fields))
    return found


# --- the folder


def test_what_was_put_comes_back(tmp_path, gold):
    attempts = [made(gold, f"w-1/{n}", run, n % 2 == 0) for n in range(3) for run in range(2)]
    run = filled(tmp_path / "r", attempts)
    assert list(open_run(run.path).attempts()) == attempts
    assert [(b.task, b.run, b.passed, b.ring) for b in run.briefs()] == [
        (a.task, a.run, a.verdict.success, a.verdict.ring) for a in attempts
    ]
    assert run.done().count == 6
    assert len((run.path / "tools.jsonl").read_bytes().splitlines()) == 1
    assert not any(
        "tools" in json.loads(line)["attempt"] and json.loads(line)["attempt"]["tools"] for line in run.parts[0].open()
    )


def test_each_writer_begins_a_part_and_no_attempt_counts_twice(tmp_path, gold):
    first = [made(gold, "w-1/1", 0, True), made(gold, "w-1/1", 1, True)]
    run = filled(tmp_path / "r", first, tasks=2)
    again = filled(run.path, [made(gold, "w-1/1", 1, False), made(gold, "w-1/2", 0, True)], tasks=2)
    assert [p.name for p in again.parts] == ["00000.jsonl", "00001.jsonl"]
    assert [(b.task, b.run, b.passed) for b in again.briefs()] == [
        ("w-1/1", 0, True),
        ("w-1/1", 1, True),
        ("w-1/2", 0, True),
    ]


def test_parts_are_bounded(tmp_path, gold, monkeypatch):
    monkeypatch.setattr("worlddb.runs.folder.PART", 5_000)
    run = filled(tmp_path / "r", [made(gold, f"w-1/{n}", 0, True) for n in range(8)])
    assert len(run.parts) > 2
    assert run.done().count == 8


@pytest.mark.parametrize("cut", [1, 2, 40, 700])
def test_a_torn_line_is_passed_over(tmp_path, gold, cut):
    attempts = [made(gold, f"w-1/{n}", 0, True) for n in range(3)]
    run = filled(tmp_path / "r", attempts)
    for file in (run.parts[0], run.path / "tools.jsonl"):
        file.write_bytes(file.read_bytes()[:-cut])
    assert [b.task for b in run.briefs()] == ["w-1/0", "w-1/1"]
    with run.writing() as writer:
        writer.put(kept(attempts[2]))
    assert list(open_run(run.path).attempts()) == attempts
    assert publish(run).summary.attempts == 3
    assert len(polars.read_parquet(run.path / "attempts.parquet")) == 3


def test_a_damaged_line_is_told(tmp_path, gold):
    run = filled(tmp_path / "r", [made(gold, f"w-1/{n}", 0, True) for n in range(3)])
    lines = run.parts[0].read_bytes().splitlines(keepends=True)
    run.parts[0].write_bytes(lines[0] + b'{"task": 5}\n' + lines[2])
    with pytest.raises(StoreError, match=r"00000\.jsonl, line 2 is damaged"):
        list(run.briefs())


def test_threads_write_whole_lines(tmp_path, gold):
    run = begin_run(tmp_path / "r", MANIFEST)
    attempts = [[made(gold, f"w-{t}/{n}", 0, True) for n in range(40)] for t in range(8)]
    with run.writing() as writer:
        threads = [threading.Thread(target=lambda some=some: [writer.put(kept(a)) for a in some]) for some in attempts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {b.task for b in run.briefs()} == {a.task for some in attempts for a in some}
    assert len(Toolsets(run.path / "tools.jsonl").digests) == 1


def test_one_process_writes_at_a_time(tmp_path, gold):
    run = begin_run(tmp_path / "r", MANIFEST)
    with run.writing(), pytest.raises(StoreError, match="another process is writing"), run.writing():
        pass


def test_folders_that_do_not_fit(tmp_path, gold):
    run = begin_run(tmp_path / "r", MANIFEST)
    assert begin_run(run.path, replace(MANIFEST, source="elsewhere")).path == run.path
    with pytest.raises(StoreError, match="k is 2 there, 3 here"):
        begin_run(run.path, replace(MANIFEST, k=3))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="holds something else"):
        begin_run(tmp_path / "other", MANIFEST)
    with pytest.raises(StoreError, match="holds no run"):
        open_run(tmp_path / "other")
    (run.path / "run.json").write_text('{"format": 99}')
    with pytest.raises(StoreError, match="format 99"):
        open_run(run.path)
    (run.path / "run.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        open_run(run.path)


def test_the_table_has_all_attempts_in_order(tmp_path, gold):
    attempts = [made(gold, f"w-1/{n}", run, n == 10) for n in (10, 2, 1) for run in (1, 0)]
    run = filled(tmp_path / "r", attempts)
    publish(run)
    table = polars.read_parquet(run.path / "attempts.parquet")
    assert list(zip(table["task"], table["run"], strict=True)) == [(f"w-1/{n}", r) for n in (1, 2, 10) for r in (0, 1)]
    assert table["reward"].to_list() == [0, 0, 0, 0, 1, 1]
    row = table.row(5, named=True)
    one = next(a for a in attempts if (a.task, a.run) == ("w-1/10", 1))
    assert json.loads(row["messages"]) == list(one.messages)
    assert msgspec.json.decode(row["verdict"], type=Verdict) == one.verdict
    assert (row["world"], row["agent"], row["seed"]) == ("w-1", one.agent, one.seed)


def test_the_command_report_reads_parts(tmp_path, gold):
    run = filled(tmp_path / "r", by_rates(gold, {"chain/3/w-1/1": "10", "chain/3/w-1/2": "11"}))
    found = Runs(["family"]).read(run.parts[0].read_bytes().splitlines()).report()
    assert found.all.pass_all == {1: 0.75, 2: 0.5}


# --- figures


def test_figures_by_hand(tmp_path, gold):
    rates = {"chain/3/w-1/1": "10", "chain/4/w-1/2": "11", "single/3/w-2/1": "00", "single/3/w-2/2": "00"}
    run = filled(tmp_path / "r", by_rates(gold, rates))
    found = summary(run)
    assert (found.attempts, found.report.all.pass_all) == (8, {1: 0.375, 2: 0.25})
    assert found.report.all.pass_any == {1: 0.375, 2: 0.5}
    tables = {t.by: {line.group: line.pass_all[1] for line in t.lines} for t in found.report.tables}
    assert tables["family"] == {"chain": 0.75, "single": 0.0}
    assert tables["calls"] == {3: pytest.approx(0.5 / 3), 4: 1.0}
    assert "level" not in tables
    assert [(c.family, c.calls, c.tasks, c.rate) for c in found.cells] == [
        ("chain", 3, 1, 0.5), ("chain", 4, 1, 1.0), ("single", 3, 2, 0.0)
    ]  # fmt: skip
    failure = found.failures[0]
    assert (failure.ring, failure.attempts, failure.tasks, failure.share) == ("wrong value", 5, 3, 1.0)
    assert failure.families == {"single": 4, "chain": 1}
    assert failure.examples == ("w-2/1", "w-2/2", "w-1/1")
    costs = found.costs["family=chain"]
    assert (costs.attempts, costs.solved, costs.gold_calls) == (4, 3, 14)


def test_rings_are_told_from_the_earliest_on(tmp_path, gold):
    rings = ["answer", "never acted", "", "forbidden", "refused", "never acted"]
    attempts = [made(gold, f"w-1/{n}", 0, False, verdict=replace(FAILED, ring=ring)) for n, ring in enumerate(rings)]
    found = summary(filled(tmp_path / "r", attempts))
    assert [f.ring for f in found.failures] == ["never acted", "refused", "forbidden", "answer", "database"]


def test_levels_are_told_where_somebody_is_there_to_be_asked(tmp_path, gold):
    attempts = [made(gold, "w-1/1", 0, True, level="L2"), made(gold, "w-1/2", 0, False)]
    tables = {t.by: t for t in summary(filled(tmp_path / "r", attempts)).report.tables}
    assert [line.group for line in tables["level"].lines] == ["L2", None]


def test_a_run_without_attempts_has_no_figures(tmp_path):
    with pytest.raises(BadRequest, match="no attempts yet"):
        summary(begin_run(tmp_path / "r", MANIFEST))


def test_wilson_covers():
    dice = random.Random(3)
    for p in (0.02, 0.3, 0.9):
        hits = 0
        for _ in range(2000):
            low, high = wilson(sum(dice.random() < p for _ in range(40)) / 40, 40)
            hits += low <= p <= high
        assert hits / 2000 > 0.92
    assert wilson(1.0, 5)[1] == 1.0


# --- comparisons


def test_a_comparison_by_hand(tmp_path, gold):
    a = {"chain/3/w-1/1": "10", "chain/3/w-1/2": "11", "single/2/w-2/1": "00", "single/2/w-3/9": "11"}
    b = {"chain/3/w-1/1": "11", "chain/3/w-1/2": "01", "single/2/w-2/1": "11", "single/2/w-4/9": "11"}
    found = compare(filled(tmp_path / "a", by_rates(gold, a)), filled(tmp_path / "b", by_rates(gold, b)))
    assert (found.only_a, found.only_b) == (1, 1)
    assert (found.won, found.lost) == (("w-2/1", "w-1/1"), ("w-1/2",))
    every = found.lines[0]
    assert (every.by, every.tasks, every.a, every.won, every.lost, every.unit) == ("", 3, 0.5, 2, 1, "task")
    assert every.delta == pytest.approx(1 / 3)
    assert every.low <= every.delta <= every.high
    assert every.p == 1.0
    assert [(line.by, line.group) for line in found.lines[1:3]] == [("family", "chain"), ("family", "single")]
    text = "\n".join(" ".join(r) for sheet in compared(found) for r in sheet.rows)
    assert "w-2/1" in text
    assert "+0.333" in text


def test_a_run_beside_itself_differs_in_nothing(tmp_path, gold):
    run = filled(tmp_path / "a", by_rates(gold, {f"chain/3/w-{n}/1": "10" for n in range(25)}))
    line = compare(run, run).lines[0]
    assert (line.delta, line.low, line.high, line.won, line.lost, line.p, line.unit) == (0, 0, 0, 0, 0, 1.0, "world")


def test_a_clear_difference_is_marked_and_one_task_never(tmp_path, gold):
    a = filled(tmp_path / "a", by_rates(gold, {f"chain/3/w-{n}/1": "00" for n in range(30)}))
    b = filled(tmp_path / "b", by_rates(gold, {f"chain/3/w-{n}/1": "11" if n % 2 else "00" for n in range(30)}))
    line = compare(a, b).lines[0]
    assert is_clear(line)
    assert 0.3 < line.low < 0.5 < line.high < 0.7
    one = filled(tmp_path / "one", by_rates(gold, {"chain/3/w-1/1": "11"}))
    assert not is_clear(compare(a, one).lines[0])


def test_runs_without_a_common_task(tmp_path, gold):
    a, b = (filled(tmp_path / w, by_rates(gold, {f"chain/3/{w}-1/1": "1"})) for w in ("a", "b"))
    with pytest.raises(BadRequest, match="no task in common"):
        compare(a, b)


def test_the_sign_test_counts_all_splits():
    for won, lost in product(range(7), range(7)):
        n = won + lost
        splits = [sum(bits) for bits in product((0, 1), repeat=n)]
        uneven = sum(abs(n - 2 * s) >= abs(won - lost) for s in splits) / len(splits)
        assert sign_test(won, lost) == pytest.approx(min(1.0, uneven))
    assert sign_test(1040, 960) == pytest.approx(
        sign_test(1041, 960), rel=0.1
    )  # where it goes over to the approximation


def test_the_bootstrap_covers_and_is_the_same_again():
    dice = np.random.default_rng(1)
    hits = 0
    for turn in range(200):
        worlds = dice.normal(0, 0.3, 25)
        values, clusters = [], []
        for w, effect in enumerate(worlds):
            values += list(0.1 + effect + dice.normal(0, 0.2, 8))
            clusters += [str(w)] * 8
        low, high = bootstrap(values, clusters, Stream(turn, "x"), 300)
        hits += low <= 0.1 <= high
    assert 0.87 <= hits / 200 <= 0.99
    assert bootstrap([0, 1, 1], ["a", "b", "c"], Stream(1), 99) == bootstrap([0, 1, 1], ["a", "b", "c"], Stream(1), 99)


# --- curricula


def test_a_curriculum_by_hand(tmp_path, gold):
    rates = {
        "chain/3/w-1/1": "1100", "chain/3/w-1/2": "1000", "chain/4/w-1/3": "1110", "single/2/w-1/4": "1111",
        "several/6/w-1/5": "0000",
    }  # fmt: skip
    run = filled(tmp_path / "r", by_rates(gold, rates), task_profile="hard")
    weights = curriculum(run)  # failures: 0.5 + 0.75 of chain/3, 0.25 of chain/4
    assert weights == {("chain", 3): pytest.approx(1.25 / 1.5), ("chain", 4): pytest.approx(0.25 / 1.5)}
    assert set(curriculum(run, (0, 0.5))) == {("chain", 3), ("several", 6)}
    profile = harder(run, (0, 0.5))
    assert profile.families == {"chain": 56, "several": 44}
    assert profile.calls == {"3": 56, "6": 44}
    assert (profile.depth, profile.wide) == (task_profile("hard").depth, task_profile("hard").wide)
    again = yaml.safe_load(profile_text(profile, "mine"))
    assert msgspec.convert(again["mine"], TaskProfile) == profile
    drawn = {profile.draw(Stream(n)).least for n in range(50)}
    assert drawn == {3, 6}


@pytest.mark.parametrize("band", [(0.5, 0.5), (0.9, 0.1), (-1, 0.5), (0, 2)])
def test_bands_that_are_none(tmp_path, gold, band):
    run = filled(tmp_path / "r", by_rates(gold, {"chain/3/w-1/1": "10"}))
    with pytest.raises(BadRequest, match="a band of pass rates"):
        curriculum(run, band)


def test_a_band_in_which_nothing_lies(tmp_path, gold):
    run = filled(tmp_path / "r", by_rates(gold, {"chain/3/w-1/1": "11"}))
    for band in ((0.2, 0.8), (0.5, 1.0)):
        with pytest.raises(BadRequest, match=r"they go from 1\.00 to 1\.00"):
            curriculum(run, band)


# --- reports


class Reader(HTMLParser):
    """Checks that tags are closed in order, and collects what refers to elsewhere."""

    VOID = frozenset({"meta", "path", "rect", "circle", "br", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.references += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "action", "data", "srcset")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read_html(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_stands_by_itself(tmp_path, gold):
    rates = {"chain/3/w-1/1": "1010", "chain/4/w-1/2": "1111", "single/3/w-2/1": "0000"}
    run = filled(tmp_path / "r", by_rates(gold, rates), k=4, agent="<agent & co>")
    made = publish(run)
    html = made.html.read_text()
    reader = read_html(html)
    assert reader.references == []
    assert "script" not in reader.tags
    assert reader.tags.count("svg") == 5
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", html)
    assert "&lt;agent &amp; co&gt;" in html
    assert "&lt;b&gt;a &amp; b" in html, "what the verdicts say"
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(svg)


def test_the_report_as_markdown_and_json(tmp_path, gold):
    run = filled(tmp_path / "r", by_rates(gold, {"chain/3/w-1/1": "10", "single/3/w-2/1": "00"}))
    made = publish(run)
    text = made.markdown.read_text()
    assert text == markdown(made.summary)
    assert "oracle solves 25.0 % of 2 tasks" in text
    assert "| chain | 1 | 2 | 0.500 |" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    data = json.loads((run.path / "report.json").read_bytes())
    assert data["report"]["all"]["pass_all"] == {"1": 0.25, "2": 0.0}
    assert publish(run).markdown.read_text() == text, "reports are made again"


def test_an_unfinished_run_says_so(tmp_path, gold):
    run = filled(tmp_path / "r", by_rates(gold, {"chain/3/w-1/1": "10"}), tasks=3)
    assert "(2 of 6 attempts)" in markdown(summary(run))


def test_plots_are_well_formed():
    plots = [
        bars("a & b", [Bar("<x>", 0.5, "1 & 2", 0.3, 0.7), Bar("y" * 99, 0.0)]),
        bars("none", []),
        curves("c", {"pass@k": [(1, 0.2), (4, 0.9)], "one": [(1, 0.5)]}, "k"),
        heat("h", {("<a>", 3): (0.5, 2), ("b", 12): (1.0, 1)}, "calls"),
        heat("h", {}, "calls"),
    ]
    for svg in plots:
        root = ElementTree.fromstring(svg)
        assert root.tag.endswith("svg")
        for rect in root.iter("{http://www.w3.org/2000/svg}rect"):
            assert float(rect.attrib["width"]) >= 0
            assert 0 <= float(rect.attrib["x"]) + float(rect.attrib["width"]) <= 641

"""Submitted answers: every usual form of the right one passes, and nothing else."""

# ruff: noqa: E501, RUF001 - tables of cases, a line each, with letters of many kinds

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from worlddb.episode.answers import accepts, said
from worlddb.episode.moments import moment_of
from worlddb.tasks.goal import Answer

PRICE = Answer(kind="number", value=18880, tolerance=0.5, minor=100)
"""188.80 of some currency, in its minor units."""
ROUND = Answer(kind="number", value=18800, tolerance=0.5, minor=100)
COUNT = Answer(kind="number", value=1234567)
MEAN = Answer(kind="number", value=4.17, tolerance=0.005)
DEBT = Answer(kind="number", value=-1250, tolerance=0.5, minor=100)
DATE = Answer(kind="date", value="2026-08-11")
MOMENT = Answer(kind="datetime", value="2026-08-11 16:56:00")
MIDNIGHT = Answer(kind="datetime", value="2026-08-11 00:00:00")
STATE = Answer(kind="text", value="checked_out", aliases=("checked out",))
NAME = Answer(kind="text", value="Anna Lind")
CODE = Answer(kind="code", value="ORD-00042")
YES, NO = Answer(kind="flag", value=1), Answer(kind="flag", value=0)
PEOPLE = Answer(kind="set", value=("Ann Lee", "Bo Li", "Bo Li"), item="text")
TOP = Answer(kind="list", value=(3, 1, 2), item="number")
COSTS = Answer(kind="set", value=(18880, 250), item="number", tolerance=0.5, minor=100)
STATES = Answer(kind="set", value=("checked_out", "no_show"), item="text", aliases=("checked out", "no show"))
EMPTY = Answer(kind="set", value=(), item="text")
BOTH = Answer(kind="record", value={"unit_price": PRICE, "guest": NAME})
NULL = Answer(kind="text", value=None)
NONE = Answer(kind="none")


@pytest.mark.parametrize(
    ("wanted", "right", "wrong"),
    [
        (PRICE, ["$188.80", "188.8", 188.8, 18880, "18880", "188,80 €", "EUR 188.80", "USD 188.80", "188.80 kr", "US$188.80",
                 "18,880", [188.8], " 188.80 ", "€ 188.80", 18880.0, "CHF 188.80", "£188.80"],
         ["188", "$188", "168.9", "188.80 or 199.10", "188.8 200", [188.8, 199.1], True, None, "", float("nan"), float("inf"),
          "about 188.80", "188.80.0", 188.81, 188, {"a": 1}, "18881", "-188.80"]),
        (ROUND, ["$188", 188.0, "188.00", 18800, "EUR 188", 188, "188", "18800"], ["$18800", "18800.00", 1880, 187, "1.88"]),
        (COUNT, ["1,234,567", "1.234.567", "1 234 567", "1'234'567", "1_234_567", 1234567.0, "1\u00a0234\u00a0567"],
         ["12,34567", "0x12d687", "1234567 1234568", "1,234,568", "1,234", "12345670"]),
        (MEAN, [4.17, "4.17", "4,17", 4.1666667, "4.165", "4.17%"], [4.18, 4, "4", 417]),
        (DEBT, ["-12.50", "-$12.50", "$-12.50", -1250, "\u221212.50"], ["12.50", 1250, "- 1250 - 3"]),
        (DATE, ["2026-08-11", "11 August 2026", "August 11, 2026", "Aug 11th, 2026", "11.08.2026", "Tuesday, 11 August 2026",
                "2026/8/11", "2026-08-11T00:00:00Z", "11-Aug-2026", "11th of August 2026", "2026.08.11"],
         ["08/11/2026", "2026-08-12", "2026-08-11 2026-08-12", "2026-08-11 13:00", "August 2026", "11", 20260811, None, "", "2026-13-11",
          "2026-08-11 or so"]),
        (MOMENT, ["2026-08-11T16:56:00Z", "2026-08-11 16:56", "11 August 2026, 4:56 PM", "11 Aug 2026 at 16:56", "2026-08-11 16:56 UTC",
                  "2026-08-11T18:56:00+02:00", "2026-08-11 4:56 p.m.", "2026-08-11T16:56:00.000Z"],
         ["2026-08-11 16:57", "2026-08-11", "2026-08-11 04:56", "16:56", "2026-08-11 16:56:01", "2026-08-11 25:00"]),
        (MIDNIGHT, ["2026-08-11", "2026-08-11 00:00", "2026-08-11 12:00 am"], ["2026-08-11 12:00", "2026-08-12"]),
        (STATE, ["checked_out", "Checked out", "CHECKED_OUT", ["checked out"]], ["checked in", "checked_out, checked_in", "checked", "", None]),
        (NAME, ["anna  lind", "Anna Lind"], ["\u0410nna Lind", "Anna", "Anna Lind or Bo Li", "Anna Lind, Bo Li", "AnnaLind", 5, ["Anna Lind", "Bo Li"]]),
        (CODE, ["ORD-00042", " ord-00042 "], ["ORD-42", "ORD-00042 ORD-00043", "00042", None]),
        (Answer(kind="code", value="1042"), [1042, "1042"], [True, 1042.5, "1043"]),
        (YES, [True, "yes", "Yes.", 1, "TRUE", "y"], [False, "no", 0, 2, "yes and no", None, "yes, no", 1.0]),
        (NO, [False, "no", 0, "false"], [True, "yes", None, "", 0.0]),
        (PEOPLE, [["Bo Li", "ann lee", "Bo  Li"], "Bo Li, Ann Lee and Bo Li", "- Ann Lee\n- Bo Li\n- Bo Li", '["Ann Lee","Bo Li","Bo Li"]',
                  "Ann Lee; Bo Li; Bo Li", "1. Ann Lee\n2. Bo Li\n3. Bo Li"],
         [["Bo Li", "Ann Lee"], ["Ann Lee", "Bo Li", "Bo Li", "X"], ["Ann Lee", "Ann Lee", "Bo Li"], "Ann Lee", None, "", ["Ann Lee", "Bo Li", None]]),
        (TOP, [[3, 1, 2], "3, 1, 2", "[3,1,2]", ["3", "1", "2"]], [[1, 2, 3], [3, 1], [3, 1, 2, 2], "3 1 2", {"a": 3}]),
        (COSTS, [[2.5, 188.8], ["$2.50", "$188.80"], [18880, 250], "188.80; 2.50"], [[188.8], [2.5, 2.5], [188.8, 2.5, 3.0]]),
        (STATES, [["no show", "checked out"], "checked_out, no_show"], [["checked out", "checked out"], ["no show"]]),
        (EMPTY, [[], "none", None, "", "[]"], [["none", "x"], "x", [""]]),
        (BOTH, [[188.8, "Anna Lind"], {"price each": 188.8, "name": "Anna Lind"}, {"unitPrice": 188.8, "Guest": "anna lind"}, '{"unit price": "$188.80", "guest": "Anna Lind"}'],
         [{"unit_price": 188.8}, {"unit_price": 188.8, "guest": "Anna Lind", "more": 1}, {"unit_price": 188.8, "guest": "Bo"}, "188.80 Anna Lind",
          ["Anna Lind", 188.8], {"guest": 188.8, "unit_price": "Anna Lind"}, {"a": "Anna Lind", "b": 188.8}, [188.8], {"unit_price": 188.8, "Guest": "Anna Lind", "guest": "Bo"}]),
        (NULL, [None, "none", "N/A", "", "null"], ["x", 0, False, [1, 2]]),
        (NONE, [None, "", "Impossible.", "cannot be done", "none", "Not possible", "This cannot be done: booking 134 is closed.",
                "It isn't allowed, so I left it: not possible."], ["done", 0, False, [], "impossible or 5", {"a": 1}, "All done!"]),
    ],
    ids=lambda v: f"{v.kind} {v.value}"[:30] if isinstance(v, Answer) else "",
)  # fmt: skip
def test_answers(wanted: Answer, right: list[Any], wrong: list[Any]):
    wanted = msgspec.json.decode(msgspec.json.encode(wanted), type=Answer)
    assert [g for g in right if not accepts(wanted, g)] == []
    assert [g for g in wrong if accepts(wanted, g)] == []
    assert said(wanted)


SINGLE = [PRICE, COUNT, MEAN, DATE, MOMENT, STATE, NAME, CODE, YES]


@pytest.mark.parametrize("wanted", SINGLE, ids=lambda a: f"{a.kind} {a.value}"[:30])
def test_all_answers_listed_are_none(wanted: Answer):
    """Every candidate in one answer, the right one among them, in any form in which they could be listed."""
    dice = random.Random(3)
    for _ in range(50):
        others = [str(dice.choice(SINGLE).value), str(dice.randint(1, 9999)), "2026-08-12", "Bo Li"]
        listed = [str(wanted.value), *dice.sample(others, 2)]
        dice.shuffle(listed)
        for given in (
            listed,
            ", ".join(listed),
            " ".join(listed),
            "\n".join(listed),
            " or ".join(listed),
            dict.fromkeys(listed, True),
        ):
            assert not accepts(wanted, given), given


def test_any_json_value_is_judged_and_none_makes_it_fail():
    values: list[Any] = [
        None, True, 0, -1, 2**70, 1e308, 1.5, "", " ", "x", "\0", "9" * 5000, "[" * 500, "{", "[1", [], [[]], [None], {}, {"": None},
        {"a": {"b": [1]}}, "1" * 200_000, ["x"] * 10_000, "١٢٣", "½", "1e999", "-", "+", ".", ",", "$", "--5", "٣.٥", "Ⅷ",
    ]  # fmt: skip
    kinds = [PRICE, COUNT, DATE, MOMENT, STATE, CODE, YES, PEOPLE, TOP, COSTS, BOTH]
    assert not [(w.kind, v) for w in kinds for v in values if accepts(w, v) and not (w is YES and v is True)]


def test_every_way_to_write_a_moment_reads_as_that_moment():
    dice = random.Random(5)
    forms = [
        "%Y-%m-%d",
        "%d %B %Y",
        "%B %d, %Y",
        "%b %d %Y",
        "%d %b %Y",
        "%A, %d %B %Y",
        "%d.%m.%Y",
        "%Y/%m/%d",
        "%a %d %b %Y",
    ]
    times = ["%H:%M:%S", "%H:%M", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p"]
    for _ in range(2000):
        moment = datetime(1990, 1, 1) + timedelta(seconds=dice.randrange(60 * 365 * 86_400))
        form, time = dice.choice(forms), dice.choice(times)
        text = moment.strftime(form)
        assert moment_of(text) == (moment.strftime("%Y-%m-%d"), ""), text
        whole = f"{text}{dice.choice((' ', ', ', ' at '))}{moment.strftime(time)}"
        found = moment_of(whole)
        assert found is not None, whole
        assert f"{moment:%H:%M:%S}".startswith(found[1])
        assert len(found[1]) == (8 if "%S" in time else 5)


def test_a_number_in_any_grouping_is_that_number():
    dice = random.Random(6)
    for _ in range(2000):
        cents = dice.randrange(-(10**9), 10**9)
        wanted = Answer(kind="number", value=cents, tolerance=0.5, minor=100)
        plain = f"{abs(cents) / 100:.2f}"
        english = f"{abs(cents) / 100:,.2f}"
        spaced, german = english.replace(",", " "), english.translate(str.maketrans(",.", ".,"))
        sign = "-" if cents < 0 else ""
        for text in (plain, english, spaced, german, f"${english}", f"{english} EUR", f"{german} €"):
            assert accepts(wanted, sign + text), sign + text
        other = Answer(kind="number", value=cents + 1, tolerance=0.5, minor=100)
        assert not accepts(other, sign + english)

"""Plans in words: what is said reads back as the plan, over many worlds; values survive exactly; texts vary."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

import pytest

import worlddb
from tests.plans import draw_plan
from worlddb.errors import BrokenFile
from worlddb.rng import Stream
from worlddb.tasks import say as saying
from worlddb.tasks.ground import Ground
from worlddb.tasks.plan import Asked, Calc, Const, Do, Find, Fold, Of, Plan, Where
from worlddb.tasks.say import Lexicon, Said, Unread, Unsaid, read, same, say
from worlddb.tasks.say.constants import read_const, spellings
from worlddb.tasks.say.forms import phrases
from worlddb.tasks.say.grammar import Rules, alternatives
from worlddb.tasks.say.lexer import Text, is_code, is_name
from worlddb.tasks.say.measure import masked, repeated, self_bleu, variety
from worlddb.tasks.say.terms import term

WORLDS, PLANS = 100, 20


@cache
def scene(seed: int) -> tuple[Ground, Lexicon]:
    ground = Ground(worlddb.generate(seed))
    return ground, Lexicon(ground.schema, ground.words, ground.world.locale, ground.world.now)


def drawn(seed: int, i: int) -> Plan:
    return draw_plan(scene(seed)[0], Stream(seed, "plan", str(i)))


def spoken(seed: int, i: int) -> Said | None:
    ground, lexicon = scene(seed)
    try:
        return say(lexicon, ground.toolset, drawn(seed, i), Stream(seed, "say", str(i)))
    except Unsaid:
        return None


@cache
def all_said() -> list[tuple[int, int, Said | None]]:
    return [(seed, i, spoken(seed, i)) for seed in range(1, WORLDS + 1) for i in range(PLANS) if drawn(seed, i).nodes]


def test_what_is_said_reads_as_the_plan_over_many_worlds() -> None:
    tried = all_said()
    assert len(tried) > 0.95 * WORLDS * PLANS
    for seed, i, said in tried:
        if said is not None:
            ground, lexicon = scene(seed)
            plan = read(lexicon, ground.toolset, said.text)
            assert same(lexicon, plan, drawn(seed, i)), said.text
    rejected = sum(said is None for _, _, said in tried)
    assert rejected < 0.03 * len(tried), f"{rejected} of {len(tried)} plans have no wording"


def test_every_kind_of_node_is_said() -> None:
    kinds = Counter(type(n).__name__ for seed, i, said in all_said() if said for n in drawn(seed, i).nodes)
    assert min(kinds[k] for k in ("Find", "Fold", "Group", "Calc", "Test", "Do")) >= 20, kinds
    shapes = Counter(p.asked.shape for seed, i, said in all_said() if said and (p := drawn(seed, i)).asked)
    assert set(shapes) == {"value", "set", "list", "record"}


def test_no_number_stands_in_a_text_that_the_plan_does_not_state() -> None:
    for _, _, said in all_said():
        rest = said.text if said else ""
        for literal in sorted(said.literals if said else (), key=len, reverse=True):
            rest = rest.replace(literal, "")
        assert not re.search(r"\d", re.sub(r"[a-z]+ ?\d[a-z]?\b|\b[A-Z]+\d\b", "", rest)), said


def test_texts_are_clean() -> None:
    for _, _, said in all_said():
        if said is None:
            continue
        rest = said.text
        for literal in sorted(said.literals, key=len, reverse=True):
            rest = rest.replace(literal, "X")
        assert not re.search(r"[\x00-\x09\x0b-\x1f¿¶↵{}<>\[\]]|  | [,.;?]|\.\.|\ba [aeio]|,\.", rest), said.text
        assert "_" not in rest, said.text
        low = phrases("personas")["personas"][said.persona].get("low")
        assert low or not said.text[0].islower() or said.text.startswith(said.literals), said.text


def test_the_same_stream_says_the_same_and_others_differ() -> None:
    ground, lexicon = scene(12)
    plan = drawn(12, 1)
    texts = [say(lexicon, ground.toolset, plan, Stream(s, "x")).text for s in (1, 1, *range(2, 30))]
    assert texts[0] == texts[1]
    assert len(set(texts)) >= 27


def test_texts_vary() -> None:
    texts = [said.text for _, _, said in all_said() if said][:1000]
    found = variety(texts, Stream(7))
    assert found.equal == 0
    assert found.equal_masked < 0.02
    assert found.self_bleu < 0.6
    assert found.distinct[2] > 0.45
    personas = Counter(said.persona for _, _, said in all_said() if said)
    assert len(personas) >= 8
    assert min(personas.values()) > 50


# --- plans made by hand


def by_title(ground: Ground, table: str, name: str, n: int = 0) -> Find:
    title = ground.schema[table].title
    value = Const(value=ground.table(table)[n][title], table=table, column=title)
    return Find(name=name, table=table, where=(Where(column=title, value=value),))


def texts_of(plan: Plan, seed: int = 12, n: int = 40) -> list[str]:
    ground, lexicon = scene(seed)
    return [say(lexicon, ground.toolset, plan, Stream(i, "hand")).text for i in range(n)]


def test_a_row_used_twice_is_spoken_of_again() -> None:
    ground, _ = scene(12)
    guest = by_title(ground, "guest", "g")
    of_guest = Where(column="guest", value=Of(node="g", column="id"))
    count = Fold(name="c", of="all", by="count")
    plan = Plan(
        family="x",
        nodes=(guest, Find(name="all", table="reservation", where=(of_guest,), many=True), count),
        asked=Asked(shape="record", what=(Of(node="c"), Of(node="g", column="email"))),
    )
    name = guest.where[0].value.value  # type: ignore[union-attr]
    texts = texts_of(plan)
    assert all(t.count(str(name)) >= 1 for t in texts)
    assert any(t.count(str(name)) == 1 and re.search(r"(that|same|this|the|said) lodger", t) for t in texts)


def test_a_refusal_changes_no_word_and_none_is_asked_without_words() -> None:
    ground, lexicon = scene(12)
    booking = by_title(ground, "reservation", "b")
    do = Do(name="d", tool="reservation.check_out", arguments={"id": Of(node="b", column="id")})
    right = Plan(family="x", nodes=(booking, do))
    wrong = Plan(
        family="x",
        nodes=(booking, Do(name="d", tool=do.tool, arguments=do.arguments, refused="CONFLICT")),
        asked=Asked(shape="none"),
    )
    assert same(lexicon, right, wrong)
    closings = tuple(c[:20].lower() for c in phrases("personas")["impossible"])
    for i in range(30):
        said = say(lexicon, ground.toolset, wrong, Stream(i)).text
        assert any(c in said.lower() for c in closings), said
    assert any(any(c in t.lower() for c in closings) for t in texts_of(right))  # so that it tells nothing


def test_one_day_is_no_days_and_ids_have_no_commas() -> None:
    payment = Where(column="id", value=Const(value=5017, table="payment", column="id"))
    when = Calc(
        name="k",
        op="days_after",
        left=Of(node="p", column="created_at"),
        right=Const(value=-1, table="", column="number"),
    )
    found = Find(name="p", table="payment", where=(payment,))
    texts = texts_of(Plan(family="x", nodes=(found, when), asked=Asked(shape="value", what=(Of(node="k"),))))
    assert all(re.search(r"(one|the) day before", t) for t in texts), texts
    assert all("5017" in t for t in texts), texts


def hotel(where: tuple[Where, ...] = (), **more: object) -> Find:
    return Find(name="r", table="reservation", where=where, **more)  # type: ignore[arg-type]


def asked(*nodes: Find | Fold | Calc, what: tuple[Of, ...]) -> Plan:
    return Plan(family="x", nodes=nodes, asked=Asked(shape="value" if len(what) == 1 else "record", what=what))


def test_a_moment_at_midnight_is_said_as_a_date_where_that_is_the_same() -> None:
    for op, exact in (("ge", True), ("lt", True), ("gt", False), ("le", False)):
        born = Where(
            column="created_at",
            op=op,
            value=Const(value="2026-02-01 00:00:00", table="reservation", column="created_at"),
        )
        plan = asked(hotel((born,), many=True), Fold(name="c", of="r", by="count"), what=(Of(node="c"),))
        clock = [bool(re.search(r"00:00|12:00 am", t)) for t in texts_of(plan)]
        assert not any(clock) if exact else all(clock), (op, clock)


def test_an_amount_is_spelled_one_way_in_a_text_and_several_ways_in_several() -> None:
    ground, lexicon = scene(12)
    table, column = next(
        (t.key, c.key) for t in ground.schema.tables for c in t.columns if lexicon.kind((t.key, c.key)) == "money"
    )
    texts = {t for value in (4000000, 125000, 5) for t in spellings(lexicon, (table, column), value)}
    assert any("40,000" in t for t in texts)
    assert not any(t.endswith(".00") for t in texts), texts


def test_a_long_description_may_come_in_a_sentence_of_its_own() -> None:
    ground, _ = scene(12)
    guest = by_title(ground, "guest", "g")
    of_guest = Where(column="guest", value=Of(node="g", column="id"))
    state = Where(column="status", value=Const(value="confirmed", table="reservation", column="status"))
    found = hotel((of_guest, state), sort="created_at", desc=True, take=1)
    own = texts_of(asked(guest, found, what=(Of(node="r", column="created_at"), Of(node="r", column="id"))), n=120)
    assert any(re.search(r"\bits\b", t) for t in own), own[:5]


def test_several_questions_stand_in_sentences_or_lines_of_their_own() -> None:
    ground, _ = scene(12)
    guests = [by_title(ground, "guest", f"g{n}", n) for n in range(4)]
    texts = texts_of(asked(*guests, what=tuple(Of(node=g.name, column="email") for g in guests)))
    assert all(t.count("?") + t.count(".") + t.count("\n") >= 3 for t in texts), texts
    assert any("\n- " in t for t in texts)
    assert any("\n2) " in t for t in texts)


def test_nothing_is_the_sum_of_sums_or_a_noun_twice() -> None:
    for _, _, said in all_said():
        rest = said.text if said else ""
        assert not re.search(r"\b(total total|average average|the the|number of numbers? of|of of)\b", rest), rest
        assert "minus the difference" not in rest


def test_a_text_without_a_meaning_is_refused() -> None:
    ground, lexicon = scene(12)
    for text in ("", "Hello!", "Please fly to the moon.", "Check out the booking", "Check out booking WN3906 and"):
        with pytest.raises(Unread, match=r"no reading|readings"):
            read(lexicon, ground.toolset, text)


def test_a_text_with_two_meanings_is_refused() -> None:
    ground, lexicon = scene(6)  # a till session has a till and a cashier
    with pytest.raises(Unread, match="2 readings"):
        read(lexicon, ground.toolset, 'How many till sessions of "Mobile Till 5" are there?')


def test_names_of_nodes_and_the_order_of_conditions_do_not_matter() -> None:
    _, lexicon = scene(12)
    a, b = (
        Where(column="status", value=Const(value="confirmed", table="reservation", column="status")),
        Where(column="room", op="null"),
    )

    def plan(name: str, *where: Where) -> Plan:
        find = Find(name=name, table="reservation", where=where, many=True)
        return Plan(
            family=name, nodes=(find, Fold(name="n", of=name)), asked=Asked(shape="value", what=(Of(node="n"),))
        )

    assert same(lexicon, plan("x", a, b), plan("y", b, a))
    assert not same(lexicon, plan("x", a, b), plan("x", a))
    assert term(lexicon.schema, plan("x", a, b)) != term(lexicon.schema, plan("x", b))


# --- values


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("money", [0, 1, 99, 100, 18880, 123456789, 20000, -5, -18880, 12.5, 350.25]),
        ("number", [0, 7, 12, 13, 999, 1000, 1234567, -3]),
        ("real", [0.5, 1.0, 12.25, 1234.5, -0.75, 100000.125]),
        ("date", ["2026-03-03", "2025-12-31", "1999-01-01", "2024-02-29"]),
        ("datetime", ["2026-03-03 14:05:22", "2026-11-30 00:00:00", "2025-01-01 12:00:00", "2025-06-01 00:30:59"]),
        ("time", ["14:05", "00:00", "12:30", "09:15"]),
        ("text", ["Anna Schmidt", "O'Brien", "ORD-2026-00042", "a@b.example", "two  spaces", 'say "hi"', "Rio de Janeiro", "8"]),
        ("text", ["x", "É", "don't", "a, b", "Anna Schmidt.", "Müller & Söhne", "+49 30 1234", "'s", "(8)", "#1"]),
    ],
)  # fmt: skip
def test_every_spelling_reads_as_the_value_exactly(kind: str, values: list[object]) -> None:
    _, lexicon = scene(12)
    lexicon = Lexicon(lexicon.schema, lexicon.words, "de_DE", 1772530000)  # of 2026
    for value in values:
        found = spellings(lexicon, ("", kind), value)
        assert found, value
        for spelling in found:
            for text in (spelling, f"{spelling}, and", f"{spelling}."):
                end = Text(spelling).n
                stored = [v[1] for e, v in read_const(lexicon, Text(text), ("", kind), 0) if e == end]
                assert stored == [value], (spelling, stored)
                assert type(stored[0]) is type(value) or (kind == "real" and stored == [value])


def test_values_of_closed_sets_read_exactly_in_every_world() -> None:
    for seed in range(1, 40):
        _, lexicon = scene(seed)
        for table in lexicon.schema.tables:
            for column in table.columns:
                place = (table.key, column.key)
                if lexicon.kind(place) in ("state", "enum"):
                    for stored, words in lexicon.said(place).items():
                        got = [v[1] for e, v in read_const(lexicon, Text(words), place, 0) if e == Text(words).n]
                        assert got == [stored], (place, words)


def test_nouns_and_columns_are_told_apart_in_every_world() -> None:
    for seed in range(1, 40):
        _, lexicon = scene(seed)
        for table in lexicon.schema.tables:
            labels = [lexicon.label((table.key, c.key)).lower() for c in table.columns]
            assert len(labels) == len(set(labels)), (table.key, labels)


def test_names_and_codes() -> None:
    assert all(
        map(
            is_name,
            ["Anna", "Anna Schmidt", "Rio de Janeiro", "Smith & Sons", "Müller-Lüdenscheidt", "Room 12", "O'Neil"],
        )
    )
    assert not any(
        map(
            is_name, ["anna", "Anna schmidt", "", " Anna", "Anna ", "Anna, Bert", "Anna  Schmidt", "de Janeiro", "Inc."]
        )
    )
    assert all(map(is_code, ["ORD-2026-00042", "a@b.example", "x_1", "12", "https://a.example/b?c=1"]))
    assert not any(map(is_code, ["word", "two words", "ends.", "it's", "#1", ""]))


# --- the engine and the measures


def test_a_pattern_stands_for_its_alternatives() -> None:
    assert set(alternatives("a [b] (c|d)")) == {"a c", "a d", "a b c", "a b d"}
    assert alternatives("no more than a(n) {x}") == ("no more than a(n) {x}",)


def test_a_hole_whose_context_comes_later_is_refused() -> None:
    with pytest.raises(BrokenFile, match=r"needs \{column\} before it"):
        Rules().add(
            "x",
            ["{value} {column}"],
            {"value": ("value", "column"), "column": ("column", ".")},
            lambda *_: None,
            lambda *_: None,
        )


def test_measures() -> None:
    assert repeated(["a", "b", "a", "c"]) == 0.5
    assert self_bleu(["one two three four five"] * 3, Stream(1)) == pytest.approx(1.0)
    assert self_bleu(["a b c d e", "v w x y z"], Stream(1)) < 0.2
    assert masked("Cancel WN3906 of Anna Schmidt") == masked("Cancel XY12 of Bert Maier")
    assert variety([], Stream(1)).texts == 0


def test_the_public_names() -> None:
    assert set(saying.__all__) == {"Lexicon", "Said", "Unread", "Unsaid", "read", "same", "say"}

"""The productions of sentences: changes one after another, conditions on them, questions, and who asks."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from worlddb.tasks.say.conditions import add_conditions
from worlddb.tasks.say.deeds import add_arguments
from worlddb.tasks.say.figures import add_figures, add_tests, add_values
from worlddb.tasks.say.forms import Names, phrases, slots
from worlddb.tasks.say.grammar import Holes, Rules, Writer
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.nouns import add_descriptions, add_lists
from worlddb.tasks.say.rows import add_rows
from worlddb.tasks.say.sets import add_among, add_sets
from worlddb.tasks.say.terms import Term, walk
from worlddb.tasks.say.words import row_table


@cache
def shared() -> Rules:
    """The productions that all worlds share."""
    rules = Rules()
    add_conditions(rules)
    add_lists(rules)
    add_descriptions(rules)
    add_rows(rules)
    add_sets(rules)
    add_among(rules)
    add_values(rules)
    add_figures(rules)
    add_tests(rules)
    add_arguments(rules)
    _add_clauses(rules)
    _add_questions(rules)
    _add_personas(rules)
    return rules


def _add_clauses(rules: Rules) -> None:
    """clause: changes that hang together.  steps: all changes.  A meaning is a tuple of changes."""
    file = phrases("personas")
    ifs = file["ifs"]
    holes = slots("act acts others=acts test ofrows rows clause steps")

    def plain(do: Term) -> bool:
        return do[4] is None and do[5] is None

    rules.add(
        "acts",
        ["{act}"],
        holes,
        lambda w, ctx, v, n: {"act": v[0]} if len(v) == 1 else None,
        lambda lex, ctx, h: (h["act"],),
    )
    rules.add(
        "acts", ["{act} and {acts}"], holes, lambda w, ctx, v, n: {"act": v[0], "acts": v[1:]} if len(v) > 1 else None,
        lambda lex, ctx, h: (h["act"], *h["acts"]),
    )  # fmt: skip
    rules.add(
        "clause",
        ["{act}"],
        holes,
        lambda w, ctx, v, n: {"act": v[0]} if len(v) == 1 and plain(v[0]) else None,
        lambda lex, ctx, h: (h["act"],),
    )
    h = holes | {"act": ("act", ("each",))}

    def split_each(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        slot = "ofrows" if "ofrows" in n else "rows"
        if w.wrapped:
            return None
        return {slot: v[0][3], "act": v[0]} if len(v) == 1 and plain(v[0]) and v[0][3] is not None else None

    def make_each(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        do = h["act"]
        return ((*do[:3], h.get("rows") or h["ofrows"], None, None),) if do[3] is None and _has_item(do) else None

    rules.add("clause", ifs["each"], h, split_each, make_each)

    def bare(dos: Term) -> Term:
        return tuple((*d[:4], None, None) for d in dos)

    def split_if(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        test = v[0][4]
        return (
            {"test": test, "acts": bare(v)}
            if test is not None and all(d[4] == test and d[5] is None for d in v)
            else None
        )

    def split_unless(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        test = v[0][5]
        return (
            {"test": test, "acts": bare(v)}
            if test is not None and all(d[5] == test and d[4] is None for d in v)
            else None
        )

    def split_both(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        test = v[0][4]
        first = tuple(d for d in v if d[4] == test)
        rest = v[len(first) :]
        if test is None or not rest or v[: len(first)] != first or not all(d[5] == test and d[4] is None for d in rest):
            return None
        return {"test": test, "acts": bare(first), "others": bare(rest)}

    def when(dos: Term, test: Term) -> Term:
        return tuple((*d[:4], test, None) for d in dos)

    def unless(dos: Term, test: Term) -> Term:
        return tuple((*d[:4], None, test) for d in dos)

    rules.add("clause", ifs["if"], holes, split_if, lambda lex, ctx, h: when(h["acts"], h["test"]))
    rules.add("clause", ifs["unless"], holes, split_unless, lambda lex, ctx, h: unless(h["acts"], h["test"]))
    rules.add(
        "clause",
        ifs["both"],
        holes,
        split_both,
        lambda lex, ctx, h: (*when(h["acts"], h["test"]), *unless(h["others"], h["test"])),
    )
    for symbol in ("steps", "steps0"):
        rules.add(
            symbol,
            ["{clause}"],
            holes,
            lambda w, ctx, v, n: {"clause": v} if _lead(v) == len(v) else None,
            lambda lex, ctx, h: h["clause"],
        )
    joined = file["joins"]
    later = [j for j in joined if not re.match(r"(\d+\* )?(first|start)", j)]
    for symbol, joins in (("steps0", joined), ("steps", later)):
        rules.add(symbol, joins, holes, _split_steps, lambda lex, ctx, h: (*h["clause"], *h["steps"]))


def _lead(dos: Term) -> int:
    """How many of the changes stand in one clause with the first."""
    test = dos[0][4] or dos[0][5]
    n = 1
    while test is not None and n < len(dos) and test in (dos[n][4], dos[n][5]) and not (dos[n - 1][5] and dos[n][4]):
        n += 1
    return n


def _split_steps(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    lead = _lead(v)
    return {"clause": v[:lead], "steps": v[lead:]} if lead < len(v) else None


def _has_item(do: Term) -> bool:
    return any(t[0] in ("item", "its") for t in walk(do[2]) if t)


def _add_questions(rules: Rules) -> None:
    """question: what is asked, (shape, values)."""
    asks = phrases("personas")["asks"]
    holes = slots("v=seen descs rows each record row cols a=seen b=seen more=record column=anycolumn")

    def split_value(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        return {"v": v[1][0]} if v[0] == "value" and v[1][0][0] not in ("each", "const", "calc") else None

    def split_calc(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        return {"v": v[1][0]} if v[0] == "value" and v[1][0][0] == "calc" and v[1][0][1] != "days_after" else None

    def split_date(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        return {"v": v[1][0]} if v[0] == "value" and v[1][0][0] == "calc" and v[1][0][1] == "days_after" else None

    def split_many(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        t = v[1][0]
        if v[0] != "value" or t[0] != "fold" or t[1] != "count" or t[3][5]:
            return None
        return {next(iter(n)): t[3]}

    def make_many(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        rows = h.get("descs") or h["rows"]
        return ("value", (("fold", "count", "", rows),)) if rows[0] == "those" or not rows[5] else None

    for symbol in ("question", "wh"):

        def add(name: str, split: Any, make: Any, weight: int = 1, symbol: str = symbol) -> None:
            fit = [a for a in asks[name] if symbol == "question" or re.match(r"(\d+\* )?¿(what|which|how)", a)]
            rules.add(symbol, fit, holes, split, make, weight=weight)

        add("value", split_value, lambda lex, ctx, h: ("value", (h["v"],)))
        add("calc", split_calc, lambda lex, ctx, h: ("value", (h["v"],)) if h["v"][0] == "calc" else None)
        add(
            "date",
            split_date,
            lambda lex, ctx, h: ("value", (h["v"],)) if h["v"][:2] == ("calc", "days_after") else None,
        )
        add("many", split_many, make_many, 2)
    for name, shape in (("set", "set"), ("list", "list"), ("sorted", "list")):
        rules.add("question", asks[name], holes, _split_each(name, shape), _make_each(name, shape))

    def split_record(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        return {"record": v[1]} if v[0] == "record" else None

    rules.add("question", asks["record"], holes, split_record, lambda lex, ctx, h: ("record", h["record"]))

    def split_cols(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        if len(v) < 2 or any(x[0] != "of" or x[1] != v[0][1] for x in v):
            return None
        table = row_table(v[0][1])
        return {"cols": tuple((table, x[2]) for x in v), "row": v[0][1]}

    def make_cols(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        table = row_table(h["row"])
        found = []
        for options in h["cols"]:
            fit = [c for t, c in options if t == table] if isinstance(options[0], tuple) else []
            if len(fit) != 1:
                return None
            found.append(("of", h["row"], fit[0]))
        return tuple(found)

    rules.add("record", ["3* {cols} of {row}", "{cols} for {row}"], holes, split_cols, make_cols, weight=3)
    h: dict[str, tuple[str, Any]] = {"a": ("anycolumn", ""), "b": ("anycolumn", ""), "more": ("cols", "")}

    def split_col(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        if "b" in n:
            return {"a": (v[0],), "b": (v[1],)} if len(v) == 2 else None
        return {"a": (v[0],), "more": v[1:]} if len(v) > 2 else None

    rules.add("cols", ["3* the {a} and {b}", "the {a} and the {b}"], h, split_col, lambda lex, ctx, h: (h["a"], h["b"]))
    rules.add("cols", ["the {a}, {more}"], h, split_col, lambda lex, ctx, h: (h["a"], *h["more"]))
    rules.add(
        "record",
        ["{a} and {b}", "{a} as well as {b}"],
        holes,
        lambda w, ctx, v, n: {"a": v[0], "b": v[1]} if len(v) == 2 else None,
        _pair,
    )
    rules.add(
        "record", ["{a}, {more}"], holes, lambda w, ctx, v, n: {"a": v[0], "more": v[1:]} if len(v) > 2 else None, _more
    )


def _pair(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return (h["a"], h["b"])


def _more(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return (h["a"], *h["more"])


def _split_each(name: str, shape: str) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
        if v[0] != shape or v[1][0][0] != "each" or (name == "sorted") != _is_sorted(v[1][0][1], shape):
            return None
        return {"each": v[1][0]}

    return split


def _make_each(name: str, shape: str) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        rows = h["each"][1]
        return (shape, (h["each"],)) if (name == "sorted") == _is_sorted(rows, "list") else None

    return make


def _is_sorted(rows: Term, shape: str) -> bool:
    """Whether the description of a set says its order itself."""
    return shape == "list" and rows[0] == "find" and bool(rows[3]) and not rows[5]


def _add_personas(rules: Rules) -> None:
    """text: a plan, (changes, question or None, whether it may be impossible)."""
    file = phrases("personas")
    holes = slots("steps=steps0 question body asked asking close opening closing wh")
    for name, p in file["personas"].items():
        own = frozenset([name])

        def nothing(w: Writer, ctx: Any, v: Any, n: Names) -> Holes | None:
            return {}

        for symbol, key in (("opening", "openings"), ("closing", "closings")):
            rules.add(
                symbol,
                [o.rstrip(".!") if key == "closings" else o for o in p[key] if o],
                {},
                nothing,
                lambda lex, ctx, h: True,
                own,
            )
        plain, wrapped = [a for a in p["asks"] if a.endswith("* {steps}") or a == "{steps}"], p["asks"]
        rules.add("asking", plain, holes, _split_bare, lambda lex, ctx, h: h["steps"], own)
        rules.add(
            "asking",
            [a for a in wrapped if a not in plain],
            holes | {"steps": ("steps", "")},
            _split_wrapped,
            lambda lex, ctx, h: h["steps"],
            own,
        )
        rules.add("asked", p["questions"], holes, lambda w, ctx, v, n: {next(iter(n)): v}, _asked, own)
    rules.add("asking", ["{steps}"], holes, _split_bare, lambda lex, ctx, h: h["steps"])
    rules.add(
        "close", [c.rstrip(".") for c in file["impossible"]], {}, lambda w, ctx, v, n: {}, lambda lex, ctx, h: True
    )
    rules.add(
        "body",
        ["{asking}"],
        holes,
        lambda w, ctx, v, n: {"asking": v[0]} if v[0] and not v[1] else None,
        lambda lex, ctx, h: (h["asking"], None),
    )
    rules.add(
        "body",
        ["{asked}"],
        holes,
        lambda w, ctx, v, n: {"asked": v[1]} if v[1] and not v[0] else None,
        lambda lex, ctx, h: ((), h["asked"]),
    )
    both = holes | {"steps": ("asking", "")}
    rules.add(
        "body", file["mixed"], both, lambda w, ctx, v, n: {"steps": v[0], "question": v[1]} if v[0] and v[1] else None,
        lambda lex, ctx, h: (h["steps"], h["question"]),
    )  # fmt: skip
    whole = ["[{opening}] {body} [.] [{close} [.]] [{closing}] [.]"]
    rules.add("text", whole, holes, _split_text, lambda lex, ctx, h: h["body"])


def _asked(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return h.get("question") or h["wh"]


def _split_bare(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    w.wrapped = False
    return {"steps": v}


def _split_wrapped(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    w.wrapped = True
    return {"steps": v} if v[0][4] is None and v[0][5] is None else None


def _split_text(w: Writer, ctx: Any, v: Any, n: Names) -> Holes | None:
    return None  # `say` puts the text together itself, since a full stop stands or not as the persona has it

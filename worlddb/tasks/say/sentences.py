"""The productions of whole texts: who asks, what for, and what they are looking at."""

from __future__ import annotations

from functools import cache
from typing import Any

from worlddb.tasks.say.arguments import add_arguments
from worlddb.tasks.say.checks import add_tests
from worlddb.tasks.say.clauses import add_clauses, lead
from worlddb.tasks.say.conditions import add_conditions
from worlddb.tasks.say.figures import add_figures
from worlddb.tasks.say.forms import Names, phrases, slots
from worlddb.tasks.say.grammar import Holes, Rules, Writer
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.nouns import add_descriptions, add_lists
from worlddb.tasks.say.questions import add_questions
from worlddb.tasks.say.rows import add_rows
from worlddb.tasks.say.sets import add_among, add_sets
from worlddb.tasks.say.stated import add_values
from worlddb.tasks.say.terms import Term, walk

_PARTS = (
    add_conditions, add_lists, add_descriptions, add_rows, add_sets, add_among, add_values, add_figures, add_tests,
    add_arguments, add_clauses, add_questions,
)  # fmt: skip


@cache
def shared() -> Rules:
    """The productions that all worlds share."""
    rules = Rules()
    for add in _PARTS:
        add(rules)
    for name, persona in phrases("personas")["personas"].items():
        _add_persona(rules, persona, frozenset([name]))
    _add_texts(rules)
    return rules


def _nothing(w: Writer, ctx: Any, v: Any, n: Names) -> Holes | None:
    return {}


def _true(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return True


def _steps(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return h["steps"]


def _add_persona(rules: Rules, persona: dict[str, Any], own: frozenset[str]) -> None:
    """opening, closing, asking (for changes) and asked (questions), in the words of one persona."""
    rules.add("opening", [o for o in persona["openings"] if o], {}, _nothing, _true, own)
    rules.add("closing", [o.rstrip(".!") for o in persona["closings"] if o], {}, _nothing, _true, own)
    plain = [a for a in persona["asks"] if a.endswith("* {steps}") or a == "{steps}"]
    polite = [a for a in persona["asks"] if a not in plain]
    rules.add("asking", plain, slots("steps=steps0"), _split_bare, _steps, own)
    rules.add("asking", polite, slots("steps"), _split_wrapped, _steps, own)
    rules.add("asked", persona["questions"], slots("question wh"), _split_asked, _asked, own)


def _add_texts(rules: Rules) -> None:
    """text: a whole instruction, (changes, question or None, the row that it introduces first or None)."""
    file = phrases("personas")
    holes = slots("steps=asking question=then asking asked opening intro row rows body close closing todo")
    rules.add("asking", ["{steps}"], slots("steps=steps0"), _split_bare, _steps)
    rules.add("asking", file["listed"], holes, _split_todo, lambda lex, ctx, h: h["todo"])
    rules.add("intro", file["intros"], holes, lambda w, ctx, v, n: {"row": v}, lambda lex, ctx, h: h["row"])
    rules.add("close", [c.rstrip(".") for c in file["impossible"]], {}, _nothing, _true)
    rules.add("body", ["{asking}"], holes, _split_changes, lambda lex, ctx, h: (h["asking"], None))
    rules.add("body", ["{asked}"], holes, _split_question, lambda lex, ctx, h: ((), h["asked"]))
    rules.add("then", ["{question}"], slots("question"), _split_then, lambda lex, ctx, h: h["question"])
    rules.add("body", file["before"], holes, _split_before, lambda lex, ctx, h: (h["steps"], h["question"]))
    rules.add("body", file["mixed"], holes, _split_mixed, lambda lex, ctx, h: (h["steps"], h["question"]))
    for intro in (
        "",
        "{intro}. ",
    ):  # `Speech` puts a text together itself: a full stop stands or not as the persona has it
        whole = [f"[{{opening}}] {intro}{{body}} [.] [{{close}} [.]] [{{closing}}] [.]"]
        rules.add("text", whole, holes, lambda w, ctx, v, n: None, lambda lex, ctx, h: (*h["body"], h.get("intro")))


def _split_changes(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"asking": v[0]} if v[0] and not v[1] else None


def _split_question(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"asked": v[1]} if v[1] and not v[0] else None


def _split_mixed(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"steps": v[0], "question": v[1]} if v[0] and v[1] else None


def _split_then(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    w.now = len(w.order)
    return {"question": v}


def _split_before(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    """A question that comes first is not about what the changes lead to."""
    late = v[1] and any(part and part[0] == "did" for part in walk(v[1]))
    return None if late else _split_mixed(w, ctx, v, n)


def _split_asked(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {next(iter(n)): v}


def _asked(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return h.get("question") or h["wh"]


def _split_bare(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    w.wrapped = False
    return {"steps": v}


def _split_wrapped(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    w.wrapped = True
    return {"steps": v} if v[0][4] is None and v[0][5] is None else None


def _split_todo(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    """A list of what to do, where there is enough for one."""
    w.wrapped = False
    clauses, left = 0, v
    while left:
        clauses, left = clauses + 1, left[lead(left) :]
    return {"todo": v} if clauses > 2 else None

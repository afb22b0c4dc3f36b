"""A plan in words, and the words read back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from worlddb.errors import WorlddbError
from worlddb.rng import Stream
from worlddb.tasks.plan import Plan
from worlddb.tasks.say import terms
from worlddb.tasks.say.deeds import Deeds, add_arguments
from worlddb.tasks.say.figures import add_figures, add_tests, add_values
from worlddb.tasks.say.grammar import ARTICLE, ASK, BREAK, MARK, VERBATIM, Grammar, Holes, Rules, Unsayable, Writer
from worlddb.tasks.say.lexer import Text
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.rows import (
    Names,
    add_among,
    add_conditions,
    add_descriptions,
    add_lists,
    add_rows,
    add_sets,
    phrases,
)
from worlddb.tasks.say.terms import Term, of, own_key, target, walk
from worlddb.tasks.say.words import WORDS, context, row_table
from worlddb.tools.toolset import Toolset
from worlddb.tools.words import article

TRIES = 6
"""Wordings that are tried before a plan is given up."""


class Unsaid(WorlddbError):
    """A plan that no wording says without doubt."""


class Unread(WorlddbError):
    """A text that has no reading, or several."""


class Said(msgspec.Struct, frozen=True):
    """An instruction, who gives it, and in which tone."""

    text: str
    persona: str
    register: str
    literals: tuple[str, ...] = ()
    """The values that the text states, as they stand in it; `paraphrase` leaves them alone."""


# --- sentences


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
    holes: dict[str, tuple[str, Any]] = {
        "act": ("act", ""), "acts": ("acts", ""), "others": ("acts", ""), "test": ("test", ""), "ofrows": ("ofrows", ""), "rows": ("rows", ""), "clause": ("clause", ""),
        "steps": ("steps", ""),
    }  # fmt: skip

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
    holes: dict[str, tuple[str, Any]] = {
        "v": ("seen", ""), "descs": ("descs", ""), "rows": ("rows", ""), "each": ("each", ""), "record": ("record", ""), "row": ("row", ""),
        "cols": ("cols", ""), "a": ("seen", ""), "b": ("seen", ""), "more": ("record", ""), "column": ("anycolumn", ""),
    }  # fmt: skip

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
    holes: dict[str, tuple[str, Any]] = {
        "steps": ("steps0", ""), "question": ("question", ""), "body": ("body", ""), "asked": ("asked", ""), "asking": ("asking", ""), "close": ("close", ""),
        "opening": ("opening", ""), "closing": ("closing", ""), "wh": ("wh", ""),
    }  # fmt: skip
    for name, p in file["personas"].items():
        own = frozenset([name])

        def nothing(w: Writer, ctx: Any, v: Any, n: Names) -> Holes | None:
            return {}

        for symbol, key in (("opening", "openings"), ("closing", "closings")):
            rules.add(symbol, [o for o in p[key] if o], {}, nothing, lambda lex, ctx, h: True, own)
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
    rules.add("close", file["impossible"], {}, lambda w, ctx, v, n: {}, lambda lex, ctx, h: True)
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
    whole = ["[{opening}] {body} [.] [{close}] [{closing}] [.]"]
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


# --- writing


class Speech:
    """The grammar of one world with one toolset."""

    def __init__(self, lexicon: Lexicon, toolset: Toolset) -> None:
        self.lexicon = lexicon
        self.deeds = Deeds(lexicon, toolset)
        self.schema = lexicon.schema
        self.grammar = Grammar(lexicon, (shared(), self.deeds.rules()), WORDS | self.deeds.words(), context)

    @classmethod
    def of(cls, lexicon: Lexicon, toolset: Toolset) -> Speech:
        """The same one for the same two."""
        made: dict[int, tuple[Toolset, Speech]] = lexicon.__dict__.setdefault("_speeches", {})
        if id(toolset) not in made:
            made[id(toolset)] = (toolset, cls(lexicon, toolset))
        return made[id(toolset)][1]

    # --- what is spoken of

    def spoken(self, t: Term) -> tuple[dict[str, set[Term]], dict[str, set[Term]]]:
        """Table -> the rows, and table -> the sets, that a term speaks of."""
        ones: dict[str, set[Term]] = {}
        sets: dict[str, set[Term]] = {}
        for part in walk(t):
            if not part:
                continue
            if part[0] == "find":
                (sets if part[6] else ones).setdefault(part[1], set()).add(part)
            elif part[0] == "of" and len(part) == 3 and (row_table(part[1]), part[2]) in self.lexicon.roles:
                parent = target(self.schema, row_table(part[1]), part[2])
                ones.setdefault(parent, set()).add(terms.find(parent, ((own_key(self.schema, parent), "eq", part),)))
            elif part[0] == "group" and len(part) == 6 and (parent := target(self.schema, part[5][1], part[4])):
                ones.setdefault(parent, set()).add(terms.find(parent, ((own_key(self.schema, parent), "eq", part),)))
            elif part[0] == "did" and len(part) == 3:
                ones.setdefault(part[2], set()).add(part)
        return ones, sets

    def say(self, plan: Plan, stream: Stream) -> Said:
        """The plan in words that read as the plan, and as nothing else."""
        whole = self._placed(terms.term(self.schema, plan))
        wanted = terms.canonical(self.schema, _plain(whole))
        hard = plan.asked is not None and plan.asked.shape == "none"
        personas = phrases("personas")["personas"]
        why = ""
        for attempt in range(TRIES):
            draw = stream.child("say", str(attempt))
            persona = draw.pick(list(personas))
            try:
                text, literals = self._write(whole, persona, draw, hard, attempt > 1)
            except Unsayable as error:
                why = str(error)
                continue
            readings = self.readings(text)
            if readings == {wanted}:
                return Said(text, persona, personas[persona]["register"], literals)
            why = f"{len(readings)} readings: {text}"
        raise Unsaid(f"no wording: {why}")

    def _placed(self, whole: Term) -> Term:
        """The term with the table of every row that a change answers with."""
        results = [self.deeds.result(d[1]) for d in whole[1]]
        return terms.mapped(whole, lambda t: ("did", t[1], results[t[1]]) if t and t[0] == "did" and len(t) == 2 else t)  # type: ignore[no-any-return]

    def _write(self, whole: Term, persona: str, draw: Stream, hard: bool, careful: bool) -> tuple[str, tuple[str, ...]]:
        p = phrases("personas")["personas"][persona]
        ones, sets = self.spoken(whole)
        makers = [self.deeds.makes(d[1]) for d in whole[1]]
        counts = [{k: len(v) for k, v in ones.items()}, {k: len(v) for k, v in sets.items()}, "", makers]
        w = Writer(self.grammar, draw, frozenset([persona]), counts)
        w.deeds, w.careful = self.deeds, careful
        _, dos, asked = whole
        out = []
        if (opening := draw.pick(p["openings"])) != "":
            out.append(_written(w, "opening", opening))
        out.append(w.write("body", None, (dos, asked)))
        if dos and (hard or draw.chance(0.3)):
            out.append(MARK + " " + w.write("close", None, True))
        if (closing := draw.pick(p["closings"])) != "":
            out.append(MARK + " " + _written(w, "closing", closing))
        text = finish(" ".join(out), bool(p.get("low")), bool(p.get("open")) or "¶" in closing)
        return text, tuple(x for x in w.literals if x in text)

    # --- reading

    def readings(self, text: str) -> set[Term]:
        """What the text can mean: canonical terms."""
        found = set()
        for dos, asked in self.grammar.readings(Text(text), "text"):
            t = self.resolved(("plan", dos, asked))
            if t is not None:
                found.add(terms.canonical(self.schema, t))
        return found

    def read(self, text: str) -> Plan:
        """The plan that the text means.

        Raises:
            Unread: it means nothing, or several things.
        """
        found: dict[Term, Term] = {}
        for dos, asked in self.grammar.readings(Text(text), "text"):
            t = self.resolved(("plan", dos, asked))
            if t is not None:
                found[terms.canonical(self.schema, t)] = t
        if len(found) != 1:
            raise Unread(f"{len(found)} readings of: {text[:300]}" if found else f"no reading of: {text[:300]}")
        return terms.plan(next(iter(found.values())))

    def resolved(self, t: Term) -> Term | None:
        """The term with everything that points elsewhere in the text replaced by it; None where that is in doubt."""
        dos = []
        for do in t[1]:
            made = self._bound(do)
            if made is None:
                return None
            dos.append(made)
        whole: Term = ("plan", tuple(dos), t[2])
        made_by = [d[1] for d in whole[1]]
        for _ in range(4):
            tags = {x[0] for x in walk(whole) if x and isinstance(x[0], str)}
            if not tags & {"again", "new", "those"}:
                break
            ones, sets = self.spoken(whole)
            whole = terms.mapped(whole, lambda x: self._pointed(x, ones, sets, made_by) if x else x)
        if any(x and x[0] in ("again", "new", "those", "its") for x in walk(whole)):
            return None
        return _plain(whole)

    def _bound(self, do: Term) -> Term | None:
        """A change with 'it' and 'its' bound to the rows that it is made for."""
        if not any(x and x[0] == "its" for x in walk(do[2])):
            return do
        if do[3] is None:
            return None
        table = row_table(do[3])

        def change(x: Term) -> Term:
            if not x or x[0] != "its":
                return x
            fit = [c for t, c in x[1] if t == table]
            return ("item", fit[0]) if len(fit) == 1 else x

        return (do[0], do[1], terms.mapped(do[2], change), *do[3:])

    def _pointed(self, x: Term, ones: dict[str, set[Term]], sets: dict[str, set[Term]], made_by: list[str]) -> Term:
        if x[0] == "new" and len(x) == 2:
            fit = [i for i, tool in enumerate(made_by) if self.deeds.result(tool) == x[1] and self.deeds.makes(tool)]
            return ("did", fit[0], x[1]) if len(fit) == 1 else x
        if x[0] in ("again", "those") and len(x) == 2:
            known = [k for k in (ones if x[0] == "again" else sets).get(x[1], ()) if not _points(k)]
            return known[0] if len(known) == 1 else x
        if x[0] == "of":  # the row may have become one that is named by its key alone
            return of(self.schema, x[1], x[2]) if len(x) == 3 and isinstance(x[1], tuple) else x
        return x


def _points(t: Term) -> bool:
    return any(x and x[0] in ("again", "new", "those", "its") for x in walk(t))


def _plain(whole: Term) -> Term:
    return terms.mapped(whole, lambda t: ("did", t[1]) if t and t[0] == "did" else t)  # type: ignore[no-any-return]


def _written(w: Writer, symbol: str, pattern: str) -> str:
    """One of the productions of a symbol that a pattern stands for."""
    from worlddb.tasks.say.grammar import alternatives, pieces

    text = w.stream.pick(alternatives(re.sub(r"^\d+\* ", "", pattern)))
    signs = {
        "mark": lambda t: MARK + (t if t == "!" else ""),
        "ask": lambda t: ASK,
        "break": lambda t: {"¶": BREAK * 2, "↵": BREAK}[t],
    }
    out = []
    for kind, piece, space in pieces(text):
        lead = " " if space and kind not in ("mark", "break") else ""
        out.append(lead + (signs[kind](piece) if kind in signs else piece))
    return "".join(out)


_NEXT = re.compile(rf"{ARTICLE} ({VERBATIM}?)([\"“«]?)(\S+)")


def finish(written: str, low: bool, unfinished: bool) -> str:
    """What a writer wrote as people see it: articles, full stops, question marks, capitals, line breaks."""
    text = _NEXT.sub(lambda m: f"{article(m.group(3)).split(' ')[0]} {m.group(1)}{m.group(2)}{m.group(3)}", written)
    text = re.sub(rf"[ ]*{MARK}(?:[ ]*{MARK}(?!!))*", MARK, text + MARK)
    text = re.sub(rf"([,:;]){MARK}", r"\1", text).replace(" , ", ", ")
    out, question = [], False
    for i, piece in enumerate(re.split(f"([{MARK}{ASK}])", text)):
        if i % 2 == 0:
            out.append(piece)
        elif piece == ASK:
            question = True
        else:
            out.append("\0?" if question else "\0.")
            question = False
    text = re.sub(r"\0[.?](?=!)|(?<=!)\0[.?]", "", "".join(out))
    text = re.sub(rf"[ ]*({BREAK}+)[ ]*", lambda m: "\n" * len(m.group(1)), text)
    if not low:
        text = re.sub(
            rf"(^|\0[.?] |! |\n)(?!{VERBATIM})([a-z])(?![\w.]*@)", lambda m: m.group(1) + m.group(2).upper(), text
        )
    text = text.replace("\0", "").replace(VERBATIM, "")
    return text[:-1] if unfinished and text.endswith(".") else text

"""A plan in words, and the words read back."""

from __future__ import annotations

import re

import msgspec

from worlddb.errors import WorlddbError
from worlddb.rng import Stream
from worlddb.tasks.plan import Plan
from worlddb.tasks.say import terms
from worlddb.tasks.say.deeds import Deeds
from worlddb.tasks.say.forms import phrases
from worlddb.tasks.say.grammar import (
    ARTICLE,
    ASK,
    BREAK,
    MARK,
    VERBATIM,
    Grammar,
    TooInvolved,
    Unsayable,
    Writer,
    alternatives,
    pieces,
)
from worlddb.tasks.say.lexer import Text
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.sentences import shared
from worlddb.tasks.say.terms import Term, of, own_key, target, walk
from worlddb.tasks.say.words import WORDS, context, row_table
from worlddb.tools.toolset import Toolset
from worlddb.tools.words import article

TRIES = 6
"""Wordings that are tried before a plan is given up."""
WAYS = 64
"""Ways in which a wording may be taken apart at most, were they all to mean the same."""


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
            if self._reads_as(text, wanted):
                return Said(text, persona, personas[persona]["register"], literals)
            why = f"another reading, or none: {text}"
        raise Unsaid(f"no wording: {why}")

    def _placed(self, whole: Term) -> Term:
        """The term with the table of every row that a change answers with."""
        results = [self.deeds.result(d[1]) for d in whole[1]]

        def place(t: Term) -> Term:
            return ("did", t[1], results[t[1]]) if t and t[0] == "did" and len(t) == 2 else t

        return terms.mapped(whole, place)

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

    def _reads_as(self, text: str, wanted: Term) -> bool:
        """True where the text means this and nothing else; a text that can be taken apart in very many ways is not for people."""
        try:
            found = self.grammar.readings(Text(text), "text")
        except TooInvolved:
            return False
        if len(found) > WAYS:
            return False
        read = False
        for dos, asked in found:
            t = self.resolved(("plan", dos, asked))
            if t is not None and terms.canonical(self.schema, t) != wanted:
                return False
            read |= t is not None
        return read

    def read(self, text: str) -> Plan:
        """The plan that the text means.

        Raises:
            Unread: it means nothing, or several things.
        """
        found: dict[Term, Term] = {}
        try:
            parsed = self.grammar.readings(Text(text), "text")
        except TooInvolved:
            raise Unread(f"too many readings of: {text[:300]}") from None
        for dos, asked in parsed:
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
            whole = self._followed(whole, ones, sets, made_by)
        if any(x and x[0] in ("again", "new", "those", "its") for x in walk(whole)):
            return None
        return _plain(whole)

    def _followed(
        self, whole: Term, ones: dict[str, set[Term]], sets: dict[str, set[Term]], made_by: list[str]
    ) -> Term:
        return terms.mapped(whole, lambda x: self._pointed(x, ones, sets, made_by) if x else x)

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
    return terms.mapped(whole, lambda t: ("did", t[1]) if t and t[0] == "did" else t)


def _written(w: Writer, symbol: str, pattern: str) -> str:
    """One of the productions of a symbol that a pattern stands for."""
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

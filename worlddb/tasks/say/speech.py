"""A plan in words, and the words read back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

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
from worlddb.tasks.say.nouns import posts_symbols
from worlddb.tasks.say.rows import last_did
from worlddb.tasks.say.sentences import shared
from worlddb.tasks.say.terms import Term, of, own_key, target, walk
from worlddb.tasks.say.topics import is_doubled, is_long, is_row, weight
from worlddb.tasks.say.veil import VeiledWriter, Worn, readings
from worlddb.tasks.say.words import WORDS, context, row_table
from worlddb.tools.toolset import Toolset
from worlddb.tools.words import article

_POINTERS = ("again", "new", "those", "its", "after")
"""Tags of what a text says by pointing elsewhere in it."""
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
        self.grammar = Grammar(
            lexicon, (shared(), self.deeds.rules()), WORDS | posts_symbols() | self.deeds.words(), context
        )

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

    def say(self, plan: Plan, stream: Stream, veils: Mapping[Term, str] | None = None) -> Said:
        """The plan in words that read as the plan, and as nothing else; `veils` hide some of its terms (see `veil`)."""
        whole = self._placed(terms.term(self.schema, plan))
        wanted = terms.canonical(self.schema, _plain(whole))
        hard = plan.asked is not None and plan.asked.shape == "none"
        personas = phrases("personas")["personas"]
        why = ""
        for attempt in range(TRIES):
            draw = stream.child("say", str(attempt))
            persona = draw.pick(list(personas))
            try:
                text, literals, worn = self._write(whole, persona, draw, hard, max(0, attempt - 1), veils or {})
            except Unsayable as error:
                why = str(error)
                continue
            if self._reads_as(text, wanted, worn):
                return Said(text, persona, personas[persona]["register"], literals)
            why = f"another reading, or none: {text}"
        raise Unsaid(f"no wording: {why}")

    def _placed(self, whole: Term) -> Term:
        """The term with the table of every row that a change answers with."""
        results = [self.deeds.result(d[1]) for d in whole[1]]

        def place(t: Term) -> Term:
            return ("did", t[1], results[t[1]]) if t and t[0] == "did" and len(t) == 2 else t

        return terms.mapped(whole, place)

    def _write(
        self, whole: Term, persona: str, draw: Stream, hard: bool, careful: int, veils: Mapping[Term, str]
    ) -> tuple[str, tuple[str, ...], tuple[Worn, ...]]:
        p = phrases("personas")["personas"][persona]
        ones, sets = self.spoken(whole)
        makers = [(self.deeds.result(d[1]), self.deeds.makes(d[1])) for d in whole[1]]
        counts = [{k: len(v) for k, v in ones.items()}, {k: len(v) for k, v in sets.items()}, "", makers]
        registers = frozenset([persona])
        w = (
            VeiledWriter(self.grammar, draw, registers, counts, veils)
            if veils
            else Writer(self.grammar, draw, registers, counts)
        )
        w.deeds, w.careful, w.order = self.deeds, careful, [d[:4] for d in whole[1]]
        w.now = len(w.order)
        _, dos, asked = whole
        out = []
        if (opening := draw.pick(p["openings"])) != "":
            out.append(_written(w, "opening", opening))
        if not careful and (topic := self._topic(whole, ones, sets, draw)) is not None:
            out.append(w.write("intro", None, topic) + MARK)
            alone = not dos and asked is not None and all(v[0] == "of" and v[1] == topic for v in asked[1])
            w.topic = topic if alone else None
        out.append(w.write("body", None, (dos, asked)))
        after = MARK + (BREAK if BREAK in out[-1] else " ")
        if dos and (hard or draw.chance(0.3)):
            out.append(after + w.write("close", None, True))
            after = MARK + " "
        if (closing := draw.pick(p["closings"])) != "":
            out.append(after + _written(w, "closing", closing))
        text = finish(" ".join(out), bool(p.get("low")), bool(p.get("open")) or "¶" in closing)
        return text, tuple(x for x in w.literals if x in text), tuple(w.worn) if isinstance(w, VeiledWriter) else ()

    def phrase(self, symbol: str, ctx: Any, term: Term, stream: Stream) -> tuple[str, tuple[str, ...]]:
        """A value ('const', at a place) or a row ('row') by itself, as words that read as it and as nothing else; and the values
        that they state.

        Raises:
            Unsaid: there are no such words.
        """
        ones, sets = self.spoken(("plan", (), ("value", (term,))))
        counts = [{k: len(v) for k, v in ones.items()}, {k: len(v) for k, v in sets.items()}, "", []]
        for attempt in range(TRIES):
            w = Writer(self.grammar, stream.child("phrase", str(attempt)), frozenset(), counts)
            w.deeds, w.careful = self.deeds, max(0, attempt - 1)
            try:
                text = finish(w.write(symbol, ctx, term), True, True)
            except Unsayable:
                continue
            read = readings(self.grammar, Text(text), symbol, (), ctx)
            if read and all(terms.canonical(self.schema, r) == terms.canonical(self.schema, term) for r in read):
                return text, tuple(x for x in w.literals if x in text)
        raise Unsaid(f"no words for {str(term)[:160]}")

    def _topic(self, whole: Term, ones: dict[str, set[Term]], sets: dict[str, set[Term]], draw: Stream) -> Term | None:
        """A row that takes long to describe, to be introduced in a sentence of its own; None where none does.

        It is the only one of its table, so that 'that booking' says which, and leaves about half of all rows to the rest.
        """
        total = weight(whole)
        if not draw.chance({0: 0.0, 1: 0.0, 2: 0.25, 3: 0.7}.get(total, 0.85)):
            return None
        alone = sorted((t for table, own in ones.items() if len(own) == 1 and table not in sets for t in own), key=repr)
        mentioned = {part for part in walk(whole) if is_row(part)}
        fit = [t for t in alone if t in mentioned and is_long(t)]
        return min(fit, key=lambda t: max(weight(t), total - weight(t)), default=None)

    # --- reading

    def _reads_as(self, text: str, wanted: Term, worn: tuple[Worn, ...] = ()) -> bool:
        """True where the text means this and nothing else; a text that can be taken apart in very many ways is not for people."""
        try:
            found = readings(self.grammar, Text(text), "text", worn)
        except TooInvolved:
            return False
        if len(found) > WAYS:
            return False
        read = False
        for dos, asked, topic in found:
            t = self.resolved(("plan", dos, asked), topic)
            if t is not None and terms.canonical(self.schema, t) != wanted:
                return False
            read |= t is not None
        return read

    def misread(self, text: str, plan: Plan) -> bool:
        """True where the text can be read as something else than the plan; a text that cannot be read is not misread."""
        wanted = terms.canonical(self.schema, _plain(self._placed(terms.term(self.schema, plan))))
        try:
            found = self.grammar.readings(Text(text), "text")
        except TooInvolved:
            return False
        meant = (self.resolved(("plan", dos, asked), topic) for dos, asked, topic in found)
        return any(t is not None and terms.canonical(self.schema, t) != wanted for t in meant)

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
        for dos, asked, topic in parsed:
            t = self.resolved(("plan", dos, asked), topic)
            if t is not None:
                found[terms.canonical(self.schema, t)] = t
        if len(found) != 1:
            raise Unread(f"{len(found)} readings of: {text[:300]}" if found else f"no reading of: {text[:300]}")
        return terms.plan(next(iter(found.values())))

    def resolved(self, t: Term, topic: Term | None = None) -> Term | None:
        """The term with everything that points elsewhere in the text replaced by it; None where that is in doubt.

        `topic` is the row that the text introduces before anything else.
        """
        dos = []
        for do in t[1]:
            made = self._bound(do)
            if made is None:
                return None
            dos.append(made)
        asked = t[2]
        if asked is not None and topic is not None:
            asked = terms.mapped(asked, lambda x: _owned(x, topic))
        results = [(self.deeds.result(d[1]), self.deeds.makes(d[1])) for d in dos]
        dos = [_finished(d, results[:i]) for i, d in enumerate(dos)]
        whole: Term = ("plan", tuple(dos), _finished(asked, results), topic or ())
        for _ in range(4):
            if not any(x and x[0] in ("again", "those") for x in walk(whole)):
                break
            whole = self._followed(whole)
        if any((x and x[0] in _POINTERS) or is_doubled(x) for x in walk(whole)):
            return None
        return _plain(whole[:3])

    def _followed(self, whole: Term) -> Term:
        ones, sets = self.spoken(whole)
        return terms.mapped(whole, lambda x: self._pointed(x, ones, sets) if x else x)

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

    def _pointed(self, x: Term, ones: dict[str, set[Term]], sets: dict[str, set[Term]]) -> Term:
        if x[0] in ("again", "those") and len(x) == 2:
            known = [k for k in (ones if x[0] == "again" else sets).get(x[1], ()) if not _points(k)]
            return known[0] if len(known) == 1 else x
        if x[0] == "of":  # the row may have become one that is named by its key alone
            return of(self.schema, x[1], x[2]) if len(x) == 3 and isinstance(x[1], tuple) else x
        return x


def _finished(t: Any, results: list[tuple[str, bool]]) -> Any:
    """A term after some changes, with what it says of their results pointed at them."""
    return terms.mapped(t, lambda x: _done(x, results))


def _done(x: Term, results: list[tuple[str, bool]]) -> Term:
    """'The new booking': the one made last so far; 'the booking after that': the one changed last."""
    if not x or x[0] not in ("new", "after") or len(x) != 2:
        return x
    found = last_did(results, x[1], x[0] == "new")
    return ("did", found, x[1]) if found >= 0 else x


def _owned(x: Term, topic: Term) -> Term:
    """'its …' after a row has been introduced."""
    if not x or x[0] != "its" or len(x) != 2:
        return x
    fit = [c for t, c in x[1] if t == row_table(topic)]
    return ("of", topic, fit[0]) if len(fit) == 1 else x


def _points(t: Term) -> bool:
    return any(x and x[0] in _POINTERS for x in walk(t))


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
    text = re.sub(rf"[ ]*({BREAK}(?:[ ]*{BREAK})*)[ ]*", lambda m: "\n" * min(2, m.group(1).count(BREAK)), text)
    if not low:
        text = re.sub(
            rf"(^|\0[.?] |! |\n(?:- |{VERBATIM}\d+\) )?)(?!{VERBATIM})([a-z])(?![\w.]*@)",
            lambda m: m.group(1) + m.group(2).upper(),
            text,
        )
    text = text.replace("\0", "").replace(VERBATIM, "")
    return text[:-1] if unfinished and text.endswith(".") else text

"""The symbols that no production spells out: nouns, columns, roles, values.  Each has a function that writes and a reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from worlddb.tasks.say.constants import CONSTANTS, pick, refuse
from worlddb.tasks.say.constants import spellings as spellings  # for those who say values elsewhere
from worlddb.tasks.say.grammar import ARTICLE, Read, Reading, Write, Writer
from worlddb.tasks.say.labels import in_plural, several
from worlddb.tasks.say.lexer import Text
from worlddb.tasks.say.lexicon import Lexicon, Pair
from worlddb.tasks.say.phrasebook import Phrases
from worlddb.tasks.say.terms import Term, target

NUMBER = ("", "number")
"""The place of a figure."""


def place_of(lex: Lexicon, t: Any) -> Pair:
    """(table, column) that a value term is of; ('', 'number') for a figure."""
    tag = t[0]
    if tag == "const":
        return (t[2], t[3])
    if tag == "of":
        return (row_table(t[1]), t[2])
    if tag == "each":
        return (t[1][1], t[2])
    if tag == "fold":
        return ("", "number") if t[1] == "count" else (t[3][1], t[2])
    if tag == "group":
        return (t[5][1], t[4])
    if tag == "calc":
        return ("", "number") if t[1] == "days_between" else place_of(lex, t[2])
    return ("", "number")


def row_table(t: Term) -> str:
    """The table of a row term."""
    return str(t[2] if t[0] == "did" else t[1])


def context(lex: Lexicon, value: Any) -> Any:
    """The context that what stands in one hole gives another: a table, a (table, column), or that of a value."""
    if isinstance(value, str):
        return value
    if value[0] in ("find", "did", "again", "new", "those", "after"):
        return row_table(value)
    if value[0] == "param":
        return value[2:]
    if isinstance(value[0], str) and len(value) == 2 and isinstance(value[1], str) and value[0] not in ("its", "item"):
        return value
    return place_of(lex, value)


# --- words of the lexicon


def _phrases(which: Callable[[Lexicon], Phrases], say: Callable[[Lexicon, Any], str]) -> tuple[Write, Read]:
    return (lambda w, ctx, v: say(w.lexicon, v)), (lambda lex, text, ctx, i: list(which(lex).read(text, i)))


def _column(w: Writer, ctx: Any, place: Pair) -> str:
    return w.lexicon.label(place)


def _read_column(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
    found = lex.columns.get(ctx)
    return list(found.read(text, i)) if found else []


def _read_noun(which: int) -> Read:
    def read(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
        return list(lex.nouns[which].read(text, i))

    return read


def _extreme(w: Writer, ctx: Any, v: Any) -> str:
    (table, column, desc) = v[0]
    return pick(w, w.lexicon.extremes[table][column, desc])


def _participle(lex: Lexicon, place: Pair) -> str:
    """'checked out' for a moment called 'checked out at'; '' for others."""
    words = lex.words.column_label(*place).split(" ")
    fit = (
        lex.kind(place) in ("date", "datetime")
        and len(words) > 1
        and words[-1] in ("at", "on")
        and not lex.is_a(place, "created_at")
    )
    return " ".join(words[:-1]) if fit and words[0].endswith(("ed", "sent", "paid", "done")) else ""


VIA: dict[str, Callable[[Lexicon, Pair], str]] = {
    "stamp": _participle,
    "role": lambda lex, p: lex.roles.get(p, ""),
    "type": lambda lex, p: lex.label(p) if lex.is_kind(p) else "",
    "adjective": lambda lex, p: f.words if (f := lex.flag(p)).shape == "adjective" else "",
    "noun": lambda lex, p: f.words if (f := lex.flag(p)).shape == "noun" else "",
    "can": lambda lex, p: f.words if (f := lex.flag(p)).shape == "can" else "",
    "base": lambda lex, p: f.words if (f := lex.flag(p)).shape == "verb" else "",
    "verbs": lambda lex, p: f.third if (f := lex.flag(p)).shape == "verb" else "",
    "verb": lambda lex, p: f.words if (f := lex.flag(p)).shape == "verb" else "",
}
"""Other words for a column than its label, by what they are: '' for a column that has none."""
_VIA_KINDS = {"stamp": ("date", "datetime"), "role": ("link",), "type": ("enum",)}


def via(name: str) -> tuple[Write, Read]:
    """The symbol of columns (of the table at hand) by such words."""
    say, kinds = VIA[name], _VIA_KINDS.get(name, ("flag",))

    def write(w: Writer, ctx: Any, place: Pair) -> str:
        return say(w.lexicon, place) or refuse(place[1])

    def read(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
        made: dict[Any, Phrases] = lex.__dict__.setdefault(f"_via_{name}", {})
        if ctx not in made:
            made[ctx] = Phrases()
            for c in lex.schema[ctx].columns:
                if lex.kind((ctx, c.key)) in kinds and (words := say(lex, (ctx, c.key))):
                    made[ctx].add(words, (ctx, c.key))
        return list(made[ctx].read(text, i))

    return write, read


ONLY: dict[str, Callable[[Lexicon, Pair], bool]] = {
    "state": lambda lex, p: lex.kind(p) == "state",
    "city": lambda lex, p: lex.is_a(p, "city"),
    "price": lambda lex, p: lex.is_a(p, "price") and lex.kind(p) == "money",
    "created": lambda lex, p: lex.is_a(p, "created_at"),
    "due": lambda lex, p: lex.is_a(p, "due_date"),
    "start": lambda lex, p: lex.is_a(p, "start_at") or lex.is_a(p, "start_date"),
    "end": lambda lex, p: lex.is_a(p, "end_at") or lex.is_a(p, "end_date"),
}
"""What a table has at most one column of for the words of a condition to do without the column's name."""


def only(name: str) -> tuple[Write, Read]:
    """The symbol, written as nothing, of the one column of the table at hand that is so."""
    test = ONLY[name]

    def one(lex: Lexicon, table: str) -> Pair | None:
        made: dict[Any, Pair | None] = lex.__dict__.setdefault(f"_only_{name}", {})
        if table not in made:
            found = [(table, c.key) for c in lex.schema[table].columns if test(lex, (table, c.key))]
            made[table] = found[0] if len(found) == 1 else None
        return made[table]

    def write(w: Writer, ctx: Any, place: Pair) -> str:
        return "" if one(w.lexicon, place[0]) == place else refuse(place[1])

    def read(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
        place = one(lex, ctx)
        return [(i, place)] if place else []

    return write, read


def with_article(symbol: tuple[Write, Read]) -> tuple[Write, Read]:
    """A symbol with its indefinite article, where it is one thing: 'a price', but 'seats'."""
    say, read = symbol

    def write(w: Writer, ctx: Any, v: Any) -> str:
        text = say(w, ctx, v)
        return text if in_plural(text) else f"{ARTICLE} {text}"

    def reads(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
        found = [
            (e, v) for e, v in read(lex, text, ctx, i) if in_plural(text.raw[text.start[i] : text.end[e - 1]].lower())
        ]
        if i < text.n and text.low[i] in ("a", "an"):
            found += [(e, v) for e, v in read(lex, text, ctx, i + 1)]
        return found

    return write, reads


def _link_write(w: Writer, ctx: Any, place: Pair) -> str:
    """References that need no word of their role: the parent is called by its own noun, or it is the only such reference."""
    table, column = place
    parent = target(w.lexicon.schema, table, column)
    alone = sum(p == parent for _, p in w.lexicon.links[table]) == 1
    return "" if alone or w.lexicon.roles[place] == w.lexicon.words.label(parent) else refuse(column)


def _link_read(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
    found = []
    for column, parent in lex.links[ctx]:
        alone = sum(p == parent for _, p in lex.links[ctx]) == 1
        if alone or lex.roles[ctx, column] == lex.words.label(parent):
            found.append((i, (ctx, column)))
    return found


WORDS: dict[str, tuple[Write, Read]] = {
    **CONSTANTS,
    "noun": (lambda w, ctx, v: w.lexicon.words.label(v), _read_noun(0)),
    "nouns": (lambda w, ctx, v: w.lexicon.words.labels(v), _read_noun(1)),
    "column": (_column, _read_column),
    "anycolumn": _phrases(lambda lex: lex.column_phrases[0], lambda lex, v: lex.label(v[0])),
    "anycolumns": _phrases(lambda lex: lex.column_phrases[1], lambda lex, v: _several(lex, v[0])),
    "role": _phrases(lambda lex: lex.role_phrases[0], lambda lex, v: lex.roles[v[0]]),
    "roles": _phrases(lambda lex: lex.role_phrases[1], lambda lex, v: _several_roles(lex, v[0])),
    "adj": _phrases(
        lambda lex: lex.adjective_phrases, lambda lex, v: lex.adjectives[v[0][0]][v[0][1][0], v[0][1][1], v[0][1][2][1]]
    ),
    "extreme": (_extreme, lambda lex, text, ctx, i: list(lex.extreme_phrases.read(text, i))),
    "link": (_link_write, _link_read),
    **{f"via_{n}": via(n) for n in VIA},
    **{f"only_{n}": only(n) for n in ONLY},
}


def _several(lex: Lexicon, place: Pair) -> str:
    return several(lex.label(place))


def _several_roles(lex: Lexicon, place: Pair) -> str:
    return several(lex.roles[place])


WORDS |= {f"a_{name}": with_article(WORDS[name]) for name in ("column", "via_role")}

"""The symbols that no production spells out: nouns, columns, roles, values.  Each has a function that writes and a reader."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from worlddb.tasks.say import values
from worlddb.tasks.say.grammar import ARTICLE, Read, Reading, Unsayable, Write, Writer
from worlddb.tasks.say.lexer import Text
from worlddb.tasks.say.lexicon import Lexicon, Pair, Phrases
from worlddb.tasks.say.terms import Term, own_key, target
from worlddb.tools.words import plural, singular


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
    if value[0] in ("find", "did", "again", "new", "those"):
        return row_table(value)
    if value[0] == "param":
        return value[2:]
    if isinstance(value[0], str) and len(value) == 2 and isinstance(value[1], str) and value[0] not in ("its", "item"):
        return value
    return place_of(lex, value)


def _pick(w: Writer, options: tuple[str, ...] | list[str]) -> str:
    """One of the options, the first ones likelier."""
    n = len(options)
    if n == 0:
        raise Unsayable("no spelling")
    return options[min(w.stream.below(n), w.stream.below(n))]


# --- constants


def say_const(w: Writer, ctx: Any, t: Term) -> str:
    """A stored value; at a place (table, column), or at its own."""
    if t[0] != "const":
        raise Unsayable("not a constant")
    options = spellings(w.lexicon, ctx if isinstance(ctx, tuple) and len(ctx) == 2 else (t[2], t[3]), t[1])
    return w.literal(_pick(w, options))


def spellings(lex: Lexicon, place: Pair, value: Any) -> list[str]:
    """Every way to say a stored value."""
    kind = lex.kind(place)
    if value is None:
        return ["blank"]
    if kind == "flag":
        return ["yes" if value else "no"]
    if isinstance(value, str):
        if kind in ("state", "enum"):
            said = lex.said(place)
            return (
                [said[value]] if value in said else [t for t in values.texts(value) if t[0] in '"“'] or [f'"{value}"']
            )
        if kind == "date" and len(value) == 10:
            return list(values.days(value, lex.year))
        if kind == "datetime":
            return list(values.moments(value, lex.year)) or list(values.texts(value))
        if kind == "time":
            return list(values.clocks(value))
        return list(values.texts(value))
    if kind in ("key", "link"):
        return [str(value)]
    found = list(values.numbers(value, kind == "money"))
    if kind == "money" and lex.currency:
        code, sign = lex.currency, lex.symbol
        near = f"{sign} {found[0]}" if sign.isalpha() else f"{sign}{found[-1]}"
        return [
            near,
            f"{code} {found[0]}",
            f"{found[-1]} {code}",
            f"{sign}{found[0]}" if not sign.isalpha() else f"{code} {found[-1]}",
        ]
    if kind == "money":
        return found[:2]
    if (unit := lex.unit(place)) is not None:
        words = unit[0] if value == 1 else unit[1]
        return [f"{f}{words}" if words == "%" else f"{f} {words}" for f in found] + found[:1]
    return found


def read_const(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
    """A stored value of that place."""
    if not (isinstance(ctx, tuple) and len(ctx) == 2) or i >= text.n:
        return []
    found = [(end, ("const", value, *ctx)) for end, value in _stored(lex, text, ctx, i)]
    if text.low[i] == "blank" and lex.kind(ctx) not in ("key",):
        found.append((i + 1, ("const", None, *ctx)))
    return found


def _stored(lex: Lexicon, text: Text, place: Pair, i: int) -> list[tuple[int, Any]]:
    kind = lex.kind(place)
    if kind in ("state", "enum"):
        return lex.phrases(place).read(text, i)
    if kind == "flag":
        known = {"yes": 1, "no": 0}
        return [(i + 1, known[text.low[i]])] if text.low[i] in known else []
    if kind == "money":
        return values.read_money(text, i, lex.currency, lex.symbol, False)
    if kind in ("number", "real"):
        unit = lex.unit(place)
        return values.read_number(text, i, unit or (), kind == "real")
    if kind == "date":
        return values.read_date(text, i, lex.year)
    if kind == "datetime":
        return values.read_moment(text, i, lex.year) or values.read_text(text, i)
    if kind == "time":
        return [(e, v[:5] if v.endswith(":00") else v) for e, v in values.read_clock(text, i)]
    if kind in ("key", "link") and lex.schema[place[0]].key_style == "integer" and kind == "key":
        return values.read_number(text, i, (), False)
    return list(values.read_text(text, i))


def say_number(w: Writer, ctx: Any, t: Any) -> str:
    """A plain number, small ones in words."""
    value = t[1] if isinstance(t, tuple) else t
    if not isinstance(value, int) or value < 0:
        raise Unsayable("no number")
    return w.literal(values.SMALL[value] if value <= 12 and w.stream.chance(0.7) else str(value))


def read_number(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
    """A plain number."""
    return list(values.read_number(text, i, (), False))


# --- names of rows


def say_name(w: Writer, ctx: Any, value: str) -> str:
    """A name or code, in quotation marks where it needs them."""
    return w.literal(values.texts(value)[0]) if values.texts(value) else _no(value)


def _no(value: str) -> str:
    raise Unsayable(f"cannot be quoted: {value[:60]}")


def read_name(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
    """A name or code of anything."""
    return list(values.read_text(text, i))


def say_title(w: Writer, ctx: str, t: Term) -> str:
    """The title of a row of the table at hand."""
    return say_name(w, ctx, t[1])


def read_title(lex: Lexicon, text: Text, ctx: str, i: int) -> list[Reading]:
    """The title of a row of the table at hand; not what looks like its key."""
    title = lex.schema[ctx].title
    return (
        [(e, ("const", v, ctx, title)) for e, v in values.read_text(text, i) if not _is_code(lex, ctx, v)]
        if title
        else []
    )


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _is_code(lex: Lexicon, table: str, value: str) -> bool:
    """True for what looks like a key of the table."""
    style, prefix = lex.schema[table].key_style, lex.schema[table].code_prefix
    if style == "code" and prefix:
        return value.startswith(f"{prefix}-") and value[len(prefix) + 1 :].isdigit()
    return style == "uuid" and bool(_UUID.fullmatch(value))


def say_ident(w: Writer, ctx: str, t: Term) -> str:
    """The key of a row of the table at hand."""
    return w.literal(str(t[1]))


def read_ident(lex: Lexicon, text: Text, ctx: str, i: int) -> list[Reading]:
    """The key of a row of the table at hand; not what could be its title."""
    key = own_key(lex.schema, ctx)
    if not key:
        return []
    if lex.schema[ctx].key_style == "integer":
        found: list[tuple[int, Any]] = [] if lex.schema[ctx].title else values.read_number(text, i, (), False)
    else:
        alone = not lex.schema[ctx].title
        found = [(e, v) for e, v in values.read_text(text, i) if alone or _is_code(lex, ctx, v)]
    return [(e, ("const", v, ctx, key)) for e, v in found]


def read_state(lex: Lexicon, text: Text, ctx: str, i: int) -> list[Reading]:
    """A state of the table at hand."""
    machine = lex.schema[ctx].lifecycle
    return read_const(lex, text, (ctx, machine.column), i) if machine else []


def say_state(w: Writer, ctx: str, t: Term) -> str:
    """A state of the table at hand."""
    machine = w.lexicon.schema[ctx].lifecycle
    return say_const(w, (ctx, machine.column), t) if machine else _no(ctx)


def say_today(w: Writer, ctx: Any, t: Term) -> str:
    """A date or moment that is of no column."""
    kind = "date" if isinstance(t[1], str) and len(t[1]) == 10 else "datetime"
    return say_const(w, ("", kind), t)


def read_today(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
    """A date or moment that is of no column."""
    found = read_const(lex, text, ("", "date"), i)
    return [*found, *((e, t) for e, t in read_const(lex, text, ("", "datetime"), i) if t[1] and len(t[1]) == 19)]


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
    return _pick(w, w.lexicon.extremes[table][column, desc])


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
    "adjective": lambda lex, p: f.words if (f := lex.flag(p)).shape == "adjective" else "",
    "noun": lambda lex, p: f.words if (f := lex.flag(p)).shape == "noun" else "",
    "base": lambda lex, p: f.words if (f := lex.flag(p)).shape == "verb" else "",
    "verbs": lambda lex, p: lex.words.column_label(*p) if lex.flag(p).shape == "verb" else "",
    "verb": lambda lex, p: f.words if (f := lex.flag(p)).shape == "verb" else "",
}
"""Other words for a column than its label, by what they are: '' for a column that has none."""
_VIA_KINDS = {"stamp": ("date", "datetime"), "role": ("link",)}


def via(name: str) -> tuple[Write, Read]:
    """The symbol of columns (of the table at hand) by such words."""
    say, kinds = VIA[name], _VIA_KINDS.get(name, ("flag",))

    def write(w: Writer, ctx: Any, place: Pair) -> str:
        return say(w.lexicon, place) or _no(place[1])

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
        return "" if one(w.lexicon, place[0]) == place else _no(place[1])

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


@lru_cache(8192)
def in_plural(text: str) -> bool:
    """True for a label that means several: seats, dates of birth."""
    head = text.partition(" of ")[0].partition(" in ")[0].replace(" ", "_").lower()
    return head.isascii() and '"' not in head and singular(head) != head and plural(singular(head)) == head


def _link_write(w: Writer, ctx: Any, place: Pair) -> str:
    """References that need no word of their role: the parent is called by its own noun, or it is the only such reference."""
    table, column = place
    parent = target(w.lexicon.schema, table, column)
    alone = sum(p == parent for _, p in w.lexicon.links[table]) == 1
    return "" if alone or w.lexicon.roles[place] == w.lexicon.words.label(parent) else _no(column)


def _link_read(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
    found = []
    for column, parent in lex.links[ctx]:
        alone = sum(p == parent for _, p in lex.links[ctx]) == 1
        if alone or lex.roles[ctx, column] == lex.words.label(parent):
            found.append((i, (ctx, column)))
    return found


WORDS: dict[str, tuple[Write, Read]] = {
    "const": (say_const, read_const),
    "k": (say_number, read_number),
    "figure": (say_number, read_number),
    "rowstate": (say_state, read_state),
    "today": (say_today, read_today),
    "name": (say_name, read_name),
    "title": (say_title, read_title),
    "ident": (say_ident, read_ident),
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
    from worlddb.tasks.say.lexicon import several

    return several(lex.label(place))


def _several_roles(lex: Lexicon, place: Pair) -> str:
    from worlddb.tasks.say.lexicon import several

    return several(lex.roles[place])


WORDS |= {f"a_{name}": with_article(WORDS[name]) for name in ("column", "via_role")}

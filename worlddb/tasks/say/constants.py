"""The symbols of stated values: constants, numbers, dates, names and keys.  Each has a function that writes and a reader."""

from __future__ import annotations

import re
from typing import Any

from worlddb.tasks.say import values
from worlddb.tasks.say.forms import phrases
from worlddb.tasks.say.grammar import Read, Reading, Unsayable, Write, Writer
from worlddb.tasks.say.lexer import Text
from worlddb.tasks.say.lexicon import Lexicon, Pair
from worlddb.tasks.say.terms import Term, own_key


def pick(w: Writer, options: tuple[str, ...] | list[str]) -> str:
    """One of the options, the first ones likelier."""
    n = len(options)
    if n == 0:
        raise Unsayable("no spelling")
    return options[min(w.stream.below(n), w.stream.below(n))]


def say_const(w: Writer, ctx: Any, t: Term) -> str:
    """A stored value; at a place (table, column), or at its own.  Amounts and dates are spelled one way in a text."""
    if t[0] != "const":
        raise Unsayable("not a constant")
    place = ctx if isinstance(ctx, tuple) and len(ctx) == 2 else (t[2], t[3])
    options, kind = spellings(w.lexicon, place, t[1]), w.lexicon.kind(place)
    if kind == "money" and len(options) > 2:
        return w.literal(options[w.style("money", len(options))])
    if kind in ("date", "datetime") and len(options) > 2:
        return w.literal(_dated(w, options))
    if kind in ("number", "real"):
        return w.literal(options[w.style("number", 6) % len(options)])
    return w.literal(pick(w, options))


def _dated(w: Writer, options: list[str]) -> str:
    """The spelling of a date in the style of the text; in one with the year where the style would do without."""
    own = phrases("personas")["personas"].get(next(iter(w.registers), ""), {}).get("dates", values.STYLES)
    style = values.STYLES.index(own[w.style("date", len(own))])
    return options[style] if style < len(options) else options[style - 6]


def say_day(w: Writer, ctx: Any, t: Term) -> str:
    """A moment at midnight, as the date that it begins."""
    if t[0] != "const" or w.lexicon.kind(ctx) != "datetime" or not str(t[1]).endswith(" 00:00:00"):
        raise Unsayable("no date")
    return w.literal(_dated(w, list(values.days(t[1][:10], w.lexicon.year))))


def read_day(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
    """A date, as the moment at which it begins."""
    if lex.kind(ctx) != "datetime":
        return []
    return [(e, ("const", f"{v} 00:00:00", *ctx)) for e, v in values.read_date(text, i, lex.year)]


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
            return list(values.moments(value, lex.year)) or [f'"{value}"']
        if kind == "time":
            return list(values.clocks(value))
        return list(values.texts(value))
    if kind in ("key", "link"):
        return [str(value)]
    found = list(values.numbers(value, kind == "money"))
    if kind == "money" and lex.currency:
        code, names = lex.currency, lex.money_names
        short = values.preferred(tuple(found))
        spoken = f"{short} {names[value != 100]}" if names else f"{short} {code}"
        near = spoken if lex.symbol.isalpha() else f"{lex.symbol}{short}"
        return [near, f"{code} {short}", f"{short} {code}", spoken, near]
    if kind == "money":
        return [values.preferred(tuple(found))]
    if abs(value) >= 10_000:
        found.reverse()  # 12,000 rather than 12000, but 1987
    if (unit := lex.unit(place)) is not None:
        words = unit[0] if value == 1 else unit[1]
        return [f"{f}{words}" if words == "%" else f"{f} {words}" for f in found]
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
        return values.read_money(text, i, lex.currency, lex.symbol, lex.money_names)
    if kind in ("number", "real"):
        unit = lex.unit(place)
        return values.read_number(text, i, unit or (), kind == "real")
    if kind == "date":
        return values.read_date(text, i, lex.year)
    if kind == "datetime":
        if found := values.read_moment(text, i, lex.year):
            return list(found)
        return [] if values.read_date(text, i, lex.year) else list(values.read_text(text, i))
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


def read_ordinal(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
    """The number of an item in a list."""
    return [(i + 1, text.low[i])] if i < text.n and text.low[i].isdigit() else []


# --- names of rows


def say_name(w: Writer, ctx: Any, value: str) -> str:
    """A name or code, in quotation marks where it needs them."""
    return w.literal(values.texts(value)[0]) if values.texts(value) else refuse(value)


def refuse(value: str) -> str:
    """There are no words for it."""
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
    return say_const(w, (ctx, machine.column), t) if machine else refuse(ctx)


def say_today(w: Writer, ctx: Any, t: Term) -> str:
    """A date or moment that is of no column."""
    kind = "date" if isinstance(t[1], str) and len(t[1]) == 10 else "datetime"
    return say_const(w, ("", kind), t)


def read_today(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
    """A date or moment that is of no column."""
    found = read_const(lex, text, ("", "date"), i)
    return [*found, *((e, t) for e, t in read_const(lex, text, ("", "datetime"), i) if t[1] and len(t[1]) == 19)]


CONSTANTS: dict[str, tuple[Write, Read]] = {
    "const": (say_const, read_const),
    "day": (say_day, read_day),
    "k": (say_number, read_number),
    "figure": (say_number, read_number),
    "ordinal": (lambda w, ctx, v: w.literal(str(v)), read_ordinal),
    "rowstate": (say_state, read_state),
    "today": (say_today, read_today),
    "name": (say_name, read_name),
    "title": (say_title, read_title),
    "ident": (say_ident, read_ident),
}
"""Symbol -> what writes it and what reads it."""

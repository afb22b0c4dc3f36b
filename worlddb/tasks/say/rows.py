"""The productions of rows and conditions: noun phrases."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from worlddb.library import folder
from worlddb.schema.domains import read_yaml
from worlddb.tasks.say.grammar import Holes, Rules, Several, Writer
from worlddb.tasks.say.lexicon import Lexicon, Pair
from worlddb.tasks.say.terms import Term, each, find, of, own_key, target
from worlddb.tasks.say.words import ONLY, VIA, row_table

Names = frozenset[str]
SORT = "#sort"
"""The column of what stands among the conditions for an order: ('#sort', column, descending)."""
_NUMBER = (
    {"%is": "is", "%has": "has", "%do": "does", "%was": "was", "%s": "s"},
    {"%is": "are", "%has": "have", "%do": "do", "%was": "were", "%s": ""},
)
CHANGEABLE = {"eq", "in"}


@cache
def phrases(name: str) -> Any:
    """A file of schemas/wording/."""
    return read_yaml(folder("schemas") / "wording" / f"{name}.yaml")


def agreed(pattern: str, number: int) -> list[tuple[str, bool]]:
    """A pattern whose verbs agree with one row (0) or several (1), and whether it is for people: both where it is for all."""
    for sign, word in _NUMBER[number].items():
        pattern = re.sub(rf"{sign}(?![a-z])", word, pattern)
    pattern = pattern.replace("(isn't|aren't)", ("isn't", "aren't")[number])
    if "%who" not in pattern:
        return [(pattern, True), (pattern, False)][:1]
    return [(pattern.replace("%who", "who"), True), (pattern.replace("%who", "that"), False)]


def fits(lex: Lexicon, table: str, pattern: str, people: bool) -> bool:
    """Whether a pattern of `agreed` is for the rows of a table."""
    return not re.search(r"\b(who|that) ", pattern) or (table in lex.people) == people


# --- conditions


def add_conditions(rules: Rules) -> None:
    """post0 (of one row) and post1 (of several): one condition after the noun."""
    for entry in phrases("rows")["conditions"]:
        for number in (0, 1):
            for say in entry["say"]:
                for pattern, people in agreed(say, number):
                    _condition(rules, entry, number, pattern, people, say)
    for number in (0, 1):
        _orders(rules, number)
        _having(rules, number)


def _condition(rules: Rules, entry: dict[str, Any], number: int, pattern: str, people: bool, said: str) -> None:
    op, kinds = entry["op"], frozenset(entry["of"])
    named = "%who" in said
    name = entry.get("only") or entry.get("via")
    yes = entry.get("flag")
    values, shape = entry.get("values"), next((s for s in ("row", "rows", "each") if entry.get(s)), "value")
    symbol = {"row": "key", "rows": "keys", "each": "each", "value": "const" if kinds == {"key"} else "value"}[shape]
    name = "verbs" if name == "verb" and number == 0 else name
    if values:
        symbol = "neither" if "{neither}" in pattern else "values"
    column = (
        f"only_{name}" if name in ONLY else "link" if name == "link" else f"via_{name}" if name in VIA else "column"
    )
    if "{column}" not in pattern:
        weight, star, rest = pattern.rpartition("* ")
        pattern = f"{weight}{star}{{column}}{rest}"
    if "a(n) {column}" in pattern and column in ("column", "via_role"):
        pattern, column = pattern.replace("a(n) {column}", "{column}"), f"a_{column}"
    holes = {
        "column": (column, "."), "value": (symbol, "column"), "values": (symbol, "column"), "neither": (symbol, "column"),
    }  # fmt: skip
    slot = next((h for h in ("{value}", "{values}", "{neither}") if h in pattern), "")[1:-1]

    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        place: Pair = h["column"]
        if lex.kind(place) not in kinds or (named and (place[0] in lex.people) != people):
            return None
        if yes is not None:
            return (place[1], op, ("const", int(yes), *place))
        return (place[1], op, h.get(slot))

    def split(w: Writer, ctx: Any, c: Term, names: Names) -> Holes | None:
        if c[1] != op or c[0] == SORT or (named and (ctx in w.lexicon.people) != people):
            return None
        if w.lexicon.kind((ctx, c[0])) not in kinds:
            return None
        value = c[2]
        several = isinstance(value, tuple) and (not value or isinstance(value[0], tuple))
        if yes is not None:
            return {"column": (ctx, c[0])} if value is not None and value[:2] == ("const", int(yes)) else None
        if several != bool(values) or (value is None) != (not slot):
            return None
        if value is None:
            return {"column": (ctx, c[0])}
        if not several and (value[0] == "each") != (shape in ("rows", "each")):
            return None
        return {"column": (ctx, c[0]), slot: value}

    rules.add(f"post{number}", [pattern], holes, split, make, weight=2 if name else 1, sort=op)


def _orders(rules: Rules, number: int) -> None:
    kinds = {"highest": True, "lowest": False, "latest": True, "earliest": False, "last": True, "first": False}
    for name, desc in kinds.items():
        whole = name in ("last", "first")
        if whole and number == 0:
            continue
        moments = name in ("latest", "earliest")
        tag = "#order" if whole else SORT

        def make(lex: Lexicon, ctx: Any, h: Holes, desc: bool = desc, tag: str = tag) -> Any:
            return (tag, h["column"][1], desc)

        def split(
            w: Writer, ctx: Any, c: Term, n: Names, desc: bool = desc, tag: str = tag, moments: bool = moments
        ) -> Holes | None:
            if c[0] != tag or c[2] != desc:
                return None
            timely = w.lexicon.kind((ctx, c[1])) in ("date", "datetime", "time")
            return {"column": (ctx, c[1])} if tag == "#order" or timely == moments else None

        rules.add(f"post{number}", phrases("rows")["extremes"][name], {"column": ("column", ".")}, split, make)


def _having(rules: Rules, number: int) -> None:
    """Conditions on what refers to a row: 'guests who have a cancelled booking', and on what the row is to another."""
    file = phrases("rows")["rows"]

    def child_links(lex: Lexicon, child: str, table: str) -> list[str]:
        return [c for c, p in lex.links[child] if p == table]

    for name, op, hole, symbol in (("has", "in", "some", "some"), ("hasnot", "not_in", "descs", "descs")):
        for say in file[name]:
            for pattern, people in agreed(say, number):
                named = "%who" in say

                def make(
                    lex: Lexicon,
                    ctx: Any,
                    h: Holes,
                    op: str = op,
                    hole: str = hole,
                    named: bool = named,
                    people: bool = people,
                ) -> Any:
                    rows = h[hole]
                    links = child_links(lex, rows[1], ctx)
                    key = own_key(lex.schema, ctx)
                    if not key or len(links) != 1 or rows[5] or rows[3] or (named and (ctx in lex.people) != people):
                        return None
                    return (key, op, each(lex.schema, rows, links[0]))

                def split(
                    w: Writer,
                    ctx: Any,
                    c: Term,
                    n: Names,
                    op: str = op,
                    hole: str = hole,
                    named: bool = named,
                    people: bool = people,
                ) -> Holes | None:
                    lex = w.lexicon
                    if c[0] == SORT or c[1] != op or c[0] != own_key(lex.schema, ctx) or c[2][0] != "each":
                        return None
                    rows, column = c[2][1], c[2][2]
                    if (named and (ctx in lex.people) != people) or child_links(lex, rows[1], ctx) != [column]:
                        return None
                    return {hole: rows}

                rules.add(f"post{number}", [pattern], {hole: (symbol, "")}, split, make)
    for name, op, hole, symbol in (("via", "in", "some", "some"), ("viano", "not_in", "descs", "descs")):
        for say in file[name]:
            for pattern, people in agreed(say, number):
                role = "roles" if number else "role"

                def make_via(
                    lex: Lexicon, ctx: Any, h: Holes, op: str = op, hole: str = hole, people: bool = people
                ) -> Any:
                    rows, key = h[hole], own_key(lex.schema, ctx)
                    fit = [c for t, c in h["role"] if t == rows[1] and target(lex.schema, t, c) == ctx]
                    if not key or len(fit) != 1 or rows[5] or rows[3] or (ctx in lex.people) != people:
                        return None
                    return (key, op, each(lex.schema, rows, fit[0]))

                def split_via(
                    w: Writer, ctx: Any, c: Term, n: Names, op: str = op, hole: str = hole, people: bool = people
                ) -> Holes | None:
                    lex = w.lexicon
                    if c[0] == SORT or c[1] != op or c[0] != own_key(lex.schema, ctx) or c[2][0] != "each":
                        return None
                    rows, column = c[2][1], c[2][2]
                    if (ctx in lex.people) != people or (rows[1], column) not in lex.roles:
                        return None
                    return {hole: rows, "role": ((rows[1], column),)}

                holes = {hole: (symbol, ""), "role": (role, "")}
                rules.add(
                    f"post{number}",
                    [pattern.replace("the {role}", "{role}" if number else "the {role}")],
                    holes,
                    split_via,
                    make_via,
                )


def add_lists(rules: Rules) -> None:
    """posts0 and posts1 (all that follows a noun), adjs (what stands before it), values (several constants)."""
    for n in (0, 1):
        holes = {"post": (f"post{n}", "."), "posts": (f"posts{n}", ".")}
        rules.add(f"posts{n}", ["{post}"], holes, _one("post"), lambda lex, ctx, h: (h["post"],))
        rules.add(
            f"posts{n}",
            ["2* {post} {posts}", "3* {post} and {posts}"],
            holes,
            _first("post", "posts"),
            _join("post", "posts"),
        )
    holes = {"adj": ("adj", ""), "adjs": ("adjs", "")}
    rules.add("adjs", ["{adj}"], holes, _one("adj"), lambda lex, ctx, h: (h["adj"],))
    rules.add("adjs", ["{adj} {adjs}", "{adj}, {adjs}"], holes, _first("adj", "adjs"), _join("adj", "adjs"))
    for symbol, last in (("values", "or"), ("neither", "nor")):
        holes = {"a": ("const", "."), "b": (symbol, "."), "c": ("const", ".")}
        rules.add(symbol, [f"{{a}} {last} {{c}}"], holes, _pair, lambda lex, ctx, h: (h["a"], h["c"]))
        rules.add(symbol, ["{a}, {b}"], holes, _longer, lambda lex, ctx, h: (h["a"], *h["b"]))


def _one(name: str) -> Callable[..., Holes | None]:
    return lambda w, ctx, v, n: {name: v[0]} if len(v) == 1 else None


def _first(name: str, rest: str) -> Callable[..., Holes | None]:
    return lambda w, ctx, v, n: {name: v[0], rest: v[1:]} if len(v) > 1 else None


def _join(name: str, rest: str) -> Callable[..., Any]:
    return lambda lex, ctx, h: (h[name], *h[rest])


def _pair(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"a": v[0], "c": v[1]} if len(v) == 2 else None


def _longer(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return {"a": v[0], "b": v[1:]} if len(v) > 2 else None


# --- a noun with all that belongs to it


def add_descriptions(rules: Rules) -> None:
    """desc and descs: the cheapest confirmed booking of ..., without its article."""
    for symbol, noun, n in (("desc", "noun", 0), ("descs", "nouns", 1)):
        holes = {
            "extreme": ("extreme", ""), "adjs": ("adjs", ""), "noun": (noun, ""), "posts": (f"posts{n}", "noun"), "title": ("title", "noun"),
        }  # fmt: skip
        patterns = ["4* [{extreme}] {adjs} {noun} [{posts}]", "[{extreme}] {noun} [{posts}]"]
        patterns += ["[{adjs}] {noun} {title} {posts}"] if not n else []
        rules.add(symbol, patterns, holes, _split_description(bool(n)), _make_description(bool(n)))


def _make_description(many: bool) -> Callable[[Lexicon, Any, Holes], Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        table = h["noun"]
        conditions, sort = [], None
        for options in h.get("adjs", ()):
            fit = [c for t, c in options if t == table]
            if len(fit) != 1:
                return None
            conditions.append(fit[0])
        if "title" in h:
            conditions.append((lex.schema[table].title, "eq", h["title"]))
        if "extreme" in h:
            found = [(c, d) for t, c, d in h["extreme"] if t == table]
            if len(found) != 1:
                return None
            sort = (*found[0], True)
        for part in h.get("posts", ()):
            if part[0] in (SORT, "#order"):
                if sort is not None:
                    return None
                sort = (part[1], part[2], part[0] == SORT)
            else:
                conditions.append(part)
        if len(set(conditions)) != len(conditions):
            return None
        if sort is None:
            return find(table, tuple(conditions), many=many)
        if not many and not sort[2]:
            return None
        # several by an extreme are so many: the number stands before them (-1 until it is read)
        take = 0 if not sort[2] else -1 if many else 1
        return find(table, tuple(conditions), sort[0], sort[1], take, many)

    return make


def _split_description(many: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, names: Names) -> Holes | None:
        _, table, conditions, sort, desc, take, several, _ = t
        if several != many:
            return None
        lex, rest, h = w.lexicon, list(conditions), dict[str, Any](noun=table)
        if sort and "extreme" in names:
            if not take or (sort, desc) not in lex.extremes[table]:
                return None
            h["extreme"] = ((table, sort, desc),)
        if "title" in names:
            title = next((c for c in rest if c[0] == lex.schema[table].title and c[1] == "eq" and _const(c[2])), None)
            if title is None:
                return None
            rest.remove(title)
            h["title"] = title[2]
        if "adjs" in names:
            known = lex.adjectives[table]
            fit = [c for c in rest if _const(c[2]) and (c[0], c[1], c[2][1]) in known]
            if not fit:
                return None
            h["adjs"] = tuple(((table, c),) for c in fit[:2])
            rest = [c for c in rest if c not in fit[:2]]
        posts = sorted(w.stream.shuffled(rest), key=_nested)
        if sort and "extreme" not in names:
            if take and posts and not w.careful:
                return None  # 'the one with ... among' says it better
            posts.append((SORT if take else "#order", sort, desc))
        if posts:
            h["posts"] = tuple(posts)
        return h

    return split


def _const(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and value[0] == "const"


def _nested(c: Term) -> bool:
    """True for a condition that mentions other rows: it comes last, so that nothing after it could belong to those."""
    return isinstance(c[2], tuple) and bool(c[2]) and isinstance(c[2][0], str) and c[2][0] != "const"


# --- one row


def titled(lex: Lexicon, t: Term) -> str | None:
    """The title by which alone a row is found."""
    if t[0] != "find" or t[6] or t[3] or t[7] or len(t[2]) != 1:
        return None
    column, op, value = t[2][0]
    fit = column == lex.schema[t[1]].title and op == "eq" and _const(value) and isinstance(value[1], str)
    return value[1] if fit else None


def pointed(lex: Lexicon, t: Term) -> Term | None:
    """The value that is the key of a row, where that alone says which row it is."""
    if t[0] != "find" or t[6] or t[3] or t[7] or len(t[2]) != 1:
        return None
    column, op, value = t[2][0]
    return value if column == own_key(lex.schema, t[1]) and op == "eq" and value[0] != "const" else None


def keyed(lex: Lexicon, t: Term) -> Term | None:
    """The constant that is the key of a row, likewise."""
    if t[0] != "find" or t[6] or t[3] or t[7] or len(t[2]) != 1:
        return None
    column, op, value = t[2][0]
    return value if column == own_key(lex.schema, t[1]) and op == "eq" and value[0] == "const" else None


def titled_row(lex: Lexicon, table: str, title: str) -> Term:
    """The row of that title."""
    column = lex.schema[table].title
    return find(table, ((column, "eq", ("const", title, table, column)),))


def add_rows(rules: Rules) -> None:
    """row: one row, whatever its table.  key: the key of one row of a table that is known."""
    file = phrases("rows")["row"]
    holes = {
        "desc": ("desc", ""), "noun": ("noun", ""), "title": ("title", "noun"), "ident": ("ident", "noun"), "name": ("name", ""),
        "owner": ("owner", ""), "role": ("role", ""), "row": ("row", ""), "rows": ("descs", ""), "measure": ("measure", ""), "column": ("anycolumn", ""),
    }  # fmt: skip

    def whole(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if t[0] != "find" or t[6] or t[7] or titled(w.lexicon, t) or pointed(w.lexicon, t):
            return None
        return {"desc": t} if t[2] or t[3] else None

    def make_the(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        t = h["desc"]
        return t if t[2] or t[3] else None

    rules.add("row", file["the"], holes, whole, make_the)
    for name, symbols in (("named", ("row", "owner")), ("called", ("row",)), ("numbered", ("row", "owner"))):
        slot = "ident" if name == "numbered" else "title"
        for symbol in symbols:
            rules.add(symbol, file[name], holes, _split_named(slot, name == "called"), _make_named(slot))
    rules.add("row", file["owned"], holes, _split_owned, _make_owned)
    rules.add("row", file["any"], holes, _split_any, _make_any)
    for symbol in ("row", "owner"):
        rules.add(
            symbol, file["again"], holes, _split_again("noun"), lambda lex, ctx, h: ("again", h["noun"]), weight=20
        )
        rules.add(symbol, file["new"], holes, _split_new, lambda lex, ctx, h: ("new", h["noun"]))
    rules.add("row", file["link"], holes, _split_link, _make_link)
    rules.add("row", file["linked"], holes, _split_linked, _make_linked)
    for name, desc in (("most", True), ("least", False)):
        rules.add("row", file[name], holes, _split_most(desc), _make_most(desc))
    for name, desc in (("highest", True), ("lowest", False)):
        rules.add("row", file[name], holes, _split_measure(desc), _make_measure(desc))
    for by, sums in phrases("rows")["sums"].items():
        rules.add(
            "measure",
            sums,
            {},
            lambda w, ctx, v, n, by=by: {} if v == by else None,
            lambda lex, ctx, h, by=by: by,  # type: ignore[misc]
        )
    rules.add("key", ["{row}"], {"row": ("row", "")}, _split_key, _make_key)
    rules.add("key", ["3* {name}"], {"name": ("name", "")}, split_key_name, make_key_name)


def _split_named(slot: str, called: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if t[0] != "find" or (slot == "title") != (titled(w.lexicon, t) is not None):
            return None
        if called and w.lexicon.is_a((t[1], w.lexicon.schema[t[1]].title), "identifier"):
            return None  # nobody is 'called ORD-2026-00042'
        if slot == "title":
            return {"noun": t[1], slot: t[2][0][2]} if titled(w.lexicon, t) is not None else None
        if w.lexicon.schema[t[1]].key_style == "integer" and w.lexicon.schema[t[1]].title:
            return None
        return {"noun": t[1], slot: value} if (value := keyed(w.lexicon, t)) is not None else None

    return split


def _make_named(slot: str) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        table = h["noun"]
        column = lex.schema[table].title if slot == "title" else own_key(lex.schema, table)
        return find(table, ((column, "eq", h[slot]),))

    return make


def _split_owned(w: Writer, ctx: Any, t: Term, names: Names) -> Holes | None:
    if t[0] != "find" or t[6] or t[7]:
        return None
    found = _owner(w.lexicon, t, names, w.careful)
    return (
        None
        if found is None or titled(w.lexicon, found[1]) is not None
        else {found[0][0]: found[0][1], "desc": found[1]}
    )


def _owner(lex: Lexicon, t: Term, names: Names, careful: bool) -> tuple[tuple[str, Any], Term] | None:
    """(hole, owner) and the rest, where a condition says whose a row is."""
    for c in t[2]:
        if c[1] != "eq" or lex.kind((t[1], c[0])) != "link" or _const(c[2]):
            continue
        parent = target(lex.schema, t[1], c[0])
        if sum(p == parent for _, p in lex.links[t[1]]) > 1:
            continue
        rest = find(t[1], tuple(x for x in t[2] if x != c), *t[3:])
        if c[2][0] == "of" and c[2][2] == own_key(lex.schema, parent):
            if "owner" in names:
                return ("owner", c[2][1]), rest
            if "name" in names and not careful and c[2][1][0] == "find" and (title := titled(lex, c[2][1])) is not None:
                return ("name", title), rest
    return None


def _make_owned(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    return Several(owned(lex, h, h["desc"]))


def owned(lex: Lexicon, h: Holes, t: Term) -> list[Term]:
    """The rows of a description that belong to the owner in the holes."""
    found = []
    for column, parent in lex.links[t[1]]:
        if sum(p == parent for _, p in lex.links[t[1]]) > 1:
            continue
        if "name" in h:
            if not lex.schema[parent].title:
                continue
            owner = titled_row(lex, parent, h["name"])
        else:
            owner = h["owner"]
            if row_table(owner) != parent:
                continue
        value = of(lex.schema, owner, own_key(lex.schema, parent))
        found.append(find(t[1], (*t[2], (column, "eq", value)), *t[3:]))
    return found


def _split_any(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    return {"desc": (*t[:7], 0)} if t[0] == "find" and t[7] and not t[6] and t not in w.said else None


def _make_any(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    t = h["desc"]
    return (*t[:7], 1) if not t[3] else None


def _split_again(noun: str) -> Callable[..., Holes | None]:
    """Only what was named before, and is the only one of its table in the whole text."""

    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        many = noun == "nouns"
        if t not in w.said or t[0] != "find" or t[6] != many:
            return None
        return {noun: t[1]} if w.whole[many].get(t[1]) == 1 else None

    return split


def _split_new(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    return {"noun": t[2]} if t[0] == "did" and w.whole[3][t[1]] else None


def _split_link(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    value = pointed(w.lexicon, t)
    if value is None or value[0] != "of" or (row_table(value[1]), value[2]) not in w.lexicon.roles:
        return None
    return {"role": ((row_table(value[1]), value[2]),), "row": value[1]}


def _make_link(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    fit = [(t, c) for t, c in h["role"] if t == row_table(h["row"])]
    if len(fit) != 1:
        return None
    return _row_of(lex, fit[0], ("of", h["row"], fit[0][1]))


def _row_of(lex: Lexicon, place: Pair, value: Term) -> Term:
    parent = target(lex.schema, *place)
    return find(parent, ((own_key(lex.schema, parent), "eq", value),))


def _split_linked(w: Writer, ctx: Any, t: Term, names: Names) -> Holes | None:
    h = _split_link(w, ctx, t, names)
    if h is None:
        return None
    if "owner" in names:
        return {"role": h["role"], "owner": h["row"]}
    title = titled(w.lexicon, h["row"]) if h["row"][0] == "find" and not w.careful else None
    return {"role": h["role"], "name": title} if title is not None else None


def _make_linked(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    found = []
    for place in h["role"]:
        if "owner" in h:
            row = h["owner"] if row_table(h["owner"]) == place[0] else None
        else:
            row = titled_row(lex, place[0], h["name"]) if lex.schema[place[0]].title else None
        if row is not None:
            found.append(_row_of(lex, place, ("of", row, place[1])))
    return Several(found)


def _split_most(desc: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        v = pointed(w.lexicon, t)
        if v is None or v[0] != "group" or v[1] != "count" or v[3] != desc:
            return None
        return {"role": ((v[5][1], v[4]),), "rows": v[5]} if (v[5][1], v[4]) in w.lexicon.roles else None

    return split


def _make_most(desc: bool) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        rows = h["rows"]
        fit = [(t, c) for t, c in h["role"] if t == rows[1]]
        return (
            _row_of(lex, fit[0], ("group", "count", "", desc, fit[0][1], rows))
            if len(fit) == 1 and not rows[3]
            else None
        )

    return make


def _split_measure(desc: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        v = pointed(w.lexicon, t)
        if v is None or v[0] != "group" or v[1] == "count" or v[3] != desc or (v[5][1], v[4]) not in w.lexicon.roles:
            return None
        return {"role": ((v[5][1], v[4]),), "measure": v[1], "column": ((v[5][1], v[2]),), "rows": v[5]}

    return split


def _make_measure(desc: bool) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        rows = h["rows"]
        fit = [(t, c) for t, c in h["role"] if t == rows[1]]
        over = [c for t, c in h["column"] if t == rows[1]]
        if len(fit) != 1 or len(over) != 1 or rows[3]:
            return None
        return _row_of(lex, fit[0], ("group", h["measure"], over[0], desc, fit[0][1], rows))

    return make


def parent_of(lex: Lexicon, ctx: Any) -> str:
    """The table whose keys stand at a place: a table itself, or what a column refers to."""
    return target(lex.schema, *ctx) if isinstance(ctx, tuple) else ctx or ""


def _split_key(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    lex, table = w.lexicon, parent_of(w.lexicon, ctx)
    if not table or t[0] == "item":
        return None
    key = own_key(lex.schema, table)
    if t[0] == "of" and t[2] == key and row_table(t[1]) == table:
        return {"row": t[1]}
    if t[0] in ("of", "group") or (t[0] == "const" and t[1] is not None):
        return {"row": find(table, ((key, "eq", t),))}
    return None


def _make_key(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    table, row = parent_of(lex, ctx), h["row"]
    key = own_key(lex.schema, table) if table else ""
    if not key or row_table(row) != table:
        return None
    return of(lex.schema, row, key)


def split_key_name(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
    table = parent_of(w.lexicon, ctx)
    if (
        w.careful
        or not table
        or t[0] != "of"
        or t[1][0] != "find"
        or t[1][1] != table
        or t[2] != own_key(w.lexicon.schema, table)
    ):
        return None
    title = titled(w.lexicon, t[1])
    return {"name": title} if title is not None else None


def make_key_name(lex: Lexicon, ctx: Any, h: Holes) -> Any:
    table = parent_of(lex, ctx)
    if not table or not lex.schema[table].title:
        return None
    return of(lex.schema, titled_row(lex, table, h["name"]), own_key(lex.schema, table))


# --- several rows


def add_among(rules: Rules) -> None:
    """row, rows: the one (the three) with the latest start time among several."""
    for number, forms in enumerate(phrases("rows")["among"].values()):
        for name, patterns in forms.items():
            holes: dict[str, Any] = {"column": ("anycolumn", ""), "rows": ("thedescs", ""), "k": ("k", "")}
            moments, desc = name in ("latest", "earliest"), name in ("highest", "latest")
            split, make = _split_among(number, moments, desc), _make_among(number, desc)
            for symbol in ("rows", "barerows", "ofrows") if number else ("row",):
                rules.add(symbol, patterns, holes, split, make, weight=3)
    rules.add(
        "thedescs", ["the {descs}"], {"descs": ("descs", "")}, lambda w, ctx, t, n: {"descs": t},
        lambda lex, ctx, h: h["descs"] if h["descs"][5] == 0 and not h["descs"][3] else None,
    )  # fmt: skip


def _split_among(number: int, moments: bool, desc: bool) -> Callable[..., Holes | None]:
    def split(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if t[0] != "find" or t[6] != bool(number) or not t[3] or t[4] != desc or t[7] or not t[2]:
            return None
        if (t[5] < 2) if number else (t[5] != 1):
            return None
        if (w.lexicon.kind((t[1], t[3])) in ("date", "datetime", "time")) != moments:
            return None
        h = {"column": ((t[1], t[3]),), "rows": find(t[1], t[2], many=True)}
        return h | {"k": t[5]} if number else h

    return split


def _make_among(number: int, desc: bool) -> Callable[..., Any]:
    def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        t = h["rows"]
        fit = [c for table, c in h["column"] if table == t[1]]
        if len(fit) != 1 or (number and h["k"] < 2):
            return None
        return find(t[1], t[2], fit[0], desc, h["k"] if number else 1, bool(number))

    return make


def add_sets(rules: Rules) -> None:
    """rows: a set, whatever its table.  keys: the keys of such a set.  some: what at least one row is."""
    file = phrases("rows")["rows"]
    holes = {
        "desc": ("desc", ""), "descs": ("descs", ""), "name": ("name", ""), "owner": ("owner", ""), "k": ("k", ""), "nouns": ("nouns", ""),
    }  # fmt: skip

    def split_all(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if t[0] != "find" or not t[6] or t[5]:
            return None
        if "desc" in n:
            return None if t[3] else {"desc": (*t[:6], False, t[7])}
        return {"descs": t}

    def make_all(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        if "desc" in h:
            t = h["desc"]
            return None if t[3] else (*t[:6], True, t[7])
        return h["descs"] if h["descs"][5] == 0 else None

    rules.add("rows", file["all"], holes, split_all, make_all)
    rules.add("rows", file["every"], holes, split_all, make_all)
    rules.add("barerows", [*file["all"], "4* {descs}"], holes, split_all, make_all)
    rules.add("ofrows", ["the {descs}"], holes, split_all, make_all)

    def split_owned(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        if t[0] != "find" or not t[6] or t[5]:
            return None
        found = _owner(w.lexicon, t, n, w.careful)
        return None if found is None else {found[0][0]: found[0][1], "descs": found[1]}

    def make_owned(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        return Several(owned(lex, h, h["descs"])) if h["descs"][5] == 0 else None

    for symbol in ("rows", "barerows", "ofrows"):
        rules.add(
            symbol,
            file["owned"] if symbol != "ofrows" else [p for p in file["owned"] if "all of" not in p],
            holes,
            split_owned,
            make_owned,
        )

    def split_top(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        return {"k": t[5], "descs": t} if t[0] == "find" and t[6] and t[5] > 1 else None

    def make_top(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        t = h["descs"]
        return (*t[:5], h["k"], *t[6:]) if t[5] == -1 and h["k"] > 1 else None

    for symbol in ("rows", "barerows", "ofrows"):
        rules.add(symbol, file["top"], holes, split_top, make_top)
        rules.add(
            symbol, file["again"], holes, _split_again("nouns"), lambda lex, ctx, h: ("those", h["nouns"]), weight=20
        )

    def split_some(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        return {"desc": (*t[:6], False, t[7])} if t[0] == "find" and t[6] and not t[3] else None

    def make_some(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        return (*h["desc"][:6], True, h["desc"][7]) if not h["desc"][3] else None

    rules.add("some", file["some"], holes, split_some, make_some)

    def split_keys(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        table = parent_of(w.lexicon, ctx)
        if not table or t[0] != "each":
            return None
        key = own_key(w.lexicon.schema, table)
        if t[1][1] == table and t[2] == key:
            return {"rows": t[1]}
        return {"rows": find(table, ((key, "in", t),), many=True)}

    def make_keys(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        table = parent_of(lex, ctx)
        key = own_key(lex.schema, table) if table else ""
        return each(lex.schema, h["rows"], key) if key and row_table(h["rows"]) == table else None

    rules.add("keys", ["{rows}"], {"rows": ("barerows", "")}, split_keys, make_keys)

    def split_each(w: Writer, ctx: Any, t: Term, n: Names) -> Holes | None:
        return {"columns": ((t[1][1], t[2]),), "rows": t[1]} if t[0] == "each" else None

    def make_each(lex: Lexicon, ctx: Any, h: Holes) -> Any:
        fit = [c for t, c in h["columns"] if t == row_table(h["rows"])]
        return each(lex.schema, h["rows"], fit[0]) if len(fit) == 1 else None

    rules.add(
        "each",
        ["the {columns} of {rows}"],
        {"columns": ("anycolumns", ""), "rows": ("barerows", "")},
        split_each,
        make_each,
    )

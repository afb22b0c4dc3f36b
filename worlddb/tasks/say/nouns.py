"""The productions of a noun with all that belongs to it: 'most recent confirmed booking of Anna Schmidt'."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from worlddb.tasks.say.forms import (
    SORT,
    Names,
    is_const,
    is_nested,
    is_titled,
)
from worlddb.tasks.say.grammar import Holes, Read, Rules, Write, Writer
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.terms import Term, find


def add_lists(rules: Rules) -> None:
    """posts0 and posts1 (all that follows a noun), adjs (what stands before it), values (several constants)."""
    for n in (0, 1):  # only read; `write_posts` writes them
        holes = {"post": (f"post{n}", "."), "posts": (f"posts{n}", "."), "bare": (f"bare{n}", ".")}
        rules.add(f"posts{n}", ["{post}"], holes, _one("post"), lambda lex, ctx, h: (h["post"],))
        rules.add(f"posts{n}", ["{post} {posts}", "{post} and {posts}"], holes, _unsaid, _join("post", "posts"))
        rules.add(f"posts{n}", ["{post} and {bare}"], holes, _unsaid, lambda lex, ctx, h: (h["post"], h["bare"]))
        more = ["{post} and {bare} {posts}", "{post} and {bare} and {posts}"]
        rules.add(f"posts{n}", more, holes, _unsaid, lambda lex, ctx, h: (h["post"], h["bare"], *h["posts"]))
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


def _unsaid(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    return None


_RELATIVE = frozenset(["who", "that", "whose"])
_WITH = frozenset(["with", "without"])


def _place(text: str) -> int:
    """Where a condition stands among others: 'of Anna', 'created in May', 'with a view', 'who are active'."""
    lead = text.lstrip().partition(" ")[0]
    return 3 if lead in _RELATIVE else 2 if lead in _WITH else 0 if lead in ("of", "for", "in") else 1


def write_posts(number: int) -> Write:
    """Conditions in the order in which people say them, with 'and' only between two of a kind."""

    def write(w: Writer, ctx: Any, v: Term) -> str:
        near = [c for c in v if c[0] != SORT and is_titled(w.lexicon, c)]
        last = [c for c in v if c not in near and (is_nested(c) or c[0] in (SORT, "#order"))]
        plain = [c for c in v if c not in near and c not in last]
        say = [[w.write(f"post{number}", ctx, c) for c in part] for part in (near, plain)]
        say.append([_clear(w, f"post{number}", ctx, c, bool(plain)) for c in last])
        texts = [*say[0], *sorted(say[1], key=_place), *say[2]]
        out = texts[0]
        shared = False
        for before, text in itertools.pairwise(texts):
            a, b = before.lstrip().partition(" ")[0], text.lstrip().partition(" ")[0]
            if a == b == "with" and not shared and (after := text.lstrip()[5:]) and not last:
                out, shared = f"{out} and {after}", True
            elif (a in _RELATIVE and b in _RELATIVE) or (a in _WITH and b in _WITH):
                out, shared = f"{out} and {text}", False
            else:
                out, shared = f"{out} {text}", False
        return out

    return write


def _clear(w: Writer, symbol: str, ctx: Any, c: Term, others: bool) -> str:
    """A condition that mentions other rows; after others rather with its own verb ('and whose doctor is …') than with 'of'."""
    before = dict(w.said)
    text = w.write(symbol, ctx, c)
    for _ in range(4 if others and c[1] == "eq" else 0):
        if text.lstrip().partition(" ")[0] in _RELATIVE | _WITH:
            break
        w.said = dict(before)
        text = w.write(symbol, ctx, c)
    return text


def posts_symbols() -> dict[str, tuple[Write, Read]]:
    """posts0 and posts1, written by `write_posts` and read by their productions."""
    return {f"posts{n}": (write_posts(n), lambda lex, text, ctx, i: []) for n in (0, 1)}


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
            "extreme": ("extreme", ""), "adjs": ("adjs", ""), "noun": (noun, ""),
            "posts": (f"posts{n}", "noun"), "title": ("title", "noun"),
        }  # fmt: skip
        patterns = ["4* [{extreme}] {adjs} {noun} [{posts}]", "[{extreme}] {noun} [{posts}]"]
        patterns += ["[{adjs}] {noun} {title} {posts}"] if not n else []
        holes |= {"sort": (f"sort{n}", "noun"), "those": ("posts1", "noun")}
        patterns += [f"[{{adjs}}] {{noun}} {{sort}} {of} those {{those}}" for of in ("among", "of", "out of")]
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
        for part in (*h.get("posts", ()), *h.get("those", ()), *((h["sort"],) if "sort" in h else ())):
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


def _with_order(w: Writer, t: Term, names: Names, h: Holes, posts: tuple[Term, ...]) -> Holes | None:
    """What follows a noun that is the first by some column, or is wanted in the order of it."""
    _, table, _, sort, desc, take, _, _ = t
    if not take:
        return None if "sort" in names else h | {"posts": (*posts, ("#order", sort, desc))}
    if (sort, desc) in w.lexicon.extremes[table] and not w.careful:
        return None
    order = (SORT, sort, desc)
    near = all(is_titled(w.lexicon, c) for c in posts)
    if "sort" in names:
        return h | {"sort": order, "those": posts} if posts and not near else None
    return h | {"posts": (*posts, order)} if near or not posts else None


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
            title = next((c for c in rest if c[0] == lex.schema[table].title and c[1] == "eq" and is_const(c[2])), None)
            if title is None:
                return None
            rest.remove(title)
            h["title"] = title[2]
        if "adjs" in names:
            known = lex.adjectives[table]
            fit = [c for c in rest if is_const(c[2]) and (c[0], c[1], c[2][1]) in known]
            if not fit:
                return None
            fit = sorted(fit, key=lambda c: lex.kind((table, c[0])) == "enum")[:2]
            h["adjs"] = tuple(((table, c),) for c in fit)
            rest = [c for c in rest if c not in fit]
        posts = tuple(sorted(w.stream.shuffled(rest), key=is_nested))
        if sort and "extreme" not in names:
            return _with_order(w, t, names, h, posts)
        return None if "sort" in names else h | ({"posts": posts} if posts else {})

    return split

"""The productions of a noun with all that belongs to it: 'most recent confirmed booking of Anna Schmidt'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from worlddb.tasks.say.forms import (
    SORT,
    Names,
    is_const,
    is_nested,
)
from worlddb.tasks.say.grammar import Holes, Rules, Writer
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.terms import Term, find


def add_lists(rules: Rules) -> None:
    """posts0 and posts1 (all that follows a noun), adjs (what stands before it), values (several constants)."""
    for n in (0, 1):
        holes = {"post": (f"post{n}", "."), "posts": (f"posts{n}", ".")}
        rules.add(f"posts{n}", ["{post}"], holes, _one("post"), lambda lex, ctx, h: (h["post"],))
        rules.add(f"posts{n}", ["2* {post} {posts}"], holes, _first("post", "posts"), _join("post", "posts"))
        rules.add(f"posts{n}", ["3* {post} and {posts}"], holes, _and, _join("post", "posts"))
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


def _and(w: Writer, ctx: Any, v: Term, n: Names) -> Holes | None:
    """'and' stands before conditions, but not before the order in which a set is wanted."""
    return {"post": v[0], "posts": v[1:]} if len(v) > 1 and v[1][0] != "#order" else None


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
            h["adjs"] = tuple(((table, c),) for c in fit[:2])
            rest = [c for c in rest if c not in fit[:2]]
        posts = sorted(w.stream.shuffled(rest), key=is_nested)
        if sort and "extreme" not in names:
            if take and posts and not w.careful:
                return None  # 'the one with ... among' says it better
            posts.append((SORT if take else "#order", sort, desc))
        if posts:
            h["posts"] = tuple(posts)
        return h

    return split

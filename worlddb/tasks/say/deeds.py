"""The productions of changes: what each writing tool of a toolset is asked to do, in words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from worlddb.tasks.say.arguments import is_lines
from worlddb.tasks.say.forms import Names, phrases
from worlddb.tasks.say.grammar import Holes, Read, Reading, Rules, Write, Writer
from worlddb.tasks.say.labels import several
from worlddb.tasks.say.lexer import Text
from worlddb.tasks.say.lexicon import Lexicon, Pair
from worlddb.tasks.say.phrasebook import Phrases
from worlddb.tasks.say.terms import Term, own_key, target
from worlddb.tasks.say.words import with_article
from worlddb.tools.model import Param, Tool
from worlddb.tools.toolset import Toolset
from worlddb.tools.words import Verb, article, plain, state_word

_SPECIAL = frozenset(["args", "settings", "itsettings", "column", "value", "flag", "title"])
"""Holes that are no parameters."""
PLAIN = ("create", "update", "delete", "archive", "restore", "transition", "link", "unlink")


def flat(params: tuple[Param, ...]) -> list[Param]:
    """Parameters, those of a spread object in its place."""
    return [p for param in params for p in (param.fields if param.convert == "spread" else (param,))]


class Deeds:
    """The writing tools of a toolset, as people ask for them."""

    def __init__(self, lexicon: Lexicon, toolset: Toolset) -> None:
        self.lexicon = lexicon
        self.toolset = toolset
        self.tools = [t for t in toolset if not t.read_only and t.kind not in ("sql", "plugin", "distractor")]
        self.params: dict[str, dict[str, tuple[str, Pair]]] = {}
        self._phrases: dict[str, Phrases] = {}
        for tool in self.tools:
            self._params(tool.key, flat(tool.params), tool)
            for p in flat(tool.params):
                if p.fields and p.convert != "spread":
                    self._params(f"{tool.key}#{p.key}", list(p.fields), tool)

    def result(self, tool: str) -> str:
        """The table of the row that a tool answers with."""
        found = self.toolset.by_key(tool)
        if found is None:
            return ""
        return found.reply.keys[0][0] if found.reply.keys else found.table

    def makes(self, tool: str) -> bool:
        """True for a tool that answers with a new row."""
        found = self.toolset.by_key(tool)
        return found is not None and (self.result(tool), "insert") in found.writes

    # --- parameters

    def _params(self, scope: str, params: list[Param], tool: Tool) -> None:
        said = {p.key: (self._label(p, tool), self.place(p, tool)) for p in params if not p.hidden}
        often = Counter(label for label, _ in said.values())
        self.params[scope] = {
            k: (label if often[label] == 1 else f"{plain(state_word(k))}", place) for k, (label, place) in said.items()
        }

    def place(self, p: Param, tool: Tool) -> Pair:
        """The table and column that a parameter's values are of."""
        if p.table and p.column:
            return (p.table, p.column)
        column = tool.key.rpartition(".")[2].removeprefix("adjust_")
        return (
            (tool.table, column) if p.key == "delta" and column in self.lexicon.schema[tool.table] else ("", "number")
        )

    def _label(self, p: Param, tool: Tool) -> str:
        place = self.place(p, tool)
        if p.key.startswith(("from_", "to_")) or not place[0] or place not in self.lexicon.labels:
            return plain(state_word(p.name))
        if p.role == "key":
            return self.lexicon.words.label(p.table)
        return self.lexicon.roles.get(place) or self.lexicon.labels[place]

    def words(self) -> dict[str, tuple[Write, Read]]:
        """The symbol of parameters: its context is a tool, or the lines of a tool."""

        def write(w: Writer, ctx: Any, v: Term) -> str:
            return self.params[ctx][v[1]][0]

        def read(lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
            if ctx not in self._phrases:
                made = self._phrases[ctx] = Phrases()
                for key, (label, place) in self.params[ctx].items():
                    made.add(label, ("param", key, *place))
            return list(self._phrases[ctx].read(text, i))

        return {
            "param": (write, read),
            "a_param": with_article((write, read)),
            "flagged": (self._say_flag, self._read_flag),
        }

    def _say_flag(self, w: Writer, ctx: Any, v: Term) -> str:
        return self._flagged((v[2], v[3]), v[4])

    def _read_flag(self, lex: Lexicon, text: Text, ctx: Any, i: int) -> list[Reading]:
        """A parameter of the tool at hand, and yes or no, by what a row is then marked as."""
        if (scope := f"{ctx} flags") not in self._phrases:
            made = self._phrases[scope] = Phrases()
            for key, (_, place) in self.params[ctx].items():
                for value in (0, 1):
                    if words := self._flagged(place, value):
                        made.add(words, ("param", key, *place, value))
        return list(self._phrases[scope].read(text, i))

    # --- productions

    def rules(self) -> Rules:
        """act: one change, or one for each of a set."""
        rules = Rules()
        for tool in self.tools:
            self._tool(rules, tool)
        return rules

    def _tool(self, rules: Rules, tool: Tool) -> None:
        params = {p.key: p for p in flat(tool.params) if not p.hidden}
        for form in self.patterns(tool, params):
            for pattern in [form] if isinstance(form, str) else form:
                self._pattern(rules, tool, params, pattern)

    def patterns(self, tool: Tool, params: dict[str, Param]) -> list[str]:
        """The patterns of one tool, its own words filled in."""
        kinds, last = phrases("deeds")["kinds"], tool.key.rpartition(".")[2]
        if last.startswith("adjust_") and tool.kind != "bulk":
            found = [f"adjust the {self._label(params['delta'], tool)} of {{id}} by {{delta}}"]
        elif tool.kind == "action":
            actions = phrases("deeds")["actions"]
            found = [
                p for form in (last, f"{last}_top", f"{last}_amount", f"{last}_end") for p in actions.get(form, ())
            ]
        elif tool.kind == "bulk":
            found = self._bulk(tool, last, kinds)
        elif tool.kind == "update":
            found = [p for form in ("update", "updates", "clear", "flag") for p in kinds[form]]
        elif tool.kind == "create":
            found = self._create(tool, params, kinds)
        elif tool.kind in ("link", "unlink"):
            a, b = list(params)[:2]
            found = [p.replace("{a}", f"{{{a}}}").replace("{b}", f"{{{b}}}") for p in kinds[tool.kind]]
        else:
            found = list(kinds.get(tool.kind, ()))
        found = [self._fill(p, tool) for p in found] or [self._name(tool)]
        known = {*params, *_SPECIAL}
        return [p for p in found if p and set(re.findall(r"\{(\w+)\}", p)) <= known] or [self._name(tool)]

    def _create(self, tool: Tool, params: dict[str, Param], kinds: dict[str, list[str]]) -> list[str]:
        found = [*kinds["create"], *self._create_for(tool, params)]
        found += kinds["create_none"] if not any(p.required for p in params.values()) else []
        if title := self._title(tool, params):
            noun = re.compile(r"<(a )?noun>")
            calls = [f" {word} {{{title}}}" for word in ("called", "named")]
            found += [noun.sub(rf"\g<0>{call}", p, count=1) for p in found if "{args}" in p for call in calls]
        items = next((p.key for p in params.values() if p.fields), "")
        if items:
            lines = f"with these lines: {{{items}}}"
            found = [*(f"{p}, and {lines}" for p in found), *found, f"create a new <noun> {lines}"]
        return found

    def _title(self, tool: Tool, params: dict[str, Param]) -> str:
        """The parameter with the name that a new row is called by; '' where there is none."""
        lex, place = self.lexicon, (tool.table, self.lexicon.schema[tool.table].title)
        if not place[1] or lex.kind(place) != "text" or lex.is_a(place, "identifier"):
            return ""
        return next((k for k, p in params.items() if p.column and self.place(p, tool) == place), "")

    def _bulk(self, tool: Tool, last: str, kinds: dict[str, list[str]]) -> list[str]:
        if last == "bulk_update":
            return list(kinds["bulk_update"])
        if last == "bulk_create":
            return list(kinds["bulk_create"])
        keys = [p.key for p in tool.params]
        if last.startswith("reassign_"):
            return [p.replace("{from}", f"{{{keys[0]}}}").replace("{to}", f"{{{keys[1]}}}") for p in kinds["reassign"]]
        if last == "adjust_prices":
            groups = [f"of {{{k}}} " for k in keys if k != "percent"]
            return [f"change the prices of all <nouns> {of}by {{percent}} percent" for of in (groups or [""])]
        if "ids" in keys:
            return [*kinds["bulk"], *(["delete {ids}", "remove {ids}"] if last == "bulk_delete" else [])]
        return []

    def _create_for(self, tool: Tool, params: dict[str, Param]) -> list[str]:
        """A new row 'for' the one row of another table that it belongs to."""
        kinds = phrases("deeds")["kinds"]
        parents = {
            p.key: target(self.lexicon.schema, *self.place(p, tool))
            for p in params.values()
            if p.column and not p.fields
        }
        often = Counter(parents.values())
        found = []
        for key, parent in parents.items():
            if parent and often[parent] == 1:
                found += [p.replace("{for}", f"{{{key}}}") for p in [*kinds["create_for"], *kinds["create_bare"]]]
        return found

    def _name(self, tool: Tool) -> str:
        """The tool's own name as a sentence, where nothing better is known; all parameters are listed."""
        w = tool.words
        noun = self.lexicon.words.labels(tool.table) if w.many else self.lexicon.words.label(tool.table)
        text = Verb(w.template or w.verb, "").of(noun if w.many else article(noun))
        return f"{text} {plain(w.tail)}".strip() if w.tail else text

    def _fill(self, pattern: str, tool: Tool) -> str:
        """A pattern with the words in angle brackets put in; '' where the tool has no such word."""
        lex, steps = self.lexicon, tool.key.split(".")
        noun = lex.words.label(tool.table)

        def word(m: re.Match[str]) -> str:
            what = m.group(1)
            if what.startswith("deed"):
                hole = "{ids}" if what.startswith("deeds") else "{id}" if ":" in what else article(f"new {noun}")
                return self._deed(tool).of(hole)
            if what in ("role", "roles", "what"):
                links = {f.key: f.columns[0] for f in lex.schema[tool.table].foreign_keys}
                place = (tool.table, links.get(steps[1], ""))
                if place not in lex.roles:
                    return "\0"
                return several(lex.roles[place]) if what == "roles" else lex.roles[place]
            if what == "kids":
                return lex.words.labels(steps[2]) if len(steps) > 2 and steps[2] in lex.schema else "\0"
            if what == "a result":
                return article(lex.words.label(steps[1])) if steps[1] in lex.schema else "\0"
            return {"noun": noun, "nouns": lex.words.labels(tool.table), "a noun": article(noun)}.get(what, "\0")

        made = re.sub(r"<([\w: ]+)>", word, pattern)
        return "" if "\0" in made else made

    def _deed(self, tool: Tool) -> Verb:
        own = tool.words.template if tool.kind in PLAIN or tool.kind == "bulk" else ""
        return Verb(re.sub(r"^mark_as_(\w+)$", r"mark_{noun}_as_\1", own or tool.words.verb), "")

    def _pattern(self, rules: Rules, tool: Tool, params: dict[str, Param], pattern: str) -> None:
        named = re.findall(r"\{(\w+)\}", pattern)
        taken = set(named) & {"args", "settings", "itsettings", "column", "flag"} or pattern.endswith("!")
        pattern, rest = pattern.rstrip("!"), not taken and set(params) - set(named)
        if rest and not any(params[n].fields for n in named if n in params):
            pattern = f"{pattern} [with {{args}}]"
        holes: dict[str, tuple[str, Any]] = {
            "args": ("args", (tool.key,)), "settings": ("settings", (tool.key,)), "itsettings": ("itsettings", (tool.key,)),
            "flag": ("flagged", (tool.key,)),
            "column": ("param", (tool.key,)), "value": ("value", "column"),
        }  # fmt: skip
        for key, p in params.items():
            holes[key] = self._hole(tool, p)
        clear = "column" in named and "value" not in named
        rules.add(
            "act", [pattern], holes, self._split(tool, params, clear), self._make(tool, params, clear), sort=tool.key
        )

    def _hole(self, tool: Tool, p: Param) -> tuple[str, Any]:
        if p.fields:
            return ("lines", (f"{tool.key}#{p.key}",))
        place = self.place(p, tool)
        table = target(self.lexicon.schema, *place)
        if p.role == "items" or p.convert == "keys":
            return ("keys", (table,))
        return ("object", (table,)) if table else ("value", (place,))

    def _split(self, tool: Tool, params: dict[str, Param], clear: bool) -> Callable[..., Holes | None]:
        def split(w: Writer, ctx: Any, do: Term, names: Names) -> Holes | None:
            if do[1] != tool.key:
                return None
            w.now = w.order.index(do[:4]) if do[:4] in w.order else w.now
            given = dict(do[2])
            table = do[3][1] if do[3] is not None else ""
            key = own_key(w.lexicon.schema, table) if table else ""
            h: Holes = {}
            for name in names - _SPECIAL:
                if name not in given:
                    return None
                value = given.pop(name)
                h[name] = ("all", do[3]) if table and value == ("item", key) and not params[name].fields else value
            w.whole[2] = table
            objects = [v for v in h.values() if v[0] == "all"]
            if bool(table) != (len(objects) == 1) and not (table and ctx == "each" and not objects):
                return None
            if ctx == "each" and objects:
                return None
            rest = self._rest(w, tool, tuple(sorted(given.items())), names, clear)
            return None if rest is None else h | rest

        return split

    def _rest(self, w: Writer, tool: Tool, left: tuple[Any, ...], names: Names, clear: bool) -> Holes | None:
        """The parameters that a pattern does not name, in the holes that it has for them."""
        if any(is_lines(v) for _, v in left):
            return None
        h: Holes = {}
        slot = next((n for n in ("args", "settings", "itsettings") if n in names), "")
        if "column" in names or "flag" in names:
            if (
                len(left) < 1 + bool(slot)
                or (not slot and len(left) > 1)
                or (left[0][1][:2] == ("const", None)) != clear
            ):
                return None
            (key, value), left = left[0], left[1:]
            place = self.params[tool.key][key][1]
            if "flag" in names:
                given = value[1] if value[0] == "const" and self._flagged(place, value[1]) else None
                return None if given is None else {"flag": ("param", key, *place, given)}
            if self.lexicon.kind(place) == "flag" and not clear and not slot and value[0] == "const" and not w.careful:
                return None
            h = {"column": ("param", key, *place)} | ({} if clear else {"value": value})
        elif tool.kind == "update" and len(left) == 1:
            return None
        if (
            bool(slot) != bool(left)
            or names & _SPECIAL - {"args", "column", "value"} - {slot}
            or (slot != "args" and "args" in names)
        ):
            return None
        return h | ({slot: tuple(w.stream.shuffled(left))} if slot else {})

    def _flagged(self, place: Pair, value: Any) -> str:
        """'urgent', 'not urgent': what a row is marked as; '' for flags that are no adjectives."""
        if self.lexicon.kind(place) != "flag" or value not in (0, 1):
            return ""
        flag = self.lexicon.flag(place)
        return "" if flag.shape != "adjective" else flag.words if value else f"not {flag.words}"

    def _make(self, tool: Tool, params: dict[str, Param], clear: bool) -> Callable[..., Any]:
        def make(lex: Lexicon, ctx: Any, h: Holes) -> Any:
            given, rows = dict[str, Any](), None
            for name, value in h.items():
                if name in ("args", "settings", "itsettings"):
                    if any(k in given or k in h for k, _ in value):
                        return None
                    given.update(value)
                elif name == "flag":
                    given[value[1]] = ("const", value[4], value[2], value[3])
                elif name == "column":
                    if h["column"][1] in h or h["column"][1] in given:
                        return None
                    given[h["column"][1]] = ("const", None, *h["column"][2:]) if clear else h["value"]
                elif name == "value" and "column" in h:
                    continue
                elif value[0] == "all":
                    if rows is not None or ctx == "each":
                        return None
                    rows, given[name] = value[1], ("item", own_key(lex.schema, value[1][1]))
                else:
                    given[name] = value
            if not all(k in given for k, p in params.items() if p.required):
                return None
            return ("do", tool.key, tuple(sorted(given.items())), rows, None, None)

        return make

"""The user of a task, played by rules: who they answer, what they say, and when they come up with something new.

Everything they do is a fold over the journal.  Each entry leads from one state to the next; states are kept beside the entries
that led to them, so that forks, undone calls and resumed sessions find their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from msgspec.structs import replace

from worlddb.rng import Stream
from worlddb.tasks.model import GoldCall
from worlddb.tasks.user import Change, Deed, Request, Script, Topic
from worlddb.tools.arguments import Reader, Refused, shown
from worlddb.tools.engine import Outcome
from worlddb.tools.model import Tool
from worlddb.tools.people import ASK, CONFIRM, DO, TELL
from worlddb.tools.session import Entry, Session
from worlddb.tools.toolset import Toolset
from worlddb.users.consent import Consent
from worlddb.users.lexis import lexis_of, phrase, tokens
from worlddb.users.model import Act
from worlddb.users.phrases import line, persona_of, users_file
from worlddb.users.state import Consented, Link, State, is_event
from worlddb.users.understand import Ear, Heard
from worlddb.world.model import World

KEPT = 4096
"""States that are remembered at most."""
TALK = (ASK, CONFIRM, TELL, DO)
"""Keys of the tools that they answer; signing in is none of their business."""
UNJUDGED = ("sql", "plugin", "distractor", "user")
"""Kinds of tools of which the user cannot judge what they do."""


class User:
    """Stands beside sessions as the user of one task (`worlddb.tools.session.Beside`).

    `toolset` is the one of the session; `calls` are the gold's changes.
    """

    def __init__(self, script: Script, calls: tuple[GoldCall, ...], world: World, toolset: Toolset) -> None:
        self.script = script
        self.world = world
        self.toolset = toolset = (
            toolset if toolset.by_key(ASK) else toolset.with_people(tuple(d.name for d in script.deeds))
        )
        self.persona = persona_of(script.persona)
        self.topics = {t.name: t for t in script.topics}
        self.changes = {c.topic: c for c in script.changes}
        self.lexis = lexis_of(world, toolset)
        self.ear = Ear(self.lexis, script.topics)
        self.consent = Consent(calls, world, toolset, self.lexis.lexicon)
        self._coming: tuple[tuple[str, Sequence[Change | Request]], ...] = (
            ("change", script.changes), ("request", script.requests),
        )  # fmt: skip
        """What they will come up with."""
        self._first = State(things=tuple(script.things.items()))
        self._known: dict[int, Link] = {}
        self._readers = {t.name: Reader(t.params) for t in toolset if t.kind == "user"}
        self._tools = {t.name: t for t in toolset}
        self._things = {thing: phrase(thing) for thing in script.things}

    # --- beside a session

    def before(self, session: Session, tool: Tool, arguments: Any) -> Outcome | None:
        """The reply to a call of a user tool; None for all other tools."""
        if tool.key not in TALK:
            return None
        try:
            given = self._reader(tool).read(_kept(arguments))
        except Refused as refused:
            return Outcome(None, refused.error)
        _, reply = self.respond(self.state(session.journal), len(session.journal) + 1, tool, given)
        return Outcome({"reply": reply}, None)

    def after(self, session: Session, tool: Tool, arguments: Any, outcome: Outcome) -> Outcome:
        """The outcome, as it is."""
        return outcome

    def _reader(self, tool: Tool) -> Reader:
        if tool.name not in self._readers:
            self._readers[tool.name] = Reader(tool.params)
        return self._readers[tool.name]

    # --- what others ask

    def acts(self, of: Session | Sequence[Entry]) -> tuple[Act, ...]:
        """What happened between the agent and the user, turn by turn, in a session or its journal."""
        return self.state(of.journal if isinstance(of, Session) else of).acts

    def confirmed(self, session: Session, entry: Entry) -> bool:
        """True for a call that the user had agreed to before it was made: the same tool with the same arguments."""
        return self.agreed(session.journal[: entry.number - 1], entry)

    def agreed(self, journal: Sequence[Entry], entry: Entry) -> bool:
        """The same, of a call that comes after those of a journal."""
        tool = self._tools.get(entry.name)
        if tool is None:
            return False
        binds = self.consent.binds(tool, entry.arguments)
        earlier = self.state(journal).agreed
        return any(a.tool == tool.key and a.binds is not None and a.binds == binds for a in earlier)

    def did(self, session: Session, number: int) -> frozenset[str]:
        """Names of the deeds that the user had done before the journal's entry of that number."""
        return self.state(session.journal[: number - 1]).deeds

    def waiting(self, session: Session) -> bool:
        """True while the user has something to say that they have not said: a change of mind, a further request."""
        return bool(self._due(self.state(session.journal)))

    # --- the fold

    def state(self, journal: Sequence[Entry]) -> State:
        """The state after these entries."""
        link = self._remembered(journal)
        at, state = (0, self._first) if link is None else (link.at, link.state)
        for entry in journal[at:]:
            state = self._next(state, entry)
            at += 1
            if len(self._known) >= KEPT:
                self._known.clear()
            link = self._known[id(entry)] = Link(entry, at, state, link)
        return state

    def _remembered(self, journal: Sequence[Entry]) -> Link | None:
        """The last entry whose state is remembered, if the very same entries led to it."""
        for at in range(len(journal), 0, -1):
            known = self._known.get(id(journal[at - 1]))
            if known is not None and known.at == at and known.follows(journal):
                return known
        return None

    def _next(self, state: State, entry: Entry) -> State:
        tool = self._tools.get(entry.name)
        if tool is None:
            return state
        if tool.key in TALK:
            if entry.result.error is not None:
                return state
            given = self._reader(tool).read(entry.raw)
            act, _ = self.respond(state, entry.number, tool, given)
            return self._followed(state, act, tool, given)
        created = frozenset((c.table, c.key) for c in entry.changes if c.before is None)
        happened = frozenset(self._happened(state, entry, tool))
        if created or happened:
            return replace(state, created=state.created | created, happened=state.happened | happened)
        return state

    def _followed(self, state: State, act: Act, tool: Tool, given: dict[str, Any]) -> State:
        """The state after a turn."""
        changed = {n.partition(":")[2] for n in act.news if n.startswith("change:")}
        agreed, things = state.agreed, state.things
        if act.agreed:
            meant = self.consent.tool(given["action"])
            assert meant is not None
            agreed += (Consented(act.number, meant.key, self.consent.binds(meant, _inner(given))),)
        if act.deed:
            deed = next(d for d in self.script.deeds if d.name == act.deed)
            things = tuple({**dict(things), deed.thing: deed.after}.items())
        return replace(
            state, told=state.told | set(act.told) | changed, news=state.news | set(act.news), agreed=agreed, things=things,
            deeds=state.deeds | {act.deed} if act.deed else state.deeds, acts=(*state.acts, act),
        )  # fmt: skip

    # --- events

    def _happened(self, state: State, entry: Entry, tool: Tool) -> list[tuple[str, int, int]]:
        found = list[tuple[str, int, int]]()
        for kind, every in self._coming:
            for i, one in enumerate(every):
                for j, event in enumerate(one.after):
                    if (kind, i, j) not in state.happened and is_event(event, entry, tool):
                        found.append((kind, i, j))
        return found

    def _due(self, state: State) -> list[str]:
        """What is to be said now."""
        found = list[str]()
        for kind, some in self._coming:
            for i, one in enumerate(some):
                name = f"change:{one.topic}" if isinstance(one, Change) else f"request:{i}"
                if name not in state.news and all((kind, i, j) in state.happened for j in range(len(one.after))):
                    found.append(name)
        return found

    # --- one turn

    def respond(self, state: State, number: int, tool: Tool, given: dict[str, Any]) -> tuple[Act, str]:
        """What the user does and says in entry `number`, where the state is this; `given` are the tool's bound arguments."""
        stream = Stream(self.script.seed, "user", str(number))
        if tool.key == DO:
            return self._do(state, number, given["action"], stream)
        due = self._due(state)
        if tool.key == ASK:
            act, says = self._ask(state, number, self._heard(given), given["question"], due, stream)
        elif tool.key == CONFIRM:
            act, says = self._confirm(state, number, given, due, stream)
        else:
            assert tool.key == TELL
            act, says = self._tell(state, number, given["message"], due, stream)
        if due:
            act = replace(act, news=tuple(due))
            says += self._news(due, bool(says), stream)
        return act, _joined(says)

    def _closing(self, state: State) -> str:
        """How they answer where nothing is to be said: it is over, or not yet."""
        coming = sum(len(some) for _, some in self._coming)
        return "bye" if len(state.news) == coming else "noted"

    def understand(self, question: str) -> Heard:
        """The topics that free text asks for."""
        return self.ear.heard(question)

    def _heard(self, given: dict[str, Any]) -> Heard:
        named = self.ear.named(given.get("about") or ())
        if named.topics or named.fields:
            return named
        heard = self.understand(given["question"])
        if heard.topics or heard.fields:
            return heard
        options = self.ear.offered(given.get("options") or ())
        return heard._replace(topics=options) if options else heard

    def _ask(
        self, state: State, number: int, heard: Heard, question: str, due: list[str], stream: Stream
    ) -> tuple[Act, list[str]]:
        """Answers to a question: at most so many topics, those first that were never told."""
        asked = [t for t in heard.topics if t in self.topics and f"change:{t}" not in due]
        fresh = [t for t in asked if self.topics[t].hidden and t not in state.told]
        again = [t for t in asked if t in state.told]
        plain = [t for t in asked if t not in fresh and t not in again]
        taken = [*fresh, *again, *plain][: self.persona.most]
        act = Act(
            number=number, kind="ask", asked=heard.topics, told=tuple(t for t in taken if t in fresh), repeated=tuple(again),
            visible=tuple(plain), readable=heard.fields, unknown=tuple(t for t in taken if self.topics[t].unknown),
        )  # fmt: skip
        says = [self._answer(state, t, t in fresh, len(taken) > 1, stream) for t in taken]
        things = self._asked_things(question)
        says += [self._line("state", stream, thing=_spoken(t), state=_spoken(dict(state.things)[t])) for t in things]
        if len(asked) > len(taken):
            says.append(self._line("more", stream))
        if heard.fields and not taken:
            says.append(self._line("readable", stream))
        lost = not (heard.topics or heard.fields or things or due)
        if lost and not users_file().closings.isdisjoint(tokens(question)):
            return act, [self._line(self._closing(state), stream)]
        if lost:
            says.append(self._line("unclear", stream))
        return (replace(act, irrelevant=True) if lost else act), says

    def _answer(self, state: State, name: str, fresh: bool, several: bool, stream: Stream) -> str:
        topic = self.topics[name]
        says = self._wish(state, topic)
        if topic.unknown:
            return self._line("unknown", stream, unknown=topic.unknown, says=says)
        label = self._label(topic)
        if self._shares(topic) or (several and label.casefold() not in says.casefold()):
            if fresh:
                return self._line("named", stream, label=label, says=says)
            says = f"{label}: {says}"
        act = "told" if fresh else "repeated" if name in state.told else "visible"
        return self._line(act, stream, says=says)

    def _wish(self, state: State, topic: Topic) -> str:
        """What they want as far as they know by now."""
        change = self.changes.get(topic.name)
        return topic.says if change is None or f"change:{topic.name}" in state.news else change.was

    def _confirm(
        self, state: State, number: int, given: dict[str, Any], due: list[str], stream: Stream
    ) -> tuple[Act, list[str]]:
        tool = self.consent.tool(given["action"])
        if tool is None or tool.kind in UNJUDGED:
            return Act(number=number, kind="confirm"), [self._line("cannot", stream)]
        if tool.read_only:
            return Act(number=number, kind="confirm"), [self._line("look", stream)]
        before = [
            (c, self.topics[c.topic]) for c in self.script.changes
            if c.topic in self.topics and f"change:{c.topic}" not in (*state.news, *due)
        ]  # fmt: skip
        agreed = self.consent.agrees(tool, _inner(given), state.created, before)
        return Act(number=number, kind="confirm", agreed=agreed), [self._line("yes" if agreed else "no", stream)]

    def _tell(self, state: State, number: int, message: str, due: list[str], stream: Stream) -> tuple[Act, list[str]]:
        heard = self.understand(message)
        if heard.asks and (heard.topics or heard.fields or self._asked_things(message) or ("?" in message and not due)):
            act, says = self._ask(state, number, heard, message, due, stream)
            return replace(act, kind="tell"), says
        return Act(number=number, kind="tell"), [] if due else [self._line(self._closing(state), stream)]

    def _news(self, due: Sequence[str], after: bool, stream: Stream) -> list[str]:
        """Changes of mind, then requests, in their own words."""
        says = [self._line("also", stream)] if after else []
        for name in due:
            kind, _, which = name.partition(":")
            if kind == "request":
                says.append(self.script.requests[int(which)].text)
                continue
            topic, change = self.topics.get(which), self.changes[which]
            if topic is not None:
                says.append(self._line("change", stream, label=self._label(topic), says=topic.says, was=change.was))
        return says

    # --- their own side

    def _do(self, state: State, number: int, name: str, stream: Stream) -> tuple[Act, str]:
        deed = self._deed(name)
        if deed is None or dict(state.things).get(deed.thing) not in deed.before:
            return Act(number=number, kind="do"), self._line("impossible", stream)
        return Act(number=number, kind="do", deed=deed.name), deed.says

    def _deed(self, name: str) -> Deed | None:
        return next((d for d in self.script.deeds if d.name == name), None)

    def _asked_things(self, text: str) -> list[str]:
        """Their things that a text is about."""
        if not self._things:
            return []
        words = set(tokens(text))
        return [thing for thing, own in self._things.items() if own and words.issuperset(own)]

    # --- words

    def _line(self, act: str, stream: Stream, **holes: str) -> str:
        text = line(act, self.persona.tone, stream, **holes)
        return text[:-1] if text.endswith("..") and not text.endswith("...") else text  # a value ended with a full stop

    def _label(self, topic: Topic) -> str:
        if self._shares(topic):
            return topic.vague.removeprefix("the ")
        return topic.words[0] if topic.words else topic.name.replace("_", " ")

    def _shares(self, topic: Topic) -> bool:
        """True where something else is held back that is called the same: only the words of the instruction tell them apart."""
        others = (t for t in self.script.hidden if t.name != topic.name)
        return topic.hidden and topic.vague != "" and any(t.words[:1] == topic.words[:1] for t in others)


def _joined(says: Sequence[str]) -> str:
    """Sentences as one text, each ended before the next begins."""
    ended = [s if s[-1:] in ".!?)" else f"{s}." for s in says[:-1]]
    return " ".join([*ended, *says[-1:]])


def _kept(arguments: Any) -> Any:
    """Arguments as the journal will show them: what a turn means must not depend on what it cannot keep.

    Raises:
        Refused: they are nothing that JSON knows.
    """
    if arguments is None or isinstance(arguments, str | bytes):
        return arguments
    try:
        return orjson.dumps(arguments)
    except (TypeError, ValueError, RecursionError):
        raise Refused(f"the arguments are no JSON: {shown(arguments)}") from None


def _inner(given: dict[str, Any]) -> Any:
    """The arguments that a call of confirm speaks of."""
    found = given["arguments"]
    return orjson.loads(found) if isinstance(found, str) else found


def _spoken(word: str) -> str:
    return word.replace("_", " ")

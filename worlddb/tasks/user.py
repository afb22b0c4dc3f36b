"""The Script noun: the person behind a task.  What they hold back until they are asked, what they change their mind about, what
they ask for next, what they can do on their own side, and how they talk.

It is data beside the plan, which always says the whole task.  `worlddb.users` plays it: what the user says is a function of the
script and of the journal alone, so that episodes can be forked, put to sleep and judged again.
"""

from __future__ import annotations

from typing import Any

import msgspec

from worlddb.tasks.goal import Key

LEVELS = ("L0", "L1", "L2", "L3", "L4", "L5", "L6")
"""L0 nothing is withheld; L1 one slot; L2 several; L3 a description that several rows fit, so that the agent must look and then
ask; L4 what the user does not know either, and describes; L5 a change of mind; L6 what cannot be done as asked."""

KINDS = ("identity", "value", "quantity", "date", "choice", "constraint", "credential")
"""What a topic is about: which row, a text, a number or amount, a day or moment, one of a list, what tells rows apart, a code."""


class Topic(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something about the task that the user can be asked: one slot of the goal."""

    name: str
    """Unique in its task, in the API's words: 'due_date', 'order'.  What `about` of ask_user may name."""
    kind: str
    table: str
    column: str = ""
    """The column (keys) whose value it is; of an identity '', and `table` is that of the row."""
    node: str = ""
    part: str = ""
    """Where it stands in the plan: a Do and its parameter key, or a Find and a condition's column ('' for the whole Find)."""
    words: tuple[str, ...] = ()
    """What else people call it: labels, parameter names, nouns."""
    hidden: bool = False
    """Withheld: the instruction does not say it, and the user says it when asked.  Otherwise the instruction says it."""
    says: str = ""
    """What the user knows of it, as a phrase: '29 May 2026', 'the newest order of Anna Berg'."""
    vague: str = ""
    """The words that stand for a hidden one in the instruction: 'the day we agreed on'."""
    secrets: tuple[str, ...] = ()
    """Texts within `says` that no reply may hold before it was asked for."""
    unknown: str = ""
    """What the user does not know of it, as a phrase: 'its number'.  They describe it instead."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happens in the world.  It fires once, when the journal has it; turns do not count.

    read      a call showed the row           changed   a call changed it (key None: any row of the table)
    refused   a call was refused by a rule
    """

    kind: str
    table: str = ""
    key: Key | None = None
    op: str = ""
    """Of changed: insert, update, delete; '' for any."""


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of mind: once all events have happened, the user says so at the next occasion."""

    topic: str
    """Name of the topic, whose `says` is the new wish."""
    after: tuple[Event, ...]
    was: str
    """What the instruction asked for, as a phrase."""


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A further request, made at the first occasion after all events have happened."""

    text: str
    after: tuple[Event, ...]
    literals: tuple[str, ...] = ()
    """Texts within it that no reply may hold before."""


class Deed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that only the user can do, with a thing of their own: restart the card reader."""

    name: str
    """As the agent asks for it: 'restart_card_reader'."""
    thing: str
    """Their table of things has a row of this name, and `state` is its column."""
    before: tuple[str, ...]
    """States in which it can be done."""
    after: str
    """The state then."""
    says: str
    """What the user reports, as a sentence: 'The light is green again.'"""


class Wish(msgspec.Struct, frozen=True):
    """A call that the user would agree to although it is no part of the gold: they asked for it, and it cannot be done."""

    tool: str
    """Key of the tool."""
    arguments: dict[str, Any]
    """By parameter key."""


class Script(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The user of one task."""

    level: str = "L0"
    persona: str = "normal"
    """One of schemas/wording/users.yaml: how much they say in a turn, and in which tone."""
    seed: int = 0
    """Their words are drawn from it."""
    name: str = ""
    role: str = ""
    """Who they are in the business, where policies ask for it."""
    topics: tuple[Topic, ...] = ()
    changes: tuple[Change, ...] = ()
    requests: tuple[Request, ...] = ()
    things: dict[str, str] = {}
    """Their own side: thing -> state in the beginning."""
    deeds: tuple[Deed, ...] = ()
    wishes: tuple[Wish, ...] = ()

    @property
    def hidden(self) -> tuple[Topic, ...]:
        """What must be asked."""
        return tuple(t for t in self.topics if t.hidden)

"""The Goal noun: by what an episode is judged.  A finite set of alternatives, each a net change that would be right.

The verifier (worlddb/episode) reads it; tasks compile it from what the gold changed.  It is data: it travels as JSON, and needs
neither the plan nor the tools.
"""

from __future__ import annotations

import unicodedata
from typing import Any, TypeAlias

import msgspec

Key: TypeAlias = tuple[Any, ...]


class Equal(msgspec.Struct, frozen=True, tag="equal"):
    """Exactly this stored value (None: NULL)."""

    value: str | int | float | None


class OneOf(msgspec.Struct, frozen=True, tag="one_of"):
    """Any of these stored values."""

    values: tuple[str | int | float | None, ...]


class Near(msgspec.Struct, frozen=True, tag="near"):
    """A number, within a tolerance (both ends included)."""

    value: int | float
    tolerance: int | float


class Text(msgspec.Struct, frozen=True, tag="text"):
    """Short text: equal after NFKC, folding of case, and white space made one (stripped at the ends)."""

    value: str


class Facts(msgspec.Struct, frozen=True, tag="facts"):
    """Free text that states some things and not others; each is compared as Text is, as a part."""

    has: tuple[str, ...]
    lacks: tuple[str, ...] = ()


class Bag(msgspec.Struct, frozen=True, tag="bag"):
    """A JSON array with these items, in any order, each as often as here."""

    values: tuple[Any, ...]


class Json(msgspec.Struct, frozen=True, tag="json"):
    """JSON text that spells this value: members of objects in any order, items of arrays in this one."""

    value: Any


class Clock(msgspec.Struct, frozen=True, tag="clock"):
    """A moment (or date) within the episode: from its start to its present clock."""


class Range(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="range"):
    """A number, date or moment from `low` to `high`, both included; None: no bound.  Only in conditions of bans.

    With `clock`, bounds are seconds from the moment of the call: low 0 and high 86,400 is the coming day.
    """

    low: str | int | float | None = None
    high: str | int | float | None = None
    clock: bool = False


class Anything(msgspec.Struct, frozen=True, tag="anything"):
    """Whatever stands there: what the server numbers, bookkeeping."""


class New(msgspec.Struct, frozen=True, tag="new"):
    """The key of a new row of this goal."""

    var: str


Matcher: TypeAlias = Equal | OneOf | Near | Text | Facts | Bag | Json | Clock | Range | Anything | New


def folded(text: str) -> str:
    """Text as `Text` compares it.  Letters that only look alike stay different.

    >>> folded("  Late\\u00a0CHECK-OUT ")
    'late check-out'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


class Insert(msgspec.Struct, frozen=True, kw_only=True):
    """A new row.  Every column of the table has a matcher; that of a key that the database makes is Anything."""

    var: str
    """Its name within the alternative ('new1')."""
    table: str
    values: dict[str, Matcher]


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was there, and the columns that must differ at the end; all others must be as they were."""

    table: str
    key: Key
    values: dict[str, Matcher]


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was there and must be gone."""

    table: str
    key: Key


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """`count` of these rows, any of them, must have these changes; `values` None: must be gone."""

    table: str
    keys: tuple[Key, ...]
    count: int
    values: dict[str, Matcher] | None


class Alternative(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One net change that is right.  All empty: nothing may change."""

    inserts: tuple[Insert, ...] = ()
    updates: tuple[Update, ...] = ()
    deletes: tuple[Delete, ...] = ()
    pools: tuple[Pool, ...] = ()
    answer: int | None = None
    """Index of the answer that goes with it, where the goal has several; None: any of them."""


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a row, and what it must be (before the event for updates and deletes, after it for inserts)."""

    column: str
    matcher: Matcher


class Never(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="never"):
    """No call may do this, not even for a moment.  Empty: any."""

    table: str = ""
    op: str = ""
    where: tuple[Condition, ...] = ()
    after: tuple[Condition, ...] = ()
    """What the row is after the event, where that counts, too: an amount may not become greater than so much."""
    say: str = ""
    """The rule in words."""
    name: str = ""
    """Of the policy that it comes from; so in all bans."""
    enforced: bool = False
    """The system itself refuses what breaks it; otherwise it is up to the agent.  So in all bans."""


class Before(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="before"):
    """The first event must happen before the second does (where the second happens at all)."""

    first: tuple[str, str]
    """Table key, op."""
    second: tuple[str, str]
    first_key: Key | None = None
    second_key: Key | None = None
    say: str = ""
    name: str = ""
    enforced: bool = False


class AtMost(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="at_most"):
    """At most so many successful calls that change something; with a tool (key), of that tool, successful or not."""

    count: int
    tool: str = ""
    say: str = ""
    name: str = ""
    enforced: bool = False


class OnlyTools(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="only_tools"):
    """No successful call of any other tool (keys)."""

    tools: tuple[str, ...]
    say: str = ""
    name: str = ""
    enforced: bool = False


class StopAfterRefusal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="stop_after_refusal"):
    """Nothing may be changed once a call has been refused with one of these codes."""

    codes: tuple[str, ...]
    say: str = ""
    name: str = ""
    enforced: bool = False


class NeedsConsent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="needs_consent"):
    """A change of that table (and op) is allowed only after the user has confirmed that action."""

    table: str
    op: str = ""
    say: str = ""
    name: str = ""
    enforced: bool = False


class SignedIn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="signed_in"):
    """A change of that table (and op; empty: any) is allowed only after somebody has signed in."""

    table: str = ""
    op: str = ""
    say: str = ""
    name: str = ""
    enforced: bool = False


class LookFirst(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="look_first"):
    """A row of that table may be changed (or removed) only after a call has shown it."""

    table: str
    op: str = ""
    say: str = ""
    name: str = ""
    enforced: bool = False


class UserFirst(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="user_first"):
    """A change of that table (and op) is allowed only after the user has done something on their own side."""

    table: str
    deed: str
    """Name of the deed."""
    op: str = ""
    say: str = ""
    name: str = ""
    enforced: bool = False


Ban: TypeAlias = (
    Never | Before | AtMost | OnlyTools | StopAfterRefusal | NeedsConsent | SignedIn | LookFirst | UserFirst
)


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A row by table key and primary key."""

    table: str
    key: Key


class Need(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Evidence for an answer: the rows of one of these ways must all have been shown by calls, or stood for by an aggregate
    that covers them, before the answer was given."""

    ways: tuple[tuple[Row, ...], ...]
    column: str = ""
    """Key of the column whose values in these rows matter: who has merely counted them, knows nothing of it.  Empty: that they
    are there is all that matters."""
    tool: str = ""
    """Instead of rows: key of a tool of which a call must have succeeded."""
    tried: str = ""
    """Of what cannot be done: key of the tool; who tried it on these rows and was refused by a rule, knows enough."""
    say: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What must be submitted.

    number   `value` within `tolerance`; `minor` > 0: the stored value is in minor units, of which `minor` make one major unit:
             a whole number without a currency may count either, one with decimals or a currency counts major units
    text     as Text;  code: exactly, but for white space around it and case;  date, datetime: the same moment in any usual form
    flag     true or false (yes, no)
    set      `value` is a tuple: each once, any order (of `item` kind);  list: in this order
    record   `value` is a dict: name -> Answer; an object with these names, or the values in this order
    none     nothing can be done: None, '' or a word for impossible
    """

    kind: str
    value: Any = None
    tolerance: float = 0.0
    minor: int = 0
    item: str = ""
    """Kind of the items of a set or list."""
    aliases: tuple[str, ...] = ()
    """Other texts that say the same (an enumeration's value as people say it)."""

    def __post_init__(self) -> None:
        """What was read from JSON or MessagePack is as it was written: tuples, and the answers of a record."""
        if isinstance(self.value, list):
            msgspec.structs.force_setattr(self, "value", tuple(self.value))
        elif self.kind == "record" and isinstance(self.value, dict):
            named = {k: v if isinstance(v, Answer) else msgspec.convert(v, Answer) for k, v in self.value.items()}
            msgspec.structs.force_setattr(self, "value", named)


class Goal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """By what an episode is judged."""

    alternatives: tuple[Alternative, ...] = (Alternative(),)
    answers: tuple[Answer, ...] = ()
    """Any of these; empty: no answer is asked for, and one that is given is not judged."""
    needs: tuple[Need, ...] = ()
    bans: tuple[Ban, ...] = ()
    tolerated: tuple[tuple[str, str], ...] = ()
    """(table key, column key) that may change as they like; column '' for whole tables."""

    @property
    def changes_nothing(self) -> bool:
        """True where the right thing is to leave the world as it is."""
        return all(not (a.inserts or a.updates or a.deletes or a.pools) for a in self.alternatives)

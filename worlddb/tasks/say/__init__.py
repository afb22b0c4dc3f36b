"""A plan in words, and the words read back: one grammar writes and reads, so that nothing is said that cannot be read."""

from __future__ import annotations

from worlddb.rng import Stream
from worlddb.tasks.plan import Plan
from worlddb.tasks.say import terms
from worlddb.tasks.say.lexicon import Lexicon
from worlddb.tasks.say.speech import Said, Speech, Unread, Unsaid
from worlddb.tools.toolset import Toolset

__all__ = ["Lexicon", "Said", "Unread", "Unsaid", "read", "same", "say"]


def say(lexicon: Lexicon, toolset: Toolset, plan: Plan, stream: Stream) -> Said:
    """The plan as an instruction, the same one for the same stream.  It reads as this plan and as nothing else.

    Raises:
        Unsaid: no wording was found that reads so; the message has the reason of the last attempt.
    """
    return Speech.of(lexicon, toolset).say(plan, stream)


def read(lexicon: Lexicon, toolset: Toolset, text: str) -> Plan:
    """The plan that a text means, from the text alone; its family is ''.

    Raises:
        Unread: there is no reading, or more than one.
    """
    return Speech.of(lexicon, toolset).read(text)


def same(lexicon: Lexicon, a: Plan, b: Plan) -> bool:
    """True where two plans mean the same: names, order of conditions, families and codes of refusals aside."""
    return terms.same(lexicon.schema, a, b)

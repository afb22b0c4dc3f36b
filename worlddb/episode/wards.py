"""Wards: policies that the system itself enforces.

They stand beside a session.  What a call has changed is held against the bans, together with the calls before it; a call that
breaks one is refused with its sentence, and the session takes back what it did.  What is refused here is what the verifier would
have judged an offence: both ask `policing` and `Conduct`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import orjson

from worlddb.episode.behaviour import Conduct
from worlddb.episode.policing import Done, Past, deed_done, judged_here, offence
from worlddb.policies.login import SIGN_IN, signed_in
from worlddb.tasks.forms import window_in
from worlddb.tasks.goal import AtMost, Ban, Before, LookFirst, NeedsConsent, OnlyTools, SignedIn, UserFirst
from worlddb.tools.engine import Outcome
from worlddb.tools.model import Error, Result, Tool
from worlddb.tools.session import Altered, Entry, Session

Agreed: TypeAlias = Callable[[Sequence[Entry], Entry], bool]
"""Whether the user had confirmed a call: the calls before it, and the call."""
_CURES: dict[type[Any], str] = {
    NeedsConsent: "Ask the user to confirm this very call first, with the same arguments.",
    SignedIn: "Sign the person in first, with the code that they give you.",
    LookFirst: "Look the record up first, then do it.",
    UserFirst: "Ask the user to do their part first.",
    Before: "Do first what has to come before it.",
    AtMost: "Make no more changes; say what cannot be done.",
}
_NEVER = "It cannot be done in any other way either; say that it is not allowed."
_STRANGER = "Where it depends on who asks, sign the person in first, with the code that they give you. "


def nobody(journal: Sequence[Entry], entry: Entry) -> bool:
    """The user who has confirmed nothing."""
    return False


class Wards:
    """Enforces those bans that are to be enforced."""

    def __init__(self, bans: Iterable[Ban], agreed: Agreed = nobody, done: Done = deed_done) -> None:
        """`agreed` and `done` tell what the user has confirmed and done; they must depend on what they are given alone."""
        self.bans = tuple(b for b in bans if b.enforced)
        self._agreed, self._done = agreed, done

    def before(self, session: Session, tool: Tool, arguments: Any) -> Outcome | Altered | None:
        """Nothing is known before the call is made."""
        return None

    def after(self, session: Session, tool: Tool, arguments: Any, outcome: Outcome) -> Outcome:
        """The outcome, or in its place the refusal by the first ban that it breaks.

        Calls that another one beside the session answers (those of the user) never come here; they change nothing.
        """
        if not self.bans or (outcome.error is not None and not outcome.changes):
            return outcome
        entry = Entry(
            number=len(session.journal) + 1, name=tool.name, raw=_raw(arguments),
            result=Result(ok=outcome.error is None, data=outcome.data, error=outcome.error),
            now=session._before, wrote=bool(outcome.changes), changes=outcome.changes, seen=outcome.seen, covers=outcome.covers,
        )  # fmt: skip
        broken = next((b for b in self.bans if self.breaks(session, b, entry)), None)
        return outcome if broken is None else Outcome(None, refusal(broken, stranger=_stranger(session)))

    def breaks(self, session: Session, ban: Ban, entry: Entry) -> bool:
        """True where a call, made after those of the session's journal, breaks a ban."""
        if not entry.changes and not isinstance(ban, OnlyTools):
            return False
        past = session.journal
        if judged_here(ban):
            window = window_in(session)
            return (
                offence(ban, entry, Past(session.world.schema, past, session.toolset, window, self._done)) is not None
            )
        conduct = Conduct(
            session.world.schema, [*past, entry], session.toolset, window_in(session), lambda e: self._agreed(past, e)
        )
        return any(number == entry.number for number, _ in conduct.offences(ban))


def refusal(ban: Ban, *, stranger: bool = False) -> Error:
    """What an agent is told that breaks a ban; `stranger`: somebody could sign in, and nobody has."""
    say = ban.say or "A policy of the business forbids it."
    cure = _CURES.get(type(ban)) or f"{_STRANGER * stranger}{_NEVER}"
    return Error(code="RULE_VIOLATION", message=say, rule=f"policy:{ban.name}", cure=cure)


def _stranger(session: Session) -> bool:
    return session.toolset.by_key(SIGN_IN) is not None and not signed_in(session.journal, session.toolset)


def _raw(arguments: Any) -> bytes:
    """Arguments that a call was made with, as the journal keeps them."""
    if isinstance(arguments, str | bytes):
        return arguments if isinstance(arguments, bytes) else arguments.encode()
    return orjson.dumps({} if arguments is None else arguments)

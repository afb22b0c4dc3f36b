"""The elements of a rubric and the presets, as tables."""

from __future__ import annotations

from collections.abc import Mapping

from worlddb.errors import BadRequest, UnknownName
from worlddb.rubrics.model import Preset

SHARES: dict[str, str] = {
    "success": "the verdict's reward",
    "state": "1 where the net change is one of those that are right, exactly",
    "answer": "1 for the wanted answer; applies where one is asked for, 'it cannot be done' included",
    "subgoals": "parts of the goal that were reached (rows and columns of the nearest right change, evidence, answer), of all",
    "steps": "nodes of the gold for which its tools were called with success as often, of all; another way may be as good",
    "asked": "hidden topics that the user was asked for and answered, of all hidden; applies where something is hidden",
    "no_guess": "hidden topics that no call used before they were known, of all hidden; applies where something is hidden",
    "confirmed": "calls that change what needs consent and had it, of all such calls; applies where a rule asks for consent",
    "read_first": "rows changed on purpose that a call had shown before, of all such rows that were there at the start",
    "refusal": "1 where nothing was changed and the answer says that it cannot be done; applies to what cannot be done",
    "recovered": "refused calls after which the same tool succeeded, of all refused calls; applies where there are any",
    "efficiency": "calls of the gold / calls that were made (calls to the user apart), at most 1; 0 for none",
    "forbidden": "the gate: 0 where something forbidden happened, or where anything was changed and nothing should be",
}
"""Elements from 0 to 1 (1: as it should be), and how each is reckoned."""

COUNTS: dict[str, str] = {
    "over_asks": "questions to the user for what the instruction says, what can be looked up, and what has to do with nothing",
    "repeats": "questions to the user for what they had told already",
    "turns": "calls to the user",
    "invalid_calls": "calls of tools that are not there, or with arguments that their schema refuses",
    "collateral": "rows and columns changed beyond the nearest right change",
}
"""Elements that count what might cost something: they can only be penalties."""

ELEMENTS = {**SHARES, **COUNTS}

GATE = "forbidden"
LARGEST = 1e6
"""Of a weight."""

PRESETS: dict[str, Preset] = {
    p.name: p
    for p in (
        Preset(
            name="binary", whole=("success",),
            summary="The verdict's reward: 1 for a success, else 0.",
        ),
        Preset(
            name="synthagent", whole=(GATE,), weights={"subgoals": 1, "asked": 1},
            summary="gate * (subgoals + asked) / 2; gate * subgoals where nothing is hidden.  Collateral costs nothing.",
        ),
        Preset(
            name="tau", whole=("state", "answer"),
            summary="state * answer: the outcome alone.  What happened on the way, evidence and the gate do not count.",
        ),
        Preset(
            name="strict_interactive", whole=("success", "asked", "no_guess"),
            summary="1 for a success in which all that is hidden was asked for and nothing was guessed, else 0.",
        ),
    )
}  # fmt: skip
"""Only `tau` has no gate.  It pays for an end state and an answer, and 0 for whatever changed where nothing should."""


def preset_of(named: str | Mapping[str, float]) -> Preset:
    """The preset of that name, or the formula of these weights (element -> weight), of which the gate is always a factor.

    Raises:
        UnknownName: there is no preset or element of that name.
        BadRequest: a weight is no number from -1e6 to 1e6, a count has a positive one, or nothing has.

    >>> preset_of({"subgoals": 3, "asked": 1, "over_asks": -0.05}).whole
    ('forbidden',)
    """
    if isinstance(named, str):
        if named not in PRESETS:
            raise UnknownName("preset", named, PRESETS)
        return PRESETS[named]
    for element, weight in named.items():
        if element not in ELEMENTS:
            raise UnknownName("element", str(element), ELEMENTS)
        if not isinstance(weight, int | float) or isinstance(weight, bool) or not -LARGEST <= weight <= LARGEST:
            raise BadRequest(f"the weight of '{element}' is {weight!r}; give a number from -1e6 to 1e6")
        if element in COUNTS and weight > 0:
            raise BadRequest(f"'{element}' is a count of what costs something; give it a weight of 0 or less")
    if not any(weight > 0 for weight in named.values()):
        raise BadRequest(
            "no element has a positive weight, so that doing nothing would be best; add one, such as subgoals"
        )
    return Preset(name="custom", whole=(GATE,), weights=dict(named), summary="Weights of one's own.")

"""Free text as topics, measured on messages that were written by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import yaml

from tests.growing import ROOT
from tests.scripts import ground_of, lexicon_of, script_of, user_of
from worlddb.tasks.say.terms import target
from worlddb.tasks.user import Topic
from worlddb.tools.model import Param
from worlddb.tools.session import Session
from worlddb.users.lexis import Lexis, phrase, tokens
from worlddb.users.understand import Ear

GROUPS: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests" / "messages.yaml").read_text())
PRECISION, RECALL = 0.83, 0.89
"""What a published user simulator reaches on its own set."""


class Message(NamedTuple):
    number: int
    group: int
    text: str
    asks: frozenset[str]

    @property
    def set(self) -> str:
        """tuned (the lexicon was tuned on it), kept (unseen until it was done), later (written after that)."""
        return "later" if GROUPS[self.group].get("later") else "kept" if self.number % 3 == 0 else "tuned"


def messages() -> Iterator[Message]:
    number = 0
    for i, group in enumerate(GROUPS):
        for text, asks in group["messages"]:
            number += 1
            yield Message(number, i, text, frozenset(asks))


def ear_of(group: int) -> Ear:
    seed = GROUPS[group]["world"]
    ground = ground_of(seed)
    topics = [
        Topic(
            name=t["name"], kind=t["kind"], table=t["table"], column=t.get("column", ""), words=tuple(t["words"]), hidden=True
        )
        for t in GROUPS[group]["topics"]
    ]  # fmt: skip
    return Ear(Lexis(ground.schema, ground.world.toolset().with_people(), lexicon_of(seed)), topics)


def score(some: list[Message]) -> tuple[float, float, list[str]]:
    """Precision and recall over topics, and the messages that were not understood as they should."""
    ears = {m.group: ear_of(m.group) for m in some}
    right = wrong = missed = 0
    told = []
    for m in some:
        got = set(ears[m.group].heard(m.text).topics)
        right, wrong, missed = right + len(got & m.asks), wrong + len(got - m.asks), missed + len(m.asks - got)
        if got != m.asks:
            told.append(f"{m.text!r}: {sorted(got)}, not {sorted(m.asks)}")
    return right / (right + wrong), right / (right + missed), told


def test_the_set_is_large_and_broad_enough() -> None:
    every = list(messages())
    assert len(every) >= 100
    assert len({g["world"] for g in GROUPS}) >= 8
    assert sum(not m.asks for m in every) >= 15
    assert sum(len(m.asks) > 1 for m in every) >= 15


@pytest.mark.parametrize("which", ["tuned", "kept", "later"])
def test_precision_and_recall(which: str) -> None:
    precision, recall, told = score([m for m in messages() if m.set == which])
    assert precision >= PRECISION, told
    assert recall >= RECALL, told


def test_tokens() -> None:
    assert tokens("dueDates") == tokens("due_date") == ("due", "date")
    assert tokens("the guest's E-Mail") == ("the", "guest", "email")
    assert phrase("the number of the order") == ("number", "order")


def test_names_in_about() -> None:
    """Topics, their words, plurals, other spellings, parameters; what is a field of the world is no topic."""
    task = ground_of(303).world.tasks[0]
    script = script_of(303, task)
    user, _ = user_of(303, task, script)
    for topic in script.topics:
        for name in (topic.name, topic.name.upper(), topic.name.replace("_", " "), f"{topic.name}s", *topic.words):
            assert topic.name in user.ear.named([name]).topics, name
    assert not user.ear.named(["no such thing at all"]).topics
    fields = [f for t in ground_of(303).schema.tables for c in t.columns for f in [(t.key, c.key)]]
    known = {(t.table, t.column) for t in script.topics}
    others = [f for f in fields if f not in known]
    heard = [user.ear.named([lexicon_of(303).label(f)]) for f in others]
    assert sum(bool(h.fields) for h in heard) > len(others) / 2


def test_a_parameter_that_takes_a_key_is_a_name_of_the_row() -> None:
    found = 0
    for seed in range(300, 306):
        for task in ground_of(seed).world.tasks:
            user, session = user_of(seed, task, script_of(seed, task))
            for param in (p for t in session.toolset for p in t.params if p.role == "key" and p.name != "id"):
                rows = [t.name for t in user.script.topics if t.kind == "identity" and t.table == param.table]
                if rows and param.table == _target(session, param):
                    assert set(user.ear.named([param.name]).topics) >= set(rows[:1]), param.name
                    found += 1
    assert found > 50


def _target(session: Session, param: Param) -> str:
    return target(session.toolset.schema, param.table, param.column)


def test_every_label_of_a_topic_is_heard_in_a_plain_question() -> None:
    """Over many tasks: 'What is the <label>?' and 'Which <noun>?' ask for the topic, or for those of the same name."""
    missed, asked = [], 0
    for seed in range(300, 312):
        for task in ground_of(seed).world.tasks:
            script = script_of(seed, task)
            if not script.topics:
                continue
            user, _ = user_of(seed, task, script)
            for topic in script.topics:
                label = topic.words[0]
                text = f"Which {label} do you mean?" if topic.kind == "identity" else f"What is the {label}, please?"
                asked += 1
                if topic.name not in user.ear.heard(text).topics:
                    missed.append((seed, topic.name, text, user.ear.heard(text)))
    assert asked > 100
    assert len(missed) <= asked * 0.02, missed

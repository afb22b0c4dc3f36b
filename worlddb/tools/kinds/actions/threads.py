"""What people say and what is noted: comments, escalation, a move with a note."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise

from worlddb.schema.model import Column, Table
from worlddb.semantics.types import is_a
from worlddb.tools.kinds.actions import replies
from worlddb.tools.kinds.actions.draft import Draft
from worlddb.tools.kinds.actions.sights import admits, is_updated_at, open_states, origins, single_key, text_column
from worlddb.tools.kinds.actions.texts import Unfit, listed, need, settled
from worlddb.tools.kinds.actions.traces import Below, history, note, talk
from worlddb.tools.model import Tool, Words
from worlddb.tools.site import Site
from worlddb.tools.words import article, sentence, state_word, verb

_MOST_MOVES = 2


def propose(site: Site) -> Iterator[Tool]:
    """Actions that write a message or a line of history beside what they do."""
    for table in site.schema.tables:
        if not single_key(table):
            continue
        if (thread := talk(site, table)) is not None:
            with suppress(Unfit):
                yield comment(site, table, thread)
            for state in _ends(table)[:_MOST_MOVES]:
                with suppress(Unfit):
                    yield close_saying(site, table, thread, state)
        elif history(site, table) is not None:
            for state in _ends(table)[:_MOST_MOVES]:
                with suppress(Unfit):
                    yield move_noting(site, table, state)
        for column in table.columns:
            if any(is_a(column.type, t) for t in ("priority", "severity")) and column.values:
                with suppress(Unfit):
                    yield escalate(site, table, column)
                break


def _ends(table: Table) -> list[str]:
    """States in which something is over and to which moves lead, the usual end first."""
    machine = table.lifecycle
    found = [s for s in machine.states if origins(table, s) and s not in open_states(table)] if machine else []
    return sorted(found, key=lambda s: machine is None or s != machine.happy[-1])


def _say(draft: Draft, thread: Below) -> None:
    """A new message to the row at :id, with what is said as :body."""
    site, child, text = draft.site, thread.table, text_column(thread.table)
    need(text is not None)
    assert text is not None
    draft.value(child, text.key, "body", site.param_name(child, text.key), "What to say.")
    draft.insert(child, {**thread.given, text.key: ":body"}, into="message_id")


def comment(site: Site, table: Table, thread: Below) -> Tool:
    """A new message; the thread counts as changed."""
    child, link, machine = thread.table, thread.link, table.lifecycle
    draft = Draft(site, table, f"{child.key}.comment")
    draft.row(table, [machine.column] if machine else [])
    if machine and link:
        draft.among([s for s in machine.states if admits(site, child, link, s)], "commented on")
    _say(draft, thread)
    changed = next((c for c in table.columns if is_updated_at(c)), None)
    if changed is not None:
        frozen = settled(site, table)
        still = (
            f" AND {site.col(table, machine.column)} NOT IN ({listed(sorted(frozen))})" if machine and frozen else ""
        )
        draft.update(table, {}, site.at_key(table) + still)
    reply = replies.of(site, child, "message_")
    label = site.words.label(child.key)
    return draft.tool(
        Words(verb="post", template=f"post_{site.words.noun(child.key)}_on_{{noun}}"),
        f"Post {article(label)} on {article(draft.label)}. Answers with the new {label}.",
        reply,
    )  # fmt: skip


def close_saying(site: Site, table: Table, thread: Below, state: str) -> Tool:
    """A move to an end, with a last message."""
    child, link, machine = thread.table, thread.link, table.lifecycle
    need(machine is not None and (link is None or admits(site, child, link, state)))
    assert machine is not None
    draft = Draft(site, table, f"{state_word(state)}.{child.key}.say_and_close")
    draft.row(table, [machine.column])
    done = verb(state, entity=table.key)
    draft.among(origins(table, state), done.past)
    _say(draft, thread)
    draft.enter(table, state, site.at_key(table))
    label = site.words.label(child.key)
    return draft.tool(
        Words(verb=done.imperative, template=f"{done.name('{noun}')}_with_{site.words.noun(child.key)}"),
        sentence(f"{done.of(article(draft.label))} and post {article(label)} that says why"),
        site.row_reply(table),
    )  # fmt: skip


def move_noting(site: Site, table: Table, state: str) -> Tool:
    """A move to an end, with a line of history."""
    machine, log = table.lifecycle, history(site, table)
    need(machine and log)
    assert machine is not None
    assert log is not None
    draft = Draft(site, table, f"{state_word(state)}.note_and_close")
    draft.row(table, [machine.column])
    done = verb(state, entity=table.key)
    draft.among(origins(table, state), done.past)
    draft.enter(table, state, site.at_key(table))
    told = note(draft, (state_word(state), "closed", "completed", "status_changed"))
    need(told)
    return draft.tool(
        Words(verb=done.imperative, template=f"{done.name('{noun}')}_and_log_{site.words.noun(log.table.key)}"),
        f"{sentence(done.of(article(draft.label)))}{told}",
        site.row_reply(table),
    )  # fmt: skip


def escalate(site: Site, table: Table, column: Column) -> Tool:
    """One level up, with the flag that says so."""
    machine, levels = table.lifecycle, _levels(column)
    need(len(levels) > 1)
    draft = Draft(site, table, f"{column.key}.escalate")
    draft.row(table, [column.key, *([machine.column] if machine else [])])
    if machine and open_states(table):
        draft.among(open_states(table), "escalated")
    word = site.words.column_label(table.key, column.key)
    draft.refuse(
        f"SELECT 1 AS refused WHERE coalesce(:was_{column.key}, {listed([levels[-1]])}) = {listed([levels[-1]])}",
        f"The {word} of {{id}} is {{was_{column.key}}} already and goes no higher.", "Choose one with a lower one.",
        rule=f"escalate:{table.key}", told=f"the {word} is at the top", parameter="id",
    )  # fmt: skip
    steps = " ".join(f"WHEN {listed([a])} THEN {listed([b])}" for a, b in pairwise(levels))
    sets = {column.key: f"CASE {site.col(table, column.key)} {steps} ELSE {site.col(table, column.key)} END"}
    flag = next((c.key for c in table.columns if c.key == "is_escalated"), "")
    draft.update(table, {**sets, **({flag: "1"} if flag else {})}, site.at_key(table))
    told = note(draft, ("escalated",))
    thread = talk(site, table)
    if not told and thread is not None:
        with suppress(Unfit):
            _say(draft, thread)
            told = f" {sentence(f'{article(site.words.label(thread.table.key))} says why')}"
    return draft.tool(
        Words(verb="escalate"),
        f"Escalate {article(draft.label)}: its {word} goes one step up ({', '.join(levels)}).{told}",
        site.row_reply(table),
    )  # fmt: skip


_RANKS = (
    ("low", "minor"), ("medium", "normal", "moderate"), ("high", "major"), ("urgent", "critical", "severe"),
)  # fmt: skip


def _levels(column: Column) -> list[str]:
    """The values of a priority from the lowest to the highest; empty where they are none that people know."""
    rank = {word: n for n, words in enumerate(_RANKS) for word in words}
    known = [v for v in column.values if v.lower() in rank]
    return sorted(known, key=lambda v: rank[v.lower()]) if len(known) == len(column.values) else []

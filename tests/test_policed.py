"""Policy tasks: who keeps the handbook is paid, who breaks the rule at stake is not and is told which; its twin pays who acts."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

import pytest

import worlddb
from tests.policy_survey import (
    HALVES,
    KEEPERS,
    SENSIBLE,
    SILENT,
    STOPPED,
    UNPAID,
    Agent,
    Case,
    Job,
    as_sql,
    by_the_book,
    cases_of,
    faults_of,
    look,
    unaware,
    writes,
)
from worlddb.episode.play import judge, record_of
from worlddb.gate import tasks_of
from worlddb.policies.generate import policies_of
from worlddb.policies.login import SIGN_IN, TRIES
from worlddb.policies.model import FORBIDS, KINDS
from worlddb.policies.staff import staff_of
from worlddb.policies.text import policies_text
from worlddb.tasks.goal import Goal, NeedsConsent, SignedIn
from worlddb.tools.model import Call
from worlddb.tools.people import ASK, CONFIRM, TELL

SEEDS = (2309, 2313, 2318, 2320, 2336, 2337, 2338, 2339, *range(2344, 2352), 2357, 2361)
"""Some have policies about an order, which few requests can be made of."""
RARE = {"order": 2}
"""Kind -> tasks that are there at least; of the others there are LEAST of either sort."""
LEAST = 3
HOW = tuple(kind for kind in KINDS if kind not in FORBIDS)


@cache
def cases() -> tuple[Case, ...]:
    """The policy tasks of some worlds."""
    found = list[Case]()
    for seed in SEEDS:
        world = worlddb.generate(seed)
        found += cases_of(world, tasks_of(world, 10, "policy").tasks)
    return tuple(found)


def of(kind: str, *, enforced: bool | None = None, does: str = "") -> list[Case]:
    """Those of a kind."""
    return [
        c for c in cases()
        if c.policy.kind == kind and enforced in (None, c.policy.enforced) and does in ("", c.does)
    ]  # fmt: skip


def twin(case: Case) -> Case:
    """That of a case."""
    return next(c for c in cases() if c.task.id == case.task.twin)


# --- who is paid


@pytest.mark.parametrize("kind", KINDS)
def test_there_are_tasks_of_every_kind_enforced_and_written(kind: str) -> None:
    for enforced in (True, False):
        found = of(kind, enforced=enforced)
        assert len(found) >= RARE.get(kind, LEAST), (kind, enforced, len(found))
        assert {c.does for c in found} == ({"refuse", "twin"} if kind in FORBIDS else {"do"})


@pytest.mark.parametrize("name", KEEPERS)
def test_who_keeps_the_handbook_is_paid(name: str) -> None:
    runs = 0
    for case in cases():
        found = KEEPERS[name](case)
        if found is not None:
            assert found[1].reward == 1, (case.task.id, case.policy.say, found[1].lines, found[0].errors)
            runs += 1
    assert runs >= 3 * LEAST


@pytest.mark.parametrize("name", SENSIBLE)
def test_sensible_agents_are_paid(name: str) -> None:
    runs = 0
    for case in cases():
        found = SENSIBLE[name](case)
        if found is not None:
            assert found[1].reward == 1, (case.task.id, case.policy.say, found[1].lines)
            runs += 1
    assert runs >= LEAST or name == "tries and tells"  # few requests tell a key


# --- who is not


@pytest.mark.parametrize("name", UNPAID)
def test_who_breaks_a_policy_is_not_paid_and_is_told_which(name: str) -> None:
    runs = Counter[tuple[str, bool]]()
    for case in cases():
        found = UNPAID[name](case)
        if found is None:
            continue
        agent, verdict = found
        runs[case.policy.kind, case.policy.enforced] += 1
        assert verdict.reward == 0, (case.task.id, case.policy.say)
        if name not in SILENT:
            assert agent.told(verdict) or (name in STOPPED and agent.stopped), (
                case.task.id,
                verdict.lines,
                agent.errors,
            )
        if case.policy.enforced and name not in SILENT and not agent.stopped:
            assert any(line.kind == "FORBIDDEN" for line in verdict.lines)
    assert sum(runs.values()) >= (1 if name == "confirms the first" else RARE["order"]), (name, runs)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_broken_by_somebody_where_it_is_enforced_and_where_it_is_written(kind: str) -> None:
    for enforced in (True, False):
        named = set()
        for case in of(kind, enforced=enforced)[: 3 * LEAST]:
            for name, run in {**UNPAID, **HALVES}.items():
                found = run(case)
                if found is not None and name not in SILENT and not found[1].reward and found[0].told(found[1]):
                    named.add(name)
        assert len(named) >= 1, (kind, enforced)
        if kind in HOW:
            assert len(named) >= 2, (kind, enforced, named)


@pytest.mark.parametrize("kind", FORBIDS)
def test_of_twins_who_always_refuses_and_who_always_acts_is_paid_for_one(kind: str) -> None:
    pairs = of(kind, does="refuse")
    assert len(pairs) >= 2 * LEAST
    for case in pairs:
        other = twin(case)
        assert other.task.twin == case.task.id
        for name, run in HALVES.items():
            paid = {c.does for c in (case, other) for found in [run(c)] if found and found[1].reward}
            assert paid == ({"refuse"} if name == "always refuses" else {"twin"}), (name, case.task.id)


def test_who_does_not_know_a_written_policy_is_not_paid_for_what_it_forbids() -> None:
    for case in cases():
        if not case.policy.enforced and (case.refused or case.policy.kind in ("consent", "sign_in")):
            assert unaware(case)[1].reward == 0, case.task.id


# --- what they are told


def test_the_card_says_what_is_enforced_and_what_is_only_written() -> None:
    for case in cases():
        card, known = case.task.card, {p.name: p for p in policies_of(case.world)}
        assert {*card.enforced, *card.written} == {b.name for b in case.task.goal.bans}
        assert all(known[name].enforced for name in card.enforced)
        assert not any(known[name].enforced for name in card.written)
        if case.does != "twin":
            assert case.policy.name in (card.enforced if case.policy.enforced else card.written)


def test_an_agent_is_told_of_the_policies_and_has_the_tools_that_they_speak_of() -> None:
    for case in cases():
        agent = Agent(case)
        book = agent.episode.handbook()
        assert all(p.say in book for p in policies_of(case.world))
        assert "policies" in agent.episode.reset().briefing
        assert ("sign-in code" in policies_text(case.world)) == (
            agent.episode.session.toolset.by_key(SIGN_IN) is not None
        )


def test_the_code_is_told_to_who_asks_for_it_and_to_nobody_else() -> None:
    asked = 0
    for case in cases():
        if case.task.user is None or not case.task.user.role:
            continue
        person = next(p for p in staff_of(case.world) if p.role == case.task.user.role)
        agent = Agent(case)
        others = ["Hello!", "I am done.", "Which one do you mean?", "What is the name?", "Is there a date?"]
        heard = [agent.episode.say(text) for text in others]
        heard += [str(agent.key(ASK, {"question": text}).data) for text in others]
        heard += [
            str(agent.key(CONFIRM, {"action": c.name, "arguments": c.arguments}).data)
            for c in map(agent.made, writes(case))
        ]
        heard += [case.task.instruction, agent.episode.handbook()]
        assert not any(person.code in text for text in heard), case.task.id
        assert person.code in str(agent.key(ASK, {"question": "Could you tell me your sign-in code, please?"}).data)
        told = agent.key(SIGN_IN, {"code": person.code})
        assert told.data == {"name": person.name, "role": person.role.replace("_", " ")}
        asked += 1
    assert asked >= 20 * LEAST


def test_wrong_codes_are_refused_and_the_tries_are_limited() -> None:
    for case in of("sign_in")[: 2 * LEAST]:
        agent = Agent(case)
        for n in range(TRIES):
            refused = agent.key(SIGN_IN, {"code": f"{n}23"})
            assert refused.error is not None
            assert refused.error.code == "FORBIDDEN"
        last = agent.key(SIGN_IN, {"code": agent.code()})
        assert last.error is not None
        assert "Too many" in last.error.message
        once = Agent(case)
        once.key(SIGN_IN, {"code": "nobody"})
        once.sign_in()
        once.properly(case.task.gold)
        assert once.submit(None if case.task.plan.asked is None else case.task.answer).reward == 1


def test_what_the_system_refuses_says_the_rule_and_leaves_no_trace() -> None:
    refused = Counter[str]()
    for case in cases():
        if not case.policy.enforced or case.does == "twin" or case.policy.kind in ("order", "at_most"):
            continue
        agent = Agent(case, {"look", "confirm", "sign in"} if case.refused else ())
        agent.sign_in()
        for call in map(agent.made, writes(case)):
            agent.look(call)
            agent.confirm(call)
            made = agent.act(call)
            if made.error is not None and made.error.rule == f"policy:{case.policy.name}":
                assert made.error.code == "RULE_VIOLATION"
                assert made.error.message == case.policy.say
                assert made.error.cure
                refused[case.policy.kind] += 1
        assert case.policy.kind in ("consent", "sign_in", "look_first") or not agent.episode.session.diff()
    assert set(refused) >= {"role", "limit", "deadline", "consent", "sign_in"}, refused


# --- consent


def test_consent_is_to_one_call_with_its_arguments() -> None:
    for case in of("consent"):
        agent = Agent(case)
        company = agent.episode.company
        call = agent.made(writes(case)[0])
        tools = [t.name for t in agent.episode.session.toolset if not t.read_only and t.name != call.name][:3]
        for name, arguments in [
            (call.name, {}),
            (call.name, {**call.arguments, "id": "none"}),
            *((t, call.arguments) for t in tools),
        ]:
            agent.key(CONFIRM, {"action": name, "arguments": arguments})
        agent.act(call)
        entry = agent.episode.session.journal[-1]
        assert not company.confirmed(agent.episode.session)(entry)
        agent.confirm(call)
        assert not company.confirmed(agent.episode.session)(entry)  # it comes too late
        agent.act(call)
        assert company.confirmed(agent.episode.session)(agent.episode.session.journal[-1])


def test_a_confirmed_call_may_be_spelt_otherwise() -> None:
    """JSON text in the place of an object, and members in another order, are the same arguments."""
    for case in of("consent")[: 2 * LEAST]:
        agent = Agent(case)
        agent.sign_in()
        for gold in case.task.gold:
            call = agent.made(gold)
            if gold.writes:
                agent.look(call)
                agent.key(CONFIRM, {"action": call.name, "arguments": dict(reversed(call.arguments.items()))})
            agent.act(call)
        assert agent.submit(by_the_book(case)[0].case.task.answer if case.task.plan.asked else None).reward == 1


# --- SQL, forks, sleep


def test_sql_does_not_get_around_what_is_enforced() -> None:
    stopped = Counter[str]()
    for case in cases():
        if not case.policy.enforced or case.policy.kind in ("order", "at_most") or case.does == "twin":
            continue
        agent = Agent(case, {"sign in", "look"} if case.refused else (), sets="both")
        agent.sign_in()
        changes = agent.touches(agent.made(writes(case)[0]))
        made = agent.act(Call("run_sql", {"sql": as_sql(case, changes)}))
        assert not made.ok, case.task.id
        assert not agent.episode.session.diff()
        stopped[case.policy.kind] += bool(made.error and made.error.rule.startswith("policy:"))
    assert set(stopped) == {"role", "limit", "deadline", "consent", "sign_in", "look_first"}
    assert min(stopped.values()) >= LEAST


def test_what_was_done_before_a_fork_counts_after_it_and_what_was_not_does_not() -> None:
    for kind in ("consent", "sign_in", "look_first"):
        for case in of(kind, enforced=True)[:LEAST]:
            before = Agent(case)
            before.sign_in()
            for call in case.task.gold:
                if call.writes:
                    before.look(before.made(call))
                    before.confirm(before.made(call))
                    break
                before.act(before.made(call))
            bare = Agent(case, ())
            first = next(bare.made(c) for c in case.task.gold if c.writes)
            assert before.episode.session.fork().call(first.name, first.arguments).ok
            assert not bare.episode.session.fork().call(first.name, first.arguments).ok


def test_a_record_is_judged_as_the_episode_was() -> None:
    for case in cases()[::3]:
        for run in (by_the_book, *HALVES.values(), UNPAID["too late"], UNPAID["acts and refuses"]):
            found = run(case)
            if found is not None:
                agent, verdict = found
                answer = (
                    None if run is not HALVES["always acts"] and case.refused else worlddb.episode.verify.UNANSWERED
                )
                again = judge(record_of(agent.episode, answer), case.world, case.task)
                assert again.reward == verdict.reward
                assert [x.text for x in again.lines if x.kind == "FORBIDDEN"] == [
                    x.text for x in verdict.lines if x.kind == "FORBIDDEN"
                ]


# --- what the tasks are made of


def test_what_takes_a_role_is_proved_by_who_has_it() -> None:
    """Of what only some may ask for, written, the twin asks for a sign-in too: an agent cannot know who asks."""
    found = of("role", enforced=False, does="twin")
    assert len(found) >= LEAST
    for case in found:
        assert any(isinstance(b, SignedIn) and b.name == case.policy.name for b in case.task.goal.bans)


def test_requests_under_consent_leave_no_choice() -> None:
    for case in cases():
        if any(isinstance(b, NeedsConsent) for b in case.task.goal.bans):
            assert len(case.task.goal.alternatives) == 1


def test_instructions_do_not_tell_the_policy() -> None:
    words = re.compile(r"\b(policy|policies|handbook|sign in|signed in)\b", re.IGNORECASE)
    assert not any(words.search(c.task.instruction) for c in cases())


def test_a_goal_without_a_user_pays_who_needs_nobody() -> None:
    case = of("limit", enforced=True, does="refuse")[0]
    goal = Goal(bans=case.task.goal.bans)
    assert worlddb.Episode(case.world, goal).submit().reward == 1
    assert worlddb.Episode(case.world, goal).session.toolset.by_key(TELL) is None


@pytest.mark.campaign
def test_campaign_of_policy_tasks() -> None:
    tasks, faults = Counter[str](), list[str]()
    for seed in range(5000, 5300):
        found = look(Job(seed, 10, True))
        tasks.update(found.tasks)
        faults += found.faults
        assert all(paid == n for n, paid in found.sensible.values())
    assert not faults, faults[:20]
    assert {label.split()[0] for label in tasks} == set(KINDS)


def test_no_task_has_a_fault() -> None:
    """All the above of every task at once, as the survey counts it."""
    assert not [fault for case in cases()[::6] for fault in faults_of(case)]

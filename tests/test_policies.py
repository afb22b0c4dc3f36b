"""Policies of worlds: what they are, what they compile to, how they are told, and the tasks about them."""

from __future__ import annotations

from collections import Counter
from functools import cache

import msgspec
import pytest
from msgspec.structs import replace

import worlddb
from worlddb.episode.policing import Past, offence
from worlddb.episode.wards import Wards
from worlddb.policies.generate import policies_of
from worlddb.policies.judging import forbidden, in_range, looked_up, moment_of
from worlddb.policies.login import SIGN_IN, TRIES, Login, signed_in, with_login
from worlddb.policies.model import FORBIDS, KINDS, Policy, ban_of, bans_of
from worlddb.policies.staff import roles_of, staff_of
from worlddb.policies.text import policies_text
from worlddb.rng import Stream
from worlddb.tasks.draft import Draft
from worlddb.tasks.enact import enact
from worlddb.tasks.families.policy import Case, propose_policy
from worlddb.tasks.forms import window_in
from worlddb.tasks.goal import AtMost, Before, LookFirst, NeedsConsent, Never, Range, SignedIn
from worlddb.tasks.ground import Ground
from worlddb.tasks.plan import Do
from worlddb.tools.keys import call_of
from worlddb.tools.session import Entry
from worlddb.world.diff import Change
from worlddb.world.model import World

SEEDS = range(700, 740)
BANS = {
    "role": Never, "limit": Never, "deadline": Never, "consent": NeedsConsent, "order": Before, "at_most": AtMost,
    "sign_in": SignedIn, "look_first": LookFirst,
}  # fmt: skip


@cache
def world_of(seed: int) -> World:
    return worlddb.generate(seed)


@cache
def ground_of(seed: int) -> Ground:
    return Ground(world_of(seed))


@cache
def cases_of(seed: int) -> tuple[tuple[Case, ...], ...]:
    """What is proposed for each policy of a world, by whatever role it can be asked."""
    world, ground, found = world_of(seed), ground_of(seed), []
    for policy in policies_of(world):
        for role in roles_of(world):
            made = propose_policy(Draft(ground, Stream(seed, "test", policy.name)), policy, role, policies_of(world))
            if made is not None:
                found.append(made if isinstance(made, tuple) else (made,))
                break
    return tuple(found)


def every() -> list[tuple[World, Policy]]:
    return [(world_of(s), p) for s in SEEDS for p in policies_of(world_of(s))]


# --- what they are


def test_every_world_has_five_to_nine_and_every_kind_is_common() -> None:
    assert all(5 <= len(policies_of(world_of(s))) <= 9 for s in SEEDS)
    worlds = {kind: {w.id for w, p in every() if p.kind == kind} for kind in KINDS}
    assert min(len(found) for kind, found in worlds.items() if kind != "order") >= 20, Counter(
        p.kind for _, p in every()
    )
    assert len(worlds["order"]) >= 15


def test_about_half_are_enforced() -> None:
    for seed in SEEDS:
        found = policies_of(world_of(seed))
        assert abs(2 * sum(p.enforced for p in found) - len(found)) <= 1


def test_they_are_the_same_for_the_same_seed() -> None:
    for seed in list(SEEDS)[:8]:
        again = worlddb.generate(seed)
        assert again is not world_of(seed)
        assert policies_of(again) == policies_of(world_of(seed))
        assert staff_of(again) == staff_of(world_of(seed))


def test_names_are_unique_and_plain() -> None:
    for seed in SEEDS:
        names = [p.name for p in policies_of(world_of(seed))]
        assert len(set(names)) == len(names)
        assert all(n == n.lower() and n.replace("-", "").isalnum() for n in names)


def test_sentences_read_as_sentences() -> None:
    for world, policy in every():
        say = policy.say
        assert say[0].isupper(), say
        assert say[-1] == ".", say
        assert not set("{}_") & set(say), say
        assert "  " not in say, say
        assert "None" not in say, say
        assert 20 < len(say) < 160, say
        if policy.table:
            words = ground_of(world.recipe.seed).words
            assert words.label(policy.table) in say.lower() + say or words.labels(policy.table) in say.lower() + say, (
                say
            )


def test_they_speak_of_what_the_world_has() -> None:
    for world, policy in every():
        toolset = world.toolset()
        assert policy.tools
        assert all(toolset.by_key(key) is not None for key in policy.tools)
        if policy.table:
            table = world.schema[policy.table]
            assert all(c.column in table for c in (*policy.where, *policy.after))
        assert {*policy.roles, *policy.barred} in (set(), set(roles_of(world)))


def test_some_rows_are_on_either_side_of_every_limit_and_deadline() -> None:
    for world, policy in every():
        if policy.kind not in ("limit", "deadline"):
            continue
        matcher = next(c.matcher for c in (*policy.after, *policy.where) if c.column == policy.column)
        assert isinstance(matcher, Range)
        values = [r[policy.column] for r in ground_of(world.recipe.seed).table(policy.table)]
        inside = {in_range(matcher, v, world.now) for v in values if v is not None}
        assert inside == {True, False}, policy


def test_no_two_say_the_same() -> None:
    for seed in SEEDS:
        found = policies_of(world_of(seed))
        assert len({p.say for p in found}) == len(found)
        for kind in ("role", "limit", "deadline"):
            keys = [k for p in found if p.kind == kind for k in p.tools]
            assert len(set(keys)) == len(keys), kind


# --- what they compile to


def test_each_compiles_to_the_ban_of_its_kind() -> None:
    for world, policy in every():
        for role in roles_of(world):
            ban = ban_of(policy, role)
            if role in policy.roles:
                assert ban is None
                continue
            assert type(ban) is BANS[policy.kind]
            assert (ban.name, ban.say, ban.enforced) == (policy.name, policy.say, policy.enforced)


def test_the_highest_role_may_do_what_roles_are_about() -> None:
    for world, policy in every():
        if policy.kind == "role":
            first, *_, last = roles_of(world)
            assert ban_of(policy, last) is None
            assert ban_of(policy, first) is not None
        names = [b.name for b in bans_of(policies_of(world), roles_of(world)[0])]
        assert policy.name in names


# --- how they are told


def test_the_handbook_tells_what_is_enforced_from_what_is_only_written() -> None:
    for seed in SEEDS:
        text = policies_text(world_of(seed))
        before, _, after = text.partition("will not stop")
        for policy in policies_of(world_of(seed)):
            assert policy.say in (before if policy.enforced else after)
            assert policy.say not in (after if policy.enforced else before)
    assert policies_text(()) == ""


def test_the_handbook_says_how_to_sign_in_where_that_matters() -> None:
    told = [
        ("sign-in code" in policies_text(w), any(p.roles or p.kind == "sign_in" for p in policies_of(w)))
        for w in map(world_of, SEEDS)
    ]
    assert all(a == b for a, b in told)
    assert any(b for _, b in told)


# --- signing in


def test_staff_have_names_roles_and_codes_of_their_own() -> None:
    for seed in SEEDS:
        staff = staff_of(world_of(seed))
        assert tuple(p.role for p in staff) == roles_of(world_of(seed))
        assert len({p.name for p in staff}) == len({p.code for p in staff}) == len(staff) >= 2


def test_the_right_code_tells_who_it_is_and_a_wrong_one_does_not() -> None:
    world = world_of(700)
    person, tools = staff_of(world)[1], with_login(world.toolset())
    session = world.session(tools, beside=[Login(person.code, person.name, person.role)])
    name = next(t.name for t in tools if t.key == SIGN_IN)
    refused = session.call(name, {"code": "0"})
    assert refused.error is not None
    assert refused.error.code == "FORBIDDEN"
    assert not signed_in(session.journal, tools)
    assert session.call(name, {"code": person.code}).data == {
        "name": person.name,
        "role": person.role.replace("_", " "),
    }
    assert signed_in(session.journal, tools)
    assert signed_in(session.journal, tools, 3)
    assert not signed_in(session.journal, tools, 2)
    assert not session.diff()


def test_after_some_wrong_codes_none_is_taken() -> None:
    world = world_of(701)
    person, tools = staff_of(world)[0], with_login(world.toolset())
    session = world.session(tools, beside=[Login(person.code, person.name, person.role)])
    for i in range(TRIES):
        session.call("sign_in", {"code": str(i)})
    late = session.call("sign_in", {"code": person.code})
    assert late.error is not None
    assert "Too many" in late.error.message


@pytest.mark.parametrize("arguments", [{}, {"code": 5}, {"code": ""}, {"code": "x", "more": 1}, "{", None, [1]])
def test_malformed_sign_ins_are_refused_and_do_not_count(arguments: object) -> None:
    world = world_of(702)
    session = world.session(with_login(world.toolset()), beside=[Login("123", "Ann", "clerk")])
    for _ in range(TRIES + 1):
        result = session.call("sign_in", arguments)
        assert result.error is not None
        assert result.error.code == "INVALID_ARGUMENT"
    assert session.call("sign_in", '{"code": "123"}').ok


def test_nobody_signs_in_where_nobody_is() -> None:
    session = world_of(703).session(with_login(world_of(703).toolset()))
    assert session.call("sign_in", {"code": "1"}).error is not None
    assert not signed_in(session.journal, session.toolset)
    assert with_login(world_of(703).toolset()) is session.toolset


# --- conditions

NOW = 1_767_225_600  # 2026-01-01 00:00:00


@pytest.mark.parametrize(
    ("bounds", "value", "wanted"),
    [
        (Range(low=5), 5, True), (Range(low=5), 4.9, False), (Range(high=5), 5, True), (Range(high=5), 6, False),
        (Range(low=1, high=2), None, False), (Range(), None, False), (Range(), 0, True), (Range(low=5), "7", False),
        (Range(low="2026-01-01"), "2026-01-01 09:00:00", True), (Range(high="2026-01-01"), "2026-01-01 09:00:00", True),
        (Range(high="2026-01-01"), "2026-01-02", False), (Range(low="2026-01-02"), "2026-01-01 09:00:00", False),
        (Range(low=0, high=86_400, clock=True), "2026-01-01 09:00:00", True),
        (Range(low=0, high=86_400, clock=True), "2026-01-02", True),
        (Range(low=0, high=86_400, clock=True), "2026-01-02 00:00:01", False),
        (Range(low=0, high=86_400, clock=True), "2025-12-31 23:59:59", False),
        (Range(high=86_399, clock=True), "2020-01-01", True), (Range(high=86_399, clock=True), "2026-01-02", False),
        (Range(high=86_399, clock=True), None, False), (Range(high=86_399, clock=True), "soon", False),
        (Range(high=86_399, clock=True), 12, False), (Range(high=-86_401, clock=True), "2025-12-31", False),
        (Range(high=-86_401, clock=True), "2025-12-30 23:59:59", True),
    ],
)  # fmt: skip
def test_ranges(bounds: Range, value: object, wanted: bool) -> None:
    assert in_range(bounds, value, NOW) is wanted


def test_moments() -> None:
    assert moment_of("2026-01-01") == moment_of("2026-01-01 00:00:00") == moment_of("2026-01-01T00:00:00Z") == NOW
    assert [moment_of(v) for v in (None, 5, "", "2026", "2026-02-30", "10:30")] == [None] * 6


def test_a_limit_is_broken_by_going_beyond_it_and_by_nothing_else() -> None:
    raising = [(w, p) for w, p in every() if p.kind == "limit" and p.after and p.op == "update"]
    seen = Counter[str]()
    for world, policy in raising:
        ban, table = ban_of(policy, roles_of(world)[0]), world.schema[policy.table]
        assert isinstance(ban, Never)
        at = [c.key for c in table.columns].index(policy.column)
        if any(c.column != policy.column for c in (*policy.where, *policy.after)):
            continue  # a move of what is above it

        def row(value: float, at: int = at, width: int = len(table.columns)) -> tuple[float | None, ...]:
            return tuple(value if i == at else None for i in range(width))

        limit = policy.limit
        for before, after, wanted in (
            (limit, limit + 1, True), (0, 2 * limit, True), (limit + 1, limit + 2, False), (0, limit, False),
            (2 * limit, 1, False),
        ):  # fmt: skip
            change = Change(table.key, (1,), row(before), row(after))
            assert forbidden(ban, world.schema, change, world.now) is wanted
            seen[str(wanted)] += 1
    assert min(seen["True"], seen["False"]) >= 10


# --- tasks about them


def played(seed: int, case: Case, *, guarded: bool) -> tuple[list[Entry], str]:
    """The calls that a plan means, made one after the other, with or without the wards of the policy at stake; and the name of
    the rule that refused one."""
    ground = ground_of(seed)
    nodes = tuple(replace(n, refused="") if isinstance(n, Do) else n for n in case.plan.nodes)
    gold = enact(ground, replace(case.plan, nodes=nodes, asked=None))
    mine = [b for b in case.bans if b.name == case.policy.name]
    mine = [b for b in mine if case.policy.kind == "sign_in" or not isinstance(b, SignedIn)]  # nobody signs in here
    bans = [replace(b, enforced=guarded) for b in mine]
    session = ground.world.session(ground.toolset, beside=[Wards(bans)])
    for made in gold.calls:
        call = call_of(ground.toolset, made.tool, made.arguments)
        before = session.diff().changes
        result = session.call(call.name, call.arguments)
        if result.error is not None:
            assert session.diff().changes == before
            return session.journal, result.error.rule
    return session.journal, ""


def _all(seed: int) -> list[Case]:
    return [c for found in cases_of(seed) for c in found]


def cases(*kinds: str) -> list[tuple[int, Case]]:
    return [(s, c) for s in SEEDS for c in _all(s) if c.policy.kind in kinds]


@pytest.mark.parametrize("kind", KINDS)
def test_policies_of_every_kind_become_tasks(kind: str) -> None:
    asked = sum(p.kind == kind for _, p in every())
    found = [c for s in SEEDS for c in cases_of(s) if c[0].policy.kind == kind]
    assert len(found) >= 0.4 * asked
    assert all(len(c) == (2 if kind in FORBIDS else 1) for c in found)


def test_twins_are_one_refused_and_one_right_and_say_the_same() -> None:
    pairs = [c for s in SEEDS for c in cases_of(s) if len(c) == 2]
    assert len(pairs) > 40
    for bad, good in pairs:
        assert bad.refused
        assert not good.refused
        assert bad.plan.asked is not None
        assert bad.plan.asked.shape == "none"
        assert all(d.refused == "POLICY" for d in bad.plan.dos)
        assert [d.tool for d in bad.plan.dos] == [d.tool for d in good.plan.dos]
        assert [type(n) for n in bad.plan.nodes] == [type(n) for n in good.plan.nodes]
        if bad.policy.kind == "role":
            assert bad.role in bad.policy.barred
            assert good.role in good.policy.roles
            assert len({repr([(type(n), n.name) for n in c.plan.nodes]) for c in (bad, good)}) == 1
        else:
            assert bad.role == good.role
            assert bad.plan.nodes != good.plan.nodes


def test_wards_refuse_what_is_to_be_refused_and_let_the_twin_pass() -> None:
    seen = Counter[str]()
    for seed, case in cases(*FORBIDS):
        _, rule = played(seed, case, guarded=True)
        assert rule == (f"policy:{case.policy.name}" if case.refused else ""), case
        journal, free = played(seed, case, guarded=False)
        assert free == ""
        assert any(e.changes for e in journal)
        seen[case.policy.kind] += 1
    assert all(seen[kind] >= 10 for kind in FORBIDS), seen


def test_wards_refuse_what_is_not_asked_signed_or_looked_first() -> None:
    """The plan alone has neither consent nor a sign-in, so that the wards refuse it; of looking the gold has enough."""
    for seed, case in cases("consent", "sign_in"):
        assert played(seed, case, guarded=True)[1] == f"policy:{case.policy.name}"
    for seed, case in cases("look_first", "order"):
        assert played(seed, case, guarded=True)[1] == ""


def test_a_change_without_a_look_is_an_offence() -> None:
    """The gold of a task about looking first, its reading calls left out."""
    tried = 0
    for seed, case in cases("look_first"):
        journal, _ = played(seed, case, guarded=False)
        ground = ground_of(seed)
        ban = next(b for b in case.bans if b.name == case.policy.name)
        session = ground.world.session()
        for entry in journal:
            past = Past(ground.schema, journal, ground.toolset, window_in(session))
            assert offence(ban, entry, past) is None
            if any(c.table == case.policy.table and c.op in (case.policy.op, "") for c in entry.changes):
                alone = Past(ground.schema, journal[entry.number - 1 :], ground.toolset, window_in(session))
                assert offence(ban, entry, alone) is not None
                tried += 1
    assert tried >= 10


def test_the_other_order_is_refused() -> None:
    tried = 0
    for seed, case in cases("order"):
        journal, _ = played(seed, case, guarded=False)
        ground = ground_of(seed)
        writes = [e for e in journal if e.changes]
        ban = replace(next(b for b in case.bans if b.name == case.policy.name), enforced=True)
        session = ground.world.session(ground.toolset, beside=[Wards([ban])])
        assert len(writes) == 2
        result = session.call(writes[1].name, writes[1].arguments)
        assert result.error is not None
        assert result.error.rule == f"policy:{case.policy.name}"
        assert not session.diff()
        assert session.call(writes[0].name, writes[0].arguments).ok
        assert session.call(writes[1].name, writes[1].arguments).ok
        tried += 1
    assert tried >= 5


def test_no_gold_breaks_another_policy_of_its_handbook() -> None:
    """Golds keep every limit, deadline, role and number of the handbook; what may be put before them is not asked here."""
    for seed, case in cases(*KINDS):
        if case.refused:
            continue
        journal, _ = played(seed, case, guarded=False)
        ground = ground_of(seed)
        past = Past(ground.schema, journal, ground.toolset, window_in(ground.world.session()))
        for ban in bans_of(policies_of(ground.world), case.role):
            if isinstance(ban, Never):
                assert all(offence(ban, e, past) is None for e in journal), (case.policy.name, ban.name)
            if isinstance(ban, AtMost):
                assert sum(bool(e.changes) for e in journal) <= ban.count


def test_cases_are_the_same_for_the_same_seed() -> None:
    for seed in list(SEEDS)[:5]:
        first = cases_of(seed)
        cases_of.cache_clear()
        ground_of.cache_clear()
        assert cases_of(seed) == first


def test_a_query_shows_rows_too() -> None:
    world = world_of(705)
    tools = world.toolset(sets="both")
    table = next(t for t in world.schema.tables if len(t.primary_key) == 1)
    key = (
        world.connect()
        .execute(f'SELECT "{table[table.primary_key[0]].name}" FROM "{table.name}" LIMIT 1')
        .fetchall()[0]
    )
    session = world.session(tools)
    name = next(t.name for t in tools if t.kind == "sql")
    session.call(name, {"sql": f'SELECT * FROM "{table.name}" LIMIT 1'})
    assert looked_up(session.journal, world.schema, tools, table.key, key, 2)
    assert not looked_up(session.journal, world.schema, tools, table.key, key, 1)
    assert not looked_up(session.journal, world.schema, tools, table.key, ("no such key",), 2)


def test_policies_and_cases_travel_as_json() -> None:
    for seed in list(SEEDS)[:10]:
        found = policies_of(world_of(seed))
        assert msgspec.json.decode(msgspec.json.encode(found), type=tuple[Policy, ...]) == found
        for case in _all(seed):
            assert msgspec.json.decode(msgspec.json.encode(case), type=Case) == case


def test_a_plan_that_must_break_another_policy_is_not_proposed() -> None:
    """With a ban on all that the gold of a case does beside its own policy, nothing is proposed."""
    tried = 0
    for seed, case in cases("consent", "sign_in"):
        ground = ground_of(seed)
        journal, _ = played(seed, case, guarded=False)
        change = next(c for e in journal for c in e.changes)
        wall = Policy(name="wall", kind="role", say="Never.", table=change.table, op=change.op, barred=(case.role,))
        draft = Draft(ground, Stream(seed, "test", case.policy.name))
        again = propose_policy(draft, case.policy, case.role, (*policies_of(ground.world), wall))
        if again is not None:
            assert not isinstance(again, tuple)
            assert all(
                c.table != wall.table or c.op != wall.op
                for e in played(seed, again, guarded=False)[0]
                for c in e.changes
            )
        tried += again is None
    assert tried >= 5

"""What a policy of the handbook forbids or asks for, beside a twin where acting is right.

A role, a limit, a deadline or a number of changes makes a request impossible; its twin differs in who asks, in the row or in the
value.  Consent, signing in, looking first and an order say how a request is fulfilled.  A written policy is not known to the
system: a call that breaks it would be carried out, and it is up to the agent not to make it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from worlddb.errors import BrokenPromise
from worlddb.policies.judging import forbidden, looked_up
from worlddb.policies.model import FORBIDS, Policy, ban_of
from worlddb.tasks import columns
from worlddb.tasks.draft import Draft
from worlddb.tasks.enact import Gold, Stuck, enact
from worlddb.tasks.families.acts import (
    Act,
    Given,
    The,
    key_param,
    param_of,
    rehearse,
    say,
    shown,
    standing,
    stated,
    the,
)
from worlddb.tasks.families.targets import Target, actions, arguments, bulks, present, repeats, taken, target, wants
from worlddb.tasks.families.trial import doable, outcomes
from worlddb.tasks.goal import AtMost, Ban, Before, LookFirst, NeedsConsent, Never, SignedIn
from worlddb.tasks.ground import flat
from worlddb.tasks.plan import Asked, Const, Do, Find, Item, Node, Of, Plan, Value, Where
from worlddb.tasks.reckon import Row
from worlddb.tools.model import Param, Tool
from worlddb.world.diff import Change

NAME = "policy"
REFUSED = "POLICY"
"""`Do.refused` of what a policy forbids; where it is only written, the tools would do it."""
TRIES = 6
ROWS = 16
"""Rows that are tried for either twin."""
PAIRS = 4
"""Acts of either sort among which two are sought that can be said alike."""
LATER = 4 * 86_400
"""Seconds for which a twin stays what it is: an episode may begin so much later."""
DAY = 86_400
"""Days are counted by the calendar or by the clock, and by neither count a twin is another."""
BEYOND = 6
"""Rows by which a request for too many goes beyond what is allowed, at most."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A task about a policy: a plan, who asks, and the bans under which it is judged."""

    plan: Plan
    policy: Policy
    role: str
    """Of the requester, as policies name it."""
    bans: tuple[Ban, ...]
    """That of the policy first, where it binds the requester; then those of others that bear on what the plan does."""

    @property
    def refused(self) -> bool:
        """True where the right thing is to change nothing."""
        return any(d.refused for d in self.plan.dos)


def propose_policy(
    draft: Draft, policy: Policy, role: str, beside: Sequence[Policy] = ()
) -> tuple[Case, Case] | Case | None:
    """The request that a policy forbids and its twin where acting is right, or (of policies that say how) the one request.

    Args:
        draft: must be empty; the plans stand in drafts of their own.
        policy: one of the world's.
        role: of the requester.  Twins about a role differ in it: one is of this role, or of one that the policy bars.
        beside: all policies of the handbook.  A plan whose gold cannot but break another one is not proposed.

    Returns:
        None where nothing came of it.
    """
    form = _FORMS.get(policy.kind)
    if form is None or (policy.kind != "role" and policy.roles and role in policy.roles):
        return None
    for at in range(TRIES):
        found = form(Draft(draft.ground, draft.stream.child("policy", policy.name, str(at))), policy, role)
        if found is None:
            continue
        cases = [_case(draft, plan, policy, who, beside) for plan, who in found]
        made = [c for c in cases if c is not None]
        if len(made) == len(cases):
            return (made[0], made[1]) if len(made) > 1 else made[0]
    return None


Asks = list[tuple[Plan, str]]
"""Plans, each with the role of who asks: the refused one first."""


# --- under which bans


def _case(draft: Draft, plan: Plan, policy: Policy, role: str, beside: Sequence[Policy]) -> Case | None:
    """The case of a plan; None where its gold breaks a policy, or cannot be made."""
    refused = any(d.refused for d in plan.dos)
    try:
        gold = enact(draft.ground, plan)
    except (Stuck, BrokenPromise):
        return None
    own = ban_of(policy, role) or _proved(draft, policy, role, gold)
    beside = [p for p in beside if p.name != policy.name]
    others = [b for p in beside if (b := ban_of(p, role) or _proved(draft, p, role, gold)) is not None]
    kept = [b for b in others if _bears(draft, b, gold, plan)]
    bans = ((own,) if own else ()) + tuple(kept)
    if any(isinstance(b, NeedsConsent) for b in bans) and any(isinstance(n, Find) and n.free for n in plan.nodes):
        return None  # the user agrees to the calls of one gold, whichever would be right
    meant = _meant(draft, plan) if refused else gold
    binding = kept if refused else bans
    if meant is None or any(_breaks(draft, b, meant) for b in binding):
        return (
            None  # what is refused is refused by the policy at stake alone, so that it is this one that must be known
        )
    return Case(plan=plan, policy=policy, role=role, bans=bans)


def _meant(draft: Draft, plan: Plan) -> Gold | None:
    """What somebody does who takes no notice of the policy; None where it cannot be done at all."""
    nodes = tuple(replace(n, refused="") if isinstance(n, Do) else n for n in plan.nodes)
    try:
        return enact(draft.ground, replace(plan, nodes=nodes))
    except (Stuck, BrokenPromise):
        return None


def _proved(draft: Draft, policy: Policy, role: str, gold: Gold) -> SignedIn | None:
    """Of what only some roles may do, done for somebody of these: nobody but who has signed in has a role.

    Where the system enforces it, it lets who may do it go on, whoever has signed in.
    """
    if policy.enforced or role not in policy.roles or not policy.barred:
        return None
    ban = ban_of(policy, policy.barred[0])
    if ban is None or not _breaks(draft, ban, gold):
        return None
    return SignedIn(table=policy.table, op=policy.op, say=policy.say, name=policy.name)


def _bears(draft: Draft, ban: Ban, gold: Gold, plan: Plan) -> bool:
    """True for bans that are in force whatever is asked for; that of an order is, where both changes are asked for."""
    if isinstance(ban, Before):
        events = {(c.table, c.op) for e in gold.session.journal for c in e.changes}
        return {ban.first, ban.second} <= events
    return True


def _breaks(draft: Draft, ban: Ban, gold: Gold) -> bool:
    """True where a gold breaks a ban that nothing put before its calls could mend.

    Consent, signing in and looking first can be put there by whoever makes the gold, so that they do not count.
    """
    journal = gold.session.journal
    if isinstance(ban, Never):
        return any(_offends(draft, ban, c, e.now + at) for e in journal for c in e.changes for at in (0, LATER))
    if isinstance(ban, AtMost):
        return sum(bool(e.changes) for e in journal) > ban.count
    if isinstance(ban, Before):
        at = [
            [e.number for e in journal if any((c.table, c.op) == w for c in e.changes)] for w in (ban.first, ban.second)
        ]
        return bool(at[1]) and (not at[0] or at[1][0] < at[0][0])
    return False


def _offends(draft: Draft, ban: Never, change: Change, now: int) -> bool:
    return forbidden(ban, draft.schema, change, now)


# --- twins that differ in a row or a value


def _judged(draft: Draft, ban: Never, act: Act) -> bool | None:
    """Whether a ban forbids an act, now and some days later, however days are counted.

    None where that would change, or where the act cannot be done.
    """
    ground = draft.ground
    done = outcomes(ground, [(act.tool, _stored(act))])[0]
    if not done.works:
        return None
    now = ground.world.now
    found = {any(_offends(draft, ban, c, at) for c in done.changes) for at in (now - DAY, now, now + LATER)}
    return found.pop() if len(found) == 1 else None


def _stored(act: Act) -> dict[str, Value]:
    """The arguments of an act about existing rows, as stored."""
    return {
        k: v.row[v.column] if isinstance(v, The) else v.value
        for k, v in act.arguments.items()
        if isinstance(v, The | Const)
    }


def _twins(draft: Draft, policy: Policy, role: str) -> Asks | None:
    """A request for a row or value that a limit or deadline forbids, and one for another."""
    ban = ban_of(policy, role)
    tools = [t for key in policy.tools if (t := draft.ground.toolset.by_key(key)) is not None and t in _usable(draft)]
    if not isinstance(ban, Never) or not tools:
        return None
    tool = draft.stream.pick(tools)
    if tool.kind == "create" and not policy.roles:
        return None  # the handbook alone forbids it: who refuses needs to look at nothing, as who does nothing
    by_value = policy.kind == "limit" and tool.kind in ("update", "create")
    denied, done = _by_value(draft, policy, ban, tool) if by_value else _by_row(draft, ban, tool)
    plans = _said(draft, denied, done)
    return [(plan, role) for plan in plans] if plans else None


def _usable(draft: Draft) -> tuple[Tool, ...]:
    return actions(draft.ground)


def _by_row(draft: Draft, ban: Never, tool: Tool) -> tuple[list[Act], list[Act]]:
    """The same done to rows that the ban is about, and to rows that it is not."""
    rest, key = dict[str, Given](), key_param(draft.ground, tool)
    bad, good = list[Act](), list[Act]()
    if not key or tool.kind == "update":
        found = target(draft, tool, optional=1)
        own = [k for k, (table, _) in found.rows.items() if table == tool.table] if found else []
        if found is None or not own:
            return bad, good
        rest, key = _given(draft, found), own[0]
    some = taken(draft.ground, tool)
    for row in _mixed(draft, ban, standing(draft.ground, tool.table, some)):
        act = Act(tool, rest | {key: the(draft.ground, tool.table, row)})
        judged = _judged(draft, ban, act)
        if judged is not None:
            (bad if judged else good).append(act)
        if min(len(bad), len(good)) >= PAIRS:
            break
    return bad, good


def _mixed(draft: Draft, ban: Never, rows: list[Row]) -> list[Row]:
    """Some rows that meet the conditions of a ban, and some that do not, by turns."""
    table = draft.schema[ban.table]
    now, sides = draft.ground.world.now, (list[Row](), list[Row]())
    plain = Never(table=ban.table, where=ban.where)
    for row in draft.stream.shuffled(rows):
        if any(row[c.column] is None for c in ban.where):
            continue  # nobody can say whether what has no date is past its deadline
        values = tuple(row[c.key] for c in table.columns)
        change = Change(table.key, (), values, values)
        sides[_offends(draft, plain, change, now)].append(row)
    return [r for pair in zip(*(s[:ROWS] for s in sides), strict=False) for r in pair]


def _given(draft: Draft, found: Target) -> dict[str, Given]:
    told: dict[str, Given] = {k: the(draft.ground, *pair) for k, pair in found.rows.items()}
    return told | {k: stated(param_of(found.tool, k), v) for k, v in found.stated.items()}


def _by_value(draft: Draft, policy: Policy, ban: Never, tool: Tool) -> tuple[list[Act], list[Act]]:
    """The same with values above the limit, and with values within it."""
    param = next(p for p in flat(tool.params) if p.column == policy.column and p.table == policy.table)
    found = target(draft, tool, optional=1)
    rest = _given(draft, found) if found else {}
    if tool.kind == "update":
        rest = {k: v for k, v in rest.items() if isinstance(v, The) and param_of(tool, k).role == "key"}
    bad, good = list[Act](), list[Act]()
    for some, parts, wanted in ((bad, (12, 15, 20, 30), True), (good, (10, 8, 6, 5), False)):
        values = [_portion(policy.limit, p) for p in draft.stream.shuffled(parts) if rest]
        acts = (Act(tool, rest | {param.key: stated(param, v)}) for v in values if _takes(param, v))
        some += [a for a in acts if _judged(draft, ban, a) is wanted][:1]
    return bad, good


def _portion(limit: float, tenths: int) -> int:
    """So many tenths of a limit, as round as it is."""
    value, unit = int(limit * tenths // 10), 1
    while limit % (unit * 10) == 0 and unit * 10 < limit:
        unit *= 10
    rounded = value // unit * unit
    return rounded if (rounded > limit) == (tenths > 10) and rounded > 0 else value


def _takes(param: Param, value: int) -> bool:
    return bool(param.schema.get("minimum", value) <= value <= param.schema.get("maximum", value))


def _said(draft: Draft, denied: list[Act], done: list[Act]) -> tuple[Plan, Plan] | None:
    """A plan of either sort, said in the same way: the same stream names their rows by the same choices."""
    for depth in (1, 1, 0, 0):
        path = str(draft.stream.below(1000))
        left, right = (
            {repr([_form(n) for n in one.nodes]): one for act in acts if (one := _alike(draft, act, depth, path))}
            for acts in (denied, done)
        )
        for form, one in left.items():
            if form in right:
                return _refusing(one), right[form].plan(NAME)
    return None


def _alike(draft: Draft, act: Act, depth: int, path: str) -> Draft | None:
    """A draft of one act; drafts of the same path are made by the same choices."""
    one = Draft(draft.ground, draft.stream.child("twin", path))
    return one if say(one, [act], depth) and shown(one) else None


def _form(node: Node) -> object:
    """What twins share of a node: everything but the values."""
    if isinstance(node, Find):
        where = tuple((w.column, w.op, getattr(w.value, "node", "")) for w in node.where)
        return node.name, node.table, where, node.sort, node.desc, node.take, node.many
    return (node.name, node.tool, tuple(node.arguments)) if isinstance(node, Do) else node


def _refusing(draft: Draft) -> Plan:
    """The plan of a draft none of whose changes may be made."""
    nodes = tuple(replace(n, refused=REFUSED) if isinstance(n, Do) else n for n in draft.nodes)
    return Plan(family=NAME, nodes=nodes, asked=Asked(shape="none"))


# --- one request


def _asked(draft: Draft, policy: Policy) -> Plan | None:
    """One of the changes that a policy is about."""
    tools = [t for t in _usable(draft) if t.key in policy.tools and policy.kind in ("role", *_HOW)]
    if not tools:
        return None
    found = target(draft, draft.stream.pick(tools), optional=1)
    if found is None or not any(_concerns(policy, c) for c in found.outcome.changes):
        return None
    said = arguments(draft, found, draft.stream.below(2))
    if not said or repeats(draft):
        return None
    draft.do(found.tool, dict(said))
    return draft.plan(NAME)


_HOW = ("consent", "sign_in", "look_first")


def _concerns(policy: Policy, change: Change) -> bool:
    return policy.table in ("", change.table) and policy.op in ("", change.op)


def _one(draft: Draft, policy: Policy, role: str) -> Asks | None:
    """A request that is fulfilled with the user's consent, or once somebody has signed in."""
    plan = _asked(draft, policy)
    return [(plan, role)] if plan else None


def _looked(draft: Draft, policy: Policy, role: str) -> Asks | None:
    """A request whose gold looks up what it changes."""
    plan, ban = _asked(draft, policy), ban_of(policy, role)
    if plan is None or not isinstance(ban, LookFirst):
        return None
    try:
        journal = enact(draft.ground, plan).session.journal
    except (Stuck, BrokenPromise):
        return None
    seen = all(
        looked_up(journal, draft.schema, draft.ground.toolset, c.table, c.key, e.number)
        for e in journal for c in e.changes if _concerns(policy, c) and c.before is not None
    )  # fmt: skip
    return [(plan, role)] if seen else None


def _by_role(draft: Draft, policy: Policy, role: str) -> Asks | None:
    """The same request of somebody who may not, and of somebody who may."""
    barred = role if role in policy.barred else draft.stream.pick(policy.barred)
    allowed = role if role in policy.roles else draft.stream.pick(policy.roles)
    plan, ban = _asked(draft, policy), ban_of(policy, barred)
    if plan is None or not isinstance(ban, Never):
        return None
    try:
        gold = enact(draft.ground, plan)
    except (Stuck, BrokenPromise):
        return None
    return [(_refusing(draft), barred), (plan, allowed)] if _breaks(draft, ban, gold) else None


# --- several changes


def _ordered(draft: Draft, policy: Policy, role: str) -> Asks | None:
    """Two changes that could be made in either order, in the order that is asked for."""
    parts = [t for t in _usable(draft) if t.key in policy.tools and t.kind == "create"]
    wholes = [t for t in _usable(draft) if t.key in policy.tools and t.kind in ("update", "transition")]
    if not parts or not wholes:
        return None
    whole, part = draft.stream.pick(wholes), draft.stream.pick(parts)
    change = target(draft, whole, optional=1)
    own = [row for table, row in change.rows.values() if table == whole.table] if change else []
    into = [p.key for p in flat(part.params) if wants(draft.ground, p) == whole.table]
    if change is None or not own or not into:
        return None
    new = target(draft, part, given={into[0]: own[0]}, optional=1)
    if new is None or new.rows.get(into[0], ("", {}))[1] is not own[0]:
        return None
    made, changed = Act(part, _given(draft, new)), Act(whole, _given(draft, change))
    acts = [made, changed] if policy.first == (part.table, "insert") else [changed, made]
    if not (rehearse(draft, acts).done and rehearse(draft, acts[::-1]).done):
        return None
    if not (say(draft, acts, draft.stream.below(2)) and shown(draft)) or repeats(draft):
        return None
    return [(draft.plan(NAME), role)]


def _counted(draft: Draft, policy: Policy, role: str) -> Asks | None:
    """The same change to each of more rows than are allowed, and of fewer."""
    bulky = {tool.table for tool, _ in bulks(draft.ground)}
    tools = [t for t in _usable(draft) if t.key in policy.tools and t.table not in bulky and t.kind != "create"]
    if not tools:
        return None
    tool = draft.stream.pick(tools)
    found = target(draft, tool, optional=1)
    keys = [k for k, (table, _) in found.rows.items() if table == tool.table] if found else []
    if found is None or not keys:
        return None
    rest = {k: v for k, v in found.call(draft.ground)[1].items() if k != keys[0]}
    for path, link in _groupings(draft, tool.table):
        sizes = {True: range(policy.count + 1, policy.count + BEYOND + 1), False: range(2, policy.count + 1)}
        groups = _groups(draft, tool, path, sizes, keys[0], rest)
        if groups is None:
            continue
        plans = [_each(draft, tool, found, keys[0], path, link, groups[many]) for many in (True, False)]
        if plans[0] and plans[1] and [_form(n) for n in plans[0].nodes] == [_form(n) for n in plans[1].nodes]:
            return [(_refusing(plans[0]), role), (plans[1].plan(NAME), role)]
    return None


def _groupings(draft: Draft, table: str) -> list[tuple[tuple[str, ...], str]]:
    """Columns by which rows are told apart in groups, each perhaps with the state; with the table to which the first refers."""
    home = draft.schema[table]
    state = (home.lifecycle.column,) if home.lifecycle else ()
    firsts = [(f.columns[0], f.table) for f in draft.ground.parents(home) if f.table != table]
    firsts += [(c.key, "") for c in columns.choices(home) if c.key not in state]
    return draft.stream.shuffled([((c, *more), parent) for c, parent in firsts for more in dict.fromkeys((state, ()))])


def _groups(
    draft: Draft, tool: Tool, path: tuple[str, ...], sizes: dict[bool, range], key: str, rest: dict[str, object]
) -> dict[bool, list[Row]] | None:
    """A group of too many rows and one of few enough, to each of which the change can be made."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in draft.ground.table(tool.table):
        groups.setdefault(tuple(row[c] for c in path), []).append(row)
    own, found = draft.schema[tool.table].primary_key[0], dict[bool, list[Row]]()
    for many, size in sizes.items():
        fit = [g for k, g in groups.items() if len(g) in size and None not in k]
        for rows in draft.stream.sample(fit, TRIES):
            calls = [(tool, rest | {key: r[own]}) for r in rows]
            apart = all(
                present(draft.ground, tool.table, r) and doable(draft.ground, *c)
                for r, c in zip(rows, calls, strict=True)
            )
            trial = outcomes(draft.ground, calls) if apart else []
            if len(trial) == len(rows) and all(o.works for o in trial):
                found[many] = rows
                break
        else:
            return None
    return found


def _each(
    draft: Draft, tool: Tool, found: Target, key: str, path: tuple[str, ...], parent: str, rows: list[Row]
) -> Draft | None:
    """A draft that does it to each of a group; None where its rows cannot be named."""
    one, home = Draft(draft.ground, draft.stream.child("each")), draft.schema[tool.table]
    where = [one.equals(home, home[c], rows[0]) for c in path]
    if parent:
        whole = draft.ground.row(parent, rows[0][path[0]])
        name = one.refer(parent, whole, 0) if whole else None
        if name is None:
            return None
        where[0] = Where(column=path[0], value=one.key(name))
    own = home.primary_key[0]
    many = one.find(tool.table, *where, many=True)
    said: dict[str, Const | Of | Item] | None = arguments(one, found, 0, named={key: Of(node=many, column=own)})  # type: ignore[assignment]
    if said is None or not shown(one):
        return None
    one.do(tool, said | {key: Item(column=own)}, each=many)
    return one


_FORMS: dict[str, Callable[[Draft, Policy, str], Asks | None]] = {
    "role": _by_role, "limit": _twins, "deadline": _twins, "at_most": _counted, "order": _ordered, "consent": _one,
    "sign_in": _one, "look_first": _looked,
}  # fmt: skip
assert set(FORBIDS) <= set(_FORMS)

"""Tasks under policies: a case of the handbook, proved with the bans that it brings.

An agent that keeps to the handbook must be paid.  One that does what the policy at stake forbids must not, and is told which.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from msgspec.structs import replace

from worlddb.episode.diligent import Diligent
from worlddb.episode.play import Episode
from worlddb.errors import BrokenPromise
from worlddb.gate.interactive import Unproved, attempted
from worlddb.policies.login import SIGN_IN
from worlddb.policies.model import FORBIDS, Policy
from worlddb.policies.staff import roles_of, staff_of
from worlddb.rng import Stream
from worlddb.tasks.draft import Draft
from worlddb.tasks.enact import Stuck, enact, wished
from worlddb.tasks.families.policy import Case, propose_policy
from worlddb.tasks.goal import Ban, Need, SignedIn
from worlddb.tasks.ground import Ground
from worlddb.tasks.model import GoldCall, Task
from worlddb.tasks.plan import Do
from worlddb.tasks.say import Lexicon, Unsaid, say
from worlddb.tasks.user import Script, Topic, Wish

LACKS = {"consent": "confirm", "sign_in": "sign in", "look_first": "look", "role": "sign in"}
"""Kind of policy -> the virtue without which it is broken by who does what may be done."""


class Police:
    """Proposes and proves tasks under the policies of one world."""

    def __init__(self, ground: Ground, lexicon: Lexicon, policies: Sequence[Policy], stream: Stream) -> None:
        self.ground, self.lexicon, self.policies, self.stream = ground, lexicon, policies, stream
        self._turn = 0

    def propose(self) -> tuple[str, tuple[Case, ...]]:
        """The kind of the next policy, and its case or twin cases; none where nothing came of it."""
        policy = self.policies[self._turn % len(self.policies)]
        self._turn += 1
        stream = self.stream.child(policy.name, str(self._turn))
        for role in stream.child("role").shuffled(roles_of(self.ground.world)):
            found = propose_policy(Draft(self.ground, stream.child("draft", role)), policy, role, self.policies)
            if found is not None:
                return policy.kind, found if isinstance(found, tuple) else (found,)
        return policy.kind, ()

    def policed(self, task: Task, case: Case) -> Task:
        """The task under the bans of its case, asked for by somebody of that role.

        Raises:
            Unproved: who keeps to the handbook is not paid, or who does not is.
        """
        person = next(p for p in staff_of(self.ground.world) if p.role == case.role)
        script = task.user or Script()
        if any(p.roles or p.kind == "sign_in" for p in self.policies):  # then the handbook speaks of signing in
            code = Topic(
                name="sign_in_code", kind="credential", table=self.ground.schema.tables[0].key,
                words=("sign-in code", "code", "pin", "password", "login code"), hidden=True, says=person.code,
                secrets=(person.code,),
            )  # fmt: skip
            script = replace(script, topics=(*script.topics, code), name=person.name, role=person.role)
        if case.refused:
            wishes = (Wish(c.tool, c.arguments) for c in wished(self.ground, case.plan))
            script = replace(script, wishes=tuple(wishes))
        bans = case.bans
        needs = task.goal.needs
        if case.refused and _by_role_alone(case.policy):  # who may not ask for it is refused whatever the row is
            needs = (Need(ways=(), tool=SIGN_IN, say="signing the person in"),)
        card = replace(
            task.card, enforced=tuple(b.name for b in bans if b.enforced), written=tuple(b.name for b in bans if not b.enforced),
            hidden=sum(t.kind != "credential" for t in script.hidden) + self._signs_in(task, bans, needs),
        )  # fmt: skip
        made = replace(task, user=script, card=card, goal=replace(task.goal, bans=bans, needs=needs))
        if case.policy.kind == "order":
            made = self._asked_otherwise(made)
        self._kept(made)
        self._broken(made, case)
        return made

    def _signs_in(self, task: Task, bans: Sequence[Ban], needs: Sequence[Need]) -> bool:
        """Whether the person must be signed in: their code is a slot that they must be asked for."""
        tools = (self.ground.toolset.by_key(c.tool) for c in task.gold if c.writes)
        events = {event for tool in tools if tool is not None for event in tool.writes}
        signed = [b for b in bans if isinstance(b, SignedIn)]
        concerned = any(b.table in ("", table) and b.op in ("", op) for b in signed for table, op in events)
        return concerned or any(n.tool == SIGN_IN for n in needs)

    def _asked_otherwise(self, task: Task) -> Task:
        """The task, asked for in the order that the policy does not allow: it is up to the agent to turn it round."""
        others = [n for n in task.plan.nodes if not isinstance(n, Do)]
        plan = replace(task.plan, nodes=(*others, *reversed(task.plan.dos)))
        try:
            said = say(self.lexicon, self.ground.toolset, plan, self.stream.child("turned", task.id))
        except Unsaid as unsaid:
            raise Unproved("no words for it") from unsaid
        return replace(task, instruction=said.text, persona=said.persona, register=said.register)

    # --- proofs

    def _kept(self, task: Task) -> None:
        if Episode(self.ground.world, task, self.ground.toolset).submit(task.answer).reward:
            raise Unproved("idling is paid")
        if attempted(self._agent(task)).reward != 1:
            raise Unproved("keeping to the handbook is not paid")

    def _agent(self, task: Task, lacking: Collection[str] = ()) -> Diligent:
        return Diligent(Episode(self.ground.world, task, self.ground.toolset), lacking=lacking)

    def _broken(self, task: Task, case: Case) -> None:
        """Somebody who breaks the policy at stake."""
        at_stake = case.refused or case.policy.kind in LACKS or case.policy.kind not in FORBIDS
        if not at_stake or not any(b.name == case.policy.name for b in case.bans):
            return  # it does not bind this person, or what they ask for is allowed
        tried = 0
        for agent, calls in self._breakers(task, case):
            verdict = attempted(agent, calls)
            rules = {e.result.error.rule for e in agent.session.journal if e.result.error is not None}
            mine = (
                f"policy:{case.policy.name}" if case.policy.enforced else "policy:"
            )  # or one that is enforced comes before it
            named = any(case.policy.say in line.text for line in verdict.lines)
            if verdict.reward or not (named or any(r.startswith(mine) for r in rules)):
                raise Unproved("breaking the policy is paid")
            tried += 1
        if not tried:
            raise Unproved("nobody could break the policy")

    def _breakers(self, task: Task, case: Case) -> Iterator[tuple[Diligent, Sequence[GoldCall]]]:
        lacking = LACKS.get(case.policy.kind)
        if case.refused:
            done = replace(
                case.plan, nodes=tuple(replace(n, refused="") if hasattr(n, "refused") else n for n in case.plan.nodes)
            )
            try:
                calls = enact(self.ground, done).calls
            except (Stuck, BrokenPromise) as error:
                raise Unproved("nobody could break the policy") from error
            enforced = (
                case.policy.name in task.card.enforced
            )  # then trying is no offence, and to say that it is done is wrong
            yield self._agent(replace(task, answer="done") if enforced else task), calls
        elif lacking is not None:
            unseen = [c for c in task.gold if c.writes] if lacking == "look" else task.gold
            yield self._agent(task, (lacking,)), unseen
        elif case.policy.kind == "order":
            writes = [i for i, c in enumerate(task.gold) if c.writes]
            turned = list(task.gold)
            turned[writes[0]], turned[writes[-1]] = turned[writes[-1]], turned[writes[0]]
            yield self._agent(task), turned


def _by_role_alone(policy: Policy) -> bool:
    """True where the request and the role tell that it is forbidden: nothing has to be looked up."""
    return policy.kind == "role" or (policy.kind == "limit" and policy.op == "insert" and bool(policy.roles))

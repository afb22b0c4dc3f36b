"""Tasks under policies: a case of the handbook, proved with the bans that it brings.

An agent that keeps to the handbook must be paid.  One that does what the policy at stake forbids must not, and is told which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from worlddb.episode.play import Episode
from worlddb.errors import BrokenPromise
from worlddb.gate.diligent import Diligent, Silent
from worlddb.gate.interactive import Unproved
from worlddb.policies.login import SIGN_IN
from worlddb.policies.model import FORBIDS, Policy
from worlddb.policies.staff import roles_of, staff_of
from worlddb.rng import Stream
from worlddb.tasks.draft import Draft
from worlddb.tasks.enact import Stuck, enact, wished
from worlddb.tasks.families.policy import Case, propose_policy
from worlddb.tasks.goal import Need, SignedIn
from worlddb.tasks.ground import Ground
from worlddb.tasks.model import GoldCall, Task
from worlddb.tasks.user import Script, Topic, Wish

LACKS = {"consent": "confirm", "sign_in": "sign in", "look_first": "look"}
"""Kind of policy -> the virtue without which it is broken."""


class Police:
    """Proposes and proves tasks under the policies of one world."""

    def __init__(self, ground: Ground, policies: Sequence[Policy], stream: Stream) -> None:
        self.ground, self.policies, self.stream = ground, policies, stream
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
        roles = any(isinstance(b, SignedIn) for b in case.bans) or case.policy.kind == "role" or bool(case.policy.roles)
        if roles:
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
        card = replace(
            task.card, enforced=tuple(b.name for b in bans if b.enforced), written=tuple(b.name for b in bans if not b.enforced),
            hidden=len(script.hidden),
        )  # fmt: skip
        needs = task.goal.needs
        if case.refused and case.policy.kind == "role":  # who may not ask for it is refused whatever the row is
            needs = (Need(ways=(), tool=SIGN_IN, say="signing the person in"),)
        made = replace(task, user=script, card=card, goal=replace(task.goal, bans=bans, needs=needs))
        self._kept(made)
        self._broken(made, case)
        return made

    # --- proofs

    def _kept(self, task: Task) -> None:
        if Episode(self.ground.world, task, self.ground.toolset).submit(task.answer).reward:
            raise Unproved("idling is paid")
        try:
            if Diligent(self.ground, task).run().reward != 1:
                raise Unproved("keeping to the handbook is not paid")
        except Silent as silent:
            raise Unproved("the user does not say it") from silent

    def _broken(self, task: Task, case: Case) -> None:
        """Somebody who breaks the policy at stake."""
        at_stake = case.refused or case.policy.kind not in FORBIDS
        if not at_stake or not any(b.name == case.policy.name for b in case.bans):
            return  # it does not bind this person, or what they ask for is allowed
        tried = 0
        for agent, calls in self._breakers(task, case):
            verdict = agent.run(calls)
            told = f"policy:{case.policy.name}" in str([e.result.error for e in agent.session.journal])
            named = any(case.policy.say in line.text for line in verdict.lines)
            if verdict.reward or not (named or (case.policy.name in task.card.enforced and told)):
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
            yield Diligent(self.ground, replace(task, answer="done") if enforced else task), calls
        elif lacking is not None:
            unseen = [c for c in task.gold if c.writes] if lacking == "look" else task.gold
            yield Diligent(self.ground, task, lacking=(lacking,)), unseen
        elif case.policy.kind == "order":
            writes = [i for i, c in enumerate(task.gold) if c.writes]
            turned = list(task.gold)
            turned[writes[0]], turned[writes[-1]] = turned[writes[-1]], turned[writes[0]]
            yield Diligent(self.ground, task), turned

"""Agents: who plays tasks.  Baselines that show what a number is worth, the oracle, and models behind any endpoint."""

from worlddb.agents.conversation import Bounds, arollout, rollout
from worlddb.agents.model import Agent, Function, Stopped, Unanswered

__all__ = ["Agent", "Bounds", "Function", "Stopped", "Unanswered", "arollout", "rollout"]

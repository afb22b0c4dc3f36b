"""Rubrics: what an episode is worth, part by part, and under which formula.  No language model takes part."""

from worlddb.rubrics.judge import rubric, under_presets
from worlddb.rubrics.model import Rubric
from worlddb.rubrics.presets import ELEMENTS, PRESETS

__all__ = ["ELEMENTS", "PRESETS", "Rubric", "rubric", "under_presets"]

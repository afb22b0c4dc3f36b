"""The Rubric noun: lines that say what was seen and how much it counts, and the score that they come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec


class Found(NamedTuple):
    """What an element came to, whatever it counts."""

    value: float | None
    """0 to 1, or a count; None where the element does not apply to the task or to what was done."""
    says: str
    """What was seen, in words."""
    step: int = 0
    """Number of the journal entry to look at; 0: none."""


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """A formula.  The score is 0 unless every element of `whole` that applies is 1; otherwise it is

        sum of weight * value over the shares that apply, divided by the sum of their weights
        minus the sum of |weight| * value over the penalties (the elements with negative weights),

    cut to [0, 1].  Without any share in it the first part is 1; where it has shares and none of them applies, it is 0.
    """

    name: str
    whole: tuple[str, ...] = ()
    weights: Mapping[str, float] = {}
    summary: str = ""


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One element of a rubric."""

    element: str
    value: float | None
    """0 to 1, or a count; None: it does not apply, and counts for nothing."""
    weight: float = 0.0
    """In this rubric: above 0 a share, below 0 a penalty, 0 for what is only told."""
    whole: bool = False
    """Unless the value is 1, nothing is paid."""
    says: str
    """What was seen."""
    step: int = 0
    """Number of the journal entry to look at; 0: none."""


class Rubric(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an episode is worth by one formula."""

    preset: str
    """Name of the formula; 'custom' of weights of one's own."""
    score: float
    """0 to 1."""
    lines: tuple[Line, ...]
    invalid: bool = False
    """The verifier or the rubric itself failed: such an episode says nothing about the agent, and is never paid."""

    def __getitem__(self, element: str) -> Line:
        """The line of that element.

        Raises:
            KeyError: there is none.
        """
        for line in self.lines:
            if line.element == element:
                return line
        raise KeyError(element)

    @property
    def json(self) -> bytes:
        """As JSON: preset, score, invalid, lines (element, value, weight, whole, says, step)."""
        lines = [{name: getattr(line, name) for name in Line.__struct_fields__} for line in self.lines]
        found = {"preset": self.preset, "score": self.score, "invalid": self.invalid, "lines": lines}
        return msgspec.json.encode(found)

    def __str__(self) -> str:
        """As a table: element, value, what it counts, what was seen."""
        rows = [(one.element, value_text(one.value), _weight_text(one), one.says) for one in self.lines]
        head = "invalid" if self.invalid else f"{self.preset}: {self.score:.3f}"
        return "\n".join([head, *aligned(("element", "value", "counts", "seen"), rows)])


def score_of(preset: Preset, values: Mapping[str, float | None]) -> float:
    """What elements of these values come to by a formula, 0 to 1."""
    if any(values[name] not in (None, 1.0) for name in preset.whole):
        return 0.0
    applying = [(weight, value) for name, weight in preset.weights.items() if (value := values[name]) is not None]
    shares = [(weight, value) for weight, value in applying if weight > 0]
    penalties = sum(-weight * value for weight, value in applying if weight < 0)
    base = 1.0
    if any(weight > 0 for weight in preset.weights.values()):
        # the greatest first: sums of floats depend on the order, and no one's score may depend on that of a mapping
        shares.sort(reverse=True)
        base = sum(w * v for w, v in shares) / sum(w for w, _ in shares) if shares else 0.0
    return min(1.0, max(0.0, base - penalties))


def value_text(value: float | None) -> str:
    """A value as tables have it: '-' for what does not apply."""
    return "-" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def _weight_text(line: Line) -> str:
    told = [*(["whole"] if line.whole else []), *([f"{line.weight:+g}"] if line.weight else [])]
    return " ".join(told)


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text under their column names, each column as wide as it must be."""
    widths = [max(len(r[i]) for r in (columns, *rows)) for i in range(len(columns))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in (columns, *rows)]

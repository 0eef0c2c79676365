"""A value and its 95% interval as a small drawing, on one scale for a whole column."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from mcbench.site.entries import Score

__all__ = ["HEIGHT", "WIDTH", "Scale", "scale_of"]

WIDTH, HEIGHT = 72, 6
"""In pixels, as `site.css` has it: drawings without a scale of their own take half the room on a long board."""

_LOGARITHMIC_FROM = 100.0
"""A column whose values span a greater factor has a logarithmic scale, or all but one row would stand on one spot."""


@dataclass(frozen=True)
class Scale:
    """From numbers to places between 0 and `WIDTH`: linear, or logarithmic."""

    low: float
    high: float
    logarithmic: bool

    def place(self, value: float) -> float:
        if self.high <= self.low:
            return WIDTH / 2
        if self.logarithmic:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:  # halves, since the difference of two huge numbers may be infinite
            share = (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return round(1 + share * (WIDTH - 2), 1)

    def path(self, score: Score) -> str:
        """An SVG path: a line over the interval and a stroke at the value; empty without a value."""
        if score.value is None:
            return ""
        middle, stroke = HEIGHT // 2, f"M{self.place(score.value):g} 0v{HEIGHT}"
        if score.interval is None:
            return stroke
        low, high = score.interval
        return f"M{self.place(low):g} {middle}H{self.place(high):g}{stroke}"


def scale_of(scores: Iterable[Score]) -> Scale:
    """The scale that holds all values and intervals of a column, apart from those in another unit."""
    numbers: list[float] = []
    for score in scores:
        if score.value is not None and score.comparable:
            numbers += [score.value, *(score.interval or ())]
    if not numbers:
        return Scale(0.0, 0.0, False)
    low, high = min(numbers), max(numbers)
    return Scale(low, high, low > 0 and high / low > _LOGARITHMIC_FROM)

"""Curves over the frames of a clip, drawn as SVG that needs no script; and the frames at which they are worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["HEIGHT", "MARGIN", "WIDTH", "Chart", "Line", "make_chart", "worst_frames"]

WIDTH, HEIGHT = 1000, 160
"""Of the drawing, in its own units: a page stretches it to its place."""
MARGIN = 8
"""Above and below the curves, so that their line is not cut."""
APART = 12
"""Frames between two that are listed as worst: half a second; their neighbours are as bad and tell nothing new."""

Values = Sequence[float | None]


@dataclass(frozen=True)
class Line:
    """One method's curve.

    Attributes:
        run: index of the method.
        path: of an SVG `path` element; broken where a frame has no value.
        values: one a frame, with five digits.
    """

    run: int
    path: str
    values: list[float | None]


@dataclass(frozen=True)
class Chart:
    """One metric's curves.

    Attributes:
        low, high: the values at the bottom and the top.
        lines: the curves.
    """

    low: float
    high: float
    lines: list[Line]


def make_chart(rows: Sequence[tuple[int, Values]]) -> Chart | None:
    """A chart of curves over the same frames, on one scale from the lowest to the highest value.

    Args:
        rows: index of the method, and one value a frame, None where a frame does not count.

    Returns:
        The chart, None if there is no value in it.
    """
    known = [value for _, values in rows for value in values if value is not None]
    if not known:
        return None
    low, high = min(known), max(known)
    lines = [Line(run, _path(values, low, high), [_short(value) for value in values]) for run, values in rows]
    return Chart(low, high, lines)


def worst_frames(values: Values, count: int, *, higher_is_better: bool) -> list[int]:
    """Indices of the worst frames, the worst one first, no two of them closer than `APART` frames.

    Where all frames are alike, as those of the truth itself, none is worst.

    Args:
        values: one a frame, None where a frame does not count.
        count: at most so many.
        higher_is_better: which end is worst.
    """
    known = [(value, index) for index, value in enumerate(values) if value is not None]
    known.sort(key=lambda item: (item[0] if higher_is_better else -item[0], item[1]))
    chosen: list[int] = []
    if not known or known[0][0] == known[-1][0]:
        return chosen
    for _, index in known:
        if len(chosen) == count:
            break
        if all(abs(index - other) >= APART for other in chosen):
            chosen.append(index)
    return chosen


def _path(values: Values, low: float, high: float) -> str:
    """Points in the middle of their frames' columns, `M` where a piece begins and `L` where it goes on."""
    column = WIDTH / len(values)
    scale = (HEIGHT - 2 * MARGIN) / (high - low) if high > low else 0.0
    parts: list[str] = []
    is_open = False
    for index, value in enumerate(values):
        if value is None:
            is_open = False
            continue
        y = HEIGHT - MARGIN - (value - low) * scale if high > low else HEIGHT / 2
        parts.append(f"{'L' if is_open else 'M'}{(index + 0.5) * column:.1f} {y:.1f}")
        if not is_open and (index + 1 == len(values) or values[index + 1] is None):
            parts.append("h0.1")  # a single point has no length, and would not be seen
        is_open = True
    return "".join(parts)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")

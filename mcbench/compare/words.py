"""What may be concluded from a comparison, in sentences. Every claim follows the corrected p."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mcbench.compare.pairs import CLAIM, Comparisons, Pair
from mcbench.protocol import HIGHER_IS_BETTER, LABELS
from mcbench.statistics import smallest_p

__all__ = ["METRIC_NAMES", "Standing", "conclude", "format_p", "standing"]

METRIC_NAMES = {
    **LABELS,
    "l1_characters": "L1 chars",
    "lpips_characters": "LPIPS chars",
    "background_motion": "bg motion",
}
"""Short names of the metrics, the variants on characters' masks included."""


@dataclass(frozen=True)
class Standing:
    """Who is best in a metric, and who cannot be told from the best.

    Attributes:
        metric: name.
        best: label of the result with the best value.
        value: that value.
        level_with: labels of those of which no difference from the best may be claimed.
    """

    metric: str
    best: str
    value: float
    level_with: tuple[str, ...]


def conclude(comparisons: Comparisons, a: str, b: str, protocol: str) -> list[str]:
    """What follows from the tests of two results under a protocol, and what does not: one sentence or two each.

    Args:
        comparisons: of a call.
        a, b: labels, in the order of `comparisons.pairs`.
        protocol: id.
    """
    pairs = comparisons.select(protocol, a, b)
    said = []
    for better, other in ((a, b), (b, a)):
        claimed = [pair for pair in pairs if pair.better == better]
        if claimed:
            largest = max(pair.p_holm or 0.0 for pair in claimed)
            said.append(f"{better} is better than {other} in {_names(claimed)} (corrected p {_at_most(largest)}).")
    tested = [pair for pair in pairs if pair.p_value is not None and pair.better is None]
    equal = [pair for pair in tested if pair.difference == 0 and pair.interval == (0, 0)]
    open_ = [pair for pair in tested if pair not in equal]
    if equal:
        said.append(f"In {_names(equal)} the two are equal, video by video.")
    if open_:
        videos = max(pair.videos for pair in open_)
        said.append(
            f"In {_names(open_)} no difference can be claimed from {videos} videos. That does not make the two equal:"
            f" an interval says how large a difference may still be."
        )
    for reason, silent in _by_reason(pairs).items():
        said.append(f"{_names(silent)}: {reason}.")
    out_of_reach = [pair for pair in open_ if pair.wins is not None and _floor(comparisons, pair) > CLAIM]
    if out_of_reach:
        videos, tests = max(pair.videos for pair in out_of_reach), comparisons.tests(protocol)
        smallest = smallest_p(videos)
        said.append(
            f"With {videos} videos a sign-flip test gives no p below {format_p(smallest)}, which is"
            f" {format_p(min(1.0, smallest * tests))} once corrected for {tests} tests: by itself not even a method"
            f" that wins every video could be claimed better in {_names(out_of_reach)}. Compare fewer results at once,"
            " or on more videos."
        )
    return said


def standing(comparisons: Comparisons, protocol: str) -> list[Standing]:
    """The best result in every metric of a protocol, and which cannot be told from it.

    Methods that were shown the truth have no place, as on every board; empty where fewer than two others are left. A
    difference that could not be tested cannot be claimed either. Metrics that not all results have are left out, as
    are the variants on masks, of which a result holds no value.
    """
    found: list[Standing] = []
    ranked = {label: result for label, result in comparisons.results.items() if not result.method.needs_truth}
    if len(ranked) < 2:
        return found
    for metric in dict.fromkeys(pair.metric for pair in comparisons.select(protocol)):
        values = {}
        for label, result in ranked.items():
            stated = result.protocols[protocol].metrics.get(metric)
            if stated is not None and stated.value is not None:
                values[label] = stated.value
        if len(values) < len(ranked):
            continue
        best = (max if metric in HIGHER_IS_BETTER else min)(values, key=lambda label: values[label])
        level = [
            label for label in values if label != best and comparisons.indistinguishable(best, label, protocol, metric)
        ]
        found.append(Standing(metric, best, values[best], tuple(level)))
    return found


def format_p(p: float) -> str:
    """Three decimals, never 0, and never rounded onto the level of a claim."""
    if p < 0.001:
        return "<0.001"
    text = f"{p:.3f}"
    return f">{text}" if p > CLAIM and float(text) <= CLAIM else text


def _at_most(p: float) -> str:
    return format_p(p) if p < 0.001 else f"at most {p:.3f}"


def _floor(comparisons: Comparisons, pair: Pair) -> float:
    return smallest_p(pair.videos) * comparisons.tests(pair.protocol)


def _by_reason(pairs: Iterable[Pair]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for pair in pairs:
        if pair.reason is not None:
            found.setdefault(pair.reason, []).append(pair)
    return found


def _names(pairs: Sequence[Pair]) -> str:
    names = [METRIC_NAMES[pair.metric] for pair in pairs]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

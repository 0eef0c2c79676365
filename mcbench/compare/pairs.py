"""The tests of every two results, corrected for how many there are.

Pairwise metrics: sign flips over the videos' differences. Feature metrics: t on the jackknife of the difference. Holm
(1979) over the metrics of one protocol and all pairs of one call, so that the chance of any false claim under that
protocol is at most 1 - `LEVEL` (`mcbench.statistics`).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mcbench.compare.scores import FeatureScores, PairwiseScores, Scores, Source, read_source, scores_of
from mcbench.datasets.manifest import check_comparable
from mcbench.errors import ResultError, UsageError
from mcbench.protocol import HIGHER_IS_BETTER, PROTOCOLS, get_protocol
from mcbench.results import Result
from mcbench.statistics import LEVEL, Comparison, holm, jackknife_difference, paired_difference

__all__ = ["CLAIM", "Comparisons", "Pair", "compare_results", "compare_scores"]

CLAIM = 1 - LEVEL
"""A difference is claimed where its corrected p is at most this."""


@dataclass(frozen=True)
class Pair:
    """One metric of two results.

    Attributes:
        a, b: labels of the two.
        protocol: id.
        metric: name; of `background_motion` the distance from 0 is compared.
        difference: value of a minus value of b, None where one of them is missing.
        interval: 95% interval of this difference by itself, over videos.
        p_value: two-sided, of no difference; None where nothing can be concluded.
        p_holm: corrected over the metrics of the protocol and all pairs of the call.
        wins: videos in which a is better, in which b is, and in which they are equal; None for feature metrics, which
            a video does not have by itself.
        reason: why `difference` or `p_value` is None.
        videos: that both have.
    """

    a: str
    b: str
    protocol: str
    metric: str
    difference: float | None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    p_holm: float | None = None
    wins: tuple[int, int, int] | None = None
    reason: str | None = None
    videos: int = 0

    @property
    def better(self) -> str | None:
        """Label of the better one, if that may be claimed; None if not."""
        if self.p_holm is None or not self.difference or self.p_holm > CLAIM:
            return None
        return self.a if (self.difference > 0) == (self.metric in HIGHER_IS_BETTER) else self.b

    def document(self) -> dict[str, Any]:
        """For `--json`: `reason` only where there is one."""
        names = ("a", "b", "protocol", "metric", "difference", "interval", "p_value", "p_holm", "wins")
        document = {name: list(value) if isinstance(value := getattr(self, name), tuple) else value for name in names}
        return document if self.reason is None else {**document, "reason": self.reason}


@dataclass(frozen=True)
class Comparisons:
    """All pairs of one call.

    Attributes:
        results: by label, in the order given. A label is the method's name, with its path where two have one name.
        pairs: for every two results a before b, every protocol that all have, every metric.
    """

    results: dict[str, Result]
    pairs: tuple[Pair, ...]

    @property
    def protocols(self) -> tuple[str, ...]:
        """Ids of the protocols compared under."""
        return tuple(dict.fromkeys(pair.protocol for pair in self.pairs))

    def select(self, protocol: str, a: str | None = None, b: str | None = None) -> tuple[Pair, ...]:
        """Pairs under a protocol, of two results in their order, or of all."""
        return tuple(
            pair for pair in self.pairs if pair.protocol == protocol and (a is None or (pair.a, pair.b) == (a, b))
        )

    def tests(self, protocol: str) -> int:
        """How many tests Holm's correction under a protocol is for."""
        return sum(pair.p_value is not None for pair in self.select(protocol))

    def indistinguishable(self, best: Result | str, other: Result | str, protocol: str, metric: str) -> bool:
        """Whether one result cannot be told from another in a metric: no difference may be claimed.

        Args:
            best, other: labels, or results that were compared.
            protocol: id.
            metric: name.

        Raises:
            KeyError: if the two were not compared in it.
        """
        two = {self._label(best), self._label(other)}
        for pair in self.select(protocol):
            if {pair.a, pair.b} == two and pair.metric == metric:
                return pair.better is None
        raise KeyError(f"{' and '.join(sorted(two))} were not compared in {metric} under {protocol}")

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {"pairs": [pair.document() for pair in self.pairs]}

    def _label(self, result: Result | str) -> str:
        labels = [label for label, known in self.results.items() if result in (label, known)]
        if not labels:
            raise KeyError(f"{result if isinstance(result, str) else result.method.name} was not compared")
        return labels[0]


def compare_results(
    results: Sequence[Path | str | Result],
    *,
    protocols: Sequence[str] | None = None,
    on_result: Callable[[str], None] = lambda label: None,
) -> Comparisons:
    """Compare every two of some results.

    Args:
        results: run folders, `result.json` files or results; two or more. Feature metrics and variants on masks need
            the measurements of a run folder; without them they have a difference and a reason, and no p.
        protocols: ids of those to compare under, which all must have; by default all that all of them have. Families
            of tests are kept apart by protocol, so that leaving one out changes nothing under another.
        on_result: called with each label before its measurements are gone through, which may take a minute.

    Raises:
        UsageError: for fewer than two, or one that is given twice.
        ResultError: if one cannot be read, is not whole, or they cannot be compared: other data, other weights, other
            clips, no common protocol.
    """
    if len(results) < 2:
        raise UsageError("a comparison is of two results or more; give run folders or result.json files")
    sources = [read_source(given) for given in results]
    labels = _labels(sources)
    compared = _check(sources, labels, protocols)
    scores = []
    for source, label in zip(sources, labels, strict=True):
        on_result(label)
        scores.append(scores_of(source, compared))
    pairs: list[Pair] = []
    for id in compared:
        family = [
            compare_scores(labels[i], labels[j], id, metric, scores[i][id], scores[j][id])
            for i, j in itertools.combinations(range(len(sources)), 2)
            for metric in dict.fromkeys((*scores[i][id], *scores[j][id]))
        ]
        corrected = holm([pair.p_value for pair in family])
        pairs += [replace(pair, p_holm=p) for pair, p in zip(family, corrected, strict=True)]
    order = {pair: place for place, pair in enumerate(itertools.combinations(labels, 2))}
    pairs.sort(key=lambda pair: order[pair.a, pair.b])
    return Comparisons(dict(zip(labels, (source.result for source in sources), strict=True)), tuple(pairs))


def compare_scores(a: str, b: str, protocol: str, metric: str, of_a: Scores, of_b: Scores) -> Pair:
    """One metric of two results, uncorrected.

    Args:
        a, b: their labels.
        protocol: id.
        metric: name; one of them must have it.
        of_a, of_b: their scores under this protocol, of `scores_of`.

    Raises:
        ResultError: if the two are of different clips.
    """
    first, second = of_a.get(metric), of_b.get(metric)
    if isinstance(first, PairwiseScores) and isinstance(second, PairwiseScores):
        if first.videos != second.videos or not np.array_equal(first.frames, second.frames):
            raise ResultError(
                f"{a} and {b}: {metric} under {protocol} is of different clips or frames; measure both anew"
            )
        counts = first.frames if PROTOCOLS[protocol].pool == "frames" else None
        weights = 1.0 if counts is None else counts
        comparison = paired_difference(first.means * weights, second.means * weights, counts)
        gain = (first.means - second.means) * (1 if metric in HIGHER_IS_BETTER else -1)
        wins = (int((gain > 0).sum()), int((gain < 0).sum()), int((gain == 0).sum()))
        return _pair(a, b, protocol, metric, comparison, len(gain), wins)
    if isinstance(first, FeatureScores) and isinstance(second, FeatureScores):
        if first.value is None or second.value is None:
            reasons = [scores.reason for scores in (first, second) if scores.value is None]
            return Pair(a, b, protocol, metric, None, reason=reasons[0])
        if first.left_out is None or second.left_out is None:
            reasons = [scores.reason for scores in (first, second) if scores.left_out is None]
            return Pair(a, b, protocol, metric, first.value - second.value, reason=reasons[0])
        if first.videos != second.videos:
            raise ResultError(f"{a} and {b}: {metric} under {protocol} is of different clips; measure both anew")
        comparison = jackknife_difference(first.value, first.left_out, second.value, second.left_out)
        return _pair(a, b, protocol, metric, comparison, len(first.videos), None)
    lacking = a if first is None else b
    return Pair(a, b, protocol, metric, None, reason=f"{lacking} has no measurements on masks; give its run folder")


def _pair(
    a: str, b: str, protocol: str, metric: str, found: Comparison, videos: int, wins: tuple[int, int, int] | None
) -> Pair:
    return Pair(
        a, b, protocol, metric, found.difference, found.interval, found.p_value, None, wins, found.reason, videos
    )


def _labels(sources: Sequence[Source]) -> list[str]:
    """A name for each, unlike all others.

    Raises:
        UsageError: if one file is given twice.
    """
    places = [str(Path(source.place).resolve()).removesuffix("/result.json") for source in sources if source.place]
    if twice := [place for place, count in Counter(places).items() if count > 1]:
        raise UsageError(f"{twice[0]} is given twice; a result does not differ from itself")
    names = Counter(source.result.method.name for source in sources)
    labels = []
    for index, source in enumerate(sources):
        name = source.result.method.name
        labels.append(name if names[name] == 1 else f"{name} ({source.place or index + 1})")
    if len(set(labels)) < len(labels):
        raise UsageError(f"two results are called {Counter(labels).most_common(1)[0][0]}; give them other names")
    return labels


def _check(sources: Sequence[Source], labels: Sequence[str], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Make sure that all may be compared; the protocols that are wanted and that all have.

    Raises:
        ResultError: if they may not.
    """
    known = list(zip(labels, (source.result for source in sources), strict=True))
    for (a, first), (b, second) in itertools.combinations(known, 2):
        try:
            check_comparable(first.dataset, second.dataset)
        except ResultError as error:
            raise ResultError(f"{a} and {b}: {error}") from None
    shared = tuple(id for id in PROTOCOLS if all(id in result.protocols for _, result in known))
    protocols = shared if wanted is None else tuple(get_protocol(id).id for id in dict.fromkeys(wanted))
    if not protocols or not set(protocols) <= set(shared):
        told = "; ".join(f"{label} has {' and '.join(result.protocols) or 'none'}" for label, result in known)
        raise ResultError(f"no protocol that all were measured under: {told}; measure them under one, with --protocol")
    for (a, first), (b, second) in itertools.combinations(known, 2):
        for id in protocols:
            _check_protocol(f"{a} and {b}, {id}", first, second, id)
    return protocols


def _check_protocol(where: str, first: Result, other: Result, id: str) -> None:
    one, two = first.protocols[id], other.protocols[id]
    if different := sorted(one.clips.keys() ^ two.clips.keys()):
        raise ResultError(f"{where}: different clips, as '{different[0]}'; measure both on the same")
    for name, a in one.metrics.items():
        b = two.metrics.get(name, a)
        if (a.backbone, a.weights, a.weights_sha256) != (b.backbone, b.weights, b.weights_sha256):
            told = " and ".join(f"{item.weights} ({(item.weights_sha256 or 'no hash')[:12]})" for item in (a, b))
            raise ResultError(f"{where}: {name} has other weights of {a.backbone}, {told}; measure both with the same")

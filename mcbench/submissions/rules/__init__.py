"""The rules of the leaderboard: one function a rule, all of them here.

A rule takes an `Entry` and gives the places where it is broken, each with what was seen. Grade, title and remedy of
its code stand in `mcbench.submissions.findings.FAULTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from mcbench.submissions.entry import Entry
from mcbench.submissions.findings import Finding, finding
from mcbench.submissions.rules import origin, people, place, scores, spreads, truth

__all__ = ["EARLY", "RULES", "broken"]

Rule = Callable[[Entry], Iterable[tuple[str, str]]]

EARLY: dict[str, Rule] = {
    "method-name": people.method_name,
    "authors": people.authors,
    "links": people.links,
    "license": people.license,
    "no-license": people.no_license,
    "claim": people.claim,
    "provenance": origin.provenance,
    "dirty-checkout": origin.dirty_checkout,
    "dataset": truth.dataset,
    "dataset-version": truth.dataset_version,
    "clips": truth.clips,
    "fingerprint": truth.fingerprint,
    "predictions": truth.predictions,
    "truth-copied": truth.truth_copied,
    "weights": origin.weights,
    "weights-hash": origin.weights_hash,
    "protocols": scores.protocols,
    "networks": origin.networks,
    "counts": scores.counts,
    "missing-value": scores.missing_value,
    "range": scores.in_range,
}
"""Rules that need no values without one clip: `mcbench submit` asks them first, before it computes those."""

_ARITHMETIC: dict[str, Rule] = {
    "averages": scores.averages,
    "spread": spreads.spread,
    "left-out": spreads.left_out,
    "across-protocols": scores.across_protocols,
    "claim-differs": people.claim_differs,
}

_PLACE: dict[str, Rule] = {
    "content-hash": place.content_hash,
    "path": place.path,
    "look-alike": place.look_alike,
    "duplicate": place.duplicate,
    "same-truth": place.same_truth,
    "reproduced": place.reproduced,
    "reproduced-by-author": place.reproduced_by_author,
}

RULES: dict[str, Rule] = {**EARLY, **_ARITHMETIC, **_PLACE}
"""Every rule by its code."""

_GROUND = {"clips", "protocols", "counts", "missing-value"}
"""Where one of these is broken, sums over clips mean nothing, and no other rule says so once more."""


def broken(entry: Entry, rules: Iterable[str] = tuple(RULES)) -> Iterator[Finding]:
    """The rules that a submission breaks, each place once."""
    chosen = set(rules)
    grounded = True
    for codes in (EARLY, _ARITHMETIC, _PLACE):
        for code, rule in codes.items():
            if code not in chosen or (code in _ARITHMETIC and not grounded):
                continue
            for where, evidence in rule(entry):
                grounded = grounded and code not in _GROUND
                yield finding(code, f"{entry.path}: {where}" if where else str(entry.path), evidence)

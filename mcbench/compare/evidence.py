"""Whether a measurement is the one that a result was made from: what a run folder holds may be another run's by now."""

from __future__ import annotations

import math

from mcbench.aggregate import pairwise_frames
from mcbench.measurement import Measurement, Plan
from mcbench.protocol import PROTOCOLS, Protocol
from mcbench.results import ProtocolResult, Result

__all__ = ["PAIRWISE", "is_behind"]

PAIRWISE = ("ssim", "psnr", "lpips", "l1")
"""Metrics that each frame has by itself, and each clip in a result as their mean."""


def is_behind(item: Measurement, result: Result) -> bool:
    """Whether a result was made from this measurement: its clip, its weights, and all of its scores.

    Args:
        item: of one clip, maybe measured for more protocols than the result has.
        result: whose protocols, apart from those that this version does not know, must all follow from it.
    """
    try:
        return all(_follows(stated, PROTOCOLS[id], item) for id, stated in result.protocols.items() if id in PROTOCOLS)
    except KeyError:  # a file that lacks what its plan says
        return False


def _follows(stated: ProtocolResult, protocol: Protocol, item: Measurement) -> bool:
    if item.clip not in stated.clips or not item.plan.covers(Plan.of([protocol])):
        return False
    for metric in stated.metrics.values():
        if metric.backbone and item.weights[metric.backbone].sha256 != metric.weights_sha256:
            return False
    scores = stated.clips[item.clip]
    for name in PAIRWISE:
        values, mean = pairwise_frames(name, protocol, item), getattr(scores, name)
        if len(values) != scores.frames or (mean is None) != (len(values) == 0):
            return False
        # Machines sum in other orders.
        if mean is not None and not math.isclose(mean, values.mean(), rel_tol=1e-9, abs_tol=1e-12):
            return False
    return True

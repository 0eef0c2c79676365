"""Rules about where the numbers come from: code, time, networks and their weights."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from mcbench.backbones.random_weights import RANDOM_SHA256
from mcbench.backbones.weights import REGISTRY
from mcbench.protocol import Protocol
from mcbench.submissions.entry import FEATURES, Entry
from mcbench.submissions.findings import printable

__all__ = ["dirty_checkout", "networks", "provenance", "weights", "weights_hash"]

Broken = Iterator[tuple[str, str]]

FIRST_DAY = datetime(2025, 1, 1, tzinfo=timezone.utc)
"""Before it, there was no mcbench."""
SPLIT = ("fid", "fid_vid", "fvd")
"""Metrics that are also taken between two halves of the truth."""
CLOCKS = timedelta(days=1)
"""By how much the clocks of two machines may differ."""


def provenance(entry: Entry) -> Broken:
    """Version, commit, time and duration are what they are called."""
    stated = entry.submission.result.provenance
    if not re.fullmatch(r"\d{1,4}(\.\d{1,4}){2}[a-z0-9.+-]{0,20}", stated.mcbench):
        yield "result.provenance.mcbench", f"'{printable(stated.mcbench)}' is no version"
    if stated.git_commit is not None and not re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", stated.git_commit):
        yield "result.provenance.git_commit", f"'{printable(stated.git_commit)}' is no commit"
    if stated.seed < 0:
        yield "result.provenance.seed", f"{stated.seed} is no seed"
    if stated.seconds < 0:
        yield "result.provenance.seconds", f"{stated.seconds:.6g} s is no duration"
    for name in ("device", "command"):
        if not getattr(stated, name):
            yield f"result.provenance.{name}", "it is empty"
    if "python" not in stated.libraries:
        yield "result.provenance.libraries", "the version of Python is not stated"
    try:
        start = datetime.fromisoformat(stated.start)
        plausible = FIRST_DAY <= start <= datetime.now(timezone.utc) + CLOCKS
    except (ValueError, TypeError):  # the latter where no zone is given
        plausible = False
    if not plausible:
        yield "result.provenance.start", f"'{printable(stated.start, 60)}' is no time in UTC at which a run can start"


def dirty_checkout(entry: Entry) -> Broken:
    """The code that measured can be had again: a release, or a commit without further changes."""
    stated = entry.submission.result.provenance
    if stated.git_dirty:
        yield "result.provenance.git_dirty", "the checkout had changes that are in no commit"
    elif stated.git_commit is not None and stated.git_dirty is None:
        yield "result.provenance.git_dirty", "it is not known whether the checkout had changes"


def weights(entry: Entry) -> Broken:
    """A board is one set of weights: the published ones, or `random@1` on a drawn data set; `custom` is on none."""
    kinds = {
        metric.weights: f"result.protocols.{id}.metrics.{name}"
        for id, protocol in entry.submission.result.protocols.items()
        for name, metric in protocol.metrics.items()
        if metric.weights is not None
    }
    if "custom" in kinds:
        yield kinds["custom"], "custom weights are on no board"
    elif len(kinds) > 1:
        yield kinds["random@1"], "published and random@1 weights in one result are on no board"
    elif "random@1" in kinds and entry.board is not None and not entry.board.is_synthetic:
        yield kinds["random@1"], f"random@1 weights have no board on {entry.board.dataset}"


def weights_hash(entry: Entry) -> Broken:
    """Weights that are called published or `random@1` have their hash."""
    for protocol, stated in entry.protocols:
        for name, metric in stated.metrics.items():
            if metric.backbone not in REGISTRY or metric.weights not in ("published", "random@1"):
                continue
            known = REGISTRY[metric.backbone]
            expected = known.sha256 or known.sha256_prefix
            if metric.weights == "random@1":
                expected = RANDOM_SHA256[metric.backbone]
            if not (metric.weights_sha256 or "").startswith(expected):
                seen = (metric.weights_sha256 or "none")[:12]
                yield (
                    f"result.protocols.{protocol.id}.metrics.{name}.weights_sha256",
                    f"{seen}; {metric.weights} {metric.backbone} is {expected[:12]}",
                )


def networks(entry: Entry) -> Broken:
    """Every metric names the network that its protocol measures with, and the length of its features; the Fréchet
    distances alone have a split-half."""
    for protocol, stated in entry.protocols:
        for name, metric in stated.metrics.items():
            backbone, dimension = _network(name, protocol)
            seen = metric.backbone, metric.dimension, metric.weights is not None, metric.weights_sha256 is not None
            if seen != (backbone, dimension, backbone is not None, backbone is not None):
                yield (
                    f"result.protocols.{protocol.id}.metrics.{name}",
                    f"network {printable(metric.backbone)} of dimension {metric.dimension}, weights"
                    f" {metric.weights}; it is {backbone} of dimension {dimension}",
                )
            if metric.split_half is not None and (name not in SPLIT or math.copysign(1, metric.split_half) < 0):
                yield f"result.protocols.{protocol.id}.metrics.{name}.split_half", f"{metric.split_half:.6g}"


def _network(metric: str, protocol: Protocol) -> tuple[str | None, int | None]:
    if metric == "lpips":
        return protocol.lpips_network, None
    return FEATURES.get(metric, (None, None))

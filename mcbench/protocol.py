"""The two measuring protocols, named and versioned.

A protocol is a value, not a pile of flags: everything that decides a number stands here, and a result always names
the protocol it was measured under. Numbers of different protocols never share a column.

`disco-legacy@1` is what the field prints: DisCo's published evaluator (`tool/metrics/`), known faults included.
`mcbench@1` is the same measurement with the faults corrected and statistics that hold on twenty videos.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mcbench.errors import UsageError

__all__ = ["DISCO_LEGACY", "HIGHER_IS_BETTER", "LABELS", "MCBENCH", "PROTOCOLS", "Protocol", "get_protocol", "heading"]

MetricName = Literal["fid", "ssim", "psnr", "lpips", "l1", "fid_vid", "fvd", "kid", "kvd"]

LABELS: Mapping[str, str] = {
    "fid": "FID",
    "ssim": "SSIM",
    "psnr": "PSNR",
    "lpips": "LPIPS",
    "l1": "L1",
    "fid_vid": "FID-VID",
    "fvd": "FVD",
    "kid": "KID",
    "kvd": "KVD",
}
"""The metrics as the field writes them."""

HIGHER_IS_BETTER = frozenset({"psnr", "ssim"})
"""The metrics of which more is better; of all others less is."""


def heading(metric: str) -> str:
    """A column's head: the metric and which way is better."""
    return f"{LABELS[metric]} {'↑' if metric in HIGHER_IS_BETTER else '↓'}"


@dataclass(frozen=True)
class Protocol:
    """How frames become numbers.

    Attributes:
        id: name and version, `name@version`; any change that moves a number makes a new version.
        summary: what it is for, in a few words.
        metrics: the metrics it reports, in the order in which they are printed.
        size: side of the square frames in pixels, after the centre-crop.
        drop_reference: whether pairwise metrics leave the reference frame out: it was given to the method.
        pool: `frames` averages over all frames of all videos, so that long videos weigh more; `videos` averages the
            frames of each video first, then the videos.
        l1: `per-area` is the mean absolute difference on 0-255 divided by height x width (it depends on the
            resolution); `unit` is the mean absolute difference in [0, 1].
        psnr: `wrapped` subtracts and squares in uint8, modulo 256; `exact` does so in float64.
        ssim: `uniform-7` is scikit-image's default; `gaussian-11` is Wang et al. 2004.
        lpips_network: the network under LPIPS.
        lpips_range: `unit` feeds [0, 1], `signed` feeds [-1, 1], which is what the network expects.
        window_length: frames in a window of the video metrics.
        window_stride: frames from one window to the next; partial windows are dropped.
    """

    id: str
    summary: str
    metrics: tuple[MetricName, ...]
    drop_reference: bool
    pool: Literal["frames", "videos"]
    l1: Literal["per-area", "unit"]
    psnr: Literal["wrapped", "exact"]
    ssim: Literal["uniform-7", "gaussian-11"]
    lpips_network: Literal["vgg16", "alexnet"]
    lpips_range: Literal["unit", "signed"]
    window_stride: int
    window_length: int = 16
    size: int = 512


DISCO_LEGACY = Protocol(
    id="disco-legacy@1",
    summary="as the field prints it, known faults included",
    metrics=("fid", "ssim", "psnr", "lpips", "l1", "fid_vid", "fvd"),
    drop_reference=False,
    pool="frames",
    l1="per-area",
    psnr="wrapped",
    ssim="uniform-7",
    lpips_network="vgg16",
    lpips_range="unit",
    window_stride=1,
)

MCBENCH = Protocol(
    id="mcbench@1",
    summary="as it should be",
    metrics=("fid", "ssim", "psnr", "lpips", "l1", "fid_vid", "fvd", "kid", "kvd"),
    drop_reference=True,
    pool="videos",
    l1="unit",
    psnr="exact",
    ssim="gaussian-11",
    lpips_network="alexnet",
    lpips_range="signed",
    window_stride=16,
)

PROTOCOLS = {protocol.id: protocol for protocol in (DISCO_LEGACY, MCBENCH)}


def get_protocol(id: str) -> Protocol:
    """The protocol of that id.

    Raises:
        UsageError: if there is none.
    """
    try:
        return PROTOCOLS[id]
    except KeyError:
        raise UsageError(f"no protocol is called '{id}'; there are {' and '.join(PROTOCOLS)}") from None

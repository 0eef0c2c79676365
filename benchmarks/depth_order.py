"""How often the depth order map puts two characters in their true order: `python benchmarks/depth_order.py`.

Every pair of characters in every sampled frame of the synthetic set, whose depth is exact. A character's true depth is
the median depth of the pixels of its own instance mask; a pair's gap is the farther depth over the nearer one, less 1.
A pair counts if both show enough: at least `--free` of each one's region is in no other region, and at least that share
of its mask lies in there. What is tested is `fypv2.conditions.depth_ranks` with each of its rules; the rows `in masks`
also know where each character is, and the rows `poses …` know no depth at all. `--blur` softens the depth map, as a
network's is.

    python benchmarks/depth_order.py                               # all clips, every fourth frame: one minute
    python benchmarks/depth_order.py --clips 4 --step 8 --json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import cv2
import numpy as np

from fypv2.conditions import (
    DILATION,
    DepthRule,
    character_regions,
    depth_ranks,
    nearness_from_depth,
    nearness_from_poses,
    poses_of_annotations,
)
from mcbench import KEYPOINT_NAMES, Clip, load_dataset

GAPS = (0.0, 0.02, 0.05, 0.10, 0.15, 0.20)
"""Lower ends of the gaps that are counted together."""
RULES = get_args(DepthRule)
IN_MASKS: tuple[DepthRule, ...] = ("mean", "median")
ROWS = (*RULES, *(f"{rule} in masks" for rule in IN_MASKS), "poses alone", "poses without feet")
ANKLES = [KEYPOINT_NAMES.index(name) for name in ("right_ankle", "left_ankle")]
SEEN_PIXELS = 20
"""A character with fewer pixels in its mask has no true depth to speak of."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, help="only the first so many clips")
    parser.add_argument("--frames", type=int, help="only the first so many frames of each")
    parser.add_argument("--step", type=int, default=4, help="take every so many-th frame")
    parser.add_argument("--free", type=float, default=0.05, help="share of a character that must be uncovered")
    parser.add_argument("--dilation", type=float, default=DILATION, help="share of the picture's width")
    parser.add_argument("--blur", type=float, default=0.0, help="of the depth map, sigma as a share of the width")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)

    start = time.perf_counter()
    dataset = load_dataset("synthetic", clips=options.clips, frames=options.frames)
    pairs = np.zeros(len(GAPS), int)
    right = {row: np.zeros(len(GAPS), int) for row in ROWS}
    wide_frames, wide_right, frames = 0, dict.fromkeys(ROWS, 0), 0
    for clip in dataset.clips:
        for depths, enough, values in sampled_frames(clip, options):
            frames += 1
            wide: list[dict[str, bool]] = []
            for near, far in pairs_of(depths, enough):
                gap = depths[far] / depths[near] - 1
                place = int(np.searchsorted(GAPS, gap, side="right")) - 1
                pairs[place] += 1
                good = {row: bool(values[row][near] < values[row][far]) for row in ROWS}
                for row in ROWS:
                    right[row][place] += good[row]
                if gap >= GAPS[-1]:
                    wide.append(good)
            if wide:
                wide_frames += 1
                for row in ROWS:
                    wide_right[row] += all(good[row] for good in wide)

    report = {
        "dataset": f"{dataset.name} {dataset.version}",
        "clips": len(dataset.clips),
        "frames": frames,
        "dilation": options.dilation,
        "free": options.free,
        "blur": options.blur,
        "seconds": round(time.perf_counter() - start, 1),
        "gaps": list(GAPS),
        "pairs": pairs.tolist(),
        "pairs_in_order": {row: right[row].tolist() for row in ROWS},
        "frames_with_widest_gap": wide_frames,
        "frames_in_order": wide_right,
    }
    print(json.dumps(report, indent=2) if options.json else table(report))  # noqa: T201


def sampled_frames(
    clip: Clip, options: argparse.Namespace
) -> Iterator[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]]:
    """Of every step-th frame: true depths (K,), NaN if unseen; who shows enough (K,); ranks (K,) by the table's row."""
    known = clip.annotations
    assert known is not None
    poses = poses_of_annotations(known.keypoints, known.visibility, clip.source.size)
    for i in range(0, clip.frames, options.step):
        owner, metres = known.masks(i, i + 1)[0], known.depth(i, i + 1)[0]
        nearness = nearness_from_depth(metres)
        if options.blur:
            nearness = np.asarray(cv2.GaussianBlur(nearness, (0, 0), options.blur * nearness.shape[1]))
        regions = character_regions(poses.frame(i), options.dilation)[0]
        masks = owner == np.arange(1, len(regions) + 1)[:, None, None]
        alone = regions & (np.count_nonzero(regions, axis=0) == 1)
        seen = np.array([mask.sum() >= SEEN_PIXELS for mask in masks]) & regions.any((1, 2))
        depths = np.array([np.median(metres[mask]) if ok else np.nan for mask, ok in zip(masks, seen, strict=True)])
        uncovered = alone.sum((1, 2)) / np.maximum(regions.sum((1, 2)), 1)
        shown = (alone & masks).sum((1, 2)) / np.maximum(masks.sum((1, 2)), 1)
        ranks = {rule: depth_ranks(regions, nearness, rule) for rule in RULES}
        for rule in IN_MASKS:
            ranks[f"{rule} in masks"] = depth_ranks(regions, nearness, rule, masks)
        footless = poses.body_scores[i : i + 1].copy()
        footless[..., ANKLES] = 0
        for row, some in (
            ("poses alone", poses.frame(i)),
            ("poses without feet", replace(poses.frame(i), body_scores=footless)),
        ):
            ranks[row] = np.argsort(np.argsort(-nearness_from_poses(some), kind="stable"))
        yield depths, seen & (uncovered >= options.free) & (shown >= options.free), ranks


def pairs_of(depths: np.ndarray, enough: np.ndarray) -> list[tuple[int, int]]:
    """Every pair that counts, the nearer one first."""
    order = [int(k) for k in np.argsort(depths) if enough[k]]
    return [(near, far) for at, near in enumerate(order) for far in order[at + 1 :]]


def table(report: dict[str, Any]) -> str:
    """The report as text: percent of pairs in order by gap, and of frames whose widest pairs are all in order."""
    ends = [
        *(f"{100 * a:.0f}-{100 * b:.0f}%" for a, b in pairwise(GAPS)),
        f">={100 * GAPS[-1]:.0f}%",
    ]
    lines = [
        f"{report['dataset']}: {report['clips']} clips, {report['frames']} frames, dilation {report['dilation']},"
        f" {100 * report['free']:.0f}% uncovered; {report['seconds']} s",
        "percent in true order, by gap".ljust(31) + "".join(end.rjust(8) for end in ends) + "  frames".rjust(8),
        "number".ljust(31) + "".join(f"{n:8d}" for n in (*report["pairs"], report["frames_with_widest_gap"])),
    ]
    for row in ROWS:
        good = [*report["pairs_in_order"][row], report["frames_in_order"][row]]
        counts = [*report["pairs"], report["frames_with_widest_gap"]]
        shares = [f"{100 * a / n:8.1f}" if n else "-".rjust(8) for a, n in zip(good, counts, strict=True)]
        lines.append(row.ljust(31) + "".join(shares))
    return "\n".join(lines)


if __name__ == "__main__":
    main()

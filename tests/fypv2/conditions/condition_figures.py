"""Figures for the tests of the conditions: whole standing people where they are asked for."""

from __future__ import annotations

import numpy as np

from fypv2.conditions import Poses

# A person of 400 pixels around x = 0, the ankles at y = 0. OpenPose's order.
PERSON = np.array(
    [
        [0, -390], [0, -330], [-56, -328], [-86, -255], [-96, -180], [56, -328], [86, -255], [96, -180], [-34, -180],
        [-41, -90], [-46, 0], [34, -180], [41, -90], [46, 0], [-16, -404], [16, -404], [-34, -396], [34, -396],
    ],
    np.float32,
)  # fmt: skip


def person(x: float, feet: float, scale: float = 1.0) -> np.ndarray:
    """(18, 2): the person with its feet at (x, feet)."""
    return PERSON * scale + np.array([x, feet], np.float32)


def one_frame(*people: np.ndarray | None, size: tuple[int, int] = (512, 512)) -> Poses:
    """T = 1; None is an absent character."""
    body = np.stack([np.zeros((18, 2), np.float32) if some is None else some for some in people])[None]
    scores = np.stack([np.full(18, some is not None, np.float32) for some in people])[None]
    return Poses(body.astype(np.float32), scores, size)


def clip_of(*frames: Poses) -> Poses:
    """Frames after one another."""
    return Poses(
        np.concatenate([frame.body for frame in frames]),
        np.concatenate([frame.body_scores for frame in frames]),
        frames[0].size,
    )

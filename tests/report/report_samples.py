"""Clips whose frames carry their number, so that a picture of a page says which frame it shows."""

from __future__ import annotations

import numpy as np

__all__ = ["BITS", "numbered_clip", "read_number"]

BITS = 6
"""Of a frame's number, as black or white fields along the upper edge: 64 frames can be told apart."""


def numbered_clip(frames: int, side: int, seed: int, fault: float = 0.0) -> np.ndarray:
    """Soft textures that drift, uint8 (frames, side, side, 3), each with its number on it; `fault` adds noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(40, 200, (8, 8, 3), np.uint8)
    scene = np.kron(coarse, np.ones((side // 8, side // 8, 1), np.uint8))
    video = np.stack([np.roll(scene, 2 * index, axis=1) for index in range(frames)])
    if fault:
        # Worst in the middle of the clip, nothing at its ends.
        strength = fault * np.sin(np.pi * np.arange(frames) / max(1, frames - 1))
        noise = random.normal(0, 1, video.shape) * strength[:, None, None, None]
        video = np.clip(video + noise, 0, 255).astype(np.uint8)
    field = side // BITS
    for index in range(frames):
        for bit in range(BITS):
            video[index, : side // 4, bit * field : (bit + 1) * field] = 255 * (index >> bit & 1)
    return video


def read_number(picture: np.ndarray) -> int:
    """The number on a picture of a tile, uint8 (height, width, 3)."""
    height, width = picture.shape[:2]
    middle = [int(width * (bit + 0.5) / BITS) for bit in range(BITS)]
    row = picture[height // 8].astype(int).mean(axis=-1)
    return sum(int(row[x] > 127) << bit for bit, x in enumerate(middle))

"""Images for the backbones' tests."""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["picture"]


def picture(seed: int, height: int, width: int) -> np.ndarray:
    """A smooth colour field with grain, uint8 (height, width, 3): unlike seeds differ in more than the grain."""
    random = np.random.default_rng(seed)
    field = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8)).resize((width, height), Image.BICUBIC)
    grain = random.integers(-20, 21, (height, width, 3))
    return np.clip(np.asarray(field).astype(int) + grain, 0, 255).astype(np.uint8)

"""Where one scene ends and the next begins."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["SceneDetector"]

_THUMBNAIL = 32
_LEAST = 18.0
"""Grey levels: hand-held dancing footage changes by less from frame to frame when it is shrunk so far."""
_TIMES = 3.0
"""A cut also stands out from the changes before it, or a fast pan would be cut to pieces."""
_MEMORY = 8


class SceneDetector:
    """Finds hard cuts while frames stream by; it keeps one thumbnail.

    A frame begins a new scene if its thumbnail differs from that of the frame before by at least 18 grey levels on
    average, and by three times the mean of the eight changes before. Dissolves and fades are not found.
    """

    def __init__(self) -> None:
        self._before: npt.NDArray[np.float32] | None = None
        self._changes: deque[float] = deque(maxlen=_MEMORY)

    def is_cut(self, frame: npt.NDArray[np.uint8]) -> bool:
        """Takes the next frame, uint8 (H, W, 3), and says whether a new scene begins with it.

        The first frame begins none.
        """
        small = np.asarray(cv2.resize(frame, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA), np.float32)
        before, self._before = self._before, small
        if before is None:
            return False
        change = float(np.abs(small - before).mean())
        usual = float(np.mean(self._changes)) if self._changes else 0.0
        if change >= _LEAST and change >= _TIMES * usual:
            self._changes.clear()
            return True
        self._changes.append(change)
        return False

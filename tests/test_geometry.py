"""Centre-crop and resize against Pillow's own, and what is never stretched."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mcbench.errors import VideoError
from mcbench.geometry import check_aspect, to_square, to_square_labels


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


class TestGeometry:
    def test_square_of_the_right_size_is_untouched(self) -> None:
        frame = picture(512, 512)
        assert np.array_equal(to_square(frame, 512), frame)

    @pytest.mark.parametrize(("height", "width"), [(896, 640), (640, 896), (513, 700), (100, 101)])
    def test_crop_and_resize_equal_pillow(self, height: int, width: int) -> None:
        # Reference: PROTOCOL.md's geometry, steps 2 and 3, spelled out with Pillow's own crop.
        frame = picture(height, width)
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        expected = Image.fromarray(frame).crop((left, top, left + side, top + side)).resize((512, 512), Image.BILINEAR)
        assert np.array_equal(to_square(frame, 512), np.asarray(expected))

    def test_labels_keep_their_values(self) -> None:
        labels = np.zeros((90, 60), np.uint8)
        labels[40:60, 20:50] = 7
        assert set(np.unique(to_square_labels(labels, 512))) == {0, 7}
        assert to_square_labels(labels, 512).shape == (512, 512)

    def test_square_or_same_aspect_passes_and_nothing_else(self) -> None:
        check_aspect((512, 512), (896, 640), "here")
        check_aspect((448, 320), (896, 640), "here")
        check_aspect((451, 320), (896, 640), "here")
        with pytest.raises(VideoError, match="here: 640 x 480 is neither square"):
            check_aspect((480, 640), (896, 640), "here")
        with pytest.raises(VideoError):
            check_aspect((460, 320), (896, 640), "here")

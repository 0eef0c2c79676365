"""Square pictures of a case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from input_cases import FRAMES, HEIGHT, make_case

from baselines.inputs import InputError, driving_square, reference_square, truth_square
from mcbench import to_square


def test_squares_are_the_protocol_s(tmp_path: Path) -> None:
    case = make_case(tmp_path)
    assert case.driving_video is not None
    assert np.array_equal(reference_square(case, 64), to_square(case.reference, 64))
    frames = list(driving_square(case, 64))
    assert len(frames) == FRAMES
    for frame, whole in zip(frames, case.driving_video.read(), strict=True):
        assert np.array_equal(frame, to_square(whole, 64))


def test_a_square_of_its_own_size_keeps_its_bytes(tmp_path: Path) -> None:
    case = make_case(tmp_path)
    left = (case.reference.shape[1] - HEIGHT) // 2
    assert np.array_equal(reference_square(case, HEIGHT), case.reference[:, left : left + HEIGHT])


def test_only_as_many_frames_as_asked_for(tmp_path: Path) -> None:
    assert len(list(driving_square(make_case(tmp_path, frames=2), 32))) == 2


def test_the_truth_is_there_only_for_those_who_see_it(tmp_path: Path) -> None:
    case = make_case(tmp_path)
    with pytest.raises(InputError, match="declare needs_truth"):
        truth_square(case, 32)
    shown = make_case(tmp_path, truth=case.driving_video, driving_video=None)
    assert len(list(truth_square(shown, 32))) == FRAMES
    # A method that is given the truth needs no second copy of it as a driving video.
    assert len(list(driving_square(shown, 32))) == FRAMES


def test_no_driving_video_and_a_short_one_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="declare needs_driving_video"):
        driving_square(make_case(tmp_path, driving_video=None), 32)
    with pytest.raises(InputError, match="3 frames, 4 are needed"):
        list(driving_square(make_case(tmp_path, frames=4), 32))

"""Poses that drive external methods: exact, from files, or found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from input_cases import FRAMES, HEIGHT, WIDTH, make_case, two_people
from pydantic import ValidationError

from baselines.inputs import InputError, PoseSettings, driving_poses, pose_drawings, reference_pose
from fypv2.conditions import Poses, draw_skeletons
from fypv2.extractors import ExtractorRecord, driving, save_poses
from mcbench import UserError

SIZE = 48
SCALE = SIZE / HEIGHT


def in_square(keypoints: np.ndarray) -> np.ndarray:
    """Where a place of the clip lies in its centred square of SIZE pixels, by pixel edges."""
    return (keypoints + 0.5 - ((WIDTH - HEIGHT) / 2, 0)) * SCALE - 0.5


class Finder:
    """In place of DWPose: finds the two people, moved by five pixels."""

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.record = ExtractorRecord("finder", {})

    def poses(self, frames: Iterable[np.ndarray], *, characters: int | None = None) -> Poses:
        self.frames.append(len(list(frames)))
        body = two_people().keypoints[: self.frames[-1]] + 5
        return Poses(body, np.ones(body.shape[:3], np.float32), (HEIGHT, WIDTH))


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> Finder:
    found = Finder()
    monkeypatch.setattr(driving, "_made", lambda device: found)
    return found


def test_exact_poses_come_first_and_lie_in_the_square(tmp_path: Path, finder: Finder) -> None:
    case = make_case(tmp_path)
    poses = driving_poses(case, SIZE)
    assert poses.size == (SIZE, SIZE)
    assert poses.frames == FRAMES
    np.testing.assert_allclose(poses.body, in_square(two_people().keypoints), atol=1e-4)
    np.testing.assert_allclose(reference_pose(case, SIZE).body, in_square(two_people().keypoints[:1]), atol=1e-4)
    assert finder.frames == []


def test_without_annotations_they_are_found_and_kept(tmp_path: Path, finder: Finder) -> None:
    case = make_case(tmp_path, exact=False)
    for _ in range(2):
        np.testing.assert_allclose(driving_poses(case, SIZE).body, in_square(two_people().keypoints + 5), atol=1e-4)
        np.testing.assert_allclose(
            reference_pose(case, SIZE).body, in_square(two_people().keypoints[:1] + 5), atol=1e-4
        )
    assert finder.frames == [FRAMES, 1]
    # Found in the whole picture, so another size needs no second look.
    driving_poses(case, 2 * SIZE)
    assert finder.frames == [FRAMES, 1]


def test_dwpose_can_be_asked_for_in_their_place(tmp_path: Path, finder: Finder) -> None:
    poses = driving_poses(make_case(tmp_path), SIZE, extractor="dwpose")
    np.testing.assert_allclose(poses.body, in_square(two_people().keypoints + 5), atol=1e-4)


def test_the_user_s_files_count_before_all(tmp_path: Path, finder: Finder) -> None:
    exact = driving_poses(make_case(tmp_path), WIDTH)
    body = two_people().keypoints[:, :1] - 3
    given = Poses(body, np.ones(body.shape[:3], np.float32), (HEIGHT, WIDTH))
    save_poses(given, tmp_path / "poses" / "a.safetensors")
    found = driving_poses(make_case(tmp_path), SIZE, extractor=tmp_path / "poses")
    np.testing.assert_allclose(found.body, in_square(body), atol=1e-4)
    first = reference_pose(make_case(tmp_path), SIZE, extractor=tmp_path / "poses")
    np.testing.assert_allclose(first.body, in_square(body[:1]), atol=1e-4)
    save_poses(replace(given.frame(0), body=body[:1] + 7), tmp_path / "poses" / "a-reference.safetensors")
    own = reference_pose(make_case(tmp_path), SIZE, extractor=tmp_path / "poses")
    np.testing.assert_allclose(own.body, in_square(body[:1] + 7), atol=1e-4)
    assert finder.frames == []
    assert exact.characters == 2


def test_nothing_to_find_them_in_is_an_error(tmp_path: Path, finder: Finder) -> None:
    with pytest.raises(InputError, match="no driving video"):
        driving_poses(make_case(tmp_path, exact=False, driving_video=None), SIZE)
    with pytest.raises(UserError, match="no poses of clip 'a'"):
        driving_poses(make_case(tmp_path), SIZE, extractor=tmp_path)


@pytest.mark.parametrize(
    ("said", "meant"), [({}, "auto"), ({"poses": "dwpose"}, "dwpose"), ({"poses": "some/folder"}, Path("some/folder"))]
)
def test_the_setting_is_a_word_or_a_folder(said: dict[str, Any], meant: object) -> None:
    assert PoseSettings.model_validate(said).poses == meant
    assert PoseSettings.model_validate(PoseSettings.model_validate(said).model_dump(mode="json")).poses == meant


def test_other_settings_are_refused() -> None:
    with pytest.raises(ValidationError):
        PoseSettings.model_validate({"pose": "dwpose"})


def test_drawings_are_one_by_one_what_they_are_together(tmp_path: Path) -> None:
    poses = driving_poses(make_case(tmp_path), SIZE)
    assert np.array_equal(np.stack(list(pose_drawings(poses))), draw_skeletons(poses))
    larger = list(pose_drawings(poses, size=2 * SIZE))
    assert larger[0].shape == (2 * SIZE, 2 * SIZE, 3)
    assert larger[0].any()

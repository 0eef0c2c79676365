"""OpenPose's JSON, read and written, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fypv2.conditions.poses import Poses
from fypv2.extractors import ExtractorError, PoseFileError, read_openpose_json, write_openpose_json

CANVAS = {"canvas_width": 640, "canvas_height": 480}


def moving(frames: int = 4, characters: int = 2, hands: bool = True) -> Poses:
    random = np.random.default_rng(0)
    base = (
        random.uniform(-40, 40, (characters, 18, 2))
        + np.array([[150 * (k + 1), 200] for k in range(characters)])[:, None]
    )
    body = (base[None] + 3 * np.arange(frames)[:, None, None, None]).astype(np.float32)
    scores = random.uniform(0.4, 1, (frames, characters, 18)).astype(np.float32)
    scores[:, :, 4] = 0
    if not hands:
        return Poses(body, scores, (480, 640))
    hand = (body[:, :, None, :1] + random.uniform(0, 9, (frames, characters, 2, 21, 2))).astype(np.float32)
    return Poses(body, scores, (480, 640), hand, np.full(hand.shape[:-1], 0.7, np.float32))


def person(x: float = 100.0, count: int = 18, **more: object) -> dict[str, object]:
    """Keypoint k at (x + k, 10 k)."""
    numbers = [value for k in range(count) for value in (x + k, 10.0 * k, 0.9)]
    return {"pose_keypoints_2d": numbers, **more}


def written(folder: Path, *frames: list[dict[str, object]], **more: object) -> Path:
    folder.mkdir(exist_ok=True)
    for index, people in enumerate(frames):
        document = {"version": 1.3, "people": people, **more}
        (folder / f"clip_{index:012d}_keypoints.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize("hands", [True, False])
def test_what_is_written_is_read_back(tmp_path: Path, hands: bool) -> None:
    poses = moving(hands=hands)
    absent = poses.body_scores.copy()
    absent[2, 0] = 0
    poses = Poses(
        poses.body,
        absent,
        poses.size,
        poses.hands,
        None if not hands else poses.hand_scores * (absent > 0).any(-1)[..., None, None],
    )
    files = write_openpose_json(poses, tmp_path / "out")
    assert [file.name for file in files][:2] == ["pose_000000000000_keypoints.json", "pose_000000000001_keypoints.json"]
    assert len(json.loads(files[2].read_text())["people"]) == 1
    back = read_openpose_json(tmp_path / "out")
    assert back.size == (480, 640)
    seen = absent > 0
    assert np.allclose(back.body[seen], poses.body[seen], atol=1e-3)
    assert np.allclose(back.body_scores, absent, atol=1e-3)
    assert (back.hands is not None) == hands
    if hands:
        there = poses.hand_scores > 0
        assert np.allclose(back.hands[there], poses.hands[there], atol=1e-3)


def test_body_25_gives_the_same_joints(tmp_path: Path) -> None:
    # BODY_25 by name, from OpenPose's documentation.
    names = (
        "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist middle_hip right_hip "
        "right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear left_ear big_toe small_toe "
        "heel big_toe small_toe heel"
    )
    from mcbench import KEYPOINT_NAMES

    poses = read_openpose_json(written(tmp_path / "a", [person(count=25)], **CANVAS))
    for place, name in enumerate(KEYPOINT_NAMES):
        assert poses.body[0, 0, place].tolist() == [100 + names.split().index(name), 10 * names.split().index(name)]


def test_people_without_an_identity_are_followed(tmp_path: Path) -> None:
    frames = [
        [person(100 + t, person_id=[-1]), person(400 - t, person_id=[-1])][:: 1 if t % 2 else -1] for t in range(6)
    ]
    poses = read_openpose_json(written(tmp_path / "a", *frames, **CANVAS))
    assert poses.body[:, 0, 0, 0].tolist() == [100 + t for t in range(6)]
    assert poses.body[:, 1, 0, 0].tolist() == [400 - t for t in range(6)]


def test_identities_that_are_given_count(tmp_path: Path) -> None:
    # Each jumps to the other's place: only the identity says so.
    frames = [
        [person(100, person_id=[7]), person(400, person_id=3)],
        [person(400, person_id=[7]), person(100, person_id=3)],
    ]
    poses = read_openpose_json(written(tmp_path / "a", *frames, **CANVAS))
    assert poses.body[:, :, 0, 0].tolist() == [[400, 100], [100, 400]]


def test_one_file_with_a_list_of_frames_null_hands_and_shares_of_the_canvas(tmp_path: Path) -> None:
    share = [value for k in range(18) for value in (k / 20, 0.5, 1)]
    frame = {
        "people": [{"pose_keypoints_2d": share, "hand_left_keypoints_2d": None, "face_keypoints_2d": None}],
        **CANVAS,
    }
    for name, document in (("list", [frame, {"people": [], **CANVAS}]), ("wrapped", {"frames": [frame, frame]})):
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
        poses = read_openpose_json(tmp_path / f"{name}.json")
        assert poses.frames == 2
        assert poses.hands is None
        assert poses.body[0, 0, 3] == pytest.approx([96, 240])


def test_frames_are_sorted_as_numbers_and_the_size_may_be_told(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        document = {"people": [person(100 + number, hand_right_keypoints_2d=[5.0, 6, 1] * 21)]}
        (tmp_path / f"clip_{number}_keypoints.json").write_text(json.dumps(document))
    poses = read_openpose_json(tmp_path, size=(480, 640))
    assert poses.body[:, 0, 0, 0].tolist() == [101, 102, 110]
    assert poses.hand_scores[0, 0, :, 0].tolist() == [1, 0], "the right hand comes first"


def numbers(*changed: float | str | None) -> dict[str, object]:
    return {"pose_keypoints_2d": [*changed, *[1.0] * (54 - len(changed))]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"people": [{"pose_keypoints_2d": [NaN]}]}', "holds NaN; every number must be finite"),
        ('{"people": [{"pose_keypoints_2d": [-Infinity]}]}', "holds -Infinity"),
        (json.dumps({"people": [numbers(1)]}).replace("1,", "1e999,", 1), "not finite"),
        (json.dumps({"people": [numbers(10**400)]}), "not finite"),
        (json.dumps({"people": [numbers("1")]}), "not all of them are numbers"),
        (json.dumps({"people": [numbers(None)]}), "not all of them are numbers"),
        (json.dumps({"people": [numbers(1e6)]}), "beyond 100000 pixels"),
        (json.dumps({"people": [numbers(1, 1, -0.5)]}), "a score under 0"),
        (json.dumps({"people": [{"pose_keypoints_2d": [1.0] * 45}]}), "45 numbers; give 54 or 75"),
        (json.dumps({"people": [{"pose_keypoints_2d": {"x": 1}}]}), "no list; give 54 or 75"),
        (json.dumps({"people": [{**numbers(), "hand_left_keypoints_2d": [1.0] * 60}]}), "60 numbers; give 63"),
        (json.dumps({"people": [{**numbers(), "person_id": ["a"]}]}), "person_id is no whole number"),
        (json.dumps({"people": ["someone"]}), "person 0: not an object"),
        (json.dumps({"people": [{}] * 101}), "101 people; 100 are the most"),
        (json.dumps({"people": [], "canvas_width": 0, "canvas_height": 5}), "the canvas is 0 x 5"),
        (json.dumps({"people": [numbers()]}), "give its height and width as `size`"),
        (json.dumps([{"people": [], **CANVAS}, {"people": [], **CANVAS, "canvas_width": 7}]), "different sizes"),
        (json.dumps({"poses": []}), "no list 'people'"),
        ("[]", "holds no frames"),
        ("17", "no list 'people'"),
        ("[" * 100_000, "nested too deep|not JSON"),
        ('{"people": ', "not JSON"),
        ("\ud800".encode("utf-16", "surrogatepass").decode("latin-1"), "not JSON"),
    ],
)  # fmt: skip
def test_hostile_files_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(PoseFileError, match=message) as caught:
        read_openpose_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_faults_of_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PoseFileError, match="no such file or folder"):
        read_openpose_json(tmp_path / "none.json")
    with pytest.raises(PoseFileError, match=r"no \*_keypoints.json in it"):
        read_openpose_json(tmp_path)
    folder = written(tmp_path / "a", [person()], **CANVAS)
    with pytest.raises(PoseFileError, match="640 x 480, and 64 x 64 is asked for"):
        read_openpose_json(folder, size=(64, 64))
    with pytest.raises(PoseFileError, match=r"holds \*_keypoints.json already"):
        write_openpose_json(moving(), folder)
    (folder / "other_0_keypoints.json").write_text("{}")
    with pytest.raises(PoseFileError, match="holds frames of clip and other"):
        read_openpose_json(folder)
    (folder / "other_0_keypoints.json").rename(folder / "clip_00_keypoints.json")
    with pytest.raises(PoseFileError, match="another file has that frame number"):
        read_openpose_json(folder)
    (folder / "clip_00_keypoints.json").rename(folder / "clip_keypoints.json")
    with pytest.raises(PoseFileError, match="its name has no frame number"):
        read_openpose_json(folder)
    with pytest.raises(ExtractorError, match="nobody is found"):
        read_openpose_json(written(tmp_path / "empty", [], [], **CANVAS))
    with pytest.raises(PoseFileError, match="cannot be written"):
        write_openpose_json(moving(), folder / "clip_keypoints.json")
    monkeypatch.setattr("fypv2.extractors.openpose_json.MOST_BYTES", 10)
    with pytest.raises(PoseFileError, match="no file of poses"):
        read_openpose_json(tmp_path / "empty")

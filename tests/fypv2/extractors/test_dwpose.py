"""DWPose: what is asked of rtmlib and what is made of its answer, with a stand-in of the interface of rtmlib 0.0.16."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fypv2.extractors import DWPose, ExtractorError
from fypv2.extractors.dwpose import DETECTORS, POSE_NETWORKS, from_whole_body

SIZE = (200, 300)


def whole_body(x: float = 100.0) -> np.ndarray:
    """(133, 2): keypoint k lies at (x + k / 2, 20 + k)."""
    return np.stack([x + np.arange(133) / 2, 20 + np.arange(133)], axis=-1).astype(np.float32)


class _Session:
    def __init__(self, shape: list[Any]) -> None:
        self.shape = shape

    def get_inputs(self) -> list[Any]:
        return [types.SimpleNamespace(shape=self.shape)]


class Rtmlib:
    """Counts and keeps what it is asked for; the boxes of each frame come from `boxes`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.boxes: list[Any] = []
        self.keypoints = 133
        self.detected: list[np.ndarray] = []
        self.posed: list[np.ndarray] = []
        self.fetched: list[str] = []
        self.made: list[tuple[str, dict[str, Any]]] = []
        self.shapes = {"YOLOX": [1, 3, 64, 96], "RTMPose": ["batch", 3, 48, 32]}
        record = self

        class _Tool:
            def __init__(self, onnx_model: str, model_input_size: tuple[int, int] = (1, 1), **more: Any) -> None:
                if Path(onnx_model).read_bytes() == b"torn":
                    raise RuntimeError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF\nmore")
                print(f"load {onnx_model} with onnxruntime backend")  # noqa: T201
                record.made.append((type(self).__name__, more))
                self.model_input_size = model_input_size
                self.session = _Session(record.shapes[type(self).__name__])

        class YOLOX(_Tool):
            def __call__(self, image: np.ndarray) -> np.ndarray:
                assert self.model_input_size == (64, 96)
                record.detected.append(image)
                return record.boxes[(len(record.detected) - 1) % len(record.boxes)]

        class RTMPose(_Tool):
            def __call__(self, image: np.ndarray, bboxes: Any = ()) -> tuple[np.ndarray, np.ndarray]:
                assert self.model_input_size == (32, 48)
                record.posed.append(image)
                # rtmlib takes the whole frame where there are no boxes.
                boxes = bboxes if len(bboxes) else [[0, 0, image.shape[1], image.shape[0]]]
                points = np.stack([whole_body(box[0])[: record.keypoints] for box in boxes])
                return points, np.full(points.shape[:2], 0.9)

        def download_checkpoint(url: str, dst_dir: str, progress: bool = True) -> str:
            record.fetched.append(url)
            path = Path(dst_dir) / (url.rsplit("/", 1)[1].split(".")[0] + ".onnx")
            path.write_bytes(b"network")
            return str(path)

        rtmlib = types.ModuleType("rtmlib")
        rtmlib.YOLOX, rtmlib.RTMPose = YOLOX, RTMPose  # type: ignore[attr-defined]
        tools, file = types.ModuleType("rtmlib.tools"), types.ModuleType("rtmlib.tools.file")
        file.download_checkpoint = download_checkpoint  # type: ignore[attr-defined]
        runtime = types.ModuleType("onnxruntime")
        runtime.get_available_providers = lambda: ["CPUExecutionProvider"]  # type: ignore[attr-defined]
        for module in (rtmlib, tools, file, runtime):
            monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def rtmlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Rtmlib:
    monkeypatch.setenv("MCBENCH_WEIGHTS", str(tmp_path / "weights"))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return Rtmlib(monkeypatch)


def frames(count: int) -> np.ndarray:
    return np.full((count, *SIZE, 3), (10, 20, 30), np.uint8)


def test_people_are_followed_and_carry_their_hands(rtmlib: Rtmlib, capsys: pytest.CaptureFixture[str]) -> None:
    near, far = [20.0, 0, 60, 150], [150.0, 0, 190, 150]
    rtmlib.boxes = [np.array([near, far]), np.array([far, near])]
    poses = DWPose().poses(frames(6))
    assert poses.body.shape == (6, 2, 18, 2)
    assert poses.hands.shape == (6, 2, 2, 21, 2)
    assert (poses.body[:, 0, 0, 0] == 20).all()
    assert (poses.body[:, 1, 0, 0] == 150).all()
    assert capsys.readouterr().out == "", "rtmlib prints what it loads, and results go to stdout"


def test_detector_sees_bgr_and_pose_network_rgb(rtmlib: Rtmlib) -> None:
    rtmlib.boxes = [np.array([[20.0, 0, 60, 150]])]
    DWPose().people(frames(1)[0])
    assert rtmlib.detected[0][0, 0].tolist() == [30, 20, 10]
    assert rtmlib.posed[0][0, 0].tolist() == [10, 20, 30]


NOBODY = [np.array([]), np.zeros((0, 4)), np.array([[5.0, 5, 5, 90]]), np.full((1, 4), np.nan)]


@pytest.mark.parametrize("nobody", NOBODY)
def test_nobody_is_made_up_where_nobody_is_detected(rtmlib: Rtmlib, nobody: np.ndarray) -> None:
    box = np.array([[20.0, 0, 60, 150]])
    rtmlib.boxes = [box, box, nobody, box, box, box]
    poses = DWPose().poses(frames(6))
    assert poses.present[:, 0].tolist() == [True, True, False, True, True, True]
    assert poses.characters == 1
    assert len(rtmlib.posed) == 5
    rtmlib.boxes = [nobody]
    with pytest.raises(ExtractorError, match="nobody is found in 3 frames"):
        DWPose().poses(frames(3))


def test_record_names_networks_and_weights(rtmlib: Rtmlib, tmp_path: Path) -> None:
    rtmlib.boxes = [np.array([[20.0, 0, 60, 150]])]
    record = DWPose("dwpose-m", "yolox-tiny", threshold=0.4).record
    assert record.name == "dwpose-m"
    files = [f"{DETECTORS['yolox-tiny'][0]}.onnx", f"{POSE_NETWORKS['dwpose-m'][0]}.onnx"]
    assert [used.file for used in record.weights] == files
    assert {used.source for used in record.weights} == {"by-name"}
    assert record.settings == {"threshold": 0.4, "box_threshold": 0.3}
    assert [url.rsplit("/", 1)[1] for url in rtmlib.fetched] == [
        f"{DETECTORS['yolox-tiny'][0]}.zip", f"{POSE_NETWORKS['dwpose-m'][0]}.zip"
    ]  # fmt: skip
    DWPose("dwpose-m", "yolox-tiny", offline=True)
    assert len(rtmlib.fetched) == 2, "what is there is not fetched again, and may be used offline"
    (tmp_path / "own.onnx").write_bytes(b"mine")
    own = DWPose(tmp_path / "own.onnx", "yolox-tiny").record
    assert (own.name, own.weights[1].source) == ("own.onnx", "custom")


def test_whole_body_in_openpose_s_order() -> None:
    scores = np.full((1, 133), 0.8)
    scores[0, 5], scores[0, 9], scores[0, 91], scores[0, 112] = 0.5, 0.2, 1.7, np.nan
    people = from_whole_body(whole_body()[None], scores, SIZE)
    # COCO: 0 nose, 5 and 6 left and right shoulder, 9 and 10 wrists, 11 to 16 legs, 1 to 4 eyes and ears, left first.
    coco = [0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
    for place, keypoint in enumerate(coco):
        expected = (whole_body()[5] + whole_body()[6]) / 2 if keypoint is None else whole_body()[keypoint]
        assert np.allclose(people.body[0, place], expected)
    assert people.scores[0, 1] == pytest.approx(0.5), "a neck is as certain as the less certain shoulder"
    assert people.scores[0, 7] == 0, "under the threshold"
    assert np.allclose(people.hands[0, 0, 1:], whole_body()[113:133]), "the right hand comes first"
    assert np.allclose(people.hands[0, 1], whole_body()[91:112])
    assert people.hand_scores[0, 1, 0] == 1
    assert people.hand_scores[0, 0, 0] == 0


def test_no_neck_without_both_shoulders_and_nothing_outside_the_picture() -> None:
    scores = np.full((1, 133), 0.8)
    scores[0, 6] = 0.1
    points = whole_body()[None].copy()
    points[0, 0] = (-3, 20)
    points[0, 8] = (np.inf, 20)
    people = from_whole_body(points, scores, SIZE)
    assert people.scores[0, [0, 1, 2, 3]].tolist() == [0, 0, 0, 0]
    assert np.isfinite(people.body).all()


def test_faults_are_one_line(rtmlib: Rtmlib, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torn.onnx").write_bytes(b"torn")
    rtmlib.boxes = [np.array([[20.0, 0, 60, 150]])]
    for attempt, message in (
        (
            lambda: DWPose(offline=True),
            "yolox_m_.*missing and the network is forbidden; .*put its end2end.onnx",
        ),
        (lambda: DWPose("dwpose-xl"), "no network dwpose-xl; give an ONNX file or one of dwpose-l-384"),
        (lambda: DWPose(tmp_path / "torn.onnx"), "not an ONNX network"),
        (lambda: DWPose(device="cuda:0"), "install onnxruntime-gpu"),
        (lambda: DWPose(threshold=0), "threshold is 0"),
        (lambda: DWPose().poses([]), "no frames"),
        (lambda: DWPose().poses([frames(1)[0], frames(1)[0][:9]]), "of one size"),
    ):
        with pytest.raises(ExtractorError, match=message) as caught:
            attempt()
        assert "\n" not in str(caught.value)
    rtmlib.keypoints = 17
    with pytest.raises(ExtractorError, match="gives 17 keypoints; give a whole-body network"):
        DWPose().people(frames(1)[0])
    rtmlib.shapes["RTMPose"] = ["batch", 3, "height", "width"]
    (tmp_path / "own.onnx").write_bytes(b"mine")
    with pytest.raises(ExtractorError, match="whose input has a fixed size"):
        DWPose(tmp_path / "own.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ExtractorError, match=r"DWPose needs 'onnxruntime'.*pip install 'mcbench\[extract\]'"):
        DWPose()

"""TPSMM and TPSMM*: what the program is given, what comes back, and what is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from motion_programs import (
    Coloured,
    check_frames,
    make_checkout,
    make_checkpoint,
    meant,
    squares,
    walking_poses,
    write_methods,
)

from baselines.base import Job
from baselines.inputs import driving_poses, pose_drawings
from baselines.tpsmm import TPSMM, TPSMMTruthDriven
from mcbench import MethodError, evaluate, load_dataset


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in, configured."""
    folder = make_checkout(tmp_path / "thin-plate-spline", "tpsmm")
    checkpoint = make_checkpoint(tmp_path / "ted.pth.tar", 10)
    write_methods(tmp_path / "methods.toml", "tpsmm", folder, {"ted": checkpoint})
    monkeypatch.setenv("MCBENCH_METHODS", str(tmp_path / "methods.toml"))
    return folder


def made(
    method: type[TPSMM] | type[TPSMMTruthDriven], device: str = "cpu", **settings: Any
) -> TPSMM | TPSMMTruthDriven:
    return method(method.Settings(**settings), device=device)


class TestFrames:
    def test_the_starred_one_is_driven_by_the_square_true_frames(self, checkout: Path, tmp_path: Path) -> None:
        clip = Coloured.of(5)
        found = list(made(TPSMMTruthDriven).animate(clip.case(tmp_path, truth=True)))
        check_frames(found, meant(squares([clip.reference])[0], squares(clip.frames), "relative"))

    def test_the_other_is_driven_by_drawn_poses_and_never_given_the_truth(self, checkout: Path, tmp_path: Path) -> None:
        clip = Coloured.of(4)
        case = clip.case(tmp_path, truth=False, poses=walking_poses(4))
        drawings = list(pose_drawings(driving_poses(case, 384), size=384))
        assert all(drawing[:, 192:].any() for drawing in drawings)
        check_frames(list(made(TPSMM).animate(case)), meant(squares([clip.reference])[0], drawings, "relative"))

    @pytest.mark.parametrize("mode", ["standard", "avd"])
    def test_the_mode_reaches_the_program(self, checkout: Path, tmp_path: Path, mode: str) -> None:
        clip = Coloured.of(1)
        found = list(made(TPSMMTruthDriven, mode=mode).animate(clip.case(tmp_path, truth=True)))
        check_frames(found, meant(squares([clip.reference])[0], squares(clip.frames), mode))

    def test_the_program_is_started_as_it_is(self, checkout: Path, tmp_path: Path) -> None:
        case = Coloured.of(1).case(tmp_path, truth=True)
        argv = made(TPSMMTruthDriven).command([Job(case, tmp_path)], tmp_path).argv
        assert argv[1:4] == (str(checkout / "demo.py"), "--config", str(checkout / "config/ted-384.yaml"))
        on_gpu = made(TPSMMTruthDriven, "cuda").command([Job(case, tmp_path)], tmp_path).argv
        assert set(argv) - set(on_gpu) == {"--cpu"}


class TestResult:
    pytestmark = pytest.mark.usefixtures("fake_networks")

    @pytest.mark.parametrize(
        ("method", "name", "starred", "driver"),
        [
            (TPSMM, "tpsmm", False, "drawn poses"),
            (TPSMMTruthDriven, "tpsmm-truth-driven", True, "truth video"),
        ],
        ids=["poses", "truth"],
    )
    def test_it_says_how_it_was_made(
        self, checkout: Path, tmp_path: Path, method: Any, name: str, starred: bool, driver: str
    ) -> None:
        dataset = load_dataset("synthetic-mini", clips=1, frames=2)
        result = evaluate(made(method), dataset, out=tmp_path / "run", device="cpu")
        assert result is not None
        about = result.method
        assert (about.name, about.needs_truth) == (name, starred)
        assert about.settings is not None
        assert {key: about.settings[key] for key in ("config", "mode")} == {"config": "ted-384", "mode": "relative"}
        assert about.native is not None
        assert (about.native.size, about.native.container, about.native.driver) == ((384, 384), "mp4", driver)
        assert result.predictions.size == (384, 384)


class TestRefused:
    def test_a_checkpoint_without_avd_is_not_used_for_it(self, checkout: Path, tmp_path: Path) -> None:
        make_checkpoint(tmp_path / "ted.pth.tar", 10, avd=False)
        case = Coloured.of(1).case(tmp_path, truth=True)
        with pytest.raises(MethodError, match=r"holds no AVD network.* --set mode=relative"):
            list(made(TPSMMTruthDriven, mode="avd").animate(case))
        assert len(list(made(TPSMMTruthDriven).animate(case))) == 1

    def test_an_empty_checkpoint_is_not_used_for_it_either(self, checkout: Path, tmp_path: Path) -> None:
        (tmp_path / "ted.pth.tar").write_bytes(b"")
        with pytest.raises(MethodError, match="holds no AVD network"):
            list(made(TPSMMTruthDriven, mode="avd").animate(Coloured.of(1).case(tmp_path, truth=True)))

    def test_no_checkpoint(self, checkout: Path, tmp_path: Path) -> None:
        write_methods(tmp_path / "methods.toml", "tpsmm", checkout, {})
        (line,) = TPSMM.lacks()
        assert line.startswith("ted: ted.pth.tar")
        with pytest.raises(MethodError, match="is not ready: ted: ") as told:
            made(TPSMM)
        assert "\n" not in str(told.value)

    def test_a_checkpoint_that_is_exchanged_is_another_method(self, checkout: Path, tmp_path: Path) -> None:
        before = made(TPSMM).checkpoint_sha256
        make_checkpoint(tmp_path / "ted.pth.tar", 20)
        assert made(TPSMM).checkpoint_sha256 not in (None, before)


def test_the_stand_in_is_one_for_faces_unless_told_otherwise(checkout: Path, tmp_path: Path) -> None:
    """As the real one: without --img_shape it works at 256 x 256, where the network for people was never trained."""
    case = Coloured.of(1).case(tmp_path, truth=True)
    (tmp_path / "inputs").mkdir()
    method = made(TPSMMTruthDriven)
    method.prepare(case, tmp_path)
    argv = list(method.command([Job(case, tmp_path)], tmp_path).argv)
    index = argv.index("--img_shape")
    del argv[index : index + 2]
    ended = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode != 0
    assert "trained at 384" in ended.stderr

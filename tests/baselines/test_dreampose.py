"""DreamPose's adapter and launcher against stand-ins that speak its three command lines."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from animation_cases import animate, block_case, block_parts, fake_densepose, install, make, square, tree
from PIL import Image
from pydantic import ValidationError

from baselines.base import OutputError
from baselines.dreampose import LAUNCHER, DreamPose
from baselines.inputs import DensePoseFrame
from mcbench import Case, MethodError


def reference_densepose(case: Case, size: int, **_: object) -> DensePoseFrame:
    assert size == 512
    return block_parts(4)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("baselines.dreampose.densepose", fake_densepose)
    monkeypatch.setattr("baselines.dreampose.reference_densepose", reference_densepose)
    monkeypatch.setenv("RANK", "0")  # as a worker of torchrun has it
    return install(
        tmp_path,
        monkeypatch,
        "dreampose",
        programs={
            "finetune-unet.py": "dreampose_unet.py",
            "finetune-vae.py": "dreampose_vae.py",
            "test.py": "dreampose_generate.py",
            "torch.py": "dreampose_torch.py",
        },
        files=[],
        weights={
            "unet": [],
            "adapter": [],
            "stable_diffusion": [
                f"{folder}/config.json" for folder in ("unet", "vae", "scheduler", "tokenizer", "feature_extractor")
            ],
            "clip": ["config.json"],
        },
    )


def meant(case: Case) -> list[npt.NDArray[np.uint8]]:
    """What the stand-in makes of a case: U and V over the reference, with the neighbours it found and the seeds."""
    frames = []
    for number in range(case.frames):
        known = block_parts(number)
        frame = square(case).copy()
        for channel, plane in enumerate((known.u, known.v)):
            frame[..., channel] = np.where(plane > 0, np.rint(255 * plane), frame[..., channel])
        neighbours = [0 <= number + step < case.frames for step in range(-2, 3)]
        top = 100 - 64  # of the rows that are added above
        frame[top : top + 20, 100:120] = sum(found << bit for bit, found in enumerate(neighbours)) * 8
        value = zlib.crc32(f"{case.seed}/{case.seed % 2**32}/{case.seed % 2**32}".encode())
        frame[top + 20 : top + 40, 100:120] = [value % 256, value // 256 % 256, value // 65536 % 256]
        frames.append(frame)
    return frames


def noise_png(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(noise).save(stream, "PNG", compress_level=0)
    return stream.getvalue()


def starts(checkout: Path) -> list[str]:
    return (checkout / "starts").read_text().split()


def test_frames_come_back_exactly(checkout: Path, tmp_path: Path) -> None:
    """Twelve frames: numbers of one and of two digits, in a folder whose own name holds digits."""
    cases = [block_case("clip-1.0", 12, tmp_path, seed=2**32 + 3), block_case("clip-11", 1, tmp_path, seed=4)]
    before = tree(checkout)
    for frames, case in zip(animate(DreamPose, *cases), cases, strict=True):
        np.testing.assert_array_equal(np.stack(frames), np.stack(meant(case)))
    assert starts(checkout) == ["unet", "vae", "test"] * 2
    assert tree(checkout) == before


def test_the_subject_is_the_reference_at_its_own_proportions(checkout: Path, tmp_path: Path) -> None:
    case = block_case("a", 1, tmp_path)
    (frames,) = animate(DreamPose, case, keep=True, unet_epochs=1000, vae_epochs=3)
    np.testing.assert_array_equal(np.stack(frames), np.stack(meant(case)))
    assert {path.name for path in (tmp_path / "work").rglob("custom/*.pth")} >= {"unet_epoch_999.pth", "vae_2.pth"}
    train = tmp_path / "work" / "a" / "inputs" / "train"
    assert {path.name for path in train.iterdir()} == {"frame_0.png", "frame_0_densepose.npy"}
    with Image.open(train / "frame_0.png") as opened:
        picture = np.array(opened)
    np.testing.assert_array_equal(picture[64:576], square(case))
    assert (picture[:64] == square(case)[0]).all()
    assert (picture[576:] == square(case)[-1]).all()
    uv = np.load(train / "frame_0_densepose.npy")
    assert (uv.shape, uv.dtype) == ((2, 640, 512), np.float32)
    np.testing.assert_array_equal(uv[:, 64:576], np.stack([block_parts(4).u, block_parts(4).v]))
    assert not uv[:, :64].any()
    assert not uv[:, 576:].any()


def test_networks_do_not_stay_on_the_disk(checkout: Path, tmp_path: Path) -> None:
    animate(DreamPose, block_case("a", 1, tmp_path))
    assert not list((tmp_path / "work").rglob("*.pth"))
    for file in ("unet", "adapter", "stable_diffusion/unet/config.json", "clip/config.json"):
        assert (tmp_path / "weights" / file).is_file(), "what only a link pointed to is gone"


def test_a_test_that_dies_is_told_by_its_last_words(checkout: Path, tmp_path: Path) -> None:
    (checkout / "fault").write_text(json.dumps({"die_at": 2}))
    with pytest.raises(MethodError, match=r"dreampose', clip 'a': .*stand-in dies"):
        animate(DreamPose, block_case("a", 3, tmp_path))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, r"pred_#1\.png: the program did not write this frame"),
        (noise_png(512, 512), "512 x 512, expected 512 x 640"),
        (noise_png(512, 640)[:500], "does not decode"),
        (b"", "does not decode"),
    ],
    ids=["missing", "other size", "torn", "empty"],
)
def test_frames_that_are_not_the_clip_are_refused(
    checkout: Path, tmp_path: Path, content: bytes | None, told: str
) -> None:
    frames = tmp_path / "outputs" / "frames"
    frames.mkdir(parents=True)
    (frames / "pred_#0.png").write_bytes(noise_png(512, 640))
    if content is not None:
        (frames / "pred_#1.png").write_bytes(content)
    collected = make(DreamPose).collect(block_case("a", 2), tmp_path)
    assert next(collected).shape == (512, 512, 3)
    with pytest.raises(OutputError, match=told):
        next(collected)


def test_frames_of_an_older_run_are_not_taken(checkout: Path, tmp_path: Path) -> None:
    animate(DreamPose, block_case("a", 3, tmp_path, seed=1))
    (checkout / "fault").write_text(json.dumps({"skip": 2}))
    with pytest.raises(MethodError, match=r"pred_#2\.png"):
        animate(DreamPose, block_case("a", 3, tmp_path, seed=2))


def test_fine_tuning_that_was_done_is_not_done_again(checkout: Path, tmp_path: Path) -> None:
    case = block_case("a", 3, tmp_path)
    (checkout / "fault").write_text(json.dumps({"die_at": 2}))
    with pytest.raises(MethodError, match="stand-in dies"):
        animate(DreamPose, case)
    assert list((tmp_path / "work" / "a" / "kept").glob("unet_epoch_*.pth"))
    (checkout / "fault").unlink()
    (frames,) = animate(DreamPose, case)
    np.testing.assert_array_equal(np.stack(frames), np.stack(meant(case)))
    assert starts(checkout) == ["unet", "vae", "test", "test"]


@pytest.mark.parametrize("change", ["settings", "seed"])
def test_networks_of_another_run_are_not_gone_on_with(checkout: Path, tmp_path: Path, change: str) -> None:
    (checkout / "fault").write_text(json.dumps({"die_at": 2}))
    with pytest.raises(MethodError, match="stand-in dies"):
        animate(DreamPose, block_case("a", 3, tmp_path))
    (checkout / "fault").unlink()
    case = block_case("a", 3, tmp_path, seed=int(change == "seed"))
    animate(DreamPose, case, **({"vae_learning_rate": 1e-4} if change == "settings" else {}))
    assert starts(checkout) == ["unet", "vae", "test"] * 2


def test_a_step_that_was_stopped_is_run_again(checkout: Path, tmp_path: Path) -> None:
    case = block_case("a", 1, tmp_path)
    (checkout / "fault-unet").touch()
    with pytest.raises(MethodError, match="needs more memory"):
        animate(DreamPose, case)
    (checkout / "fault-unet").unlink()
    animate(DreamPose, case)
    assert starts(checkout) == ["unet", "unet", "vae", "test"]


def test_a_lack_of_memory_is_told_as_such(checkout: Path, tmp_path: Path) -> None:
    (checkout / "fault-unet").touch()
    with pytest.raises(MethodError, match="needs more memory"):
        animate(DreamPose, block_case("a", 1, tmp_path))
    assert starts(checkout) == ["unet"]


def test_fine_tuning_may_only_end_where_its_program_saves(checkout: Path) -> None:
    assert make(DreamPose, unet_epochs=1000).settings.model_dump()["unet_epochs"] == 1000
    with pytest.raises(ValidationError, match="multiple of 500"):
        make(DreamPose, unet_epochs=600)


def launch(folder: Path, *steps: dict[str, object]) -> subprocess.CompletedProcess[str]:
    (folder / "steps.json").write_text(json.dumps(steps))
    return subprocess.run(
        [sys.executable, str(LAUNCHER), "steps.json"], cwd=folder, capture_output=True, text=True, check=False
    )


def step(script: Path, **changes: object) -> dict[str, object]:
    return {"name": "one", "script": str(script), "arguments": [], "seed": None, "makes": [], "done": None} | changes


def test_a_step_that_ends_well_without_its_files_is_a_failure(tmp_path: Path) -> None:
    script = tmp_path / "nothing.py"
    script.write_text("")
    done = launch(tmp_path, step(script, makes=["networks.pth"]), step(script))
    assert done.returncode == 1
    assert "one: wrote no networks.pth" in done.stderr


@pytest.mark.parametrize("number", [9, 11])
def test_a_step_that_is_killed_ends_the_launcher_likewise(tmp_path: Path, number: int) -> None:
    script = tmp_path / "killed.py"
    script.write_text(f"import os\nos.kill(os.getpid(), {number})\n")
    assert launch(tmp_path, step(script)).returncode == -number


def test_the_result_says_what_the_numbers_are_worth(checkout: Path) -> None:
    method = make(DreamPose)
    assert "one person" in (method.note or "")
    assert method.native is not None
    assert (method.native.size, method.native.container, method.native.fps) == ((640, 512), "png", None)

"""What `score` refuses is a finding: names, counts, sizes, files that do not decode."""

from __future__ import annotations

import json
import os
import shutil
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcbench.datasets import open_truth
from mcbench.doctor import Diagnosis, Finding, diagnose, read_truth
from mcbench.errors import VideoError
from mcbench.video import write_frames, write_video

Make = Callable[..., Path]


@pytest.fixture
def folders(clip_folders: Make) -> tuple[Path, Path]:
    """Predictions and truths of two clips `a` and `b`, 6 frames each."""
    return clip_folders("predictions", 2, 6, noise=9), clip_folders("truth", 2, 6)


def look(folders: tuple[Path, Path]) -> Diagnosis:
    return diagnose(folders[0], open_truth(folders[1]))


def only(diagnosis: Diagnosis, code: str) -> Finding:
    """The one finding of that code."""
    (found,) = (item for item in diagnosis.findings if item.code == code)
    return found


def test_nothing_is_wrong(folders: tuple[Path, Path]) -> None:
    diagnosis = look(folders)
    assert diagnosis.findings == ()
    assert diagnosis.document() == {"ok": True, "findings": []}
    assert (diagnosis.clips, diagnosis.frames) == (2, 12)


def test_a_missing_clip(folders: tuple[Path, Path]) -> None:
    shutil.rmtree(folders[0] / "b")
    diagnosis = look(folders)
    assert not diagnosis.ok
    assert [(item.code, item.clip, item.grade) for item in diagnosis.findings] == [("missing-clip", "b", "error")]


def test_an_extra_clip_is_a_note(folders: tuple[Path, Path], clip_folders: Make) -> None:
    random = np.random.default_rng(5)
    write_frames(folders[0] / "z", random.integers(0, 255, (8, 64, 64, 3), np.uint8))
    diagnosis = look(folders)
    assert diagnosis.ok
    assert only(diagnosis, "extra-clip").clip == "z"


@pytest.mark.parametrize("name", ["B", "0001", "b_generated"])
def test_a_misnamed_clip_is_known_by_what_it_shows(folders: tuple[Path, Path], name: str) -> None:
    (folders[0] / "b").rename(folders[0] / name)
    diagnosis = look(folders)
    found = only(diagnosis, "misnamed-clip")
    assert (found.clip, found.remedy) == ("b", f"rename '{name}' to 'b'")
    assert len(diagnosis.findings) == 1


def test_clips_that_changed_names(folders: tuple[Path, Path]) -> None:
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        (folders[0] / old).rename(folders[0] / new)
    found = [item for item in look(folders).findings if item.code == "misnamed-clip"]
    assert [(item.clip, item.remedy) for item in found] == [("a", "rename 'b' to 'a'"), ("b", "rename 'a' to 'b'")]


def test_the_folder_that_was_meant(folders: tuple[Path, Path]) -> None:
    diagnosis = diagnose(folders[0].parent, open_truth(folders[1]))
    assert {item.code for item in diagnosis.findings if item.grade == "error"} == {"missing-clip"}
    assert str(folders[0]) in diagnosis.findings[0].remedy


def test_one_picture_in_place_of_a_clip(folders: tuple[Path, Path]) -> None:
    (folders[0] / "a" / "00003.png").rename(folders[0] / "a.png")
    shutil.rmtree(folders[0] / "a")
    assert "one picture, a.png" in only(look(folders), "missing-clip").evidence


def test_an_empty_folder_lacks_every_clip(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    diagnosis = diagnose(tmp_path / "empty", open_truth(folders[1]))
    assert [item.clip for item in diagnosis.findings if item.code == "missing-clip"] == ["a", "b"]


def test_no_folder_is_a_fault_of_usage(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no such folder"):
        diagnose(tmp_path / "nowhere", open_truth(folders[1]))
    with pytest.raises(VideoError, match="not a folder"):
        diagnose(folders[0] / "a" / "00000.png", open_truth(folders[1]))


def _sixteen_bits(folder: Path) -> None:
    Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64) * 3).save(folder / "a" / "00003.png")


def _transparent(folder: Path) -> None:
    Image.new("RGBA", (64, 64), (9, 9, 9, 128)).save(folder / "a" / "00003.png")


@pytest.mark.parametrize(
    ("spoil", "code", "evidence"),
    [
        (lambda folder: (folder / "a" / "00003.png").write_bytes(b"\x89PNG"), "unreadable", "00003.png"),
        (lambda folder: (folder / "a" / "00000.png").write_bytes(b""), "unreadable", "00000.png"),
        (lambda folder: os.mkfifo(folder / "a" / "00006.png"), "unreadable", "00006.png"),
        (_transparent, "unreadable", "transparent pixels"),
        (_sixteen_bits, "unreadable", "16 bits"),
        (lambda folder: [file.unlink() for file in (folder / "a").iterdir()], "unreadable", "no frames in it"),
        (lambda folder: Image.new("RGB", (64, 64)).save(folder / "a" / "3.png"), "unreadable", "same frame number"),
        (lambda folder: (folder / "a.mp4").write_bytes(b"no video"), "colliding-names", "both clip 'a'"),
        (lambda folder: Image.new("RGB", (64, 65)).save(folder / "a" / "00003.png"), "mixed-sizes", "1 of 64 x 65"),
        (lambda folder: (folder / "a" / "00005.png").unlink(), "frame-count", "5 frames where the truth has 6"),
    ],
)
def test_what_score_refuses(
    folders: tuple[Path, Path], spoil: Callable[[Path], object], code: str, evidence: str
) -> None:
    spoil(folders[0])
    diagnosis = look(folders)
    found = only(diagnosis, code)
    assert not diagnosis.ok
    assert (found.clip, found.grade) == ("a", "error")
    assert evidence in found.evidence
    assert found.remedy
    assert all(item.clip == "a" for item in diagnosis.findings)


def test_a_sound_file_that_is_called_a_video(folders: tuple[Path, Path]) -> None:
    shutil.rmtree(folders[0] / "a")
    with wave.open(str(folders[0] / "a.mp4"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(800))
    assert "its content is no video" in only(look(folders), "unreadable").evidence


def test_names_that_are_no_text(folders: tuple[Path, Path]) -> None:
    """They reach terminals and JSON files."""
    for name in (b"\xff", b"line\nbreak", b"\x1b[31m"):
        shutil.copytree(folders[0] / "a", os.fsencode(folders[0]).decode() + "/" + os.fsdecode(name))
    (folders[0] / "a" / "00003.png").unlink()
    document = json.dumps(look(folders).document(), ensure_ascii=False)
    assert document.encode("utf-8").decode().isprintable()


def test_one_flat_colour_is_not_called_a_wrong_range(folders: tuple[Path, Path]) -> None:
    for file in (folders[0] / "a").iterdir():
        Image.new("RGB", (64, 64), (128, 128, 128)).save(file)
    found = only(look(folders), "value-range")
    assert "one flat colour" in found.evidence
    assert "255" not in found.remedy


def test_a_torn_video(folders: tuple[Path, Path]) -> None:
    shutil.rmtree(folders[0] / "a")
    write_video(folders[0] / "a.mp4", [np.full((64, 64, 3), 9 * i, np.uint8) for i in range(8)], 25)
    whole = (folders[0] / "a.mp4").read_bytes()
    (folders[0] / "a.mp4").write_bytes(whole[: len(whole) // 2])
    assert only(look(folders), "unreadable").clip == "a"


def test_another_aspect_ratio(clip_folders: Make) -> None:
    diagnosis = look((clip_folders("predictions", 1, 8, size=(64, 96)), clip_folders("truth", 1, 8, size=(64, 128))))
    assert "96 x 64" in only(diagnosis, "aspect").evidence


def test_a_stretched_picture(clip_folders: Make, tmp_path: Path) -> None:
    """The whole of a wide frame squeezed into a square, where the protocols crop."""
    truth = clip_folders("truth", 1, 8, size=(256, 448))
    frames = [Image.open(file).resize((256, 256)) for file in sorted((truth / "a").iterdir())]
    write_frames(tmp_path / "predictions" / "a", [np.asarray(frame) for frame in frames])
    found = only(look((tmp_path / "predictions", truth)), "scale")
    assert found.evidence.startswith("scaled to 57.")


def test_an_unreadable_truth_is_not_the_predictions_fault(folders: tuple[Path, Path]) -> None:
    truth = open_truth(folders[1])
    (folders[1] / "a" / "00003.png").write_bytes(b"\x89PNG")
    found = only(diagnose(folders[0], truth), "truth-unreadable")
    assert str(folders[1]) in found.evidence


class TestTruthFolder:
    """Truths that cannot even be opened: a finding each, and the other clips are looked into."""

    @pytest.mark.parametrize(
        ("spoil", "evidence"),
        [
            (lambda folder: [file.unlink() for file in (folder / "a").iterdir()], "no frames in it"),
            (lambda folder: (folder / "a" / "00000.png").write_bytes(b""), "00000.png: this frame does not decode"),
            (lambda folder: (folder / "a.mp4").write_bytes(b"no video"), "both clip 'a'"),
            (
                lambda folder: (shutil.rmtree(folder / "a"), (folder / "a.mp4").write_bytes(b"no video")),
                "not a video that can be read",
            ),
        ],
    )
    def test_is_a_finding(self, folders: tuple[Path, Path], spoil: Callable[[Path], object], evidence: str) -> None:
        spoil(folders[1])
        dataset, unread = read_truth(folders[1])
        diagnosis = diagnose(folders[0], dataset, unread=unread)
        (found,) = diagnosis.findings
        assert (found.code, found.clip, diagnosis.ok) == ("truth-unreadable", "a", False)
        assert evidence in found.evidence
        assert str(folders[1]) in found.evidence
        assert diagnosis.frames == 6

    def test_where_there_is_none_there_is_nothing_to_say(self, tmp_path: Path) -> None:
        with pytest.raises(VideoError, match="no such folder; give the folder that holds the truths"):
            read_truth(tmp_path / "nowhere")
        with pytest.raises(VideoError, match="holds no clip"):
            read_truth(tmp_path)

    def test_a_whole_one_is_as_it_is_opened_elsewhere(self, folders: tuple[Path, Path]) -> None:
        dataset, unread = read_truth(folders[1])
        assert unread == []
        assert dataset == open_truth(folders[1])


class TestVideos:
    def test_another_frame_rate_and_a_lossy_format(self, folders: tuple[Path, Path], tmp_path: Path) -> None:
        frames = [np.asarray(Image.open(file)) for file in sorted((folders[0] / "a").iterdir())]
        for name, rate in (("predictions", 30), ("truth", 25)):
            (tmp_path / "videos" / name).mkdir(parents=True)
            write_video(tmp_path / "videos" / name / "a.mp4", frames, rate, crf=10 if name == "truth" else 30)
        diagnosis = look((tmp_path / "videos" / "predictions", tmp_path / "videos" / "truth"))
        assert only(diagnosis, "fps").evidence == "30 frames a second where the truth has 25"
        assert only(diagnosis, "lossy-container").evidence == "stored as mp4"
        assert diagnosis.ok

    def test_folders_of_frames_have_no_rate(self, folders: tuple[Path, Path], tmp_path: Path) -> None:
        frames = [np.asarray(Image.open(file)) for file in sorted((folders[0] / "a").iterdir())]
        shutil.rmtree(folders[0] / "a")
        write_video(folders[0] / "a.mp4", frames, 30, crf=0)
        assert all(item.code != "fps" for item in look(folders).findings)


def test_conversions_are_notes(folders: tuple[Path, Path]) -> None:
    for file in (folders[0] / "a").iterdir():
        Image.open(file).convert("RGBA").save(file)
    diagnosis = look(folders)
    assert diagnosis.ok
    assert only(diagnosis, "converted").evidence == "opaque alpha channel dropped, without loss"

"""What the extractors' networks cost: every frame is gone through, and wrong questions are told."""

from __future__ import annotations

import json
from pathlib import Path

import extractors
import numpy as np
import pytest
from extractors import main, pictures, seconds_per_frame, table

from mcbench import write_video


def test_time_is_of_a_frame_and_the_first_extraction_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(extractors.time, "perf_counter", lambda: now[0])
    calls: list[int] = []

    def extract(frames: list[object]) -> None:
        calls.append(len(frames))
        now[0] += 100.0 if len(calls) == 1 else (2.0, 6.0, 3.0)[len(calls) - 2] * len(frames)

    assert seconds_per_frame(extract, pictures(None, 8, 4), 3, "cpu") == 3.0
    assert calls == [1, 4, 4, 4]


def test_frames_are_of_the_video_and_begin_again(tmp_path: Path) -> None:
    values = [20, 120, 220]
    write_video(tmp_path / "clip.mp4", [np.full((48, 96, 3), value, np.uint8) for value in values], fps=25)
    frames = pictures(tmp_path / "clip.mp4", 32, 5)
    assert [frame.shape for frame in frames] == [(32, 32, 3)] * 5
    assert np.allclose([frame.mean() for frame in frames], [*values, *values[:2]], atol=3)


def test_a_table_has_every_network_and_their_sum() -> None:
    report = {"machine": "cpu", "size": 512, "seconds_per_frame": {"flow": 0.3, "depth": 0.1}}
    rows = {line.split()[0]: line.split()[1:] for line in table(report).splitlines()[3:]}
    assert rows == {"flow": ["300.0", "3.33"], "depth": ["100.0", "10.00"], "together": ["400.0", "2.50"]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frames", "0"], "counted from 1"),
        (["--poses"], "give footage with --video"),
        (["--video", "nowhere.mp4"], "nowhere.mp4"),
    ],
)
def test_wrong_questions_are_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_both_networks_of_the_published_size(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--size", "64", "--frames", "1", "--repeat", "1", "--json"])
    seconds = json.loads(capsys.readouterr().out)["seconds_per_frame"]
    assert set(seconds) == {"flow", "depth"}
    assert all(value > 0 for value in seconds.values())

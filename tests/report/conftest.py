"""Runs to report on, and a browser to look at the report with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devtools import Browser, find_browser
from report_samples import numbered_clip

from mcbench import score
from mcbench.datasets import open_truth
from mcbench.video import write_frames


@pytest.fixture
def make_runs(fake_networks: object, tmp_path: Path) -> Callable[..., list[Path]]:
    """Scores methods of one data set and returns their run folders."""

    def make(
        methods: dict[str, float],
        clips: tuple[str, ...] = ("one", "two"),
        frames: int = 20,
        side: int = 96,
        root: Path = tmp_path,
    ) -> list[Path]:
        for seed, clip in enumerate(clips):
            write_frames(root / "truth" / clip, numbered_clip(frames, side, seed))
        runs = []
        for name, fault in methods.items():
            for seed, clip in enumerate(clips):
                write_frames(root / "made" / name / clip, numbered_clip(frames, side, seed, fault * (seed + 1)))
            run = root / "runs" / name
            score(root / "made" / name, open_truth(root / "truth"), weights="random@1", out=run, device="cpu")
            runs.append(run)
        return runs

    return make


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A browser. In continuous integration its absence is a fault; elsewhere it leaves these tests out."""
    program = find_browser()
    if program is None:
        reason = "no Chromium here; install it (`apt-get install chromium`) or name it in $CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    opened = Browser(program, tmp_path / "profile")
    try:
        yield opened
        assert opened.faults == [], "errors on the console"
        asked = {address.partition(":")[0] for address in opened.requests}
        assert asked <= {"file", "data"}, f"something was asked for elsewhere: {opened.requests}"
    finally:
        opened.close()

"""The manifest: what identifies a data set, and which results may be compared."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcbench.datasets import open_truth
from mcbench.datasets.manifest import (
    MANIFEST,
    ClipEntry,
    Manifest,
    check_comparable,
    describe_clip,
    fingerprint,
    frames_digest,
    make_manifest,
    read_manifest,
    write_manifest,
)
from mcbench.errors import DatasetError, ResultError
from mcbench.evaluation import score
from mcbench.results import DatasetInfo


def manifest_of(folder: Path) -> Manifest:
    return make_manifest("my-set", "1", "test", [describe_clip(clip) for clip in open_truth(folder).clips])


def entry(**changes: Any) -> ClipEntry:
    about = {"name": "a", "frames": 3, "fps": 25.0, "size": (64, 48), "reference_frame": 0, "sha256": "0" * 64}
    return ClipEntry(**{**about, **changes})


class TestDigests:
    def test_of_frames_is_that_of_their_decoded_pixels(self) -> None:
        """Worked out by hand with hashlib: SHA-256 over the SHA-256 of `(1, 2, 3)` and the pixels of each frame."""
        frames = np.arange(12, dtype=np.uint8).reshape(2, 1, 2, 3)
        assert frames_digest(frames) == "e4b9b7ef5deb02846157c07375592cfcb7237977d17030f6714a7642771e8191"
        assert frames_digest(frames[::-1]) != frames_digest(frames)
        assert frames_digest(frames.reshape(2, 2, 1, 3)) != frames_digest(frames)

    @pytest.mark.parametrize(
        "other", [("b", 3, 0, "0" * 64), ("a", 4, 0, "0" * 64), ("a", 3, 1, "0" * 64), ("a", 3, None, "0" * 64),
                  ("a", 3, 0, "1" * 64)],
    )  # fmt: skip
    def test_the_fingerprint_covers_name_count_reference_and_frames(self, other: Any) -> None:
        first, last = ("a", 3, 0, "0" * 64), ("z", 3, 0, "0" * 64)
        assert fingerprint([first, last]) != fingerprint([other, last])
        assert fingerprint([first, last]) != fingerprint([last, first])

    def test_it_does_not_cover_the_rate(self) -> None:
        one, other = (make_manifest("my-set", "1", "test", [entry(fps=fps)]) for fps in (25.0, 30.0))
        assert one.fingerprint == other.fingerprint

    @pytest.mark.usefixtures("fake_networks")
    def test_results_carry_it(self, clip_folders: Callable[..., Path], tmp_path: Path) -> None:
        truth, predictions = clip_folders("truth"), clip_folders("predictions", noise=9)
        result = score(predictions, open_truth(truth), out=tmp_path / "run", weights="random@1")
        assert result is not None
        assert result.dataset.fingerprint == manifest_of(truth).fingerprint


class TestFile:
    def test_it_comes_back(self, clip_folders: Callable[..., Path], tmp_path: Path) -> None:
        manifest = manifest_of(clip_folders("truth"))
        write_manifest(manifest, tmp_path / "out")
        assert read_manifest(tmp_path / "out") == manifest
        document = json.loads((tmp_path / "out" / MANIFEST).read_text())
        assert (document["schema"], document["name"], document["split"]) == ("mcbench.dataset/1", "my-set", "test")

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda d: d["clips"][0].update(frames=4), "its fingerprint does not fit its clips"),
            (lambda d: d["clips"].reverse(), "its fingerprint does not fit its clips"),
            (lambda d: d["clips"][0].update(frames=0), "clips.0.frames"),
            (lambda d: d["clips"][0].update(fps=-1), "clips.0.fps"),
            (lambda d: d.update(name="My Set"), "name"),
            (lambda d: d.update(schema="mcbench.dataset/2"), "schema"),
            (lambda d: d.pop("split"), "split"),
            (lambda d: d.update(extra=1), "extra"),
            (lambda d: d["clips"][0].update(name="../../escape"), "clips.0.name: .*file name"),
            (lambda d: d["clips"][0].update(name="/etc/passwd"), "clips.0.name: .*file name"),
            (lambda d: d["clips"][0].update(name="a\x1b[31m"), "clips.0.name: .*file name"),
            (lambda d: d["clips"][0].update(name=d["clips"][1]["name"]), "'b' is in it twice"),
            (lambda d: d["clips"][0].update(frames=10**30), "clips.0.frames"),
            (lambda d: d["clips"][0].update(frames=[3]), "clips.0.frames"),
            (lambda d: d["clips"][0].update(fps=math.nan), "clips.0.fps"),
            (lambda d: d["clips"][0].update(fps=math.inf), "clips.0.fps"),
            (lambda d: d["clips"][0].update(size=[-1, 10**30]), "clips.0.size"),
            (lambda d: d["clips"][0].update(reference_frame=-1), "clips.0.reference_frame"),
            (lambda d: d["clips"][0].update(reference_frame=10**6), "reference frame of 'a' is none of its"),
            (lambda d: d.update(split="../.."), "split: .*file name"),
            (lambda d: d.update(version="1\n2"), "version: .*file name"),
        ],
    )
    def test_a_torn_one_is_refused(
        self, clip_folders: Callable[..., Path], tmp_path: Path, spoil: Callable[[Any], object], message: str
    ) -> None:
        write_manifest(manifest_of(clip_folders("truth")), tmp_path)
        document = json.loads((tmp_path / MANIFEST).read_text())
        spoil(document)
        (tmp_path / MANIFEST).write_text(json.dumps(document))
        with pytest.raises(DatasetError, match=message) as caught:
            read_manifest(tmp_path)
        assert "\n" not in str(caught.value)

    def test_a_missing_one_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="import the data set again"):
            read_manifest(tmp_path)


@dataclass(frozen=True)
class Identity:
    name: str = "tiktok"
    version: str = "1/new10val"
    fingerprint: str = "a" * 64
    clips: int = 10
    frames: int = 900


class TestComparable:
    def test_the_same_frames_are_whatever_they_are_called(self) -> None:
        check_comparable(Identity(), Identity())
        check_comparable(Identity(), Identity(name="custom", version="1"))

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"name": "custom"}, "the data sets are 'tiktok' and 'custom'"),
            ({"version": "1/335-340"}, "the versions or splits of 'tiktok' are 1/new10val and 1/335-340"),
            ({"clips": 4, "frames": 300}, "10 and 4 clips of 'tiktok'"),
            ({"frames": 300}, "900 and 300 frames of 'tiktok'"),
            ({}, "but other pixels, names or reference frames"),
        ],
    )
    def test_others_are_not_and_say_why(self, changes: dict[str, Any], reason: str) -> None:
        other = replace(Identity(), fingerprint="b" * 64, **changes)
        with pytest.raises(ResultError, match=reason) as caught:
            check_comparable(Identity(), other)
        assert "aaaaaaaaaaaa and bbbbbbbbbbbb" in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_it_takes_what_results_hold(self) -> None:
        one = DatasetInfo(name="custom", version="1", fingerprint="a" * 64, clips=1, frames=3)
        with pytest.raises(ResultError, match="3 and 2 frames"):
            check_comparable(one, one.model_copy(update={"frames": 2, "fingerprint": "b" * 64}))

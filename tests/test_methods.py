"""Looking up methods, their settings, and what they are given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict

from mcbench.cases import Case, case_digest, make_case
from mcbench.datasets import load_dataset, open_truth
from mcbench.errors import MethodError, UsageError
from mcbench.methods import Method, available_methods, checked_frames, load_method, settings_document


class Adjustable(Method):
    class Settings(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)
        steps: int = 50
        guidance: float = 1.5

    name: ClassVar[str] = "adjustable"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "for tests"

    def animate(self, case: Case) -> Iterator[np.ndarray]:
        yield from [case.reference] * case.frames


class Nameless(Method):
    version: ClassVar[str] = "1"

    def animate(self, case: Case) -> Iterator[np.ndarray]:
        yield from ()


class Numbered(Nameless):
    name: ClassVar[str] = "numbered"
    version: ClassVar[Any] = 2
    summary: ClassVar[str] = "for tests"


class Abstract(Method):
    name: ClassVar[str] = "abstract"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "for tests"


class Unmade(Adjustable):
    name: ClassVar[str] = "unmade"

    def __init__(self, *_: object) -> None:
        print("starting")  # noqa: T201
        raise RuntimeError("no\nGPU")


class Returns(Adjustable):
    """Returns what it is told to."""

    name: ClassVar[str] = "returns"
    frames: Any = None

    def animate(self, case: Case) -> Any:
        return self.frames


def __getattr__(name: str) -> Any:
    if name == "Leaves":
        print("hello")  # noqa: T201
        raise SystemExit(5)
    raise AttributeError(name)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    here = __name__
    entries = [
        metadata.EntryPoint("adjustable", f"{here}:Adjustable", "mcbench.methods"),
        metadata.EntryPoint("broken", "no_such_package:Thing", "mcbench.methods"),
        metadata.EntryPoint("foreign", "pathlib:Path", "mcbench.methods"),
        *(
            metadata.EntryPoint(name, f"{here}:{name.capitalize()}", "mcbench.methods")
            for name in ("nameless", "numbered", "abstract", "unmade", "leaves")
        ),
        metadata.EntryPoint("twice", f"{here}:Adjustable", "mcbench.methods"),
        metadata.EntryPoint("twice", f"{here}:Returns", "mcbench.methods"),
    ]
    monkeypatch.setattr("mcbench.methods.metadata.entry_points", lambda group: entries)


def test_the_floors_are_registered_like_any_other() -> None:
    methods = available_methods()
    assert {"copy-reference", "truth"} <= methods.keys()
    for name, found in methods.items():
        assert not isinstance(found, str), found
        assert found.name == name


@pytest.mark.usefixtures("registered")
class TestLookup:
    def test_a_broken_plug_in_does_not_take_the_others_with_it(self) -> None:
        methods = available_methods()
        assert methods["adjustable"] is Adjustable
        assert "does not load: ModuleNotFoundError" in str(methods["broken"])
        assert "not a subclass" in str(methods["foreign"])
        with pytest.raises(MethodError, match="no_such_package"):
            load_method("broken")

    def test_what_a_plug_in_can_do_wrong_is_its_own_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        for name, message in {
            "nameless": "has no name",
            "numbered": "has no version; give it one, as a string",
            "abstract": "cannot be made: TypeError",
            "unmade": "cannot be made: RuntimeError: no GPU",
            "leaves": "does not load: SystemExit: 5",
            "twice": "registered by .*:Adjustable and by .*:Returns; uninstall all but one",
        }.items():
            with pytest.raises(MethodError, match=message):
                load_method(name)
        assert set(available_methods()) >= {"leaves", "adjustable"}
        assert capsys.readouterr().out == ""

    def test_only_the_method_asked_for_is_loaded(self, capsys: pytest.CaptureFixture[str]) -> None:
        load_method("adjustable")
        assert capsys.readouterr().err == ""

    def test_a_setting_that_no_file_can_hold(self) -> None:
        for value in ("nan", "inf"):
            with pytest.raises(UsageError, match="numbers must be finite"):
                load_method("adjustable", settings={"guidance": value})
        assert settings_document(load_method("adjustable")) == {"steps": 50, "guidance": 1.5}

    def test_settings_are_checked_and_converted(self) -> None:
        method = load_method("adjustable", settings={"steps": "20"})
        assert method.settings.model_dump() == {"steps": 20, "guidance": 1.5}
        with pytest.raises(UsageError, match=r"setting 'stesp'.*did you mean 'steps'.*steps, guidance"):
            load_method("adjustable", settings={"stesp": "20"})
        with pytest.raises(UsageError, match=r"setting 'steps'.*valid integer") as error:
            load_method("adjustable", settings={"steps": "many"})
        assert "did you mean" not in str(error.value)

    def test_unknown_names_and_useless_checkpoints(self) -> None:
        with pytest.raises(UsageError, match="did you mean 'adjustable'"):
            load_method("adjustible")
        with pytest.raises(UsageError, match="takes no checkpoint"):
            load_method("adjustable", checkpoint=Path("weights.pt"))


FRAME = np.zeros((64, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([FRAME.astype(np.float32)] * 18, r"frame 0 is float32 of \(64, 64, 3\), not a uint8 array"),
        ("frames", "frame 0 is str, not a uint8 array"),
        ([FRAME[:0]] * 18, "not a uint8 array"),
        ([FRAME[:, :, 0]] * 18, "not a uint8 array"),
        ([FRAME[:, :32]] * 18, "frame 0: 32 x 64 is neither square nor of its truth's aspect ratio"),
        ([FRAME, *[FRAME[:32, :32]] * 17], "frame 1 is 32 x 32, frame 0 64 x 64"),
        ([FRAME] * 17, "17 frames, 18 were asked for"),
        ([FRAME] * 19, "more than the 18 frames"),
        (None, "TypeError"),
    ],
)
def test_frames_that_are_not_the_clip(clip_folders: Callable[..., Path], frames: Any, message: str) -> None:
    case = make_case(open_truth(clip_folders("truth", 1)).clips[0], seed=0, with_truth=False)
    method = Returns(Returns.Settings())
    method.frames = frames
    with pytest.raises(MethodError, match=message):
        list(checked_frames(method, case))


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_checkpoint_that_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    method = Adjustable(Adjustable.Settings(), tmp_path / name)
    with pytest.raises(MethodError, match="no checkpoint there"):
        assert method.checkpoint_sha256


def test_a_case_without_the_truth(clip_folders: Callable[..., Path]) -> None:
    clip = open_truth(clip_folders("truth", 1)).clips[0]
    case = make_case(clip, seed=7, with_truth=False)
    assert (case.truth, case.poses, case.frames, case.seed) == (None, None, 18, 7)
    assert np.array_equal(case.reference, next(iter(clip.source.read())))
    truth: Any = make_case(clip, seed=7, with_truth=True).truth
    assert truth is clip.source


def test_a_case_with_the_driving_video(clip_folders: Callable[..., Path], tmp_path: Path) -> None:
    clip = open_truth(clip_folders("truth", 1)).clips[0]
    without = make_case(clip, seed=7, with_truth=False)
    case: Any = make_case(clip, seed=7, with_truth=False, with_driving_video=True)
    assert case.truth is None
    assert case.driving_video is clip.source
    assert case_digest(case) != case_digest(without)
    placed = replace(without, folder=tmp_path / "work" / "a")
    assert case_digest(placed) == case_digest(without)
    assert (without.lock, placed.lock) == (None, tmp_path / "work" / ".a.lock")


def test_annotations_over_time_are_for_those_who_may_see_them() -> None:
    clip = load_dataset("synthetic-mini", clips=1, frames=2).clips[0]
    assert clip.annotations is not None
    for asked, given in (
        ({"with_truth": False}, None),
        ({"with_truth": False, "with_driving_video": True}, clip.annotations),
        ({"with_truth": True}, clip.annotations),
    ):
        assert make_case(clip, 0, **asked).annotations is given
    assert make_case(clip, 0, with_truth=False).poses is not None


def test_what_stands_behind_a_colon(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [metadata.EntryPoint("adjustable", f"{__name__}:Adjustable", "mcbench.methods")]
    monkeypatch.setattr("mcbench.methods.metadata.entry_points", lambda group: entries)
    with pytest.raises(UsageError, match="'adjustable' takes nothing behind a colon"):
        load_method("adjustable:30")
    monkeypatch.setattr(Adjustable, "argument", "steps")
    assert load_method("adjustable:30").settings.model_dump()["steps"] == 30
    assert load_method("adjustable:30", settings={"steps": "30"}).settings.model_dump()["steps"] == 30
    with pytest.raises(UsageError, match="contradict each other"):
        load_method("adjustable:30", settings={"steps": "20"})


def test_a_method_of_this_process_needs_and_says_nothing() -> None:
    method = Adjustable(Adjustable.Settings())
    assert (method.id, method.native, method.lacks(), method.questions()) == ("adjustable", None, (), ())
    with pytest.raises(UsageError, match="needs no configuring"):
        method.configure({})

"""External methods: starts for many clips, faults, taking up a run, and what goes into the result."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from external_samples import STRENGTH, ManyClips, OneClip, is_alive, make_case, meant
from filelock import FileLock

from baselines.external.marks import mark_complete
from mcbench import Case, MethodError, evaluate, open_truth, read_result
from mcbench.errors import ResultError
from mcbench.methods import checked_frames


def behave(checkout: Path, **how: object) -> None:
    (checkout / "behaviour.json").write_text(json.dumps(how))


def starts(checkout: Path) -> list[list[str]]:
    """The clips of each start of the program."""
    file = checkout / "starts.txt"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def made(kind: type[ManyClips] = ManyClips, device: str = "cpu", **settings: Any) -> ManyClips:
    return kind(kind.Settings(**settings), None, device)


def animated(method: ManyClips, case: Case) -> np.ndarray:
    return np.stack(list(checked_frames(method, case)))


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    return [make_case(name, tmp_path / "work") for name in "abcde"]


def run_all(method: ManyClips, cases: list[Case]) -> None:
    method.expect(cases)
    for case in cases:
        assert np.array_equal(animated(method, case), meant(case))


class TestStarts:
    def test_one_start_does_many_clips(self, many_clips: Path, cases: list[Case]) -> None:
        run_all(made(), cases)
        assert starts(many_clips) == [["a", "b", "c", "d", "e"]]

    def test_no_more_clips_than_a_start_may_do(self, many_clips: Path, cases: list[Case]) -> None:
        run_all(made(clips_per_start=2), cases)
        assert starts(many_clips) == [["a", "b"], ["c", "d"], ["e"]]

    def test_a_method_for_one_clip_is_started_for_each(self, many_clips: Path, cases: list[Case]) -> None:
        run_all(made(OneClip), cases[:3])
        assert starts(many_clips) == [["a"], ["b"], ["c"]]

    def test_a_clip_that_others_work_on_is_left_to_them(self, many_clips: Path, cases: list[Case]) -> None:
        lock = cases[1].lock
        assert lock is not None
        lock.parent.mkdir(parents=True)
        with FileLock(lock):
            method = made()
            method.expect(cases)
            animated(method, cases[0])
        assert starts(many_clips) == [["a", "c", "d", "e"]]

    def test_outside_a_run_nothing_stays(
        self, many_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "temporary").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
        case = make_case("a", None)
        assert np.array_equal(animated(made(), case), meant(case))
        assert list((tmp_path / "temporary").iterdir()) == []

    def test_inputs_go_unless_they_are_to_stay(self, many_clips: Path, cases: list[Case]) -> None:
        run_all(made(), cases[:1])
        run_all(made(keep=True), [cases[1]])
        first, second = (case.folder for case in cases[:2])
        assert first is not None
        assert second is not None
        assert sorted(file.name for file in first.iterdir()) == ["complete.json", "log.txt", "outputs"]
        assert (second / "inputs" / "reference" / "00000.png").is_file()

    def test_the_gpu_of_the_method_alone_is_seen(
        self, many_clips: Path, cases: list[Case], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-5")
        run_all(made(OneClip, device="cuda:1"), cases[:1])
        run_all(made(OneClip), cases[1:2])
        logs = [case.folder / "log.txt" for case in cases[:2] if case.folder]
        assert [log.read_text().strip().split(": ")[1] for log in logs] == ["GPU-5", "4,GPU-5"]


class TestFaults:
    @pytest.mark.parametrize(
        ("how", "why"),
        [
            ("crash", "ended with exit status 1: .*RuntimeError: the network fell over"),
            ("memory", "needs more memory than there is: MemoryError: CUDA out of memory"),
            ("killed", r"was killed \(SIGKILL\), most often by the system for want of memory: .*at clip c"),
            ("short", "wrote 2 frames, 3 were asked for"),
            ("garbage", "00000.png"),
        ],
    )
    def test_a_clip_that_fails(self, many_clips: Path, cases: list[Case], how: str, why: str) -> None:
        behave(many_clips, c=how)
        method = made()
        method.expect(cases)
        with pytest.raises(MethodError, match=f"^method 'many-clips', clip 'c': .*{why}") as fault:
            animated(method, cases[0])
        assert cases[2].folder is not None
        assert str(fault.value).endswith(f"log: {cases[2].folder / 'log.txt'}")
        assert "\n" not in str(fault.value)
        assert (cases[2].folder / "log.txt").is_file()
        behave(many_clips)
        run_all(made(), cases)
        # A program that dies takes the clips behind with it; one that ends well did those too.
        done_before = {"a", "b"} if how in ("crash", "memory", "killed") else {"a", "b", "d", "e"}
        assert set(starts(many_clips)[1]) == {"a", "b", "c", "d", "e"} - done_before
        assert len(starts(many_clips)) == 2

    def test_a_program_that_hangs(self, many_clips: Path, cases: list[Case]) -> None:
        behave(many_clips, b="hang")
        method = made(timeout=1.5)
        method.expect(cases[:2])
        with pytest.raises(MethodError, match=r"clip 'b': the program was stopped after 3 s for 2 clips; raise "):
            animated(method, cases[0])
        for name in ("program", "orphan"):
            assert not is_alive(int((many_clips / name).read_text())), name
        behave(many_clips)
        run_all(made(timeout=100), cases[:2])  # another timeout is no other run
        assert starts(many_clips) == [["a", "b"], ["b"]]

    def test_the_last_clip_of_a_program_that_ends_badly_is_not_trusted(
        self, many_clips: Path, cases: list[Case]
    ) -> None:
        behave(many_clips, status=7)
        method = made()
        method.expect(cases[:3])
        with pytest.raises(MethodError, match="clip 'c': the program ended with exit status 7: "):
            animated(method, cases[0])
        behave(many_clips)
        run_all(made(), cases[:3])
        assert starts(many_clips)[1:] == [["c"]]

    def test_a_disk_that_is_full_at_the_end_costs_no_other_clip(
        self, many_clips: Path, cases: list[Case], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def mark(folder: Path, stamp: str, **more: Any) -> None:
            if folder.name == "b":
                raise OSError(errno.ENOSPC, "No space left on device", str(folder))
            mark_complete(folder, stamp, **more)

        method = made()
        method.expect(cases[:3])
        with monkeypatch.context() as full:
            full.setattr("baselines.external.starts.mark_complete", mark)
            with pytest.raises(MethodError, match=r"clip 'b': .*No space left on device"):
                animated(method, cases[0])
        run_all(made(), cases[:3])
        assert starts(many_clips)[1:] == [["b"]]

    def test_a_program_that_is_not_there_any_more(self, many_clips: Path, cases: list[Case]) -> None:
        method = made()
        (many_clips / "many_clips.py").unlink()
        with pytest.raises(MethodError, match=r"ended with exit status 2: .*No such file"):
            animated(method, cases[0])


class TestTakingUp:
    def test_what_is_complete_is_not_made_again(self, many_clips: Path, cases: list[Case]) -> None:
        run_all(made(), cases)
        run_all(made(clips_per_start=1, keep=True, timeout=5), cases)
        assert len(starts(many_clips)) == 1

    def test_another_case_setting_or_changed_output_is_made_anew(
        self, many_clips: Path, cases: list[Case], tmp_path: Path
    ) -> None:
        run_all(made(OneClip), cases[:1])
        run_all(made(OneClip, strength=2.0), cases[:1])
        run_all(made(OneClip, strength=2.0), [make_case("a", tmp_path / "work", seed=5)])
        run_all(made(OneClip, strength=2.0), [make_case("a", tmp_path / "work", seed=5)])
        assert len(starts(many_clips)) == 3
        folder = cases[0].folder
        assert folder is not None
        (folder / "outputs" / "00001.png").write_bytes(b"other")
        run_all(made(OneClip, strength=2.0), [make_case("a", tmp_path / "work", seed=5)])
        (folder / "complete.json").write_text("[")
        run_all(made(OneClip, strength=2.0), [make_case("a", tmp_path / "work", seed=5)])
        assert len(starts(many_clips)) == 5

    def test_other_weights_make_other_frames(self, many_clips: Path, cases: list[Case], tmp_path: Path) -> None:
        run_all(made(), cases[:1])
        (tmp_path / "weights" / "model.pth").write_bytes(STRENGTH.upper())
        run_all(made(), cases[:1])
        assert len(starts(many_clips)) == 2

    def test_what_was_kept_for_the_next_start(self, many_clips: Path, cases: list[Case]) -> None:
        """It stays for the same clip, goes for another, and in the end: the program is told nothing of older ones."""
        behave(many_clips, a="crash")
        (case,) = cases[:1]
        assert case.folder is not None
        with pytest.raises(MethodError):
            animated(made(OneClip), case)
        (case.folder / "kept" / "half.bin").write_bytes(b"half")
        with pytest.raises(MethodError):
            animated(made(OneClip), case)
        assert (case.folder / "kept" / "half.bin").read_bytes() == b"half"
        with pytest.raises(MethodError):
            animated(made(OneClip, strength=2.0), case)
        assert not (case.folder / "kept" / "half.bin").exists()
        behave(many_clips)
        run_all(made(OneClip), [case])
        assert not (case.folder / "kept").exists()


class TestResult:
    def test_a_whole_run(
        self, many_clips: Path, clip_folders: Callable[..., Path], fake_networks: object, tmp_path: Path
    ) -> None:
        git_commit(many_clips)
        truth, run = open_truth(clip_folders("truth", 3, frames=3)), tmp_path / "run"
        behave(many_clips, c="crash")
        with pytest.raises(MethodError, match="clip 'c': the program ended with exit status 1"):
            evaluate(made(), truth, out=run, device="cpu", weights="random@1")
        behave(many_clips)
        result = evaluate(made(timeout=60), truth, out=run, device="cpu", weights="random@1")
        assert result is not None
        assert starts(many_clips) == [["a", "b", "c"], ["c"]]
        assert read_result(run) == result
        native = result.method.native
        assert native is not None
        assert (native.size, native.container, native.driver, native.dirty) == (None, "png", "drawn poses", False)
        assert native.commit == git(many_clips, "rev-parse", "HEAD")
        digests = {"checkpoint": hashlib.sha256(STRENGTH).hexdigest()}
        assert result.method.checkpoint_sha256 == hashlib.sha256(json.dumps(digests).encode()).hexdigest()
        assert result.method.settings == {"timeout": 60, "clips_per_start": 16, "keep": False, "strength": 1.0}

        shutil.rmtree(run / "predictions")
        assert evaluate(made(), truth, out=run, device="cpu", weights="random@1") is not None
        assert len(starts(many_clips)) == 2  # the frames were still in the work folder

        (many_clips / "many_clips.py").open("a").write("\n# another version\n")
        assert made().dirty is True
        git_commit(many_clips)
        with pytest.raises(Exception, match="holds a run with commit "):
            evaluate(made(), truth, out=run, device="cpu", weights="random@1")

    def test_a_checkout_that_was_changed_is_another_run(
        self, many_clips: Path, clip_folders: Callable[..., Path], fake_networks: object, tmp_path: Path
    ) -> None:
        """Or frames of the code as it was would stand in a result that says that it was changed, and the reverse."""
        (many_clips / "constants.txt").write_bytes(b"1")
        git_commit(many_clips)
        truth = open_truth(clip_folders("truth", 2, frames=2))

        def run(out: str) -> bool | None:
            result = evaluate(made(), truth, out=tmp_path / out, device="cpu", weights="random@1")
            assert result is not None
            assert result.method.native is not None
            return result.method.native.dirty

        changed = many_clips / "constants.txt"
        assert run("clean") is False
        changed.write_bytes(b"na\xefve")  # in no encoding of today
        with pytest.raises(ResultError, match="holds a run with uncommitted changes null, not "):
            run("clean")
        assert run("changed") is True
        changed.write_bytes(b"na\xeffe")
        with pytest.raises(ResultError, match="holds a run with uncommitted changes "):
            run("changed")
        changed.write_bytes(b"1")
        assert run("clean") is False

    def test_a_clip_is_made_anew_by_a_changed_checkout(self, many_clips: Path, cases: list[Case]) -> None:
        git_commit(many_clips)
        run_all(made(OneClip), cases[:1])
        (many_clips / "many_clips.py").open("a").write("\n# changed\n")
        run_all(made(OneClip), cases[:1])
        assert starts(many_clips) == [["a"], ["a"]]

    def test_a_worker_takes_no_more_than_its_share(
        self,
        many_clips: Path,
        clip_folders: Callable[..., Path],
        fake_networks: object,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        truth = open_truth(clip_folders("truth", 4, frames=2))
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", "1")
        evaluate(made(), truth, out=tmp_path / "run", device="cpu", weights="random@1")
        assert starts(many_clips)[0] == ["c", "d"]


def git(folder: Path, *arguments: str) -> str:
    names = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    command = ["git", *names, "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def git_commit(folder: Path) -> None:
    git(folder, "init", "-q")
    git(folder, "add", "many_clips.py", *(["constants.txt"] if (folder / "constants.txt").exists() else []))
    git(folder, "commit", "-q", "-m", "state")

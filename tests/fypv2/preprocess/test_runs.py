"""Runs: killed, shared, refused; the same request gives the same bytes however it was made."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fypv2.conditions import Poses
from fypv2.preprocess.data_folder import DataFolder
from fypv2.preprocess.drawn import DrawnJob
from fypv2.preprocess.runner import preprocess
from fypv2.preprocess.writer import UnitWriter
from fypv2.training.clips import ShardError, TrainingClip
from fypv2.training.members import encode_sample
from fypv2.training.shards import open_shards


@dataclass
class SlowJob:
    """Clips of noise; notes which process made which unit, in a folder beside."""

    notes: Path
    units: int = 8
    seconds: float = 0.2

    @property
    def request(self) -> dict[str, Any]:
        return {"kind": "slow", "units": self.units}

    def load(self) -> None: ...

    def make(self, unit: int, writer: UnitWriter) -> None:
        for part in range(2):
            random = np.random.default_rng([unit, part])
            poses = Poses(np.zeros((2, 1, 18, 2), np.float32), np.ones((2, 1, 18), np.float32), (32, 32))
            frames = random.integers(0, 256, (2, 32, 32, 3), np.uint8)
            clip = TrainingClip(f"c{unit}-{part}", frames, 25.0, poses, None, np.zeros((2, 32, 32), np.float16))
            writer.add(clip.name, *encode_sample(clip))
            time.sleep(self.seconds / 2)
        (self.notes / f"{unit}-{os.getpid()}").touch()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


def start(folder: Path, notes: Path, workers: int = 1) -> subprocess.Popen[bytes]:
    code = (
        "import sys; from pathlib import Path; from test_runs import SlowJob; "
        "from fypv2.preprocess.runner import preprocess; "
        "preprocess(SlowJob(Path(sys.argv[2])), Path(sys.argv[1]), int(sys.argv[3]))"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(notes), str(workers)], env={**os.environ, "PYTHONPATH": paths}
    )


def wait_for(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_killed_run_is_taken_up_and_gives_the_same_bytes(tmp_path: Path, notes: Path) -> None:
    preprocess(SlowJob(notes, seconds=0), tmp_path / "whole")
    torn = tmp_path / "torn"
    process = start(torn, notes)
    wait_for(lambda: (torn / "index-000001.json").exists() and list(torn.glob(".shard-*.partial")))
    process.kill()
    process.wait()
    left = files(torn)
    assert "manifest.json" not in left
    assert any(name.endswith(".partial") for name in left)
    # Shards appear whole: what has its name is what the whole run has.
    whole = files(tmp_path / "whole")
    assert all(left[name] == whole[name] for name in left if name.startswith("shard-"))
    with pytest.raises(ShardError, match="no finished training data"):
        open_shards(torn)
    done = {name for name in left if name.startswith("index-")}
    for path in notes.iterdir():
        path.unlink()
    preprocess(SlowJob(notes, seconds=0), torn)
    assert files(torn) == whole
    assert len(list(notes.iterdir())) == 8 - len(done) < 8


def test_two_processes_share_the_work_and_give_the_same_bytes(tmp_path: Path, notes: Path) -> None:
    preprocess(SlowJob(notes, seconds=0), tmp_path / "one")
    for path in notes.iterdir():
        path.unlink()
    other = start(tmp_path / "two", notes)
    wait_for(lambda: (tmp_path / "two" / "preprocess.json").exists())
    preprocess(SlowJob(notes), tmp_path / "two")
    assert other.wait(timeout=60) == 0
    assert files(tmp_path / "two") == files(tmp_path / "one")
    units, processes = zip(*(path.name.split("-") for path in notes.iterdir()), strict=True)
    assert sorted(units) == [str(unit) for unit in range(8)]
    assert len(set(processes)) == 2


@pytest.mark.slow
def test_workers_share_the_work_and_end_with_their_parent(tmp_path: Path, notes: Path) -> None:
    preprocess(SlowJob(notes, seconds=0), tmp_path / "one")
    for path in notes.iterdir():
        path.unlink()
    preprocess(SlowJob(notes, seconds=2), tmp_path / "two", workers=2)
    assert files(tmp_path / "two") == files(tmp_path / "one")
    assert len({path.name.split("-")[1] for path in notes.iterdir()}) == 2

    third = tmp_path / "three"
    process = start(third, notes, workers=2)
    wait_for(lambda: (third / "index-000000.json").exists())
    process.kill()
    process.wait()
    time.sleep(2)
    done = len(list(third.glob("index-*")))
    time.sleep(2)
    assert len(list(third.glob("index-*"))) == done < 8


def test_a_missing_or_torn_shard_is_made_again(tmp_path: Path, notes: Path) -> None:
    folder = tmp_path / "data"
    preprocess(SlowJob(notes, seconds=0), folder)
    whole = files(folder)
    (folder / "shard-000003.tar").write_bytes(b"torn")
    (folder / "shard-000005.tar").unlink()
    (folder / "index-000006.json").write_text("{")
    for path in notes.iterdir():
        path.unlink()
    preprocess(SlowJob(notes, seconds=0), folder)
    assert files(folder) == whole
    assert sorted(path.name.split("-")[0] for path in notes.iterdir()) == ["3", "5", "6"]


def test_another_request_or_a_folder_with_other_things_is_refused(tmp_path: Path, notes: Path) -> None:
    preprocess(DrawnJob(1, 2, 64), tmp_path / "data")
    before = files(tmp_path / "data")
    with pytest.raises(ShardError, match="begun with seed 0, not 1"):
        preprocess(DrawnJob(1, 2, 64, seed=1), tmp_path / "data")
    with pytest.raises(ShardError, match="another folder"):
        preprocess(SlowJob(notes), tmp_path / "data")
    assert files(tmp_path / "data") == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(ShardError, match=r"thesis\.txt"):
        preprocess(DrawnJob(1, 2, 64), tmp_path / "full")
    (tmp_path / "file").write_text("")
    with pytest.raises(ShardError, match="another folder"):
        preprocess(DrawnJob(1, 2, 64), tmp_path / "file")


def test_a_full_disk_ends_the_run_and_leaves_nothing_half_written(
    tmp_path: Path, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: UnitWriter, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = tmp_path / "data"
    with monkeypatch.context() as broken:
        broken.setattr(UnitWriter, "_write", full)
        with pytest.raises(ShardError, match="No space left on device"):
            preprocess(SlowJob(notes, seconds=0), folder)
    assert set(files(folder)) == {"preprocess.json"}
    preprocess(SlowJob(notes, seconds=0), folder)
    assert len(open_shards(folder)) == 16


def test_sigterm_leaves_nothing_half_written(tmp_path: Path, notes: Path) -> None:
    folder = tmp_path / "data"
    code = (
        "import sys; sys.argv = ['fypv2', 'preprocess', 'synthetic', '--clips', '64', '--size', '64', '--per-shard',"
        f" '4', '-o', {str(folder)!r}]; from fypv2.cli.main import main; main()"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: list(folder.glob(".shard-*.partial")))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert out == b""
    assert b"the same command takes it up again" in err
    assert not list(folder.glob(".*.partial"))


def test_the_manifest_adds_up(tmp_path: Path, notes: Path) -> None:
    manifest = preprocess(SlowJob(notes, seconds=0), tmp_path / "data")
    assert manifest == json.loads((tmp_path / "data" / "manifest.json").read_text())
    assert manifest["totals"] == {
        "clips": 16,
        "frames": 32,
        "bytes": sum(path.stat().st_size for path in (tmp_path / "data").glob("*.tar")),
    }
    assert [row["clips"] for row in manifest["indexes"]] == [2] * 8
    assert DataFolder(tmp_path / "data").is_done(7)
    assert not DataFolder(tmp_path / "data").is_done(8)

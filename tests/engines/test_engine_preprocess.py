"""`fypv2 preprocess` by tasks of a Slurm array: each makes what is left, and one writes the manifest."""

from __future__ import annotations

from pathlib import Path

import pytest

from fypv2.preprocess.drawn import DrawnJob
from fypv2.preprocess.runner import preprocess


class Told:
    """Stops a run after its first unit, as the end of a task's time would."""

    def __init__(self, stops: bool) -> None:
        self.stops = stops

    def start(self, total: int, done: int) -> None: ...

    def advance(self) -> None:
        if self.stops:
            raise KeyboardInterrupt


def test_one_task_of_an_array_writes_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = DrawnJob(4, 1, 64, clips_per_shard=1)
    preprocess(job, tmp_path / "alone")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    shared = tmp_path / "shared"
    with pytest.raises(KeyboardInterrupt):
        preprocess(job, shared, reporter=Told(stops=True))
    assert [path.name for path in shared.glob("index-*")] == ["index-000002.json"]  # it began half way
    assert preprocess(job, shared, reporter=Told(stops=False)) is None
    assert len(list(shared.glob("index-*"))) == 4
    assert not (shared / "manifest.json").exists()
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    assert preprocess(job, shared) is not None
    for path in (tmp_path / "alone").glob("[!.]*"):
        assert (shared / path.name).read_bytes() == path.read_bytes()

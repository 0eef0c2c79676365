"""Where the time of a run goes: the clock counts everything once, and its seams are the product's."""

from __future__ import annotations

import importlib
import json
import threading
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import pytest
import stages
import stages_clock
import torch
from stages import table, work_of
from stages_clock import SEAMS, WHOLE, Clock

from mcbench.workers import spare_processors


@pytest.fixture
def spend(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time pass at once."""
    now = [0.0]
    monkeypatch.setattr(stages_clock.time, "perf_counter", lambda: now[0])

    def spend(seconds: float) -> None:
        now[0] += seconds

    return spend


def test_a_stage_within_another_stops_the_outer_one(spend: Callable[[float], None]) -> None:
    clock = Clock()
    with clock.stage("outer"):
        spend(1)
        with clock.stage("inner"):
            spend(10)
            with clock.stage("outer"):
                spend(100)
        spend(1000)
    spend(5)
    assert clock.main == {"outer": 1101, "inner": 10}
    assert not clock.others


def test_a_whole_stage_keeps_what_is_called_within_it(spend: Callable[[float], None]) -> None:
    clock, (whole,) = Clock(), WHOLE
    with clock.stage(whole):
        spend(1)
        with clock.stage("inner"):
            spend(2)
    with clock.stage("inner"):
        spend(4)
    assert clock.main == {whole: 3, "inner": 4}


def test_an_error_ends_its_stage(spend: Callable[[float], None]) -> None:
    clock = Clock()

    def fail() -> None:
        with clock.stage("outer"):
            spend(1)
            with clock.stage("inner"):
                spend(2)
                raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    with clock.stage("next"):
        spend(4)
    assert clock.main == {"outer": 1, "inner": 2, "next": 4}


def test_another_thread_has_a_column_of_its_own(spend: Callable[[float], None]) -> None:
    clock = Clock()

    def read() -> None:
        with clock.stage("decode"):
            spend(2)

    with clock.stage("network"):
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        spend(1)
    assert clock.others == {"decode": 2}
    assert clock.main == {"network": 3}


def test_only_the_card_is_waited_for(spend: Callable[[float], None]) -> None:
    clock = Clock(wait=lambda: spend(7))
    for name in ("prepare i3d", "i3d", "hash"):
        with clock.stage(name):
            spend(1)
    assert clock.main == {"prepare i3d": 8, "i3d": 8, "hash": 1}


def test_the_card_that_is_waited_for_is_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    stages._wait(torch.device("cuda", 1))
    stages._wait(torch.device("cpu"))
    assert waited == [torch.device("cuda", 1)]


def test_other_threads_do_not_lose_each_others_seconds() -> None:
    """Two threads add to one number; a second that comes while the first is at it waits for its turn."""
    clock, inside = Clock(), threading.Event()

    class Slow(dict[str, float]):
        def __getitem__(self, name: str) -> float:
            found = super().get(name, 0.0)
            if not inside.is_set():
                inside.set()
                second.start()
                second.join(0.2)
            return found

    clock.others = Slow()
    second = threading.Thread(target=lambda: clock._add(clock.others, "decode", 2))
    first = threading.Thread(target=lambda: clock._add(clock.others, "decode", 1))
    first.start()
    first.join()
    second.join()
    assert dict(clock.others) == {"decode": 3}


def test_functions_iterators_and_dictionaries_are_watched(
    spend: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Source:
        def read(self) -> Iterator[int]:
            for number in range(3):
                spend(1)
                yield number

    monkeypatch.setattr(stages, "Source", Source, raising=False)

    def twice(seconds: float) -> float:
        spend(seconds)
        return 2 * seconds

    functions: dict[str, Callable[[float], float]] = {"a": twice}
    monkeypatch.setattr(stages, "FUNCTIONS", functions, raising=False)
    clock = Clock()
    clock.watch("stages:Source.read", "decode")
    clock.watch("stages:FUNCTIONS", "metrics")
    taken = []
    for number in Source().read():
        spend(100)  # what is done with an item is not the source's
        taken.append(number)
    assert taken == [0, 1, 2]
    assert functions["a"](5) == 10
    assert clock.main == {"decode": 3, "metrics": 5}


@pytest.mark.parametrize("seam", [seam for seam, _ in SEAMS])
def test_every_seam_is_in_the_product(seam: str) -> None:
    module, _, path = seam.partition(":")
    found: Any = attrgetter(path)(importlib.import_module(module))
    assert callable(found) or all(callable(function) for function in found.values())


def test_work_is_that_of_the_papers_networks() -> None:
    """VGG-16 by its table; Inception v3 has 5.7 billion multiplications and additions at 299 x 299."""
    side, channels, operations, values = 512, 3, 0, 0
    for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(count):
            operations += 2 * 9 * channels * width * side**2
            values += (channels + width) * side**2 + 9 * channels * width + width
            channels = width
        side //= 2
    assert work_of("vgg16") == (operations, 4 * values)
    flops, _ = work_of("inception")
    assert flops / 2e9 == pytest.approx(5.7, rel=0.02)


@pytest.mark.slow
def test_a_run_tells_where_its_time_went(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["stages.py", "--clips", "1", "--frames", "16", "--protocol", "mcbench@1", "--threads", "1", "--json"]
    monkeypatch.setattr("sys.argv", words)
    stages.main()
    report = json.loads(capsys.readouterr().out)
    rows = {row["stage"]: row for row in report["stages"]}
    assert sum(row["seconds"] for row in rows.values()) == pytest.approx(report["cold_score_seconds"], abs=0.05)
    # What is counted twice is missing from the rest, and what is not counted at all is in it.
    assert 0 <= rows["rest"]["seconds"] < 0.5 * report["cold_score_seconds"]
    for name in ("inception", "alexnet", "r3d50", "i3d"):
        assert rows[name]["seconds"] > 0
        assert report["limits"]["networks"][name]["passes"] == {"r3d50": 2, "i3d": 2}.get(name, 32)
    # One thread of the networks leaves a processor to a thread that reads ahead, where the machine has two.
    column = "other_threads" if spare_processors(1) else "seconds"
    for name in ("decode", "hash", "pairwise metrics", "prepare i3d", "reading, the rest"):
        assert rows[name][column] > 0, name
    for name in ("pairwise metrics", "prepare i3d"):
        assert rows[name]["seconds"] + rows[name]["other_threads"] == rows[name][column], name
    assert rows["start-up"]["seconds"] > 0
    assert "vgg16" not in rows
    assert report["ratio"] == pytest.approx(
        report["cold_score_seconds"] / report["bare_forward_seconds"]["total"], rel=0.01
    )
    # A set as small as this one pays its start-up dearly.
    assert (report["target"], report["reached"]) == (1.10, report["ratio"] <= 1.10)
    assert f"ratio {report['ratio']:.3f}   target 1.10{'' if report['reached'] else ' missed'}" in table(report)
    assert "all other threads" in table(report)

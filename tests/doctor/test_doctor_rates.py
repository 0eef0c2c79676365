"""What the doctor finds, and what it must not: faults put into predictions, and predictions that are only imperfect."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from doctor_cases import (
    IMPERFECT,
    Case,
    FaultCase,
    Frames,
    Memory,
    combinations,
    faults,
    good,
    honest,
)

from mcbench.datasets.base import Clip
from mcbench.doctor.clip import examine
from mcbench.doctor.findings import Finding

SEED = 20
FAULT_NAMES = [fault.name for fault in faults(Path())]


def findings_of(case: Case, video: Frames) -> list[Finding]:
    return [item for item in examine(case.clip, Memory(video), case.clip.fps) if item.grade != "note"]


def codes_of(case: Case, video: Frames) -> set[str]:
    return {item.code for item in findings_of(case, video)}


@pytest.fixture(scope="module")
def good_few(few_cases: list[Case]) -> list[Frames]:
    return [good(case, np.random.default_rng(SEED)) for case in few_cases]


class TestFew:
    """One clip or two; the whole matrix is below."""

    @pytest.mark.parametrize("name", [name for name in FAULT_NAMES if name.endswith("medium")])
    def test_a_fault_is_found(self, name: str, few_cases: list[Case], good_few: list[Frames], tmp_path: Path) -> None:
        (fault,) = (fault for fault in faults(tmp_path) if fault.name == name)
        assert codes_of(few_cases[0], fault.change(good_few[0])) & fault.codes

    def test_a_good_prediction_has_none(self, few_cases: list[Case], good_few: list[Frames]) -> None:
        for case, video in zip(few_cases, good_few, strict=True):
            assert findings_of(case, video) == []

    @pytest.mark.parametrize("imperfect", IMPERFECT, ids=lambda imperfect: imperfect.__name__)
    def test_an_imperfection_is_no_fault(
        self, imperfect: Callable[[Case, Frames, np.random.Generator], Frames], few_cases: list[Case]
    ) -> None:
        random = np.random.default_rng(SEED)
        video = imperfect(few_cases[1], good(few_cases[1], random), random)
        assert findings_of(few_cases[1], video) == []

    def test_the_truth_itself_is_only_a_warning(self, few_cases: list[Case]) -> None:
        assert codes_of(few_cases[0], few_cases[0].truth) == {"equals-truth"}

    def test_the_reference_frame_is_only_a_warning(self, few_cases: list[Case]) -> None:
        case = few_cases[0]
        assert codes_of(case, [case.truth[0]] * len(case.truth)) == {"equals-reference", "single-frame"}

    def test_a_pause_of_the_truth_does_not_hide_an_expansion(self, few_cases: list[Case]) -> None:
        """Repeats are no fault where the truth pauses, but four frames for each of the truth are told by counting."""
        truth = [few_cases[0].truth[i] for i in (0, 1, 2, 3, 4, 4, 4, 4, 4, 4, 5, 6, 7, 8, 9, 10)]
        clip = Clip("paused", Memory(truth, 25), len(truth), 25)
        case = Case(clip, truth, few_cases[0].masks)
        video = [np.flipud(frame).copy() for frame in good(case, np.random.default_rng(SEED)) for _ in range(4)]
        assert {"frame-count", "flip", "frame-expansion"} <= codes_of(case, video)

    def test_the_cost_is_the_difference_that_undoing_makes(self, few_cases: list[Case]) -> None:
        """The truth with one fault: without it nothing is left."""
        case = few_cases[0]
        (found,) = (
            f for f in findings_of(case, [frame[..., ::-1].copy() for frame in case.truth]) if f.grade == "error"
        )
        assert found.code == "channel-swap"
        assert "; with it PSNR " in found.evidence
        assert found.evidence.endswith("without 100.00 dB, 1.000, 0.0000")


@pytest.mark.slow
class TestMany:
    def test_detection(
        self, many_cases: list[Case], tmp_path: Path, record_property: Callable[[str, object], None]
    ) -> None:
        """Every fault at three strengths in four clips, one of them without any imperfection beside the fault."""
        chosen = many_cases[::6]
        videos = [
            list(chosen[0].truth),
            *(good(case, np.random.default_rng(SEED + k)) for k, case in enumerate(chosen[1:])),
        ]
        found, wanted, missed = Counter[str](), Counter[str](), []
        for fault in faults(tmp_path):
            for case, video in zip(chosen, videos, strict=True):
                kind = fault.name.rpartition(" ")[0]
                wanted[kind] += 1
                if codes_of(case, fault.change(video)) & fault.codes:
                    found[kind] += 1
                else:
                    missed.append((fault.name, case.clip.name))
        record_property("detected", f"{found.total()} of {wanted.total()}")
        assert found.total() >= 0.95 * wanted.total(), missed
        assert all(found[kind] for kind in wanted), missed

    def test_detection_of_combinations(
        self, many_cases: list[Case], tmp_path: Path, record_property: Callable[[str, object], None]
    ) -> None:
        """Two or three faults at once: each of them is found."""
        found, missed, wanted = 0, [], 0
        for (names, change, codes), case in zip(combinations(tmp_path), itertools.cycle(many_cases[1::4])):
            seen = codes_of(case, change(good(case, np.random.default_rng(SEED))))
            for name, expected in zip(names, codes, strict=True):
                wanted += 1
                found += bool(seen & expected)
                if not seen & expected:
                    missed.append((name, names, case.clip.name, sorted(seen)))
        record_property("detected", f"{found} of {wanted}")
        assert found >= 0.95 * wanted, missed

    def test_false_alarms(self, many_cases: list[Case], record_property: Callable[[str, object], None]) -> None:
        """200 predictions, each with one to three imperfections."""
        alarms: list[tuple[int, str, str, str]] = []
        for index in range(200):
            case = many_cases[index % len(many_cases)]
            name, video = honest(case, np.random.default_rng((SEED, index)))
            alarms += [(index, name, item.grade, item.evidence) for item in findings_of(case, video)]
        warned = {index for index, _, grade, _ in alarms if grade == "warning"}
        record_property("errors", sum(grade == "error" for _, _, grade, _ in alarms))
        record_property("warnings", len(warned))
        assert [alarm for alarm in alarms if alarm[2] == "error"] == []
        assert len(warned) <= 2, alarms


def test_every_fault_case_has_three_strengths() -> None:
    kinds = Counter(name.rpartition(" ")[0] for name in FAULT_NAMES)
    assert set(kinds.values()) == {3}
    assert len(kinds) == 22
    assert isinstance(faults(Path())[0], FaultCase)

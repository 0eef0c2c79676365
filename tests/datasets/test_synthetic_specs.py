"""The lists of clips: counts, names, seeds that never meet."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from mcbench.datasets.synthetic import clip_specs, synthetic_names, synthetic_shape, training_clips
from mcbench.datasets.synthetic.specs import BENCHMARK_SPACE, MINI_SPACE, TRAINING_SPACE
from mcbench.errors import UsageError


def test_sets_are_as_large_as_the_bench_they_stand_in_for() -> None:
    assert synthetic_names() == ("synthetic", "synthetic-mini", "synthetic-misaligned")
    assert synthetic_shape("synthetic") == (20, 3917)
    assert synthetic_shape("synthetic-misaligned") == (20, 3917)
    assert synthetic_shape("synthetic-mini") == (4, 96)
    specs = clip_specs("synthetic")
    assert {spec.characters for spec in specs} == {2, 3, 4, 5}
    assert all(150 <= spec.frames <= 260 for spec in specs)
    assert sum(spec.frames - 15 for spec in specs) == 3617  # windows of 16 at stride 1
    assert not any(spec.shaken for name in synthetic_names() for spec in clip_specs(name))


def test_names_are_unique_and_safe() -> None:
    for name in synthetic_names():
        names = [spec.name for spec in clip_specs(name)]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in names)


def test_misaligned_has_the_clips_of_synthetic() -> None:
    for plain, other in zip(clip_specs("synthetic"), clip_specs("synthetic-misaligned"), strict=True):
        assert (plain.seed, plain.frames, plain.opening) == (other.seed, other.frames, other.opening)


def test_seeds_of_training_and_benchmark_never_meet() -> None:
    benchmark = {spec.seed for spec in clip_specs("synthetic")}
    mini = {spec.seed for spec in clip_specs("synthetic-mini")}
    first, second = ({spec.seed for spec in training_clips(seed, 200)} for seed in (0, 1))
    assert len(first) == len(second) == 200
    assert len(benchmark) == 20
    assert len(mini) == 4
    for a, b in itertools.combinations((benchmark, mini, first, second), 2):
        assert not a & b
    # By construction: the last training seed of the last stream still lies in its own space.
    last = next(training_clips((1 << 32) - 1, 1)).seed
    assert BENCHMARK_SPACE <= max(benchmark) < MINI_SPACE <= max(mini) < TRAINING_SPACE <= min(first)
    assert last + 8 * (1 << 28) < TRAINING_SPACE + (1 << 64)


def test_training_stream_is_endless_and_repeats_itself() -> None:
    assert list(itertools.islice(training_clips(5), 7)) == list(training_clips(5, 7))
    spec = next(training_clips(5, frames=9, size=128))
    assert (spec.frames, spec.size, spec.shaken) == (9, 128, True)
    assert {spec.characters for spec in training_clips(5, 60)} == {2, 3, 4, 5}
    assert [spec.shaken for spec in training_clips(5, 5)] == [True, False, True, False, True]
    assert all(spec.shaken for spec in training_clips(5, 5, cameras="shaken"))
    assert not any(spec.shaken for spec in training_clips(5, 5, cameras="still"))
    mixed, shaken = list(training_clips(5, 5)), list(training_clips(5, 5, cameras="shaken"))
    assert mixed[::2] == shaken[::2]
    assert replace(mixed[1], shaken=True) == shaken[1]


@pytest.mark.parametrize(
    "arguments", [{"seed": -1}, {"seed": 1 << 32}, {"seed": 0, "frames": 0}, {"seed": 0, "size": 8}]
)
def test_training_arguments_are_checked(arguments: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="give"):
        next(training_clips(**arguments))


def test_unknown_set_is_named() -> None:
    with pytest.raises(UsageError, match="'synthetik'; there are synthetic, "):
        synthetic_shape("synthetik")

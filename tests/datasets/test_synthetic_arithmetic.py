"""The bit-exact arithmetic against the standard library, and that nothing else is used where pixels are made."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import numpy as np
import pytest

import mcbench.datasets.synthetic
from mcbench.datasets.synthetic.arithmetic import (
    Random,
    cosine,
    cross,
    dot,
    ease,
    hash01,
    length,
    sine,
    turns_of,
    unit,
)

PACKAGE = Path(mcbench.datasets.synthetic.__file__).parent


def test_sine_and_cosine_are_those_of_the_standard_library() -> None:
    turns = np.linspace(-3.1, 3.1, 2000)
    np.testing.assert_allclose(sine(turns), [math.sin(2 * math.pi * t) for t in turns], atol=1e-10)
    np.testing.assert_allclose(cosine(turns), [math.cos(2 * math.pi * t) for t in turns], atol=1e-10)


def test_turns_of_is_the_angle_from_the_camera() -> None:
    angles = np.linspace(-math.pi + 0.001, math.pi - 0.001, 721)
    x, z = 3.0 * np.sin(angles), 3.0 * np.cos(angles)
    np.testing.assert_allclose(turns_of(x, z), angles / (2 * math.pi), atol=1e-9)
    assert abs(turns_of(0.0, -1.0)) == pytest.approx(0.5)


def test_ease_is_flat_at_both_ends() -> None:
    assert ease(-1.0) == 0
    assert ease(0.0) == 0
    assert ease(1.0) == 1
    assert ease(2.0) == 1
    assert ease(0.5) == 0.5
    assert ease(1e-3) < 1e-7
    assert 1 - ease(1 - 1e-3) < 1e-7


def test_vectors_against_numpy() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(5, 3)), random.normal(size=(5, 3))
    np.testing.assert_allclose(cross(a, b), np.cross(a, b), atol=1e-12)
    np.testing.assert_allclose(dot(a, b)[:, 0], (a * b).sum(1), atol=1e-12)
    np.testing.assert_allclose(length(unit(a)), 1, atol=1e-12)


def test_random_numbers_are_the_raw_stream_of_pcg64() -> None:
    raw = np.random.PCG64(7).random_raw(2)
    random = Random(7)
    assert random.uniform() == (int(raw[0]) >> 11) / 2**53
    assert random.below(10) == (int(raw[1]) >> 11) % 10
    # As NumPy 2.4.6 gives it; another number here would change every clip.
    assert int(raw[0]) == 11530976094092348043


def test_random_choices_cover_their_range() -> None:
    random = Random(1)
    assert {random.below(5) for _ in range(100)} == set(range(5))
    assert sorted(random.shuffled(range(9))) == list(range(9))
    assert all(2 <= random.uniform(2, 3) < 3 for _ in range(100))


def test_hash_is_even_and_depends_on_everything() -> None:
    x, y = np.meshgrid(np.arange(-50, 50), np.arange(-50, 50))
    values = hash01(x, y, 3)
    assert values.min() >= 0
    assert values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    assert not np.array_equal(values, hash01(x, y, 4))
    assert abs(np.corrcoef(values[:, :-1].ravel(), values[:, 1:].ravel())[0, 1]) < 0.05


def test_only_exact_operations_make_pixels() -> None:
    """Functions whose last bit depends on the machine, the library or the Python version appear nowhere."""
    forbidden = {
        "sin", "cos", "tan", "exp", "log", "power", "pow", "arctan2", "hypot", "matmul", "einsum", "tensordot", "inner",
        "mean", "average", "std", "var", "cumsum", "interp", "convolve", "linalg", "math", "default_rng",
    }  # fmt: skip
    for file in sorted(PACKAGE.glob("*.py")):
        if file.name == "dataset.py":  # Encodes finished pixels, losslessly.
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            where = f"{file.name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Attribute):
                assert node.attr not in forbidden, f"{node.attr} at {where}"
            elif isinstance(node, ast.BinOp):
                assert not isinstance(node.op, (ast.Pow, ast.MatMult)), where
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                assert not {"math", "cv2", "scipy", "PIL", "random"} & set(names), where
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "sum" or file.name == "specs.py", where

"""A few frames of the synthetic clips, drawn once."""

from __future__ import annotations

import cv2
import pytest
from doctor_cases import Case, cases_of

from mcbench.datasets.synthetic import load_synthetic


@pytest.fixture(autouse=True, scope="session")
def _one_opencv_thread() -> None:
    cv2.setNumThreads(1)


@pytest.fixture(scope="session")
def few_cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """Two cases of 16 frames."""
    return cases_of(load_synthetic("synthetic-mini", tmp_path_factory.mktemp("few"), clips=2, frames=16), 16)


@pytest.fixture(scope="session")
def many_cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """Twenty cases of 24 frames, from ten clips."""
    return cases_of(load_synthetic("synthetic", tmp_path_factory.mktemp("many"), clips=10, frames=48), 24)

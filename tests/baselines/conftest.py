"""What the tests of external methods share."""

from __future__ import annotations

from pathlib import Path

import pytest
from external_samples import STRENGTH, make_checkout, section_of, write_methods


@pytest.fixture(autouse=True)
def methods_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TOML file of the test's own."""
    file = tmp_path / "settings" / "methods.toml"
    monkeypatch.setenv("MCBENCH_METHODS", str(file))
    return file


@pytest.fixture
def many_clips(tmp_path: Path, methods_toml: Path) -> Path:
    """The configured checkout of `ManyClips`."""
    checkout = make_checkout(tmp_path / "checkout", "many_clips.py", "many_clips.py")
    weights = tmp_path / "weights" / "model.pth"
    weights.parent.mkdir()
    weights.write_bytes(STRENGTH)
    write_methods(methods_toml, many_clips=section_of(checkout, weights))
    return checkout

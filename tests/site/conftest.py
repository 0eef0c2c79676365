"""A browser for the tests of pages."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "report"))

from devtools import Browser, find_browser


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """Chromium; where there is none, a developer's test is skipped and the project's own fails."""
    program = find_browser()
    if program is None:
        assert not os.environ.get("CI"), "no Chromium; install it, or set CHROMIUM to it"
        pytest.skip("no Chromium; install it, or set CHROMIUM to it")
    opened = Browser(program, tmp_path / "browser")
    yield opened
    opened.close()

"""Freed memory stays with the process, so that a second pass over it faults in no new pages, until it is given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy
from mcbench.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(3):
    numpy.ones(64 << 20, numpy.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    numpy.ones(64 << 20, numpy.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    run = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_memory_is_kept() -> None:
    assert faults("keep") < faults("plain") / 10


GIVING_BACK = """
import numpy, resource
from mcbench.allocator import give_back_freed_memory, keep_freed_memory
from pathlib import Path
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
keep_freed_memory()
kept = [numpy.ones(8 << 20, numpy.uint8) for _ in range(32)]
wall = numpy.ones(8 << 20, numpy.uint8)
del kept
before = resident()
give_back_freed_memory()
print(before - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc_trim is glibc's")
def test_memory_is_given_back_when_asked_for() -> None:
    run = subprocess.run([sys.executable, "-c", GIVING_BACK], capture_output=True, text=True, check=True)
    assert int(run.stdout) > 200 << 20

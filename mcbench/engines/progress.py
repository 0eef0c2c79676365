"""How far all workers are, from what each of them tells in a file of its own."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["Progress"]


class Progress:
    """What the workers tell, added up: of an item, what the furthest of them has done."""

    def __init__(self, folder: Path, report: Callable[[int, int, str], None] | None) -> None:
        self._folder, self._report = folder, report
        self._read: dict[str, int] = defaultdict(int)
        self._told: dict[tuple[str, str], int] = defaultdict(int)
        self._furthest: dict[str, int] = defaultdict(int)
        self._total, self._done = 0, 0

    def look(self) -> None:
        """Read what came since the last look, and report it."""
        item = ""
        for file in sorted(self._folder.glob("*.progress")):
            for message in self._new(file):
                if "total" in message:
                    self._total = self._total or message["total"]
                    continue
                item = message["item"]
                self._told[file.name, item] += message["amount"]
                further = self._told[file.name, item] - self._furthest[item]
                if further > 0:
                    self._furthest[item] += further
                    self._done += further
        if item and self._report is not None:
            self._report(min(self._done, self._total), self._total, item)

    def _new(self, file: Path) -> Iterator[dict[str, Any]]:
        with suppress(OSError), file.open("rb") as stream:
            stream.seek(self._read[file.name])
            whole = stream.read().rpartition(b"\n")
            self._read[file.name] += len(whole[0]) + len(whole[1])
            for line in whole[0].splitlines():
                with suppress(ValueError):  # a line that a full disk cut short
                    yield json.loads(line)

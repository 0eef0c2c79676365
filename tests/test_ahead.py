"""Work done ahead: in order, never too far, and gone when nobody waits for it any more."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from mcbench.ahead import Ahead
from mcbench.errors import ResultError, VideoError


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "mcbench-reader"]


class Items:
    """Numbers, told which was asked for last, and whether the iterator was closed by the thread that went through."""

    def __init__(self, fail_at: int = 10**9) -> None:
        self.asked = -1
        self.fail_at = fail_at
        self.closed_by = ""

    def __iter__(self) -> Iterator[int]:
        try:
            for number in itertools.count():
                self.asked = number
                if number == self.fail_at:
                    raise VideoError("frame 3 does not decode; write it again")
                yield number
        finally:
            self.closed_by = threading.current_thread().name


class TestAhead:
    def test_items_come_in_order_and_to_the_end(self) -> None:
        with Ahead(iter(range(50))) as items:
            assert list(items) == list(range(50))
        assert not readers()

    def test_never_more_than_two_items_ahead(self) -> None:
        source = Items()
        with Ahead(iter(source)) as items:
            for number in items:
                time.sleep(0.01)
                assert source.asked <= number + 2
                if number == 20:
                    break
        assert source.closed_by == "mcbench-reader"

    def test_an_error_comes_where_its_item_would_have(self) -> None:
        taken: list[int] = []
        with pytest.raises(VideoError, match="frame 3 does not decode"), Ahead(iter(Items(fail_at=3))) as items:
            taken.extend(items)
        assert not readers()
        with Ahead(iter(Items(fail_at=3))) as items:
            taken = list(itertools.islice(items, 3))
        assert taken == [0, 1, 2]
        assert not readers()

    @pytest.mark.parametrize("error", [KeyboardInterrupt, ResultError, SystemExit])
    @pytest.mark.parametrize("at", [0, 1, 5])
    def test_whatever_ends_the_body_ends_the_thread(self, error: type[BaseException], at: int) -> None:
        source = Items()

        def work() -> None:
            with Ahead(iter(source)) as items:
                for number in items:
                    if number == at:
                        raise error("enough")

        with pytest.raises(error, match="enough"):
            work()
        assert not readers()
        assert source.closed_by == "mcbench-reader"

    def test_the_bodys_threads_are_its_own(self) -> None:
        seen = []

        def items() -> Iterator[int]:
            seen.append(torch.get_num_threads())
            yield 1

        before = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            with Ahead(items()) as ahead:
                assert list(ahead) == [1]
                assert torch.get_num_threads() == 2
            later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
            later.start()
            later.join()
        finally:
            torch.set_num_threads(before)
        assert seen == [1, 2]

    def test_a_process_that_has_not_used_torch_yet_keeps_its_threads(self) -> None:
        """In a fresh process, as a run of the command line is: networks are loaded once the reader is at work."""
        code = (
            "import time, torch; from mcbench.ahead import Ahead\n"
            "with Ahead(iter(range(9))) as items:\n"
            "    next(items); time.sleep(0.2); print(torch.get_num_threads())\n"
            "print(torch.get_num_threads())"
        )
        environment = {**os.environ, "OMP_NUM_THREADS": "2"}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["2", "2"]

"""Work done ahead of whoever waits for it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Generic, TypeVar

import torch

__all__ = ["Ahead"]

Item = TypeVar("Item")


class Ahead(Generic[Item]):
    """Goes through an iterator in a thread of its own, two items ahead of whoever takes them at most.

    As a context manager it gives an iterator over the same items. What the thread runs into is raised where its item
    would have come. When the body is left, for whatever reason, the thread ends with the item that it is at, and the
    iterator is closed.
    """

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._ready: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(maxsize=1)
        self._left = threading.Event()
        # A second interruption, while the first one waits for the thread, must not be held up at exit.
        self._thread = threading.Thread(target=self._run, name="mcbench-reader", daemon=True)

    def __enter__(self) -> Iterator[Item]:
        # Asked before the thread sets its own number: torch gives the number that was set last to whoever asks for the
        # first time, and the networks would be left with one thread.
        self._threads = torch.get_num_threads()
        self._thread.start()
        return self._take()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._left.set()
        with suppress(queue.Empty):
            self._ready.get_nowait()  # the thread may be waiting for room; after this it looks before it puts
        self._thread.join()
        # The thread's own number of threads has become that of threads to come.
        torch.set_num_threads(self._threads)

    def _take(self) -> Iterator[Item]:
        while (ready := self._ready.get()) is not None:
            if isinstance(ready, BaseException):
                raise ready
            yield ready[0]

    def _run(self) -> None:
        # More would stand in the way of the networks' own, and be waited for by them.
        torch.set_num_threads(1)
        try:
            for item in self._items:
                if self._left.is_set():
                    break
                self._ready.put((item,))
                del item  # not to be held while the next one is made
                if self._left.is_set():
                    break
            else:
                self._ready.put(None)
        except BaseException as error:
            if not self._left.is_set():
                self._ready.put(error)
        finally:
            getattr(self._items, "close", lambda: None)()

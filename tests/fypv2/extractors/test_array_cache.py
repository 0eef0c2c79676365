"""Entries of the cache of inputs: whole or not at all, and never believed when they were touched."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fypv2.extractors.cache import ArrayCache, content_key

KEY = content_key("clip", 1)
ARRAYS = [np.arange(6, dtype=np.uint8).reshape(2, 3), np.linspace(0, 1, 4, dtype=np.float32), np.zeros((0, 2))]


class Maker:
    """Counts how often the arrays are made."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Iterator[np.ndarray]:
        self.calls += 1
        yield from ARRAYS


def same(found: list[np.ndarray]) -> bool:
    return len(found) == len(ARRAYS) and all(
        np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(found, ARRAYS, strict=True)
    )


def test_they_are_made_once_and_come_back_bit_for_bit(tmp_path: Path) -> None:
    make, cache = Maker(), ArrayCache(tmp_path)
    assert same(list(cache.kept(KEY, make)))
    assert same(list(cache.kept(KEY, make)))
    assert make.calls == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [cache.path(KEY)]


def test_the_default_folder_is_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCBENCH_HOME", str(tmp_path))
    assert ArrayCache().path(KEY).parent.parent == tmp_path / "cache" / "inputs"


def test_arrays_are_handed_on_as_they_come(tmp_path: Path) -> None:
    made = []

    def make() -> Iterator[np.ndarray]:
        for index in range(3):
            made.append(index)
            yield np.array(index)

    arrays = ArrayCache(tmp_path).kept(KEY, make)
    next(arrays)
    assert made == [0]


def test_nothing_is_kept_of_what_was_broken_off(tmp_path: Path) -> None:
    arrays = ArrayCache(tmp_path).kept(KEY, Maker())
    next(arrays)
    arrays.close()  # type: ignore[attr-defined]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]

    def failing() -> Iterator[np.ndarray]:
        yield ARRAYS[0]
        raise RuntimeError("network")

    with pytest.raises(RuntimeError, match="network"):
        list(ArrayCache(tmp_path).kept(KEY, failing))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def torn(content: bytes) -> bytes:
    return content[: len(content) // 2]


def turned(content: bytes) -> bytes:
    """One bit in the middle of the first member's data."""
    place = content.index(b"NUMPY") if b"NUMPY" in content else 60
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def exchanged(content: bytes) -> bytes:
    """A member with other numbers and a right checksum, under the old seal."""
    return rewritten(content, {"000000.npy": saved(np.zeros((2, 3), np.uint8))})


def pickled(content: bytes) -> bytes:
    """A member that would run code if it were unpickled, under a seal of its own."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        seal = json.loads(archive.read("seal.json"))
    stream = io.BytesIO()
    np.save(stream, np.array([Trap()], dtype=object), allow_pickle=True)
    seal["members"]["000000.npy"] = hashlib.sha256(stream.getvalue()).hexdigest()
    return rewritten(content, {"000000.npy": stream.getvalue(), "seal.json": json.dumps(seal).encode()})


def extra(content: bytes) -> bytes:
    return rewritten(content, {"more.npy": saved(np.zeros(1))})


def no_zip(content: bytes) -> bytes:
    return b"not a zip" * 9


def empty(content: bytes) -> bytes:
    return b""


class Trap:
    """Fails the test when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.mkdir, ("trapped",))


def saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def rewritten(content: bytes, members: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        everything = {name: archive.read(name) for name in archive.namelist()} | members
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in everything.items():
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.mark.parametrize(
    "harm", [torn, turned, exchanged, pickled, extra, no_zip, empty], ids=lambda harm: harm.__name__
)
def test_an_entry_that_was_touched_is_made_again(harm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    make, cache = Maker(), ArrayCache(tmp_path / "cache")
    list(cache.kept(KEY, make))
    path = cache.path(KEY)
    path.write_bytes(harm(path.read_bytes()))
    assert same(list(cache.kept(KEY, make)))
    assert make.calls == 2
    assert same(list(cache.kept(KEY, make)))
    assert make.calls == 2
    assert not (tmp_path / "trapped").exists()


def test_an_entry_under_another_key_is_not_believed(tmp_path: Path) -> None:
    make, cache = Maker(), ArrayCache(tmp_path)
    list(cache.kept(KEY, make))
    other = content_key("clip", 2)
    cache.path(other).parent.mkdir(parents=True, exist_ok=True)
    cache.path(KEY).rename(cache.path(other))
    list(cache.kept(other, make))
    assert make.calls == 2


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, cache = Maker(), ArrayCache(tmp_path)
    list(cache.kept(KEY, make))
    monkeypatch.setattr("fypv2.extractors.cache._LARGEST", 8)
    assert same(list(cache.kept(KEY, make)))
    assert make.calls == 2


def test_a_cache_that_cannot_be_written_to_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    make = Maker()
    cache = ArrayCache(tmp_path / "cache")
    assert same(list(cache.kept(KEY, make)))
    assert same(list(cache.kept(KEY, make)))
    assert make.calls == 2


def test_a_full_disk_in_the_middle_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, left = zipfile.ZipFile.writestr, [1]

    def full(self: zipfile.ZipFile, *given: object) -> None:
        if not left:
            raise OSError(28, "No space left on device")
        left.pop()
        write(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    assert same(list(ArrayCache(tmp_path).kept(KEY, Maker())))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_a_killed_process_left_is_swept_away_in_time(tmp_path: Path) -> None:
    cache = ArrayCache(tmp_path)
    folder = cache.path(KEY).parent
    folder.mkdir(parents=True)
    old, young = folder / f".{KEY}.zip.old", folder / f".{KEY}.zip.young"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    list(cache.kept(KEY, Maker()))
    assert not old.exists()
    assert young.exists()


def test_keys_tell_contents_apart() -> None:
    assert content_key("a", 1) == content_key("a", 1)
    assert len({content_key("a", 1), content_key("a", 2), content_key("a1"), content_key(["a", 1])}) == 4
    assert content_key({"x": 1, "y": 2}) == content_key({"y": 2, "x": 1})

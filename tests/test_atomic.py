"""Files that are there whole or not at all, and know when they are not what was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from mcbench.atomic import read_tensors, write_tensors

ARRAYS = {
    "scores": np.arange(5.0),
    "valid": np.array([True, False]),
    "none": np.zeros((0, 2048), np.float32),
    "strided": np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_tensors(ARRAYS, {"about": "a test"}, tmp_path / "folder" / "x.safetensors")
    return tmp_path / "folder" / "x.safetensors"


def test_what_was_written_is_read(file: Path) -> None:
    known = read_tensors(file)
    assert known is not None
    arrays, metadata = known
    assert metadata == {"about": "a test"}
    assert arrays.keys() == ARRAYS.keys()
    for name, values in ARRAYS.items():
        assert arrays[name].dtype == values.dtype
        np.testing.assert_array_equal(arrays[name], values)
    assert [entry.name for entry in file.parent.iterdir()] == ["x.safetensors"]


def test_every_damaged_byte_is_noticed(file: Path) -> None:
    """Most of them are, to safetensors, other numbers or other metadata."""
    whole = file.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x01
        file.write_bytes(damaged)
        known = read_tensors(file)
        # JSON has white space and escapes that may change without a change of what is said.
        assert known is None or (known[1] == {"about": "a test"} and known[0].keys() == ARRAYS.keys()), place
        if known is not None:
            for name, values in ARRAYS.items():
                np.testing.assert_array_equal(known[0][name], values)


def test_zeros_of_a_power_failure_and_torn_ends(file: Path) -> None:
    whole = file.read_bytes()
    for spoiled in (b"", whole[:-1], whole[: len(whole) // 2], whole[:-40] + bytes(40), bytes(len(whole))):
        file.write_bytes(spoiled)
        assert read_tensors(file) is None


def test_files_without_the_digest_are_not_taken(file: Path) -> None:
    safetensors.numpy.save_file({"scores": np.zeros(2)}, file, metadata={"about": "a test"})
    assert read_tensors(file) is None
    assert read_tensors(file.parent) is None
    assert read_tensors(file.parent / "none") is None


def test_the_same_arrays_are_the_same_bytes(tmp_path: Path) -> None:
    for index in range(8):
        write_tensors(ARRAYS, {"about": "a test", "more": "of it", "and": "more"}, tmp_path / f"{index}.safetensors")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1

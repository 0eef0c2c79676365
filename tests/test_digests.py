"""Digests of files and folders: of their bytes and names, whatever order or place they lie in."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mcbench import files_of, files_sha256


def test_a_file_has_the_digest_that_sha256sum_prints(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, B.1.
    assert files_sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_folder_has_one_of_names_and_bytes(tmp_path: Path) -> None:
    for folder, order in (("one", "ab"), ("two", "ba")):
        for name in order:
            (tmp_path / folder / "part").mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / "part" / name).write_bytes(name.encode() * 3)
    expected = hashlib.sha256(b"part/a\0aaapart/b\0bbb").hexdigest()
    assert files_sha256(tmp_path / "one") == files_sha256(tmp_path / "two") == expected
    assert files_of(tmp_path / "one") == [tmp_path / "one/part/a", tmp_path / "one/part/b"]
    (tmp_path / "two/part/b").rename(tmp_path / "two/part/c")
    assert files_sha256(tmp_path / "two") != expected


def test_what_is_not_there_is_no_digest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files_sha256(tmp_path / "none")

"""Archives from strangers: all of it inside the folder, or one line and nothing."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from mcbench.download.faults import DownloadError
from mcbench.download.unpack import Limits, archive_kind, unpack

NOISE = np.random.default_rng(3).bytes(5_000)
FILES = {"set/a/00000.png": NOISE, "set/a/00001.png": NOISE[::-1], "set/b.mp4": NOISE[:100], "set/empty": b""}


def make_tar(path: Path, entries: Iterable[tuple[str, bytes] | tarfile.TarInfo], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as file:  # type: ignore[call-overload]
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                file.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                file.addfile(info, io.BytesIO(entry[1]))
    return path


def make_zip(path: Path, entries: Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries:
            if isinstance(name, zipfile.ZipInfo):
                name.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(name, data)
    return path


def special(name: str, kind: bytes, to: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def zip_special(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (mode | 0o777) << 16
    return info


MAKERS: dict[str, Callable[[Path, Iterable[tuple[str, bytes]]], Path]] = {
    "zip": make_zip,
    "tar": make_tar,
    "tar.gz": lambda path, entries: make_tar(path, entries, "w:gz"),
    "tar.bz2": lambda path, entries: make_tar(path, entries, "w:bz2"),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder; whatever lies in it later came out of an archive."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def refused(archive: Path, place: Path, **limits: int) -> str:
    before = sorted(place.parent.rglob("*"))
    with pytest.raises(DownloadError) as error:
        unpack(archive, place / "out", limits=Limits(**limits) if limits else None)
    message = str(error.value)
    assert "\n" not in message
    assert str(archive) in message
    assert sorted(place.parent.rglob("*")) == before, "something was left behind"
    return message


@pytest.mark.parametrize("kind", MAKERS)
class TestAnyKind:
    def test_everything_comes_out(self, tmp_path: Path, place: Path, kind: str) -> None:
        archive = MAKERS[kind](tmp_path / "archive", FILES.items())
        assert archive_kind(archive) == kind
        seen: list[tuple[int, int]] = []
        unpack(archive, place / "out", on_bytes=lambda *state: seen.append(state))
        found = {file.relative_to(place / "out").as_posix(): file for file in (place / "out").rglob("*")}
        assert {name: file.read_bytes() for name, file in found.items() if file.is_file()} == FILES
        assert [entry.name for entry in place.iterdir()] == ["out"]
        assert seen
        assert all(0 <= done <= total == archive.stat().st_size for done, total in seen)

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("../outside", "leads out of the folder"),
            ("a/../../outside", "leads out of the folder"),
            ("a\\..\\..\\outside", "leads out of the folder"),
            ("/outside", "has an absolute path"),
            ("\\outside", "has an absolute path"),
            ("//server/share", "has an absolute path"),
            ("C:\\outside", "has an absolute path"),
            ("c:outside", "has an absolute path"),
            ("a/b:stream", "not every file system can hold"),
            ("a/" * 40 + "b", "not every file system can hold"),
            ("a" * 250, "not every file system can hold"),
            ("a\nb", "a name that is not text"),
            ("a\x1b[31mb", "a name that is not text"),
            (".", "has no name"),
        ],
    )
    def test_names_that_lead_elsewhere(self, tmp_path: Path, place: Path, kind: str, name: str, words: str) -> None:
        archive = MAKERS[kind](tmp_path / "archive", [("good", b"1"), (name, b"2")])
        message = refused(archive, place)
        assert words in message
        assert "unpack it yourself and give the folder" in message

    @pytest.mark.parametrize(
        ("names", "words"),
        [
            (["a/Frame.png", "a/frame.png"], "differs from another only in case"),
            (["A/1.png", "a/2.png"], "differ only in case"),
            (["é.png", "é.png"], "differs from another only in case"),
            (["a", "a"], "is in it twice"),
            (["a", "a/b"], "both a file and a folder"),
            (["a/b", "a"], "both a file and a folder"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_names_that_are_one_file(
        self, tmp_path: Path, place: Path, kind: str, names: list[str], words: str
    ) -> None:
        assert words in refused(MAKERS[kind](tmp_path / "archive", [(name, b"1") for name in names]), place)

    def test_too_many_entries(self, tmp_path: Path, place: Path, kind: str) -> None:
        archive = MAKERS[kind](tmp_path / "archive", [(f"{index}.png", b"") for index in range(50)])
        assert "holds more than 49 entries" in refused(archive, place, entries=49)

    def test_a_bomb(self, tmp_path: Path, place: Path, kind: str) -> None:
        archive = MAKERS[kind](tmp_path / "archive", [("bomb", bytes(20_000_000))])
        if kind == "tar":  # which does not compress: only the bound on the size can be met
            assert "unpacks to more than" in refused(archive, place, size=19_999_999)
            return
        assert archive.stat().st_size < 20_000
        assert "unpacks to more than 200 times its" in refused(archive, place)

    def test_a_bomb_of_many_files(self, tmp_path: Path, place: Path, kind: str) -> None:
        entries = [(f"{index}", bytes(3_000)) for index in range(100)]
        archive = MAKERS[kind](tmp_path / "archive", entries)
        assert "unpacks to more than" in refused(archive, place, size=299_999)

    def test_torn_at_any_byte(self, tmp_path: Path, place: Path, kind: str) -> None:
        whole = MAKERS[kind](tmp_path / "whole", FILES.items()).read_bytes()
        # A tar is padded with blocks of zeros, of which the first is the mark of its end.
        end = -(-len(whole.rstrip(b"\0")) // 512) * 512 + 512 if kind == "tar" else len(whole)
        archive = tmp_path / "archive"
        for cut in np.linspace(600, end - 1, 25, dtype=int):
            archive.write_bytes(whole[:cut])
            refused(archive, place)

    def test_broken_bytes_never_get_through_unnoticed(self, tmp_path: Path, place: Path, kind: str) -> None:
        if kind == "tar":
            whole = bytearray(MAKERS[kind](tmp_path / "whole", FILES.items()).read_bytes())
            whole[100] ^= 0xFF  # in a header: those have a checksum, the content of a plain tar has none
        else:
            whole = bytearray(MAKERS[kind](tmp_path / "whole", FILES.items()).read_bytes())
            whole[len(whole) // 3] ^= 0xFF
        (tmp_path / "archive").write_bytes(whole)
        refused(tmp_path / "archive", place)

    def test_bytes_changed_at_random(self, tmp_path: Path, place: Path, kind: str) -> None:
        """Whatever a parser trips over is one line, and whatever comes out is inside the folder."""
        whole = MAKERS[kind](tmp_path / "whole", FILES.items()).read_bytes()
        random = np.random.default_rng(11)
        faults = 0
        for number in range(40):
            data = np.frombuffer(whole, np.uint8).copy()
            data[random.integers(0, len(data), 1 + number % 20)] = random.integers(0, 256)
            (tmp_path / "archive").write_bytes(data.tobytes())
            try:
                unpack(tmp_path / "archive", place / f"{number}")
            except DownloadError:
                faults += 1
        assert faults > 0
        assert faults + len(list(place.iterdir())) == 40
        assert sorted(entry.name for entry in tmp_path.iterdir()) == ["archive", "place", "whole"]

    def test_nothing_in_it(self, tmp_path: Path, place: Path, kind: str) -> None:
        message = refused(MAKERS[kind](tmp_path / "archive", []), place)
        assert "holds no file" in message or "not an archive" in message

    def test_what_a_macintosh_adds_is_left_out(self, tmp_path: Path, place: Path, kind: str) -> None:
        entries = [("a.mp4", b"1"), ("__MACOSX/._a.mp4", b"2"), (".DS_Store", b"3"), ("b/._c.mp4", b"4")]
        unpack(MAKERS[kind](tmp_path / "archive", entries), place / "out")
        assert [file.name for file in (place / "out").rglob("*") if file.is_file()] == ["a.mp4"]

    def test_a_folder_that_is_there_is_left_alone(self, tmp_path: Path, place: Path, kind: str) -> None:
        archive = MAKERS[kind](tmp_path / "archive", FILES.items())
        (place / "out").mkdir()
        with pytest.raises(DownloadError, match="already there"):
            unpack(archive, place / "out")
        assert list((place / "out").iterdir()) == []

    def test_no_room(self, tmp_path: Path, place: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        archive = MAKERS[kind](tmp_path / "archive", FILES.items())
        monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 4_000}))
        with pytest.raises(DownloadError, match="are needed and 4 kB are free"):
            unpack(archive, place / "out")
        assert list(place.iterdir()) == []

    def test_the_disk_fills_up(self, tmp_path: Path, place: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        archive = MAKERS[kind](tmp_path / "archive", FILES.items())
        real = Path.open

        def full(self: Path, mode: str = "r", **options: object) -> object:
            if mode == "xb" and self.name == "b.mp4":
                raise OSError(errno.ENOSPC, "No space left on device")
            return real(self, mode, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(Path, "open", full)
        with pytest.raises(DownloadError, match="the disk is full"):
            unpack(archive, place / "out")
        assert list(place.iterdir()) == []


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_ten_thousand_entries(tmp_path: Path, place: Path, kind: str) -> None:
    # What is left out counts too.
    archive = MAKERS[kind](tmp_path / "archive", [(f"__MACOSX/{index}.png", b"") for index in range(10_000)])
    assert "holds more than 9999 entries" in refused(archive, place)


class TestTar:
    @pytest.mark.parametrize(
        ("entry", "words"),
        [
            (special("link", tarfile.SYMTYPE, "/etc/passwd"), "is a link"),
            (special("link", tarfile.SYMTYPE, "good"), "is a link"),
            (special("link", tarfile.LNKTYPE, "good"), "is a link"),
            (special("link", tarfile.LNKTYPE, "../../outside"), "is a link"),
            (special("null", tarfile.CHRTYPE), "is a device"),
            (special("disk", tarfile.BLKTYPE), "is a device"),
            (special("pipe", tarfile.FIFOTYPE), "is a device"),
            (special("hole", tarfile.GNUTYPE_SPARSE), "is a device or another special file"),
            (special("odd", b"Z"), "another special file"),
        ],
    )
    def test_links_and_devices(self, tmp_path: Path, place: Path, entry: tarfile.TarInfo, words: str) -> None:
        assert words in refused(make_tar(tmp_path / "a.tar", [("good", b"1"), entry]), place)

    def test_a_link_and_then_a_file_through_it(self, tmp_path: Path, place: Path) -> None:
        entries = [special("way", tarfile.SYMTYPE, str(tmp_path)), ("way/outside", b"1")]
        refused(make_tar(tmp_path / "a.tar", entries), place)
        assert not (tmp_path / "outside").exists()

    def test_rights_and_owners_are_not_taken_over(self, tmp_path: Path, place: Path) -> None:
        info = tarfile.TarInfo("program")
        info.mode, info.uid = 0o6777, 12345
        unpack(make_tar(tmp_path / "a.tar", [info]), place / "out")
        about = (place / "out" / "program").stat()
        assert about.st_mode & 0o6111 == 0
        assert about.st_uid == place.stat().st_uid

    def test_a_second_archive_behind_the_end(self, tmp_path: Path, place: Path) -> None:
        data = make_tar(tmp_path / "one.tar", [("a", b"1")]).read_bytes()
        (tmp_path / "two.tar").write_bytes(data + data)
        assert "goes on behind the mark of its end" in refused(tmp_path / "two.tar", place)

    def test_a_long_name_cannot_fill_memory(self, tmp_path: Path, place: Path) -> None:
        """A header that says: a name of 1 GB follows."""
        info = special("././@LongLink", tarfile.GNUTYPE_LONGNAME)
        info.size = 1 << 30
        header = info.tobuf(tarfile.GNU_FORMAT)
        with gzip.open(tmp_path / "a.tar.gz", "wb") as file:
            file.write(header + bytes(1 << 20))
        assert "has a header of" in refused(tmp_path / "a.tar.gz", place)

    def test_headers_that_wrap_one_another(self, tmp_path: Path, place: Path) -> None:
        pax = special("x", tarfile.XHDTYPE)
        record = b"10 a=bcde\n"
        pax.size = len(record)
        block = pax.tobuf(tarfile.PAX_FORMAT) + record.ljust(512, b"\0")
        (tmp_path / "a.tar").write_bytes(block * 5_000)
        refused(tmp_path / "a.tar", place)

    def test_a_size_below_zero(self, tmp_path: Path, place: Path) -> None:
        info = tarfile.TarInfo("a")
        info.size = -512
        (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
        refused(tmp_path / "a.tar", place)

    def test_an_entry_that_says_it_is_huge(self, tmp_path: Path, place: Path) -> None:
        info = tarfile.TarInfo("a")
        info.size = 1 << 50
        (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
        assert "unpacks to more than" in refused(tmp_path / "a.tar", place)


class TestZip:
    @pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
    def test_links_and_devices(self, tmp_path: Path, place: Path, mode: int) -> None:
        archive = make_zip(tmp_path / "a.zip", [("good", b"1"), (zip_special("link", mode), b"/etc/passwd")])
        assert "is a link or a device" in refused(archive, place)

    def test_encrypted(self, tmp_path: Path, place: Path) -> None:
        data = bytearray(make_zip(tmp_path / "plain.zip", [("a", NOISE)]).read_bytes())
        for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            data[data.index(magic) + offset] |= 1
        (tmp_path / "a.zip").write_bytes(data)
        assert "is encrypted" in refused(tmp_path / "a.zip", place)

    @pytest.mark.parametrize("said", [1, 4_999, 5_001, 1 << 20])
    def test_sizes_that_lie(self, tmp_path: Path, place: Path, said: int) -> None:
        data = bytearray(make_zip(tmp_path / "plain.zip", [("a", NOISE)]).read_bytes())
        for magic, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
            at = data.index(magic) + offset
            data[at : at + 4] = struct.pack("<I", said)
        (tmp_path / "a.zip").write_bytes(data)
        refused(tmp_path / "a.zip", place)

    def test_a_bomb_that_says_it_is_small(self, tmp_path: Path, place: Path) -> None:
        data = bytearray(make_zip(tmp_path / "plain.zip", [("a", bytes(50_000_000))]).read_bytes())
        for magic, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
            at = data.index(magic) + offset
            data[at : at + 4] = struct.pack("<I", 1000)
        (tmp_path / "a.zip").write_bytes(data)
        refused(tmp_path / "a.zip", place)

    def test_a_directory_that_cannot_be_held_in_memory(self, tmp_path: Path, place: Path) -> None:
        """100,000 entries, told apart by names of 60 letters: the directory alone is more than 4 MB."""
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
            file.writestr("a", b"")
        data = (tmp_path / "a.zip").read_bytes()
        start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
        entry = data[start:end]
        count = (5 << 20) // len(entry)
        tail = bytearray(data[end:])
        tail[8:16] = struct.pack("<HHI", 0xFFFE, 0xFFFE, count * len(entry))
        (tmp_path / "a.zip").write_bytes(data[:start] + entry * count + tail)
        assert "has a header of" in refused(tmp_path / "a.zip", place)

    def test_another_compression(self, tmp_path: Path, place: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as file:
            file.writestr("a", NOISE)
        assert "compressed in a way that is not read here" in refused(tmp_path / "a.zip", place)

    def test_a_name_with_a_zero_byte(self, tmp_path: Path, place: Path) -> None:
        archive = make_zip(tmp_path / "plain.zip", [("a.png_.sh", b"1")])
        (tmp_path / "a.zip").write_bytes(archive.read_bytes().replace(b"a.png_.sh", b"a.png\0.sh"))
        assert "a name that is not text" in refused(tmp_path / "a.zip", place)

    def test_two_names_for_one_entry(self, tmp_path: Path, place: Path) -> None:
        """The directory says one thing, the entry itself another."""
        data = make_zip(tmp_path / "plain.zip", [("good", b"1")]).read_bytes()
        (tmp_path / "a.zip").write_bytes(data.replace(b"good", b"../b", 1))
        refused(tmp_path / "a.zip", place)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "7z"),
        (b"Rar!\x1a\x07" + bytes(99), "rar"),
        (lzma.compress(b"a"), "xz"),
        (b"\x28\xb5\x2f\xfd" + bytes(99), "zstd"),
    ],
)
def test_archives_of_other_kinds_are_named(tmp_path: Path, place: Path, data: bytes, kind: str) -> None:
    (tmp_path / "archive").write_bytes(data)
    assert f"{kind} archives are not read here; unpack it yourself" in refused(tmp_path / "archive", place)


@pytest.mark.parametrize("data", [gzip.compress(NOISE), bz2.compress(NOISE), b"PK\x03\x04" + NOISE, b"", NOISE])
def test_what_is_no_archive(tmp_path: Path, place: Path, data: bytes) -> None:
    (tmp_path / "archive").write_bytes(data)
    refused(tmp_path / "archive", place)

"""Unpack an archive from a stranger: everything in it, inside one folder, or nothing at all.

What an archive may not hold: paths that lead out of the folder, links, devices, encrypted or sparse entries, names
that differ only in case, ten thousand entries, or more than 200 bytes for each of its own. Bytes are counted as they
come out; what headers say is not believed.
"""

from __future__ import annotations

import bz2
import gzip
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, cast

from mcbench.atomic import open_permissions
from mcbench.download.box import Box, Limits, Readable, WriteError
from mcbench.download.faults import DownloadError, cannot_write
from mcbench.download.fetch import check_space

__all__ = ["Limits", "archive_kind", "unpack"]

_CHUNK: Final = 1 << 20
_LARGEST_READ: Final = 1 << 22
"""Parsers read names and directories in one piece; a header that claims more than this is an attack on memory."""

_OTHER_ARCHIVES: Final = {b"7z\xbc\xaf": "7z", b"Rar!": "rar", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}

Progress = Callable[[int, int], None]


def archive_kind(path: Path) -> str | None:
    """`zip`, `tar`, `tar.gz`, `tar.bz2`, or None for a file that is no archive, told by its first bytes.

    Raises:
        DownloadError: for an archive of another kind, or a file that cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to read from a pipe would wait for ever
            raise DownloadError(f"{path}: neither a file nor a folder; give one")
        with path.open("rb") as stream:
            head = stream.read(512)
    except OSError as error:
        raise DownloadError(f"{path}: cannot be read ({error.strerror or error}); mend its rights") from error
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(b"\x1f\x8b"):
        return "tar.gz"
    if head.startswith(b"BZh"):
        return "tar.bz2"
    if head[257:262] == b"ustar":
        return "tar"
    for magic, name in _OTHER_ARCHIVES.items():
        if head.startswith(magic):
            raise DownloadError(f"{path}: {name} archives are not read here; unpack it yourself and give the folder")
    return None


def unpack(
    archive: Path,
    folder: Path,
    *,
    limits: Limits | None = None,
    on_bytes: Progress = lambda done, total: None,
) -> None:
    """Unpack a zip, tar, tar.gz or tar.bz2 into a new folder, which appears whole or not at all.

    Rights, owners and times of the entries are not taken over; what a Macintosh adds for itself is left out.

    Args:
        archive: the file.
        folder: must not be there yet.
        limits: how much may come out.
        on_bytes: called with the bytes of the archive that are done and the bytes it has.

    Raises:
        DownloadError: if the archive is torn, holds what it may not, or there is no room. Nothing is left behind.
    """
    kind = archive_kind(archive)
    if kind is None:
        raise DownloadError(f"{archive}: not an archive; give a zip, tar, tar.gz or tar.bz2, or a folder")
    if folder.exists():
        raise DownloadError(f"{folder}: is already there; move it away first")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        box = Box(archive, beside, limits or Limits())
        with archive.open("rb") as stream:
            (_unpack_zip if kind == "zip" else _unpack_tar)(stream, kind, box, on_bytes)
        if not any(beside.iterdir()):
            raise DownloadError(f"{archive}: the archive holds no file; give another one")
        open_permissions(beside)
        beside.rename(folder)
    except DownloadError:
        raise
    except WriteError as error:
        raise cannot_write(folder, error.cause) from error
    except Exception as error:
        # Whatever a parser trips over in a hostile file is the file's fault.
        reason = " ".join(ascii(str(error))[1:-1].split())[:120] or type(error).__name__
        raise DownloadError(f"{archive}: torn, or not what it seems ({reason}); fetch it again") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _unpack_zip(stream: IO[bytes], kind: str, box: Box, on_bytes: Progress) -> None:
    done = 0
    with zipfile.ZipFile(cast("IO[bytes]", _Guarded(stream, box))) as file:
        entries = file.infolist()
        box.count_entries(len(entries))
        expected = sum(entry.file_size for entry in entries)
        box.check_size(expected)
        check_space(box.folder, expected)
        for entry in entries:
            # `filename` ends at the first zero byte; the name as written must be fit to be seen.
            place = box.place(entry.orig_filename, is_folder=entry.is_dir())
            mode = stat.S_IFMT(entry.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise box.refuse(f"the entry {ascii(entry.filename)[:100]} is a link or a device")
            if entry.flag_bits & 0x2041:
                raise box.refuse(f"the entry {ascii(entry.filename)[:100]} is encrypted")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise box.refuse(
                    f"the entry {ascii(entry.filename)[:100]} is compressed in a way that is not read here"
                )
            if place is not None and entry.is_dir():
                box.make_folder(place)
            elif place is not None:
                with file.open(entry) as source:
                    box.write(place, entry.file_size, _Counted(source, box))
            done += entry.compress_size
            on_bytes(min(done, box.archive_size), box.archive_size)


def _unpack_tar(stream: IO[bytes], kind: str, box: Box, on_bytes: Progress) -> None:
    plain: Readable = stream
    if kind == "tar.gz":
        plain = gzip.GzipFile(fileobj=stream)
    elif kind == "tar.bz2":
        plain = bz2.BZ2File(stream)
    counted = _Counted(plain, box)
    # Not tarfile's own stream mode: that gathers a header of any length in memory.
    with tarfile.open(fileobj=cast("IO[bytes]", counted), mode="r:") as file:
        for entry in file:
            box.count_entries()
            shown = ascii(entry.name)[:100]
            if entry.issym() or entry.islnk():
                raise box.refuse(f"the entry {shown} is a link")
            if entry.issparse() or not (entry.isreg() or entry.isdir()):
                raise box.refuse(f"the entry {shown} is a device or another special file")
            place = box.place(entry.name, is_folder=entry.isdir())
            if place is not None and entry.isdir():
                box.make_folder(place)
            elif place is not None:
                source = file.extractfile(entry)
                assert source is not None
                box.write(place, entry.size, source)
            on_bytes(stream.tell(), box.archive_size)
    # tarfile takes a torn or broken header for the end; an archive that is whole ends in blocks of zeros.
    if counted.last != bytes(tarfile.BLOCKSIZE):
        raise DownloadError(f"{box.archive}: torn: it stops without the mark of its end; fetch it again")
    while block := counted.read(_CHUNK):
        if block.strip(b"\0"):
            raise box.refuse("goes on behind the mark of its end")


class _Guarded:
    """A file whose parser cannot be talked into reading a huge piece at once."""

    def __init__(self, stream: IO[bytes], box: Box) -> None:
        self._stream, self._box = stream, box
        self.seek, self.tell, self.seekable = stream.seek, stream.tell, stream.seekable

    def read(self, size: int = -1) -> bytes:
        if size > _LARGEST_READ:
            raise self._box.refuse(f"has a header of {size} bytes")
        data = self._stream.read(_LARGEST_READ + 1 if size < 0 else size)
        if len(data) > _LARGEST_READ:
            raise self._box.refuse(f"has a header of more than {_LARGEST_READ} bytes")
        return data


class _Counted:
    """What comes out of an archive, forward only, counted against its limits."""

    def __init__(self, source: Readable, box: Box) -> None:
        self._source, self._box, self._position = source, box, 0
        self.last = b""

    def read(self, size: int, /) -> bytes:
        if not 0 <= size <= _LARGEST_READ:
            raise self._box.refuse(f"has a header of {size} bytes")
        self.last = self._source.read(size)
        self._position += len(self.last)
        self._box.count_bytes(len(self.last))
        return self.last

    def seek(self, position: int) -> int:
        if position < self._position:
            raise self._box.refuse("has entries that overlap")
        while self._position < position and self.read(min(position - self._position, _CHUNK)):
            pass
        return self._position

    def tell(self) -> int:
        return self._position

"""The networks' weights: which files they are, where they lie, and whether they are what they should be.

Nothing here needs torch, so that the command line can answer questions about weights at once. A file is opened by a
loader only after its SHA-256 has been compared (`open_weights`); what the loader may do with it is in `state.py`.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

from mcbench.backbones.random_weights import RANDOM_SHA256
from mcbench.errors import UsageError, WeightsError
from mcbench.home import home_folder

__all__ = [
    "REGISTRY",
    "WeightsFile",
    "WeightsRecord",
    "WeightsStatus",
    "check_file",
    "home_folder",
    "open_weights",
    "record_of",
    "weights_folder",
    "weights_status",
]

PUBLISHED: Final = "published"
RANDOM: Final = "random@1"

_READ_BYTES = 1 << 22


@dataclass(frozen=True)
class WeightsFile:
    """A published weights file.

    Attributes:
        name: the backbone that it belongs to.
        file: name of the file as published.
        size: bytes, None where it is not known.
        sha256: full hash (64 hexadecimal digits), None where only the beginning is known.
        sha256_prefix: the beginning of the hash; equals the first digits of `sha256` where that is known.
        addresses: where it can be had, best first. The hash decides, not the address. An address may be a web page
            with the file on it, not the file.
    """

    name: str
    file: str
    size: int | None
    sha256: str | None
    sha256_prefix: str
    addresses: tuple[str, ...]


def _entry(name: str, file: str, size: int | None, sha256: str, *addresses: str) -> tuple[str, WeightsFile]:
    full = sha256 if len(sha256) == 64 else None
    return name, WeightsFile(name, file, size, full, sha256[:8], addresses)


REGISTRY: dict[str, WeightsFile] = dict(
    (
        _entry(
            "inception",
            "pt_inception-2015-12-05-6726825d.pth",
            95_628_359,
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        ),
        _entry(
            "vgg16",
            "vgg16-397923af.pth",
            553_433_881,
            "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
            "https://download.pytorch.org/models/vgg16-397923af.pth",
        ),
        _entry(
            "alexnet",
            "alexnet-owt-7be5be79.pth",
            None,
            "7be5be79",
            "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        ),
        _entry(
            "r3d50",
            "resnet-50-kinetics.pth",
            376_424_414,
            "69b6a070ed1004c3b28a1751d5bc60f7dfd24d145425db32719989544d6dafc9",
            "https://drive.google.com/drive/folders/1zvl89AgFAApbH0At-gMuZSeQB_LpNP-M",
        ),
        _entry(
            "i3d",
            "i3d_pretrained_400.pt",
            50_939_526,
            "55095f049e706479d48e221adcdb145b2b9dc930ba28b081ed72367ffaa32343",
            "https://raw.githubusercontent.com/JunyaoHu/common_metrics_on_video_quality/main/fvd/videogpt/i3d_pretrained_400.pt",
            "https://github.com/SongweiGe/TATS/raw/main/tats/fvd/i3d_pretrained_400.pt",
        ),
    )
)
"""The published files by backbone. Sizes and hashes: docs/weights.md."""


@dataclass(frozen=True)
class WeightsRecord:
    """Which weights a number was measured with; it stands in every result.

    Attributes:
        backbone: name of the network.
        kind: `published` if the file's hash is the registered one, `custom` for any other file, `random@1` for the
            weights that are drawn from the tensors' names.
        sha256: of the file; for `random@1` of the drawn tensors (sorted by key, each key and then its little-endian
            float32 bytes). The linear heads of LPIPS are the package's v0.1 in every case, `random@1` too, are pinned
            by hashes of their own (`mcbench.backbones.lpips.HEADS`), and are not part of this hash.
    """

    backbone: str
    kind: Literal["published", "random@1", "custom"]
    sha256: str


@dataclass(frozen=True)
class WeightsStatus:
    """What is known about a published file on this machine.

    Attributes:
        backbone: name of the network.
        path: where the file is, or should be.
        size: bytes on disk, None if the file is missing.
        sha256: its hash, None if the file is missing or not the registered one.
        problem: one line if there is a file and it cannot be used, else None.
        entry: the registered file.
    """

    backbone: str
    path: Path
    size: int | None
    sha256: str | None
    problem: str | None
    entry: WeightsFile

    @property
    def present(self) -> bool:
        """Whether there is a file of that name."""
        return self.size is not None

    @property
    def verified(self) -> bool:
        """Whether the file is the registered one."""
        return self.sha256 is not None


def weights_folder() -> Path:
    """`$MCBENCH_WEIGHTS`, else `weights` in the home folder."""
    if folder := os.environ.get("MCBENCH_WEIGHTS"):
        return Path(folder).expanduser()
    return home_folder() / "weights"


def weights_status() -> list[WeightsStatus]:
    """The state of every published file on this machine, in the registry's order.

    A file that has not changed since it was last hashed is not hashed again.
    """
    states = []
    for name, entry in REGISTRY.items():
        path = weights_folder() / entry.file
        size = sha256 = problem = None
        try:
            if _is_file(path):
                size = path.stat().st_size
                sha256 = check_file(entry, path)
        except WeightsError as error:
            problem = str(error)
        states.append(WeightsStatus(name, path, size, sha256, problem, entry))
    return states


def record_of(name: str, weights: str = PUBLISHED) -> WeightsRecord:
    """The identity of a backbone's weights without building the network.

    Args:
        name: a backbone of the registry.
        weights: `published`, `random@1`, or the path of a file.

    Raises:
        WeightsError: if the file is missing or not what it should be.
        UsageError: if there is no such backbone.
    """
    entry = _registered(name)
    if weights == RANDOM:
        return WeightsRecord(name, RANDOM, RANDOM_SHA256[name])
    path = _locate(entry, weights)
    if weights == PUBLISHED:
        return WeightsRecord(name, PUBLISHED, check_file(entry, path))
    with _open(path) as file:
        return _custom_record(entry, _sha256(file))


@contextmanager
def open_weights(name: str, weights: str) -> Iterator[tuple[BinaryIO, Path, WeightsRecord]]:
    """Open the file of a backbone's weights, hashed through the very handle that is then read.

    The notes beside the files are not trusted here: whoever loads a network reads the whole file anyway, and hashing
    costs less than that.

    Args:
        name: a backbone of the registry.
        weights: `published` or the path of a file.

    Raises:
        WeightsError: if the file is missing, cannot be read, or is not what it should be.
    """
    entry = _registered(name)
    path = _locate(entry, weights)
    with _open(path) as file:
        if weights == PUBLISHED:
            record = WeightsRecord(name, PUBLISHED, _check(entry, path, file, trust_note=False))
        else:
            record = _custom_record(entry, _sha256(file))
        file.seek(0)
        yield file, path, record


def check_file(entry: WeightsFile, path: Path) -> str:
    """SHA-256 (hexadecimal) of a published file, once size and hash are found to be the registered ones.

    The hash is noted beside the file (`<file>.sha256`) with the file's size, times and inode; while those stay the
    same the note is believed. The times include the change time, which no program can set, so that neither an edit
    nor an exchange of the file goes unseen. Where the registry knows only the beginning of the hash, the first
    verification fixes the rest: a file with another full hash is refused from then on.

    Raises:
        WeightsError: if the file is missing, cannot be read, or has another size or hash.
    """
    with _open(path) as file:
        return _check(entry, path, file, trust_note=True)


def _registered(name: str) -> WeightsFile:
    try:
        return REGISTRY[name]
    except KeyError:
        raise UsageError(f"no backbone is called '{name}'; there are {', '.join(REGISTRY)}") from None


def _locate(entry: WeightsFile, weights: str) -> Path:
    if weights != PUBLISHED:
        path = Path(weights).expanduser()
        if not _is_file(path):
            raise WeightsError(
                f"no weights file for {entry.name} at '{weights}'; "
                "give the path of a file, 'published', or 'random@1' to go on without"
            )
        return path
    path = weights_folder() / entry.file
    if not _is_file(path):
        raise WeightsError(
            f"the {entry.name} weights are missing: {entry.file} (SHA-256 {entry.sha256 or entry.sha256_prefix + '…'}) "
            f"is not in {path.parent}; run `mcbench download weights`, put it there from {entry.addresses[0]}, "
            f"or go on without it with `--weights {RANDOM}`"
        )
    return path


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # a folder above it that may not be entered
        raise WeightsError(f"cannot read {path}: {error.strerror or error}; mend its permissions") from error


def _custom_record(entry: WeightsFile, sha256: str) -> WeightsRecord:
    # The hash decides what a file is, not the way it was named: the published file under another path stays published.
    return WeightsRecord(entry.name, PUBLISHED if sha256 == entry.sha256 else "custom", sha256)


def _check(entry: WeightsFile, path: Path, file: BinaryIO, trust_note: bool) -> str:
    stat = os.fstat(file.fileno())
    if entry.size is not None and stat.st_size != entry.size:
        raise WeightsError(
            f"{path} has {stat.st_size} bytes, the published {entry.file} has {entry.size}: "
            "the download broke off or it is another file; `mcbench download weights` fetches it again"
        )
    stamp = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"
    noted_digest, noted_stamp = _read_note(path)
    digest = noted_digest if trust_note and noted_digest and noted_stamp == stamp else _sha256(file)
    if not digest.startswith(entry.sha256 or entry.sha256_prefix):
        raise WeightsError(
            f"{path} is not the published {entry.file}: its SHA-256 is {digest}, "
            f"not {entry.sha256 or entry.sha256_prefix + '…'}; `mcbench download weights` fetches it again"
        )
    if entry.sha256 is None and noted_digest and noted_digest != digest:
        raise WeightsError(
            f"{path} has changed: its SHA-256 is {digest}, at the first verification it was {noted_digest}; "
            f"put the old file back, or delete {_note_path(path).name} if the new one is to be trusted"
        )
    if (digest, stamp) != (noted_digest, noted_stamp):
        _write_note(path, digest, stamp)
    return digest


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise WeightsError(f"cannot read the weights file {path}: {error.strerror or error}") from error


def _sha256(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(_READ_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _note_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _read_note(path: Path) -> tuple[str | None, str | None]:
    """Digest and stamp of the note beside a file, None for what it does not hold."""
    try:
        text = _note_path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None, None
    match = re.match(r"([0-9a-f]{64})  [^\n]*\n(?:# mcbench ([0-9 ]+)\n)?", text)
    return (match[1], match[2]) if match else (None, None)


def _write_note(path: Path, digest: str, stamp: str) -> None:
    # The form is sha256sum's, which skips lines that begin with '#'. A folder that cannot be written to (a shared
    # one, say) only costs the hashing each time.
    with suppress(OSError):
        handle, temporary = tempfile.mkstemp(prefix=path.name, suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(f"{digest}  {path.name}\n# mcbench {stamp}\n")
        Path(temporary).replace(_note_path(path))

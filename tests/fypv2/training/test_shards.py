"""Shards: what is written is what is read, by anybody's reader; and nothing hostile gets further than one line."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fypv2.conditions import Poses, depth_ranks, nearness_from_poses
from fypv2.conditions.regions import character_regions
from fypv2.preprocess.data_folder import DataFolder
from fypv2.preprocess.writer import UnitWriter
from fypv2.training.clips import AffineFlow, DenseFlow, ShardError, TrainingClip
from fypv2.training.members import encode_sample
from fypv2.training.shards import Shards, open_shards

FRAMES, HEIGHT, WIDTH, PEOPLE = 6, 24, 40, 2


def make_clip(name: str = "clip", seed: int = 0, hands: bool = True) -> TrainingClip:
    random = np.random.default_rng(seed)

    def floats(*shape: int) -> Any:
        return random.normal(10, 5, shape).astype(np.float32)

    count = (FRAMES, PEOPLE)
    poses = Poses(
        floats(*count, 18, 2),
        random.random((*count, 18), np.float32),
        (HEIGHT, WIDTH),
        floats(*count, 2, 21, 2) if hands else None,
        random.random((*count, 2, 21), np.float32) if hands else None,
    )
    return TrainingClip(
        name,
        random.integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), np.uint8),
        12.5,
        poses,
        DenseFlow(floats(FRAMES, HEIGHT, WIDTH, 2).astype(np.float16), (HEIGHT, WIDTH)),
        floats(FRAMES, HEIGHT, WIDTH).astype(np.float16),
        random.integers(0, 3, (FRAMES, HEIGHT, WIDTH), np.uint8),
    )


def write(folder: Path, clips: list[TrainingClip], **settings: Any) -> Path:
    folder.mkdir(parents=True)
    data = DataFolder(folder)
    data.identify({"kind": "test"})
    writer = UnitWriter(folder, 0)
    for clip in clips:
        writer.add(clip.name, *encode_sample(clip, **settings))
    data.write_index(0, writer.finish())
    data.write_manifest({"kind": "test"}, 1)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data", [make_clip("one", 1), make_clip("two", 2, hands=False)])


def equal(a: Any, b: Any) -> bool:
    return (a is None and b is None) or np.array_equal(a, b)


def test_a_clip_comes_back_exactly(folder: Path) -> None:
    source = open_shards(folder)
    assert len(source) == 2
    for index, (name, seed, hands) in enumerate([("one", 1, True), ("two", 2, False)]):
        wanted, found = make_clip(name, seed, hands), source.read(index)
        assert (found.name, found.fps) == (name, 12.5)
        assert source.info(index).frames == FRAMES
        assert source.info(index).size == (HEIGHT, WIDTH)
        assert source.info(index).people == PEOPLE
        assert equal(found.frames, wanted.frames)
        assert equal(found.nearness, wanted.nearness)
        assert equal(found.masks, wanted.masks)
        assert isinstance(found.flow, DenseFlow)
        assert isinstance(wanted.flow, DenseFlow)
        assert equal(found.flow.vectors, wanted.flow.vectors)
        for field in ("body", "body_scores", "hands", "hand_scores"):
            assert equal(getattr(found.poses, field), getattr(wanted.poses, field))


def test_chosen_frames_are_those_of_the_whole_clip(folder: Path) -> None:
    source = open_shards(folder)
    whole, part = source.read(0), source.read(0, [1, 2, 5])
    assert equal(part.frames, whole.frames[[1, 2, 5]])
    assert equal(part.poses.body, whole.poses.body[[1, 2, 5]])
    assert equal(part.nearness, whole.nearness[[1, 2, 5]])
    assert equal(part.masks, whole.masks[[1, 2, 5]])
    assert part.flow is not None
    assert whole.flow is not None
    # Neighbours need no joining: the flow of frame 1 is from its true predecessor, that of frame 2 from frame 1.
    assert equal(part.flow.dense(0), whole.flow.dense(1))
    assert equal(part.flow.dense(1), whole.flow.dense(2))
    for frames in ([], [2, 1], [1, 1], [-1], [FRAMES]):
        with pytest.raises(ValueError, match="rising"):
            source.read(0, frames)
    with pytest.raises(IndexError):
        source.read(2)


def test_joined_dense_flow_is_the_joined_motion() -> None:
    """A turning, growing background: estimated flow over several frames against the closed form of the affine one."""
    turn, size = 0.02, (48, 64)
    step = np.array([[1.01 * np.cos(turn), -np.sin(turn), 0.7], [np.sin(turn), 1.01 * np.cos(turn), -0.4]])
    affine = AffineFlow(np.stack([np.eye(2, 3), *[step] * 7]), size)
    dense = DenseFlow(np.stack([affine.dense(i) for i in range(8)]).astype(np.float16), size)
    exact, joined = affine.choose([2, 6]), dense.choose([2, 6])
    assert equal(exact.motion[0], step)
    inside = (slice(6, -6), slice(6, -6))
    for n in range(2):
        assert np.abs(exact.dense(n) - joined.dense(n))[inside].max() < 0.03
    assert np.abs(exact.dense(1)).max() > 3
    with pytest.raises(ValueError, match="rise"):
        dense.choose([3, 3])


def test_coarser_maps_keep_their_meaning(tmp_path: Path) -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    vectors = np.stack([np.stack([3 + x / 20, -2 + y / 20], -1)] * FRAMES).astype(np.float16)
    nearness = np.stack([5 + x / 10 - y / 20] * FRAMES).astype(np.float16)
    clip = replace(make_clip("a"), flow=DenseFlow(vectors, (HEIGHT, WIDTH)), nearness=nearness, masks=None)
    found = open_shards(write(tmp_path / "half", [clip], map_scale=2)).read(0)
    assert isinstance(found.flow, DenseFlow)
    assert found.flow.vectors.shape == (FRAMES, HEIGHT // 2, WIDTH // 2, 2)
    # Vectors are in pixels of the frames again, not of the coarser grid; a border has no neighbour to lean on.
    assert np.abs(found.flow.dense(3) - vectors[3])[1:-1, 1:-1].max() < 0.02
    assert np.abs(found.nearness - nearness)[:, 1:-1, 1:-1].max() < 0.02


def test_without_depth_the_poses_say_who_is_in_front(tmp_path: Path) -> None:
    height, width = 64, 96
    figure = np.array([[x * 8.0, y * 5.0] for x in (-1, 0, 1) for y in range(6)], np.float32)
    body = np.stack([figure + np.array(at, np.float32) for at in ((25, 20), (65, 28))])[None]
    poses = Poses(body, np.ones((1, 2, 18), np.float32), (height, width))
    blank = np.zeros((1, height, width, 3), np.uint8)
    clip = TrainingClip("a", blank, 25, poses, None, np.zeros((1, height, width), np.float16))
    found = open_shards(write(tmp_path / "poses", [clip], has_depth=False)).read(0)
    assert found.flow is None
    values = nearness_from_poses(poses)
    assert values[1] > values[0]
    ranks = depth_ranks(character_regions(poses)[0], found.nearness[0].astype(np.float32))
    assert ranks.tolist() == [1, 0]


def test_jpeg_is_small_and_near(tmp_path: Path) -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.stack([x * 6, y * 10, 255 - x * 6], -1).astype(np.uint8)
    clip = replace(make_clip("a"), frames=np.stack([smooth] * FRAMES))
    found = open_shards(write(tmp_path / "jpg", [clip], frame_format="jpg")).read(0)
    assert np.abs(found.frames.astype(int) - clip.frames).max() <= 12
    assert found.frames.shape == clip.frames.shape


def test_plain_tar_reads_it_by_webdatasets_rules(folder: Path) -> None:
    """Consecutive members whose names agree up to the first dot are one sample; the rest of the name is the field."""
    samples: list[tuple[str, dict[str, bytes]]] = []
    with tarfile.open(folder / "shard-000000.tar") as file:
        for member in file:
            assert member.isreg()
            assert (member.mtime, member.uid, member.gid, member.uname) == (0, 0, 0, "")
            key, _, field = member.name.partition(".")
            if not samples or samples[-1][0] != key:
                samples.append((key, {}))
            stream = file.extractfile(member)
            assert stream is not None
            samples[-1][1][field] = stream.read()
    assert [key for key, _ in samples] == ["one", "two"]
    for n, (key, fields) in enumerate(samples):
        clip = make_clip(key, n + 1, hands=key == "one")
        about = json.loads(fields["json"])
        assert (about["schema"], about["frames"], about["fps"]) == ("fypv2.clip/1", FRAMES, 12.5)
        for i in range(FRAMES):
            assert equal(np.asarray(Image.open(io.BytesIO(fields[f"{i:05d}.png"]))), clip.frames[i])
        with np.load(io.BytesIO(fields["poses.npz"]), allow_pickle=False) as arrays:
            assert equal(arrays["body"], clip.poses.body)
            assert ("hands" in arrays) == (key == "one")
        with np.load(io.BytesIO(fields["depth.npz"]), allow_pickle=False) as arrays:
            assert equal(np.stack([arrays[f"{i:05d}"] for i in range(FRAMES)]), clip.nearness)


def test_the_same_clips_give_the_same_bytes(tmp_path: Path, folder: Path) -> None:
    again = write(tmp_path / "again", [make_clip("one", 1), make_clip("two", 2, hands=False)])
    assert (again / "shard-000000.tar").read_bytes() == (folder / "shard-000000.tar").read_bytes()
    assert (again / "manifest.json").read_bytes() == (folder / "manifest.json").read_bytes()
    assert open_shards(again).digest == open_shards(folder).digest
    other = write(tmp_path / "other", [make_clip("one", 3), make_clip("two", 2, hands=False)])
    assert open_shards(other).digest != open_shards(folder).digest


def test_it_can_be_sent_to_another_process(folder: Path) -> None:
    source = pickle.loads(pickle.dumps(open_shards(folder)))
    assert isinstance(source, Shards)
    assert [clip.name for clip in source] == ["one", "two"]


def one_line(call: Callable[[], Any], *words: str) -> None:
    with pytest.raises(ShardError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_torn_shard_is_named_at_opening_and_a_changed_byte_when_asked(folder: Path) -> None:
    shard = folder / "shard-000000.tar"
    whole = shard.read_bytes()
    assert open_shards(folder).verify() == []
    # In the padding of a header: no reader would notice.
    shard.write_bytes(whole[:505] + b"x" + whole[506:])
    (fault,) = open_shards(folder).verify()
    assert "shard-000000.tar" in fault
    shard.write_bytes(whole[:-1000])
    one_line(lambda: open_shards(folder), "shard-000000.tar", "torn")
    shard.unlink()
    one_line(lambda: open_shards(folder), "shard-000000.tar", "again")
    shard.write_bytes(whole)
    (folder / "index-000000.json").write_text("{}")
    (fault,) = open_shards(folder).verify()
    assert "index-000000.json" in fault
    one_line(lambda: open_shards(folder).read(0), "index-000000.json")
    (folder / "manifest.json").unlink()
    one_line(lambda: open_shards(folder), "no finished training data")


def forge(folder: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], Any]) -> Shards:
    """A folder of one clip whose tar was changed by somebody who mended every digest and place."""
    good = write(folder, [make_clip("one", 1)])
    with tarfile.open(good / "shard-000000.tar") as file:
        members = [(member, file.extractfile(member).read()) for member in file]  # type: ignore[union-attr]
    change(members)
    data = b""
    for member, content in members:
        data += member.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)
    (good / "shard-000000.tar").write_bytes(data)
    index = json.loads((good / "index-000000.json").read_text())
    index["shards"] = [{"file": "shard-000000.tar", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}]
    index["clips"][0]["bytes"] = len(data)
    (good / "index-000000.json").write_text(json.dumps(index))
    DataFolder(good).write_manifest({"kind": "test"}, 1)
    return open_shards(good)


def renamed(name: str, ending: str = "depth.npz") -> Callable[[Any], None]:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        next(member for member, _ in members if member.name.endswith(ending)).name = name

    return change


def retyped(kind: bytes) -> Callable[[Any], None]:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        member, _ = members[3]
        member.type, member.linkname, member.size = kind, "/etc/passwd", 0
        members[3] = (member, b"")

    return change


def refilled(ending: str, content: Callable[[bytes], bytes]) -> Callable[[Any], None]:
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        for n, (member, data) in enumerate(members):
            if member.name.endswith(ending):
                new = content(data)
                member.size = len(new)
                members[n] = (member, new)

    return change


def oversized(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    members[3][0].size = 1 << 40


def negative(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    members[3][0].size = -512


def archive(**arrays: Any) -> Callable[[bytes], bytes]:
    def make(_: bytes) -> bytes:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    return make


def bomb(_: bytes) -> bytes:
    """Kilobytes that become 64 megabytes if anybody unpacks them."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("00000.npy", "w") as out,
    ):
        for _n in range(64):
            out.write(bytes(1 << 20))
    return buffer.getvalue()


def huge_header(_: bytes) -> bytes:
    """An array that says it has a terabyte."""
    buffer, inner = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(inner, {"descr": "<f2", "fortran_order": False, "shape": (1 << 20, 1 << 19)})
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("00000.npy", inner.getvalue())
    return buffer.getvalue()


def picture(mode: str, width: int, height: int) -> Callable[[bytes], bytes]:
    def make(_: bytes) -> bytes:
        buffer = io.BytesIO()
        Image.new(mode, (width, height)).save(buffer, "PNG")
        return buffer.getvalue()

    return make


def json_with(**fields: Any) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps({**json.loads(data), **fields}).encode()


HOSTILE = {
    "parent": renamed("../../one.depth.npz"),
    "absolute": renamed("/one.depth.npz"),
    "other clip": renamed("two.depth.npz"),
    "strange ending": renamed("one.depth.pickle"),
    "twice": renamed("one.poses.npz"),
    "symbolic link": retyped(tarfile.SYMTYPE),
    "hard link": retyped(tarfile.LNKTYPE),
    "device": retyped(tarfile.CHRTYPE),
    "folder": retyped(tarfile.DIRTYPE),
    "long name": retyped(tarfile.GNUTYPE_LONGNAME),
    "too large": oversized,
    "negative": negative,
    "no zip": refilled("depth.npz", lambda _: b"nothing"),
    "bomb": refilled("depth.npz", bomb),
    "huge header": refilled("depth.npz", huge_header),
    "pickle": refilled("poses.npz", archive(body=np.array([{}], object), body_scores=np.array([{}], object))),
    "other shape": refilled("poses.npz", archive(body=np.zeros((1, 2), np.float32))),
    "not finite": refilled("poses.npz", archive(body=np.full((FRAMES, PEOPLE, 18, 2), np.nan, np.float32))),
    "no picture": refilled("00003.png", lambda _: b"\x89PNG\r\n\x1a\n"),
    "torn picture": refilled("00003.png", lambda data: data[: len(data) // 2]),
    "large picture": refilled("00003.png", picture("RGB", 3000, 3000)),
    "grey picture": refilled("00003.png", picture("L", WIDTH, HEIGHT)),
    "no json": refilled("json", lambda _: b"{"),
    "deep json": refilled("json", lambda _: b"[" * 60_000),
    "many frames": refilled("json", json_with(frames=10**12)),
    "no rate": refilled("json", json_with(fps=0)),
    "text for a number": refilled("json", json_with(people="2")),
    "truth for a number": refilled("json", json_with(people=True)),
    "another name": refilled("json", json_with(name="two")),
    "one more field": refilled("json", json_with(__class__="x")),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_shards_are_refused_in_one_line(case: str, tmp_path: Path) -> None:
    source = forge(tmp_path / "data", HOSTILE[case])
    one_line(lambda: source.read(0), "shard-000000.tar")


def test_a_forged_but_harmless_shard_is_read(tmp_path: Path) -> None:
    """Or the test above would prove nothing."""
    assert equal(forge(tmp_path / "data", lambda members: None).read(0).frames, make_clip("one", 1).frames)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("manifest.json", "shards", [{"file": "../x.tar", "bytes": 0, "sha256": "0" * 64}]),
        ("manifest.json", "shards", [{"file": "/etc/passwd", "bytes": 0, "sha256": "0" * 64}]),
        ("manifest.json", "shards", [{"file": "shard-000000.tar", "bytes": "many", "sha256": "0" * 64}]),
        ("manifest.json", "shards", None),
        ("manifest.json", "indexes", [{"file": "../index-000000.json", "sha256": "0" * 64, "clips": 1}]),
        ("manifest.json", "schema", "fypv2.shards/9"),
    ],
)
def test_a_hostile_manifest_is_refused(folder: Path, file: str, key: str, value: Any) -> None:
    document = json.loads((folder / file).read_text())
    document[key] = value
    (folder / file).write_text(json.dumps(document))
    one_line(lambda: open_shards(folder), "manifest.json")


@pytest.mark.parametrize(
    "change",
    [{"offset": 7}, {"offset": -512}, {"offset": 1 << 40}, {"bytes": 1 << 40}, {"frames": 0}, {"shard": "../x.tar"},
     {"key": "../one"}, {"fps": "fast"}, {"height": True}],
)  # fmt: skip
def test_a_hostile_index_is_refused(folder: Path, change: dict[str, Any]) -> None:
    index = json.loads((folder / "index-000000.json").read_text())
    index["clips"][0] |= change
    (folder / "index-000000.json").write_text(json.dumps(index))
    DataFolder(folder).write_manifest({"kind": "test"}, 1)
    one_line(lambda: open_shards(folder).read(0), "index-000000.json")


def test_a_large_unit_becomes_several_shards(tmp_path: Path) -> None:
    data = DataFolder(tmp_path)
    data.identify({})
    writer = UnitWriter(tmp_path, 3, shard_bytes=30_000)
    clips = [make_clip(f"clip{n}", n) for n in range(3)]
    for clip in clips:
        writer.add(clip.name, *encode_sample(clip))
    index = writer.finish()
    assert [row["file"] for row in index["shards"]] == ["shard-000003.tar", "shard-000003-1.tar", "shard-000003-2.tar"]
    data.write_index(0, {**index, "unit": 0})
    data.write_manifest({}, 1)
    assert [clip.name for clip in open_shards(tmp_path)] == ["clip0", "clip1", "clip2"]
    assert equal(open_shards(tmp_path).read(2).frames, clips[2].frames)

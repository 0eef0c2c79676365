"""The TSV layout, held against DisCo's reader as its sources have it and against mcbench's own."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from baselines.disco_tsv import TsvClip, frame_key, output_name, write_split
from mcbench.datasets.tsv import open_tsv

PARTS = ("img", "poses", "masks", "vid2line", "caption")


def make_clip(folder: Path, key: str, frames: int, shade: int) -> TsvClip:
    folder.mkdir()
    names = ["reference", "mask", *map(str, range(frames))]
    for index, name in enumerate(names):
        Image.fromarray(np.full((8, 8, 3), shade + index, np.uint8)).save(folder / f"{name}.png")
    files = [folder / f"{name}.png" for name in names]
    return TsvClip(key, files[0], files[1], files[2:])


def rows_by_offsets(path: Path) -> list[list[str]]:
    """Rows as the program finds them: by seeking to each offset and reading up to the next (`TSVFile.seek`)."""
    offsets = [int(line) for line in path.with_suffix(".lineidx").read_text().splitlines()]
    data = path.read_bytes()
    pieces = [data[start:end] for start, end in zip(offsets, [*offsets[1:], len(data)], strict=True)]
    return [[column.strip() for column in piece.decode().split("\t")] for piece in pieces]


@pytest.fixture
def split(tmp_path: Path) -> dict[str, list[list[str]]]:
    clips = [make_clip(tmp_path / "a", "clip-a", 5, 10), make_clip(tmp_path / "b", "clip-b", 4, 100)]
    config = write_split(tmp_path / "tsv", clips, batch_size=4)
    names = yaml.safe_load(config.read_text())
    assert names.pop("composite") is False
    assert tuple(sorted(names)) == tuple(sorted(PARTS))
    return {part: rows_by_offsets(config.parent / name) for part, name in names.items()}


def test_all_files_have_the_same_keys_in_the_same_order(split: dict[str, list[list[str]]]) -> None:
    keys = [row[0] for row in split["img"]]
    assert keys == [f"clip-a_{n:05d}.png" for n in range(8)] + [f"clip-b_{n:05d}.png" for n in range(4)]
    assert all([row[0] for row in rows] == keys for rows in split.values())
    assert all(len(row) == 2 for rows in split.values() for row in rows)


def test_every_row_points_at_the_first_and_the_last_row_of_its_clip(split: dict[str, list[list[str]]]) -> None:
    spans = [json.loads(row[1]) for row in split["vid2line"]]
    # The loader adds the row's own number to both (`get_reference_frame_idx`).
    assert [[row + first, row + last] for row, (first, last) in enumerate(spans)] == [[0, 7]] * 8 + [[8, 11]] * 4


def test_a_clip_fills_its_batches_with_its_last_pose(split: dict[str, list[list[str]]]) -> None:
    assert len(split["poses"]) % 4 == 0
    shades = [decode(row[1]) for row in split["poses"]]
    assert shades == [12, 13, 14, 15, 16, 16, 16, 16, 102, 103, 104, 105]


def test_the_reference_and_its_mask_stand_in_every_row_and_nothing_else_does(split: dict[str, list[list[str]]]) -> None:
    assert [decode(row[1]) for row in split["img"]] == [10] * 8 + [100] * 4
    assert [decode(row[1]) for row in split["masks"]] == [11] * 8 + [101] * 4


def test_captions_are_empty_lists_of_one(split: dict[str, list[list[str]]]) -> None:
    assert {row[1] for row in split["caption"]} == {'[{"caption": ""}]'}


def test_mcbench_itself_reads_the_split(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / "a", "clip-a", 3, 10), make_clip(tmp_path / "b", "clip-b", 2, 50)]
    folder = write_split(tmp_path / "tsv", clips, batch_size=1).parent
    found = open_tsv({part: folder / f"mcbench_{part}.tsv" for part in ("images", "poses", "masks", "vid2line")})
    assert found.clips == {"clip-a": (0, 3), "clip-b": (3, 2)}


def test_names_of_outputs_are_keys_without_dots_slashes_and_spaces() -> None:
    assert output_name("TiktokDance_00337_0010.png") == "TiktokDance_00337_0010png.png"
    assert output_name("a b/c.d.png") == "a_bcdpng.png"
    assert output_name(frame_key("clip-1f", 7)) == "clip-1f_00007png.png"


def decode(column: str) -> int:
    """The one value of a flat picture."""
    (value,) = np.unique(np.asarray(Image.open(io.BytesIO(base64.b64decode(column, validate=True)))))
    return int(value)

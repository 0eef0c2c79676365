"""A split in the layout that DisCo's program reads, written for inference.

DisCo's own maker (`tsv_example/create_custom_dataset_tsvs.py`) cannot be used: its yaml names `<split>_img.tsv` where
it wrote `<split>_images.tsv`; it states no captions, without which the loader does not start; its `vid2line` counts
rows from the start of the file, where the loader counts from the row itself; and it draws the first person alone.

What the loader takes (`dataset/tsv_dataset.py`, `dataset/tsv_cond_dataset.py`,
`dataset/tiktok_controlnet_t2i_imagevar_combine_tsv.py`, `utils/tsv_io.py`), one row a frame, the same key first in all:

    images    key TAB base64 of the image: the reference in the row that vid2line points at. Of the other rows nothing
              but the size is used at inference (`label_imgs` in `forward_sample_multicontrol` of
              `config/ref_attn_clip_combine_controlnet/net.py`; it is also saved as "gt"): the reference stands in every
              row, and no true frame is handed over.
    poses     key TAB base64 of the OpenPose drawing.
    masks     key TAB base64 of the mask, white on people. That of the reference's row alone is used
              (`mask_img_ref` in `__getitem__`); it stands in every row.
    vid2line  key TAB [first - row, last - row]: the clip's first and last row, seen from this one. The first is the
              reference (`get_reference_frame_idx`).
    caption   key TAB [{"caption": ""}]; the rows of a split that is not composite are counted in this file.

Beside each `x.tsv` lies `x.lineidx`, the byte at which each row starts, one decimal number a line.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import yaml

__all__ = ["TsvClip", "frame_key", "output_name", "write_split"]

# The program looks for files in its working folder before the yaml's: a name that no checkout has.
_SPLIT = "mcbench"
_CAPTION = json.dumps([{"caption": ""}])


@dataclass(frozen=True)
class TsvClip:
    """What a split holds of one clip; all files are PNG.

    Attributes:
        key: what the keys of its rows begin with: letters, digits and `-` alone, so that nothing is lost on the way
            from a key to the name of an output.
        reference: the reference image, RGB.
        mask: its people, white on black.
        poses: the drawing of each driving frame, in order.
    """

    key: str
    reference: Path
    mask: Path
    poses: Sequence[Path]


def frame_key(clip: str, number: int) -> str:
    """The key of a row: frame `number`, from 0, of the clip with that key."""
    return f"{clip}_{number:05d}.png"


def output_name(key: str) -> str:
    """What the program calls the frame of a row: dots and slashes go, spaces become `_` (`inner_collect_fn`)."""
    return "_".join(key.replace(".", "").replace("/", "").split(" ")) + ".png"


def write_split(folder: Path, clips: Sequence[TsvClip], batch_size: int) -> Path:
    """Write the files of a split; one row is in memory at a time.

    The program seeds its noise anew for each batch and draws it for the whole batch, so a frame depends on its place
    there. The last row of a clip is therefore repeated until the clip fills its batches: then a clip's noise is the
    same whichever clips are animated with it.

    Args:
        folder: an empty folder, or one that does not exist yet.
        clips: with keys that differ from one another, each of one frame or more.
        batch_size: rows in a batch of the program.

    Returns:
        The yaml file that names the others, for `--val_yaml`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"img": "images", "poses": "poses", "masks": "masks", "vid2line": "vid2line", "caption": "caption"}
    files = {part: f"{_SPLIT}_{name}.tsv" for part, name in parts.items()}
    with (
        _Rows(folder / files["img"]) as images,
        _Rows(folder / files["poses"]) as poses,
        _Rows(folder / files["masks"]) as masks,
        _Rows(folder / files["vid2line"]) as spans,
        _Rows(folder / files["caption"]) as captions,
    ):
        for clip in clips:
            reference, mask = _base64(clip.reference), _base64(clip.mask)
            last = -(-len(clip.poses) // batch_size) * batch_size - 1
            for row, pose in enumerate(_padded(clip.poses, last + 1)):
                key = frame_key(clip.key, row)
                images.add(key, reference)
                poses.add(key, _base64(pose))
                masks.add(key, mask)
                spans.add(key, json.dumps([-row, last - row]))
                captions.add(key, _CAPTION)
    config = folder / f"{_SPLIT}.yaml"
    config.write_text(yaml.safe_dump({"composite": False, **files}), encoding="utf-8")
    return config


class _Rows:
    """A TSV file and its `.lineidx`, written side by side."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tsv: IO[bytes] = path.open("wb")
        self._offsets: IO[str] = path.with_suffix(".lineidx").open("w", encoding="ascii")
        self._end = 0

    def __enter__(self) -> _Rows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tsv.close()
        self._offsets.close()

    def add(self, key: str, value: str) -> None:
        self._offsets.write(f"{self._end}\n")
        self._end += self._tsv.write(f"{key}\t{value}\n".encode())


def _padded(poses: Sequence[Path], rows: int) -> Iterator[Path]:
    for row in range(rows):
        yield poses[min(row, len(poses) - 1)]


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")

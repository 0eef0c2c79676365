"""One video for each clip: truth, driving pose and all methods as tiles of one picture.

Tiles of one picture cannot run apart: what a browser shows of a frame is that frame in every tile, on any machine and
at any speed. Separate videos are decoded by clocks of their own, which browsers keep together only roughly, and eight
of them at once are more decoders than some machines have. The price is that a video holds what a reader may have
hidden, and that one tile cannot be fetched alone; from a disk neither matters. The video is also whole without any
script: each tile has its name above it, in a strip that the page crops away.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from mcbench.datasets.base import Annotations, Clip
from mcbench.errors import ResultError
from mcbench.geometry import to_square
from mcbench.report.skeleton import draw_skeletons
from mcbench.video import write_video

__all__ = ["DIFFERENCE_GAIN", "Film", "Layout", "Tile", "difference", "make_film", "read_poses", "write_picture"]

Frame = npt.NDArray[np.uint8]

CRF = 23
"""Of x264, its own default: differences between methods stay plain, at a tenth of the size of what is lossless."""
COARSEST_CRF = 40
"""Beyond it faces dissolve; a clip that is still too large then stays as large as it is."""
KEYFRAME_EVERY = 24
"""To show a frame, a browser decodes from the last keyframe before it: a step back takes no longer than this many."""
CRF_PER_HALF = 6.0
"""Steps of the rate factor that halve a video's size, as x264's scale is made."""
DIFFERENCE_GAIN = 4
"""By what differences are multiplied, here and in the page: most are of a few grey levels."""
FEW_TILES = 6
"""Tiles that are shown at the protocols' 512 pixels; more of them at 384, which decoders take in one picture."""
STRIP = 32
"""Height of the name above a tile. As the tiles' sides it is a multiple of 16, H.264's block: none lies in two."""
PICTURE_SIDE = 256
"""Side of the still pictures."""
QUALITY = 85
"""Of JPEG."""


@dataclass(frozen=True)
class Layout:
    """Where the tiles lie in the picture, in pixels.

    Attributes:
        tiles: how many.
        side: of a tile.
        columns: tiles in a row.
    """

    tiles: int
    side: int
    columns: int

    @classmethod
    def of(cls, tiles: int) -> Layout:
        """As near to a square as it goes."""
        return cls(tiles=tiles, side=512 if tiles <= FEW_TILES else 384, columns=math.ceil(math.sqrt(tiles)))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture."""
        return math.ceil(self.tiles / self.columns) * (self.side + STRIP), self.columns * self.side

    def place(self, tile: int) -> tuple[int, int]:
        """Left and top of a tile, below its strip."""
        return tile % self.columns * self.side, tile // self.columns * (self.side + STRIP) + STRIP


@dataclass(frozen=True)
class Tile:
    """One of the videos that are shown side by side.

    Attributes:
        key: what the page calls it.
        label: its name for people.
        read: gives its frames from the first one, uint8 RGB of any size.
    """

    key: str
    label: str
    read: Callable[[], Iterator[Frame]]


@dataclass(frozen=True)
class Film:
    """A video that was made.

    Attributes:
        tiles: keys of the tiles, in their order.
        layout: where they lie.
        frames: number of frames.
        rate: frames a second, as the file has it.
        crf: rate factor that made it small enough.
        size: of the file in bytes.
    """

    tiles: tuple[str, ...]
    layout: Layout
    frames: int
    rate: Fraction
    crf: int
    size: int


def make_film(
    path: Path,
    tiles: Sequence[Tile],
    frames: int,
    fps: float,
    *,
    largest: int,
    on_tiles: Callable[[dict[str, Frame]], None] = lambda tiles: None,
) -> Film:
    """Write the video of one clip.

    Args:
        path: the .mp4 file to make.
        tiles: at least one, each of at least so many frames.
        frames: number of frames.
        fps: frames a second.
        largest: bytes that the file is to keep below: it is made again, coarser, until it does, or is as coarse as
            makes sense.
        on_tiles: called once for each frame, in order, with its tiles by their keys: uint8 (side, side, 3).

    Raises:
        VideoError: if a source does not decode, or the disk is full.
    """
    layout = Layout.of(len(tiles))
    crf, tell = CRF, on_tiles
    while True:
        write_video(path, _pictures(tiles, frames, layout, tell), fps, crf=crf, keyframe_every=KEYFRAME_EVERY)
        size = path.stat().st_size
        if size <= largest or crf >= COARSEST_CRF:
            rate = Fraction(fps).limit_denominator(1001)
            return Film(tuple(tile.key for tile in tiles), layout, frames, rate, crf, size)
        crf = min(COARSEST_CRF, crf + max(1, math.ceil(CRF_PER_HALF * math.log2(size / largest) + 0.5)))
        tell = _tell_nobody


def read_poses(clip: Clip, annotations: Annotations, side: int = 512) -> Iterator[Frame]:
    """The driving poses of a clip, drawn: uint8 (side, side, 3) each."""
    size = clip.source.size
    for keypoints, visibility in zip(annotations.keypoints, annotations.visibility, strict=True):
        yield draw_skeletons(keypoints, visibility, size, side)


def write_picture(path: Path, frame: Frame) -> None:
    """Write a small JPEG.

    Args:
        path: the .jpg file to make.
        frame: (height, width, 3) uint8 RGB; cropped to its square.

    Raises:
        ResultError: if the disk is full or the place cannot be written to.
    """
    data = io.BytesIO()
    picture = Image.fromarray(to_square(frame, PICTURE_SIDE))
    picture.save(data, "JPEG", quality=QUALITY, optimize=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.getvalue())
    except OSError as error:
        raise ResultError(f"{path}: cannot be written ({error.strerror or error}); free space there") from error


def difference(a: Frame, b: Frame) -> Frame:
    """|a - b| times `DIFFERENCE_GAIN`, cut at 255; uint8 of their shape."""
    absolute = np.abs(a.astype(np.int16) - b.astype(np.int16)) * DIFFERENCE_GAIN
    return np.asarray(np.minimum(absolute, 255), np.uint8)


def _tell_nobody(tiles: dict[str, Frame]) -> None:
    """A second pass has nothing new."""


def _pictures(
    tiles: Sequence[Tile], frames: int, layout: Layout, on_tiles: Callable[[dict[str, Frame]], None]
) -> Iterator[Frame]:
    canvas = _named_canvas([tile.label for tile in tiles], layout)
    readers = [tile.read() for tile in tiles]
    for _ in range(frames):
        picture, shown = canvas.copy(), {}
        for number, (tile, reader) in enumerate(zip(tiles, readers, strict=True)):
            frame = shown[tile.key] = to_square(next(reader), layout.side)
            left, top = layout.place(number)
            picture[top : top + layout.side, left : left + layout.side] = frame
        on_tiles(shown)
        yield picture


def _named_canvas(names: Sequence[str], layout: Layout) -> Frame:
    """The picture without its tiles: their names above them, white on dark grey."""
    height, width = layout.size
    image = Image.new("RGB", (width, height), (24, 26, 24))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(18)
    for number, name in enumerate(names):
        left, top = layout.place(number)
        # The font that ships with Pillow has Latin letters; the page itself shows a name as it is.
        text = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in name)
        while text and draw.textlength(text, font=font) > layout.side - 20:
            text = text[:-1]
        draw.text((left + 10, top - STRIP / 2), text, fill=(238, 240, 236), font=font, anchor="lm")
    return np.asarray(image)

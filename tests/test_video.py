"""Reading, geometry and writing of frames, and what bad files get."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from mcbench.errors import VideoError
from mcbench.video import (
    find_clips,
    open_frames,
    write_frames,
    write_video,
)


def picture(height: int = 48, width: int = 48, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def smooth(frames: int, size: int = 96) -> np.ndarray:
    ramp = np.linspace(0, 200, size).astype(np.uint8)
    video = np.zeros((frames, size, size, 3), np.uint8)
    for index in range(frames):
        video[index, ..., 0], video[index, ..., 1] = ramp[None, :], ramp[:, None]
        video[index, 10:30, 10 + index : 30 + index, 2] = 255
    return video


def encode(path: Path, frames: np.ndarray, codec: str, pixel_format: str, **options: object) -> Path:
    container_options = options.pop("container", {})
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=Fraction(25), options={k: str(v) for k, v in options.items()})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixel_format
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


class TestFrameFolder:
    def test_sorted_as_numbers(self, tmp_path: Path) -> None:
        for number in (10, 2, 1, 100):
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"frame_{number}.png")
        assert [int(frame[0, 0, 0]) for frame in open_frames(tmp_path).read()] == [1, 2, 10, 100]

    def test_round_trip_is_lossless(self, tmp_path: Path) -> None:
        frames = np.stack([picture(seed=index) for index in range(3)])
        assert write_frames(tmp_path / "clip", frames) == 3
        source = open_frames(tmp_path / "clip", fps=30)
        assert np.array_equal(np.stack(list(source.read())), frames)
        assert (source.frames, source.size, source.fps, source.container) == (3, (48, 48), 30, "png")

    def test_a_folder_of_other_things_is_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "letters").mkdir()
        (tmp_path / "letters" / "dear.txt").write_text("dear")
        with pytest.raises(VideoError, match=r"dear\.txt"):
            write_frames(tmp_path / "letters", [picture()])
        assert (tmp_path / "letters" / "dear.txt").read_text() == "dear"
        assert [entry.name for entry in tmp_path.iterdir()] == ["letters"]

    def test_digest_follows_bytes_and_names(self, tmp_path: Path) -> None:
        write_frames(tmp_path / "one", [picture(), picture(seed=1)])
        write_frames(tmp_path / "two", [picture(), picture(seed=1)])
        write_frames(tmp_path / "other", [picture(), picture(seed=2)])
        one, two, other = (open_frames(tmp_path / name).digest() for name in ("one", "two", "other"))
        assert one == two != other

    @pytest.mark.parametrize(
        ("mode", "word"), [("L", "greyscale"), ("P", "palette"), ("1", "black and white"), ("RGBA", "alpha")]
    )
    def test_lossless_conversions_are_done_and_said(self, tmp_path: Path, mode: str, word: str) -> None:
        image = Image.fromarray(np.repeat(picture()[:, :, :1] // 128 * 255, 3, axis=2))
        expected = np.asarray(image)
        image.convert(mode).save(tmp_path / "0.png")
        source = open_frames(tmp_path)
        assert np.array_equal(next(source.read()), expected)
        assert any(word in conversion for conversion in source.conversions)

    def test_16_bits_only_where_nothing_is_lost(self, tmp_path: Path) -> None:
        eight = picture()
        cv2.imwrite(str(tmp_path / "0.png"), eight[:, :, ::-1].astype(np.uint16) * 257)
        source = open_frames(tmp_path)
        assert np.array_equal(next(source.read()), eight)
        assert source.conversions
        cv2.imwrite(str(tmp_path / "0.png"), eight[:, :, ::-1].astype(np.uint16) * 256 + 3)
        with pytest.raises(VideoError, match="16 bits a channel"):
            list(open_frames(tmp_path).read())

    def test_transparent_pixels_are_refused(self, tmp_path: Path) -> None:
        Image.new("RGBA", (8, 8), (9, 9, 9, 128)).save(tmp_path / "0.png")
        with pytest.raises(VideoError, match="transparent"):
            list(open_frames(tmp_path).read())

    def test_a_broken_frame_is_named(self, tmp_path: Path) -> None:
        write_frames(tmp_path / "clip", [picture(seed=index) for index in range(4)])
        broken = tmp_path / "clip" / "00002.png"
        broken.write_bytes(broken.read_bytes()[:300])
        with pytest.raises(VideoError, match=r"00002\.png: this frame does not decode"):
            list(open_frames(tmp_path / "clip").read())

    def test_an_empty_frame_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "0.png").touch()
        with pytest.raises(VideoError, match=r"0\.png: this frame does not decode"):
            list(open_frames(tmp_path).read())

    def test_mixed_sizes_are_refused(self, tmp_path: Path) -> None:
        Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
        Image.new("RGB", (8, 9)).save(tmp_path / "1.png")
        with pytest.raises(VideoError, match=r"1\.png: 8 x 9, but 0\.png is 8 x 8"):
            list(open_frames(tmp_path).read())

    @pytest.mark.parametrize("names", [("1.png", "01.png"), ("1.png", "1.jpg")])
    def test_colliding_names_are_refused(self, tmp_path: Path, names: tuple[str, str]) -> None:
        for name in names:
            Image.new("RGB", (8, 8)).save(tmp_path / name)
        with pytest.raises(VideoError, match="same frame number"):
            _ = open_frames(tmp_path).frames

    def test_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(VideoError, match="no frames in it"):
            _ = open_frames(tmp_path).frames


class TestVideoFile:
    @pytest.mark.parametrize(
        ("name", "codec", "pixel_format", "options"),
        [
            ("a.mp4", "libx264", "yuv420p", {"crf": 3}),
            ("b.mkv", "libx264", "yuv444p", {"crf": 3}),
            ("ten-bit.mp4", "libx264", "yuv420p10le", {"crf": 3}),
            ("c.webm", "libvpx-vp9", "yuv420p", {"deadline": "realtime", "cpu-used": 8, "crf": 10}),
        ],
    )
    def test_pixels_come_back_as_they_were_but_for_the_codec(
        self, tmp_path: Path, name: str, codec: str, pixel_format: str, options: dict[str, object]
    ) -> None:
        source = open_frames(encode(tmp_path / name, smooth(12), codec, pixel_format, **options))
        assert source.frames == 12
        difference = np.abs(np.stack(list(source.read())).astype(int) - smooth(12))
        assert difference[:, 2:-2, 2:-2].mean() < 6

    def test_damage_is_refused_and_not_concealed(self, tmp_path: Path) -> None:
        # decord returns wrong frames from nearly all of these without a word. No decoder sees every flipped bit: what
        # still follows the grammar of the codec decodes to other pixels, so the bound is not 100%.
        scene = cv2.GaussianBlur(picture(192, 256), (0, 0), 3)
        scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX)
        scroll = np.stack([scene[:, index : index + 192] for index in range(0, 40, 2)])
        # With as many threads as the machine has processors, x264 would write another file on each kind of machine.
        options = {"threads": 3, "container": {"movflags": "+faststart"}}
        whole = encode(tmp_path / "a.mp4", scroll, "libx264", "yuv420p", **options)
        data = whole.read_bytes()
        start, end = data.index(b"mdat") + 1000, len(data)
        refused = []
        for seed, size in enumerate([16, 64, 400] * 10):
            place = int(np.random.default_rng(seed).integers(start, end - size))
            damaged = bytearray(data)
            damaged[place : place + size] = bytes(value ^ 0x5A for value in data[place : place + size])
            whole.write_bytes(damaged)
            try:
                list(open_frames(whole).read())
                refused.append(False)
            except VideoError:
                refused.append(True)
        assert np.mean(refused) >= 0.9, refused

    def test_lossless_video_comes_back_as_it_was(self, tmp_path: Path) -> None:
        frames = np.stack([picture(64, 64, index) for index in range(6)])
        source = open_frames(encode(tmp_path / "a.mkv", frames, "ffv1", "bgr0"))
        assert np.array_equal(np.stack(list(source.read())), frames)

    def test_gif_is_read_frame_by_frame(self, tmp_path: Path) -> None:
        # A GIF may hold each frame for another time; ffmpeg's constant rate turns 16 frames into 128 (DisCo#36).
        images = [Image.new("P", (32, 32), index) for index in range(16)]
        for index, image in enumerate(images):
            image.putpalette([value for level in range(256) for value in (level, level * 7 % 256, 10)])
            image.putpixel((index, 3), 200)
        durations = [40 + 200 * (index % 2) for index in range(16)]
        images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=durations, optimize=False)
        source = open_frames(tmp_path / "a.gif")
        frames = list(source.read())
        assert source.frames == len(frames) == 16
        assert [int(frame[20, 20, 0]) for frame in frames] == list(range(16))

    @pytest.mark.parametrize(
        ("name", "container", "keep"),
        [
            ("plain.mp4", {}, 0.8),
            ("faststart.mp4", {"movflags": "+faststart"}, 0.8),
            ("faststart-end.mp4", {"movflags": "+faststart"}, 0.97),
            ("fragmented.mp4", {"movflags": "frag_keyframe+empty_moov"}, 0.6),
            ("a.mkv", {}, 0.6),
            ("a.avi", {}, 0.6),
        ],
    )
    def test_a_torn_file_is_never_read_as_a_shorter_clip(
        self, tmp_path: Path, name: str, container: dict[str, str], keep: float
    ) -> None:
        codec = "mpeg4" if name.endswith("avi") else "libx264"
        noise = np.stack([picture(96, 96, index) for index in range(40)])
        path = encode(tmp_path / name, noise, codec, "yuv420p", container=container, g=10)
        assert len(list(open_frames(path).read())) == 40
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
        with pytest.raises(VideoError, match=r"torn|can be read|does not decode"):
            list(open_frames(path).read())

    def test_a_turned_phone_video_comes_upright(self, tmp_path: Path) -> None:
        frames = smooth(3)
        frames[:, :20] = 250
        path = encode(tmp_path / "a.mp4", frames, "libx264", "yuv420p", crf=1)
        data = bytearray(path.read_bytes())
        # The display matrix is 36 bytes, 40 bytes into a version 0 track header box (ISO/IEC 14496-12, 8.3.2).
        start = data.index(b"tkhd") + 4 + 40
        quarter = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 96 << 16, 0, 1 << 30)
        data[start : start + 36] = quarter
        path.write_bytes(data)
        source = open_frames(path)
        frame = next(source.read())
        assert frame[:, -20:].mean() > 200 > frame[:, :20].mean()
        assert source.conversions

    @staticmethod
    def with_alpha(path: Path, alpha: int, codec: str, pixel_format: str) -> None:
        frames = np.concatenate([smooth(2), np.full((2, 96, 96, 1), alpha, np.uint8)], axis=3)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = 96, 96, pixel_format
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgba")))
            container.mux(stream.encode(None))

    @pytest.mark.parametrize("pixel_format", ["bgra", "yuva420p", "yuva444p"])
    def test_transparency_is_never_dropped_without_a_word(self, tmp_path: Path, pixel_format: str) -> None:
        self.with_alpha(tmp_path / "opaque.mkv", 255, "ffv1", pixel_format)
        self.with_alpha(tmp_path / "half.mkv", 100, "ffv1", pixel_format)
        assert len(list(open_frames(tmp_path / "opaque.mkv").read())) == 2
        with pytest.raises(VideoError, match="has transparent pixels; flatten it"):
            list(open_frames(tmp_path / "half.mkv").read())

    def test_an_alpha_channel_that_the_decoder_leaves_aside(self, tmp_path: Path) -> None:
        self.with_alpha(tmp_path / "half.webm", 100, "libvpx-vp9", "yuva420p")
        with pytest.raises(VideoError, match="has an alpha channel; flatten it"):
            list(open_frames(tmp_path / "half.webm").read())

    def test_pixels_that_are_not_square_are_said(self, tmp_path: Path) -> None:
        for name, shape in (("square", Fraction(1)), ("wide", Fraction(16, 11))):
            with av.open(str(tmp_path / f"{name}.mp4"), "w") as container:
                stream = container.add_stream("libx264", rate=25)
                stream.height, stream.width, stream.pix_fmt = 96, 96, "yuv420p"
                stream.codec_context.sample_aspect_ratio = shape
                for frame in smooth(2):
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
                container.mux(stream.encode(None))
        square, wide = open_frames(tmp_path / "square.mp4"), open_frames(tmp_path / "wide.mp4")
        assert next(iter(wide.read())).shape == next(iter(square.read())).shape == (96, 96, 3)
        assert (square.conversions, wide.conversions) == (set(), {"pixels of shape 16:11 taken as square ones"})

    def test_not_a_video(self, tmp_path: Path) -> None:
        (tmp_path / "a.mp4").write_text("hello")
        with pytest.raises(VideoError, match="not a video that can be read"):
            _ = open_frames(tmp_path / "a.mp4").frames

    def test_write_video_is_whole_and_plays(self, tmp_path: Path) -> None:
        assert write_video(tmp_path / "a.mp4", smooth(10), fps=8) == 10
        source = open_frames(tmp_path / "a.mp4")
        assert (source.frames, source.fps, source.size) == (10, 8.0, (96, 96))
        assert names_in(tmp_path) == ["a.mp4"]


class TestFindClips:
    def test_folders_and_videos(self, tmp_path: Path) -> None:
        write_frames(tmp_path / "b", [picture()])
        write_video(tmp_path / "a10.mp4", smooth(2), 25)
        write_video(tmp_path / "a9.mp4", smooth(2), 25)
        (tmp_path / "notes.txt").write_text("not a clip")
        assert list(find_clips(tmp_path)) == ["a9", "a10", "b"]

    def test_two_claim_one_name(self, tmp_path: Path) -> None:
        write_frames(tmp_path / "a", [picture()])
        write_video(tmp_path / "a.mp4", smooth(2), 25)
        with pytest.raises(VideoError, match="both clip 'a'"):
            find_clips(tmp_path)

    def test_missing_and_empty(self, tmp_path: Path) -> None:
        with pytest.raises(VideoError, match="no such folder"):
            find_clips(tmp_path / "nowhere")
        with pytest.raises(VideoError, match="holds no clip"):
            find_clips(tmp_path)

    def test_what_cannot_be_looked_into(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(VideoError, match=r"loop: cannot be listed \("):
            find_clips(tmp_path / "loop")

        def locked(path: Path, **_: object) -> bool:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "is_dir", locked)  # as where a folder may be listed, but not entered
        with pytest.raises(VideoError, match="no right to look into it"):
            find_clips(tmp_path)

    def test_a_name_that_no_result_could_hold(self, tmp_path: Path) -> None:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))).mkdir()
        with pytest.raises(VideoError, match="is not UTF-8, and no result could hold it; rename it"):
            find_clips(tmp_path)


class TestWriting:
    def test_a_full_disk_leaves_nothing_behind(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_frames(tmp_path / "clip", [picture()])

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Image.Image, "save", full)
        with pytest.raises(VideoError, match="No space left on device"):
            write_frames(tmp_path / "clip", [picture(seed=1)])
        assert names_in(tmp_path) == ["clip"]
        assert np.array_equal(next(open_frames(tmp_path / "clip").read()), picture())

    def test_a_generator_that_fails_leaves_nothing_behind(self, tmp_path: Path) -> None:
        def frames():  # type: ignore[no-untyped-def]
            yield picture()
            raise RuntimeError("the method crashed")

        with pytest.raises(RuntimeError, match="crashed"):
            write_frames(tmp_path / "clip", frames())
        assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile good.mp4\n",
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\ngood.mp4\n#EXT-X-ENDLIST\n",
    ],
    ids=["concat", "hls"],
)
@pytest.mark.parametrize("name", ["list.mp4", "list.mkv"])
def test_a_list_of_other_files_is_no_video(tmp_path: Path, text: str, name: str) -> None:
    """FFmpeg would open what it names: other people's files, or an address."""
    write_video(tmp_path / "good.mp4", iter(smooth(4)), 25)
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(VideoError, match="not a video that can be read"):
        _ = open_frames(tmp_path / name).frames


def test_looking_at_a_long_video_keeps_nothing_of_it(tmp_path: Path) -> None:
    """Packets are counted as they pass; PyAV's buffers lie outside of what Python traces, so the process is asked."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 720, 1280, 3), np.uint8)
    path = encode(tmp_path / "long.mkv", np.concatenate([noise] * 8), "ffv1", "bgr0")
    size = path.stat().st_size
    assert size > 100e6
    code = (
        "import resource, sys; from mcbench import open_frames; import av, cv2;"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "assert open_frames(sys.argv[1]).frames == 64;"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < size / 2

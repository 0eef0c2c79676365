"""Speaks the command line of MagicAnimate's `magicanimate/pipelines/animation.py` and keeps its habits.

In place of the network it lays the DensePose picture over the reference, and a block of colour that says which seed,
pair and frame it is. It is stricter about its inputs than the program, which resizes and takes any colours in silence.

A file `fault` beside `configs` holds a JSON object: {"keep_padding": true}, {"drop_frames": N}, {"extra_frames": N},
{"die_at_pair": N}, {"skip_pair": N} or {"size": side}.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from pathlib import Path

import av
import numpy as np
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
BACKGROUND = np.array([68, 1, 84], np.int16)


def mark(seed: int, frame: int) -> np.ndarray:
    """The colour that stands for a seed and a frame."""
    value = zlib.crc32(f"{seed}/{frame}".encode())
    return np.array([40 + value % 180, 40 + value // 180 % 180, 40 + value // 32400 % 180], np.uint8)


def read_video(path: str) -> np.ndarray:
    with av.open(path) as container:
        return np.stack([frame.to_rgb().to_ndarray() for frame in container.decode(video=0)])


def save_video(frames: np.ndarray, path: str) -> None:
    """As imageio's plug-in for FFmpeg does by default: yuv420p at a constant rate factor of 25."""
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "25"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode(None))


def check_weights(config: dict) -> None:
    base = Path(config["pretrained_model_path"])
    for folder in ("tokenizer", "text_encoder", "unet"):
        assert (base / folder).is_dir(), f"no {folder} in pretrained_model_path"
    assert (Path(config["pretrained_vae_path"]) / "config.json").is_file()
    assert (Path(config["pretrained_controlnet_path"]) / "config.json").is_file()
    assert (Path(config["pretrained_appearance_encoder_path"]) / "config.json").is_file()
    assert Path(config["motion_module"]).is_file()
    assert not config["pretrained_unet_path"]
    assert config["fusion_blocks"] == "midup"
    loaded = yaml.safe_load(Path(config["inference_config"]).read_text())
    assert "noise_scheduler_kwargs" in loaded


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=str, required=True)
    parser.add_argument("--dist", action="store_true", required=False)
    parser.add_argument("--rank", type=int, default=0, required=False)
    parser.add_argument("--world_size", type=int, default=1, required=False)
    args = parser.parse_args()
    fault = json.loads((ROOT / "fault").read_text()) if (ROOT / "fault").exists() else {}
    with (ROOT / "starts").open("a") as starts:
        starts.write("one\n")
    config = yaml.safe_load(Path(args.config).read_text())
    check_weights(config)
    savedir = f"samples/{config['savename']}"
    Path(savedir).mkdir(parents=True, exist_ok=True)
    seeds = config.get("seed", [-1])
    seeds = [seeds] if isinstance(seeds, int) else list(seeds)
    seeds = seeds * len(config["source_image"]) if len(seeds) == 1 else seeds
    size, window = config["size"], config["L"]
    assert config["guidance_scale"] > 1, "the program halves what is not doubled"
    assert config["steps"] >= config["S"] == 1
    for pair, (source_path, video_path, seed) in enumerate(
        zip(config["source_image"], config["video_path"], seeds)  # noqa: B905 (as the program does, to the shortest)
    ):
        assert 0 <= seed < 2**32, "NumPy takes no such seed"
        assert video_path.endswith(".mp4"), "a video is what ends in .mp4"
        if fault.get("die_at_pair") == pair:
            sys.exit("RuntimeError: stand-in dies")
        if fault.get("skip_pair") == pair:
            continue
        control = read_video(video_path)
        assert control.shape[1:] == (size, size, 3), f"the video would be resized from {control.shape}"
        assert np.abs(control[:, 0, 0].astype(np.int16) - BACKGROUND).max() <= 2, "the corner is no background"
        if config["max_length"] is not None:
            control = control[config["offset"] : config["offset"] + config["max_length"]]
        opened = Image.open(source_path)
        assert (opened.mode, opened.size) == ("RGB", (size, size)), f"reference is {opened.mode}, {opened.size}"
        source = np.array(opened)
        length = len(control)
        if length % window:
            control = np.pad(control, ((0, window - length % window), (0, 0), (0, 0), (0, 0)), mode="edge")
        sample = control
        for number, frame in enumerate(sample):
            background = (np.abs(frame.astype(np.int16) - BACKGROUND) <= 2).all(-1)
            frame[background] = source[background]
            frame[-64:, -64:] = mark(seed, number)
        if not fault.get("keep_padding"):
            sample = sample[: length - fault.get("drop_frames", 0) + fault.get("extra_frames", 0)]
        if "size" in fault:
            sample = sample[:, : fault["size"], : fault["size"]]
        video_name = Path(video_path).name[:-4]
        source_name = Path(source_path).name.split(".")[0]
        Path(f"{savedir}/videos/{source_name}_{video_name}").mkdir(parents=True, exist_ok=True)
        save_video(sample, f"{savedir}/videos/{source_name}_{video_name}.mp4")
        save_video(sample[:, :32, :32], f"{savedir}/videos/{source_name}_{video_name}/grid.mp4")
    Path(f"{savedir}/config.yaml").write_text(yaml.safe_dump(config))


if __name__ == "__main__":
    main()

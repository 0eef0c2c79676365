"""Speaks the command line of Moore-AnimateAnyone's `scripts/pose2vid.py` and keeps its habits.

In place of the networks it lays the drawn poses over the reference, and a block of colour that says which seed and
frame it is. It is stricter about its inputs than the program, which stretches them in silence.

A file `fault` beside `configs` holds a JSON object: {"tiles": 2}, {"drop_frames": N}, {"nothing": true},
{"torn": true}.
"""

from __future__ import annotations

import argparse
import json
import zlib
from datetime import datetime
from pathlib import Path

import av
import numpy as np
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


def mark(seed: int, frame: int) -> np.ndarray:
    """The colour that stands for a seed and a frame."""
    value = zlib.crc32(f"{seed}/{frame}".encode())
    return np.array([40 + value % 180, 40 + value // 180 % 180, 40 + value // 32400 % 180], np.uint8)


def make_grid(tiles: list[np.ndarray]) -> np.ndarray:
    """As torchvision.utils.make_grid puts tiles in a row: 2 black pixels around each."""
    height, width = tiles[0].shape[:2]
    grid = np.zeros((height + 4, len(tiles) * (width + 2) + 2, 3), np.uint8)
    for index, tile in enumerate(tiles):
        left = index * (width + 2) + 2
        grid[2 : 2 + height, left : left + width] = tile
    return grid


def save_video(frames: list[np.ndarray], path: Path, fps: object) -> None:
    """As PyAV 11 does by default: yuv420p at 1,024,000 bits a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 1024000
        stream.codec_context.bit_rate_tolerance = 128000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def check_weights(config: dict) -> None:
    assert (Path(config["pretrained_base_model_path"]) / "unet" / "config.json").is_file()
    assert (Path(config["pretrained_vae_path"]) / "config.json").is_file()
    assert (Path(config["image_encoder_path"]) / "config.json").is_file()
    for key in ("denoising_unet_path", "reference_unet_path", "pose_guider_path"):
        assert Path(config[key]).is_file(), key
    # The program goes on without its motion module where that file is missing.
    assert Path(config["motion_module_path"]).is_file(), "frames without motion module"
    assert config["weight_dtype"] in ("fp16", "fp32")
    loaded = yaml.safe_load(Path(config["inference_config"]).read_text())
    assert loaded["noise_scheduler_kwargs"]["prediction_type"] == "v_prediction"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config")
    parser.add_argument("-W", type=int, default=512)
    parser.add_argument("-H", type=int, default=784)
    parser.add_argument("-L", type=int, default=24)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--cfg", type=float, default=3.5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--fps", type=int)
    args = parser.parse_args()
    fault = json.loads((ROOT / "fault").read_text()) if (ROOT / "fault").exists() else {}
    with (ROOT / "starts").open("a") as starts:
        starts.write("one\n")
    config = yaml.safe_load(Path(args.config).read_text())
    check_weights(config)
    date, time = datetime.now().strftime("%Y%m%d"), datetime.now().strftime("%H%M")
    save_dir = Path(f"output/{date}/{time}--seed_{args.seed}-{args.W}x{args.H}")
    save_dir.mkdir(exist_ok=True, parents=True)
    for reference_path, pose_paths in config["test_cases"].items():
        for pose_path in pose_paths:
            reference = np.array(Image.open(reference_path).convert("RGB"))
            with av.open(pose_path) as container:
                rate = container.streams.video[0].average_rate
                poses = [frame.to_rgb().to_ndarray() for frame in container.decode(video=0)]
            assert reference.shape == (args.H, args.W, 3), f"the reference would be stretched from {reference.shape}"
            assert all(pose.shape == reference.shape for pose in poses), "the poses would be stretched"
            assert all((pose == 0).all(-1).mean() > 0.5 for pose in poses), "not drawn on black"
            assert 2 <= args.L <= len(poses), f"-L {args.L} of {len(poses)} poses"
            grids = []
            for number, pose in enumerate(poses[: args.L]):
                made = np.where(pose.any(-1, keepdims=True), pose, reference)
                made[-64:, -64:] = mark(args.seed, number)
                grids.append(make_grid([reference, pose, made][: fault.get("tiles", 3)]))
            grids = grids[: len(grids) - fault.get("drop_frames", 0)]
            name = Path(pose_path).stem.replace("_kps", "")
            file = f"{Path(reference_path).stem}_{name}_{args.H}x{args.W}_{int(args.cfg)}_{time}.mp4"
            if not fault.get("nothing"):
                save_video(grids, save_dir / file, rate if args.fps is None else args.fps)
            if fault.get("torn"):
                (save_dir / file).write_bytes((save_dir / file).read_bytes()[:2000])


if __name__ == "__main__":
    main()

"""Speaks MagicPose's command line, reads what it reads, writes what it writes; flat blocks of the pictures it was
given take the place of the network.

The rules are those of its sources (commit a515a1f): `test_any_image_pose.py` and
`scripts/inference_any_image_pose.sh`. It is put into a folder as `test_any_image_pose.py`.

A word in `fault.txt` beside it makes it fail: `crash`, `missing`, `size`, `garbage`.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

MODEL = "model_lib/ControlNet/models/cldm_v15_reference_only_pose.yaml"
SIZE, BLOCK = 512, 64


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("model_config", "image_pretrain_dir", "local_cond_image_path", "local_pose_path"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("local_image_dir", "local_log_dir"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--num_train_steps", type=int, default=1000000)
    parser.add_argument("--img_bin_limit", default=29)
    parser.add_argument("--train_batch_size", type=int, default=16)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--control_mode", default="balance")
    parser.add_argument("--control_type", nargs="+", default=["pose"])
    parser.add_argument("--train_dataset", default="laionhumanDs_densepose_1face_lm")
    parser.add_argument("--with_text", action="store_false", default=True)
    for name in ("use_fp16", "v4", "wonoise"):
        parser.add_argument(f"--{name}", action="store_true")
    return parser.parse_args()


def demand(fact: object, what: str) -> None:
    if not fact:
        sys.exit(f"stand-in: {what}")


def check(args: argparse.Namespace) -> None:
    for name in ("WORLD_SIZE", "LOCAL_RANK", "RANK", "MASTER_ADDR", "MASTER_PORT"):
        demand(os.environ.get(name), f"{name} is not set: not started by torchrun")
    demand(os.environ["WORLD_SIZE"] == "1" and os.environ["RANK"] == "0", "one process makes all frames")
    demand(args.model_config == MODEL and Path(MODEL).is_file(), f"{args.model_config} is not a file of this folder")
    demand(args.num_train_steps == 1, f"{args.num_train_steps} steps: each makes all frames again")
    demand(args.img_bin_limit == "all" and args.train_batch_size == 1, "batch")
    demand(args.control_mode == "controlnet_important", "the image is guided in this mode alone")
    demand(args.control_type == ["body+hand+face"], "control type")
    demand(args.train_dataset == "tiktok_video_arnold" and args.v4 and args.use_fp16, "flags of the script")
    demand(0 <= args.seed < 2**32, "a seed that NumPy does not take")
    demand(args.wonoise, "the reference would be noised")
    demand(not args.with_text, "a text")
    # Any other name is taken for a folder of optimiser states.
    demand(args.image_pretrain_dir.endswith(".th") and Path(args.image_pretrain_dir).is_file(), "checkpoint")


def square(path: Path) -> np.ndarray:
    """What it makes of a picture: the largest square of any place (the whole, if it is one), resized to 512."""
    picture = Image.open(path).convert("RGB")
    demand(picture.width == picture.height, f"{path.name}: {picture.size} would be cropped at a place of its choice")
    demand(picture.size == (SIZE, SIZE), f"{path.name}: {picture.size} would be resized")
    return np.asarray(picture)


def animated(pose: np.ndarray, reference: np.ndarray, seed: int) -> np.ndarray:
    """Blocks of one colour each: the reference's mean, lighter by how much of the pose lies there."""
    cells = (SIZE // BLOCK, BLOCK, SIZE // BLOCK, BLOCK)
    look = reference.reshape(*cells, 3).mean((1, 3, 4)) * 0.5
    drawn = (pose.max(-1) > 0).reshape(cells).mean((1, 3)) * 255
    grey = np.clip(look + drawn, 0, 255)
    grey[0, 0] = seed % 256
    blocks = np.kron(np.rint(grey), np.ones((BLOCK, BLOCK)))
    return np.repeat(blocks[..., None], 3, axis=-1).astype(np.uint8)


def main() -> None:
    args = arguments()
    check(args)
    fault = Path("fault.txt").read_text() if Path("fault.txt").exists() else ""
    if fault == "crash":
        sys.exit("stand-in: crashed on purpose")
    out = Path(args.local_image_dir, "0")
    for name in ("gen_images", "gt_images", "pose_maps"):
        (out / name).mkdir(parents=True, exist_ok=True)
    Path(args.local_log_dir).mkdir(parents=True, exist_ok=True)
    reference = square(Path(args.local_cond_image_path))
    Image.fromarray(reference).save(out / "condition.jpg")
    names = sorted(os.listdir(args.local_pose_path))  # noqa: PTH208  (as it is written there)
    poses = [square(Path(args.local_pose_path, name)) for name in names]
    for number, pose in enumerate(poses):
        frame = animated(pose, reference, args.seed)
        if fault == "missing" and number == len(poses) - 1:
            continue
        if fault == "size" and number == 1:
            frame = frame[: SIZE // 2]
        Image.fromarray(frame).save(out / "gen_images" / f"{number:03d}.jpg")
        Image.fromarray(pose).save(out / "pose_maps" / f"{number:03d}.jpg")
        if fault == "garbage" and number == 1:
            (out / "gen_images" / f"{number:03d}.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")


if __name__ == "__main__":
    main()

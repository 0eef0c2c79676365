"""Speaks the command line of DreamPose's `test.py` and keeps its habits.

In place of the networks it lays U and V over the key frame, and blocks of colour that say which neighbours it found
for the frame and with which seed it ran.

A file `fault` beside it holds a JSON object: {"die_at": N} or {"skip": N}.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--folder", default="dreampose-1")
    parser.add_argument("--pose_folder")
    parser.add_argument("--epoch", type=int, default=44, required=True)
    parser.add_argument("--key_frame_path")
    parser.add_argument("--s1", type=float, default=0.5)
    parser.add_argument("--s2", type=float, default=0.5)
    parser.add_argument("--n_steps", default=100, type=int)
    parser.add_argument("--output_dir", default=None)
    parser.add_argument("--custom_vae", default=None)
    args = parser.parse_args()
    with (ROOT / "starts").open("a") as starts:
        starts.write("test\n")
    fault = json.loads((ROOT / "fault").read_text()) if (ROOT / "fault").exists() else {}
    save_folder = args.output_dir if args.output_dir is not None else args.folder
    if not Path(save_folder).exists():
        Path(save_folder).mkdir()  # which makes no folder above it
    assert Path("CompVis/stable-diffusion-v1-4/unet").is_dir(), "would be downloaded"
    assert Path("openai/clip-vit-base-patch32/config.json").is_file(), "would be downloaded"
    assert Path(f"{args.folder}/checkpoint-{args.epoch}").is_dir()
    unet = json.loads(Path(f"{args.folder}/unet_epoch_{args.epoch}.pth").read_text())
    json.loads(Path(f"{args.folder}/adapter_{args.epoch}.pth").read_text())
    vae = json.loads(Path(args.custom_vae).read_text())

    numbers = sorted(
        int(str(path).split("frame_")[-1].replace("_densepose.npy", ""))
        for path in Path(args.pose_folder).glob("frame_*.npy")
    )
    numbers = list(set(numbers))
    paths = [f"{args.pose_folder}/frame_{number}_densepose.npy" for number in numbers]
    opened = Image.open(args.key_frame_path)
    assert (opened.mode, opened.size) == ("RGB", (512, 640)), f"key frame is {opened.mode}, {opened.size}"
    key = np.array(opened)
    uv = np.load(args.key_frame_path.replace(".png", "_densepose.npy"))
    assert hashlib.sha256(key.tobytes() + uv.tobytes()).hexdigest() == unet["subject"] == vae["subject"]
    for number, path in zip(numbers, paths):  # noqa: B905
        if fault.get("die_at") == number:
            sys.exit("RuntimeError: stand-in dies")
        found = 0
        for bit, neighbour in enumerate(range(number - 2, number + 3)):
            found |= Path(path.replace(str(number), str(neighbour))).exists() << bit
        pose = np.load(path).astype("float32")
        assert pose.shape == (2, 640, 512)
        image = key.copy()
        image[..., 0] = np.where(pose[0] > 0, np.rint(255 * pose[0]), image[..., 0])
        image[..., 1] = np.where(pose[1] > 0, np.rint(255 * pose[1]), image[..., 1])
        image[100:120, 100:120] = found * 8
        value = zlib.crc32(f"{torch.initial_seed()}/{unet['seed']}/{vae['seed']}".encode())
        image[120:140, 100:120] = [value % 256, value // 256 % 256, value // 65536 % 256]
        stretched = image.astype(float) - image.min()
        stretched = (255 * (stretched / stretched.max())).astype(np.uint8)
        j = int(path.split("_")[-2])
        if fault.get("skip") != j:
            Image.fromarray(stretched).save(f"{save_folder}/pred_#{j}.png", compress_level=1)


if __name__ == "__main__":
    main()

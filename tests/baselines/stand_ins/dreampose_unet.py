"""Speaks the command line of DreamPose's `finetune-unet.py` and keeps its habits.

In place of training it writes down what it was given, for `test.py` to find. The loop over epochs is the program's
own in what decides which files appear.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np
from PIL import Image


def check_models() -> None:
    for folder in ("unet", "vae", "scheduler", "tokenizer"):
        assert Path(f"CompVis/stable-diffusion-v1-4/{folder}").is_dir(), "would be downloaded"
    assert Path("openai/clip-vit-base-patch32/config.json").is_file(), "would be downloaded"


def read_subject(folder: str) -> tuple[int, str]:
    """How many images there are to learn, and a digest of the last."""
    images = [str(path) for path in Path(folder).glob("*png")]
    digest = ""
    for path in images:
        opened = Image.open(path)
        assert opened.size == (512, 640), f"the image would be stretched from {opened.size}"
        uv = np.load(path.replace(".png", "_densepose.npy"))
        assert uv.shape == (2, 640, 512), f"DensePose of shape {uv.shape}"
        assert 0 <= uv.min() <= uv.max() <= 1
        digest = hashlib.sha256(np.array(opened).tobytes() + uv.tobytes()).hexdigest()
    return len(images), digest


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(allow_abbrev=False)
    made.add_argument("--pretrained_model_name_or_path", type=str, required=True)
    made.add_argument("--custom_chkpt", type=str, default=None)
    made.add_argument("--run_name", type=str, default="dreampose-tb")
    made.add_argument("--epoch", default=0, type=int)
    made.add_argument("--revision", type=str, default=None)
    made.add_argument("--instance_data_dir", type=str, required=True)
    made.add_argument("--dropout_rate", default=0.2, type=float)
    made.add_argument("--output_dir", type=str, default="text-inversion-model")
    made.add_argument("--seed", type=int, default=None)
    made.add_argument("--resolution", type=int, default=512)
    made.add_argument("--train_batch_size", type=int, default=4)
    made.add_argument("--num_train_epochs", type=int, default=1)
    made.add_argument("--max_train_steps", type=int, default=None)
    made.add_argument("--gradient_accumulation_steps", type=int, default=1)
    made.add_argument("--learning_rate", type=float, default=5e-6)
    made.add_argument("--mixed_precision", type=str, default=None, choices=["no", "fp16", "bf16"])
    return made


def main() -> None:
    args = parser().parse_args()
    root = Path(__file__).resolve().parent
    with (root / "starts").open("a") as starts:
        starts.write("unet\n")
    if (root / "fault-unet").exists():
        raise SystemExit("torch.cuda.OutOfMemoryError: CUDA out of memory.")
    assert not {"RANK", "WORLD_SIZE"} & set(os.environ), "accelerate would wait for other machines"
    assert args.mixed_precision == "no"
    Path(args.output_dir).mkdir(parents=True, exist_ok=True)
    check_models()
    unet = json.loads(Path(args.custom_chkpt).read_text())
    adapter = json.loads(Path(args.custom_chkpt.replace("unet_epoch", "adapter")).read_text())
    assert (unet["is"], adapter["is"]) == ("unet", "adapter")
    count, subject = read_subject(args.instance_data_dir)
    per_epoch = math.ceil(math.ceil(count / args.train_batch_size) / args.gradient_accumulation_steps)
    if args.max_train_steps is None:
        args.max_train_steps = args.num_train_epochs * per_epoch

    def save(epoch: int) -> None:
        known = json.dumps({"subject": subject, "seed": args.seed, "base": unet["value"]})
        Path(f"{args.output_dir}/checkpoint-{epoch}").mkdir(exist_ok=True)
        Path(f"{args.output_dir}/unet_epoch_{epoch}.pth").write_text(known)
        Path(f"{args.output_dir}/adapter_{epoch}.pth").write_text(known)

    step = epoch = 0
    for epoch in range(args.epoch, args.num_train_epochs):
        for _ in range(per_epoch):
            step += 1
            if step >= args.max_train_steps:
                break
            if step % 500 == 0:
                save(epoch)
    if step % 500 == 0:
        save(epoch)


if __name__ == "__main__":
    main()

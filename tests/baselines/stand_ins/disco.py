"""Speaks DisCo's command line, reads what it reads, writes what it writes; a picture of the reference and the pose
takes the place of the network.

The rules are those of DisCo's sources (commit c4fa48a): `utils/args.py` and `config/bash_command/tiktok_cfg.sh` for the
command line, `utils/lib.py` and `README.md` for the environment, `utils/dist.py` for how it starts, `utils/tsv_io.py`,
`dataset/tsv_dataset.py` and `dataset/tsv_cond_dataset.py` for the files, `inner_collect_fn` in
`config/ref_attn_clip_combine_controlnet/net.py` for the outputs. It is put into a folder as `finetune_sdm_yaml.py`.

Each start adds a line to `starts.txt` beside it. A word in `fault.txt` there makes it fail: `crash`, `memory`,
`missing`, `size`, `garbage`, `torn`, or `dies` after the first clip.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

CONFIG = "config/ref_attn_clip_combine_controlnet/tiktok_S256L16_xformers_tsv.py"
SIZE = 256


def boolean(word: str) -> bool:
    if word.lower() in {"true", "t", "1", "yes", "y"}:
        return True
    if word.lower() in {"false", "f", "0", "no", "n"}:
        return False
    raise ValueError(word)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("root_dir", "cf", "pretrained_model", "pretrained_model_path", "log_dir", "val_yaml"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("deepspeed", "fix_dist_seed", "eval_visu", "refer_sdvae", "ref_null_caption"):
        parser.add_argument(f"--{name}", type=boolean, nargs="?", const=True, default=False)
    for name in ("combine_clip_local", "combine_use_mask", "do_train"):
        parser.add_argument(f"--{name}", type=boolean, nargs="?", const=True, default=False)
    parser.add_argument("--conds", nargs="+", choices=["poses", "masks", "densepose", "hed", "midas"], default=[])
    parser.add_argument("--loss_target", choices=["noise", "x0", "mixed"], default="noise")
    parser.add_argument("--unet_unfreeze_type", choices=["crossattn-kv", "crossattn", "transblocks", "all", "null"])
    parser.add_argument("--guidance_scale", type=float)
    parser.add_argument("--drop_ref", type=float, default=0.0)
    parser.add_argument("--local_eval_batch_size", type=int, default=8)
    parser.add_argument("--num_inference_steps", type=int, default=50)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--eval_save_filename", default="eval_visu")
    return parser.parse_args()


def demand(fact: object, what: str) -> None:
    if not fact:
        sys.exit(f"stand-in: {what}")


def check(args: argparse.Namespace) -> None:
    demand(args.cf == CONFIG and Path(args.cf).is_file(), f"--cf {args.cf} is not a file of this folder")
    demand(args.eval_visu and not args.do_train, "asked for something else than visualisation")
    # Without deepspeed the checkpoint's 'module' is not looked into, and nothing of it is loaded.
    demand(args.deepspeed, "the checkpoint is a deepspeed one")
    demand(args.refer_sdvae and args.combine_clip_local and args.combine_use_mask, "the released model has all three")
    demand(not args.ref_null_caption, "the released model has no null caption")
    demand(args.conds == ["poses", "masks"], "conditions")
    demand(args.unet_unfreeze_type == "null" and args.drop_ref == 0.05, "not the settings of the guided model")
    demand(args.guidance_scale is not None, "the config's guidance is 7.5")
    demand(args.seed is not None, "the config's seed is 42")
    demand(0 <= args.seed < 2**32, "a seed in whose place it takes one at random")
    demand("enc_dec_only" not in args.eval_save_filename, "this would encode and decode, and nothing more")
    demand(Path(args.pretrained_model).is_file() and not args.pretrained_model.endswith(".pth"), "checkpoint")
    variations = Path(args.root_dir, args.pretrained_model_path)
    for part in ("scheduler", "feature_extractor", "image_encoder", "vae", "unet"):
        demand((variations / part).is_dir(), f"sd-image-variations-diffusers lacks {part}")
    for name in ("WANDB_ENABLE", "AZFUSE_USE_FUSE", "QD_USE_LINEIDX_8B"):
        demand(os.environ.get(name) == "0", f"{name} must be 0")
    # With WORLD_SIZE it runs into a name that was never set; with OMPI_… it waits for other processes.
    demand("WORLD_SIZE" not in os.environ and "OMPI_COMM_WORLD_SIZE" not in os.environ, "one process is not the world")
    place = (os.environ.get("MASTER_ADDR", "localhost"), int(os.environ.get("MASTER_PORT", "12475")))
    socket.create_server(place).close()


class Tsv:
    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        index = Path(os.path.splitext(path)[0] + ".lineidx")  # noqa: PTH122  (as it is written there)
        self.starts = [int(line) for line in index.read_text().splitlines()]

    def __len__(self) -> int:
        return len(self.starts)

    def row(self, index: int) -> list[str]:
        end = self.starts[index + 1] if index + 1 < len(self) else len(self.data)
        line = self.data[self.starts[index] : end].decode()
        demand(line.count("\n") == 1 and line.endswith("\n"), f"row {index} does not lie between its offsets")
        return [column.strip() for column in line.split("\t")]


def image(column: str) -> np.ndarray:
    picture = Image.open(io.BytesIO(base64.b64decode(column, validate=True)))
    demand(picture.size == (SIZE, SIZE), f"an image of {picture.size}")
    return np.asarray(picture.convert("RGB"))


class Dataset:
    def __init__(self, config: Path) -> None:
        cfg = yaml.safe_load(config.read_text())
        demand(not cfg["composite"], "composite")

        def open_tsv(name: str) -> Tsv:
            found = Path(name) if Path(name).is_file() else config.parent / name
            return Tsv(found)

        self.images, self.captions = open_tsv(cfg["img"]), open_tsv(cfg["caption"])
        self.poses, self.masks, self.spans = open_tsv(cfg["poses"]), open_tsv(cfg["masks"]), open_tsv(cfg["vid2line"])
        self.keys = [self.captions.row(index)[0] for index in range(len(self.captions))]
        demand(len(set(self.keys)) == len(self.keys), "double keys")
        for tsv in (self.images, self.poses, self.masks, self.spans):
            demand(len(tsv) == len(self.keys), "files of different length")

    def value(self, tsv: Tsv, index: int) -> str:
        row = tsv.row(index)
        demand(row[0] == self.keys[index], f"row {index} is {row[0]}, but its caption is {self.keys[index]}")
        demand(len(row) == 2, f"row {index} has {len(row)} columns")
        return row[1]

    def sample(self, index: int) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
        caption = json.loads(self.value(self.captions, index))[0]
        demand(caption["caption"] == "", "a caption")
        first, last = (index + offset for offset in json.loads(self.value(self.spans, index)))
        demand(0 <= first <= index <= last < len(self.keys), f"row {index} lies outside its video [{first}, {last}]")
        image(self.value(self.images, index))
        image(self.value(self.masks, index))
        reference = image(self.value(self.images, first))
        mask = image(self.value(self.masks, first))
        demand(set(np.unique(mask)) <= {0, 255}, "a mask that is not black and white")
        return self.keys[index], image(self.value(self.poses, index)), reference, mask


def animated(pose: np.ndarray, reference: np.ndarray, mask: np.ndarray, position: int, seed: int) -> np.ndarray:
    """Pose on people, people in inverted colours on their background, and in one corner what noise depends on."""
    frame = np.where(mask > 0, 255 - reference, reference)
    frame = np.where(pose > 0, pose, frame)
    frame[:8, :8] = (position % 256, seed % 256, position // 256)
    return frame.astype(np.uint8)


def main() -> None:
    args = arguments()
    check(args)
    with Path("starts.txt").open("a") as starts:
        starts.write(" ".join(sys.argv) + "\n")
    fault = Path("fault.txt").read_text() if Path("fault.txt").exists() else ""
    if fault == "crash":
        sys.exit("stand-in: crashed on purpose")
    if fault == "memory":
        sys.exit("RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB")
    log = Path(args.log_dir) if args.root_dir in args.log_dir else Path(args.root_dir, args.log_dir)
    out = log / args.eval_save_filename
    pred = out / f"pred_gs{args.guidance_scale}_scale-cond1.0-ref1.0"
    for folder in (pred, out / "gt", out / "cond", out / "ref", out / "ref_control"):
        folder.mkdir(parents=True, exist_ok=True)
    dataset = Dataset(Path(args.val_yaml))
    for index in range(len(dataset.keys)):
        if fault == "dies" and index and json.loads(dataset.value(dataset.spans, index))[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        key, pose, reference, mask = dataset.sample(index)
        frame = animated(pose, reference, mask, index % args.local_eval_batch_size, args.seed)
        name = "_".join(key.replace(os.sep, "").replace(".", "").split(" "))
        if fault == "size" and index == 1:
            frame = frame[: SIZE // 2, : SIZE // 2]
        if fault == "missing" and index == 1:
            continue
        for folder in (pred, out / "gt"):
            Image.fromarray(frame).save(folder / f"{name}.png")
        if fault in {"garbage", "torn"} and index == 1:
            file = pred / f"{name}.png"
            data = file.read_bytes()
            file.write_bytes(data[: len(data) // 2] if fault == "torn" else b"\x89PNG\r\n\x1a\nnothing more")


if __name__ == "__main__":
    main()

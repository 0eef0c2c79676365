"""Speaks the command line of DreamPose's `finetune-vae.py`, with what it shares with that of the U-Net."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent
_spec = importlib.util.spec_from_file_location("unet", ROOT / "finetune-unet.py")
assert _spec is not None
assert _spec.loader is not None
unet = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(unet)


def main() -> None:
    args = unet.parser().parse_args()
    with (ROOT / "starts").open("a") as starts:
        starts.write("vae\n")
    assert args.pretrained_model_name_or_path == "CompVis/stable-diffusion-v1-4"
    Path(f"results/logs/{args.run_name}").mkdir(parents=True)  # of TensorBoard, below the folder it is started in
    unet.check_models()
    assert "png" not in args.instance_data_dir  # all that has it in its path is taken for an image
    _, subject = unet.read_subject(args.instance_data_dir)
    last = args.num_train_epochs - 1
    Path(f"{args.output_dir}/vae_{last}.pth").write_text(json.dumps({"subject": subject, "seed": args.seed}))


if __name__ == "__main__":
    main()

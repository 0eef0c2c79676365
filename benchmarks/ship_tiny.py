"""Put a trained model into the package: `python benchmarks/ship_tiny.py runs/tiny-stage2`.

It writes `fypv2/checkpoints/fypv2-tiny`: the averaged weights of a run of `fypv2 train` in float16, in files that a
repository can hold, with a model card, the configs and logs of the run and of those that it started from, and the
commands that made it. The folder takes the place of the one before once it is whole, within its limits, and makes
the frames of the model that it was made from.

Then judge what is there now, and write what was found into the card; the weights stay the same ones:

    python benchmarks/held_out.py --out runs/held-out
    python benchmarks/ship_tiny.py runs/tiny-stage2 --held-out runs/held-out
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fypv2.checkpoint import load_pipeline, save_pipeline
from fypv2.conditions import nearness_from_depth, poses_of_annotations
from fypv2.pipeline import FollowYourPosePipeline
from fypv2.quiet import quiet
from fypv2.shipped import SHIPPED
from fypv2.training.config import TRAIN_CONFIGS, TrainConfig, load_train_config
from fypv2.training.logs import LOG
from fypv2.training.state import Saved, last_checkpoint
from mcbench import UserError, load_method, render_clip, training_clips

__all__ = ["FILE_BYTES", "TOTAL_BYTES", "command_of", "runs_behind", "ship"]

FILE_BYTES, TOTAL_BYTES = 15_000_000, 40_000_000
"""The most that one file, and all together, may have."""
SHARD = "14MB"
"""Of tensors in a file, its header aside."""
MEAN_LEVELS = 1.0
"""The most by which float16 may move a frame in the mean, of 255 levels."""
_STAGES = {"vae": "vae", 1: "stage1", 2: "stage2", "decoder": "decoder"}
_NAME = SHIPPED["tiny"]
_PLACE = Path(__file__).resolve().parent.parent / "fypv2" / "checkpoints" / _NAME


@dataclass(frozen=True)
class Run:
    """A training behind the model.

    Attributes:
        name: `vae`, `stage1`, `stage2` or `decoder`; the second of a kind is `stage1-2`.
        folder: of the run.
        saved: its last checkpoint.
    """

    name: str
    folder: Path
    saved: Saved

    @property
    def config(self) -> dict[str, Any]:
        """As it was trained; of a model config that is a file, the name alone."""
        config: dict[str, Any] = self.saved.state["config"]
        return {**config, "model": Path(config["model"]).name}

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its log."""
        file = self.folder / LOG
        return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the last stage's training")
    parser.add_argument("--held-out", type=Path, help="folder of held_out.py, for the card")
    parser.add_argument("--machine", help="what it was trained on, in words, for the card")
    parser.add_argument("--place", type=Path, default=_PLACE, help="default: the package's own data")
    options = parser.parse_args(arguments)
    try:
        report = ship(options.run, options.place, held_out=options.held_out, machine=options.machine)
    except (UserError, OSError) as error:
        parser.exit(2, f"ship_tiny: error: {error}\n")
    print(json.dumps(report, indent=2))  # noqa: T201


def ship(run: Path, place: Path, *, held_out: Path | None = None, machine: str | None = None) -> dict[str, Any]:
    """Write the folder that ships.

    Args:
        run: of `fypv2 train`, finished.
        place: where; what is there is replaced.
        held_out: a judgement of these very weights.
        machine: for the card.

    Returns:
        Digest of the model, sizes, and by how many levels its frames differ from those of the run's model.

    Raises:
        UserError: if the run is not finished, the model is too large, float16 is too narrow for it, or the judgement is
            of other weights; nothing is replaced then.
    """
    runs = runs_behind(run)
    saved = runs[-1].saved
    if saved.step < saved.state["config"]["steps"]:
        raise UserError(f"{run}: step {saved.step} of {saved.state['config']['steps']}; train it to its end")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as beside:
        new = Path(beside) / place.name
        report = _write_model(run / "model", new / "model")
        _write_training(runs, new / "training")
        judged = None if held_out is None else _take_judgement(held_out, new, report["checkpoint_sha256"])
        (new / "MODEL_CARD.md").write_text(_card(runs, report, judged, machine), encoding="utf-8")
        report |= _check_sizes(new)
        if place.exists():
            shutil.rmtree(place)
        new.replace(place)
    place.chmod(0o755)
    return report


def runs_behind(run: Path) -> list[Run]:
    """A run and those that it started from, the first one first.

    Raises:
        UserError: if the folder is none of a run.
    """
    found: list[Run] = []
    folder: Path | None = run
    while folder is not None:
        saved = last_checkpoint(folder)
        if saved is None:
            if not found:
                raise UserError(f"{run}: no checkpoint of a training; give the folder of `fypv2 train --out`")
            print(f"ship_tiny: {folder}: not the folder of a run; its log does not ship", file=sys.stderr)  # noqa: T201
            break
        config = saved.state["config"]
        found.insert(0, Run(_STAGES[config["stage"]], folder, saved))
        folder = None if config["start"] == "fresh" else Path(config["start"]).expanduser().parent
    before = [[run.name for run in found[:number]].count(run.name) for number, run in enumerate(found)]
    return [
        replace(run, name=f"{run.name}-{same + 1}") if same else run for run, same in zip(found, before, strict=True)
    ]


def _write_model(source: Path, folder: Path) -> dict[str, Any]:
    """The model in float16; what it makes is held against the original's frames."""
    original = load_pipeline(source)
    expected = _frames(original)
    with quiet():
        save_pipeline(original.to(torch.float16), folder, max_shard_size=SHARD)
    _forget_places(folder)
    shipped = load_pipeline(folder)
    difference = np.abs(_frames(shipped).astype(int) - expected)
    if difference.mean() > MEAN_LEVELS:
        raise UserError(f"{source}: float16 moves its frames by {difference.mean():.2f} levels in the mean; too narrow")
    modules = {name: part for name, part in shipped.components.items() if isinstance(part, torch.nn.Module)}
    parts = {name: sum(value.numel() for value in part.parameters()) for name, part in modules.items()}
    return {
        "checkpoint_sha256": load_method("fypv2", checkpoint=folder).checkpoint_sha256,
        "parameters": parts,
        "mean_levels": round(float(difference.mean()), 4),
        "most_levels": int(difference.max()),
    }


def _frames(pipeline: FollowYourPosePipeline) -> np.ndarray:
    """A few frames of a drawn clip in a few steps."""
    size = pipeline.model_config.sampling.width
    drawn = list(render_clip(next(iter(training_clips(1, 1, 3, size)))))
    keypoints, seen = (np.stack([getattr(frame, name) for frame in drawn]) for name in ("keypoints", "visibility"))
    poses = poses_of_annotations(keypoints, seen, (size, size))
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(
        drawn[0].image,
        poses,
        poses.frame(0),
        reference_nearness=nearness_from_depth(drawn[0].depth),
        height=size,
        width=size,
        num_inference_steps=5,
        generator=torch.Generator().manual_seed(0),
    )
    return np.asarray(made.frames)


def _forget_places(folder: Path) -> None:
    """The libraries note where a part was loaded from, which is nobody's business, and would change the digest."""
    for file in folder.rglob("*.json"):
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.pop("_name_or_path", None) is not None:
            file.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _write_training(runs: Sequence[Run], folder: Path) -> None:
    """Configs and logs of the runs, without the places of the machine that they ran on."""
    folder.mkdir(parents=True)
    data = _data_folders(runs)
    for model in {Path(str(run.saved.state["config"]["model"])) for run in runs}:
        if model.suffix == ".yaml":
            shutil.copyfile(model, folder / model.name)
    for number, run in enumerate(runs, 1):
        about = {
            "command": command_of(run, runs[number - 2] if number > 1 else None, data[run.saved.state["data"]]),
            "config": {key: value for key, value in run.config.items() if key not in ("data", "out", "start")},
            "data_sha256": run.saved.state["data"],
            "processes": run.saved.state.get("processes"),
            "steps_done": run.saved.step,
        }
        (folder / f"{number}-{run.name}.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        lines = "".join(json.dumps(line) + "\n" for line in run.log)
        (folder / f"{number}-{run.name}.log.jsonl").write_text(lines, encoding="utf-8")


def command_of(run: Run, before: Run | None, data: str = "DATA") -> str:
    """The command that trains this run anew on a folder of data: the nearest config that ships, and what differs."""
    config = run.config
    known = {
        name: load_train_config(name).model_dump(mode="json")
        for name in TRAIN_CONFIGS
        if load_train_config(name).stage == config["stage"]
    }
    skipped = {"data", "out", "start"}
    keys = [key for key in TrainConfig.model_fields if key not in skipped]
    others = {name: [key for key in keys if plan[key] != config.get(key, plan[key])] for name, plan in known.items()}
    nearest = min(others, key=lambda name: len(others[name]))
    settings = [f"{key}={_yaml(config[key])}" for key in others[nearest]]
    start = "fresh" if config["start"] == "fresh" else f"runs/tiny-{before.name}/model" if before else "START"
    if start != known[nearest]["start"]:
        settings.insert(0, f"start={start}")
    words = ["fypv2", "train", nearest, "--data", data, "--out", f"runs/tiny-{run.name}"]
    return shlex.join([*words, *(word for setting in settings for word in ("--set", setting))])


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _data_folders(runs: Sequence[Run]) -> dict[str, str]:
    """A name for the data of each run, by their digest."""
    digests = list(dict.fromkeys(str(run.saved.state["data"]) for run in runs))
    return {digest: "DATA" if len(digests) == 1 else f"DATA-{number}" for number, digest in enumerate(digests, 1)}


def _data_command(run: Run, data: str) -> str:
    """What drew the data of a run, as far as its folder is still there and says so."""
    manifest = Path(str(run.config["data"])).expanduser() / "manifest.json"
    content = manifest.read_bytes() if manifest.is_file() else b""
    if hashlib.sha256(content).hexdigest() != run.saved.state["data"]:
        return ""
    settings = json.loads(content).get("settings", {})
    if settings.get("kind") != "synthetic":
        return ""
    keys = [key for key in ("clips", "frames", "size", "seed", "cameras") if key in settings]
    words = [word for key in keys for word in (f"--{key}", str(settings[key]))]
    return shlex.join(["fypv2", "preprocess", "synthetic", *words, "-o", data])


def _take_judgement(folder: Path, new: Path, checkpoint: str) -> str:
    """The table of held_out.py, once it is known to be of these weights; its sheet and document are copied."""
    report = json.loads((folder / "held_out.json").read_text(encoding="utf-8"))
    if report["checkpoint_sha256"] != checkpoint:
        raise UserError(f"{folder}: judges other weights than these; run held_out.py on what ships, then this again")
    for name in ("held_out.json", "contact_sheet.png"):
        shutil.copyfile(folder / name, new / name)
    return (folder / "held_out.md").read_text(encoding="utf-8").strip()


def _check_sizes(folder: Path) -> dict[str, Any]:
    sizes = {file.relative_to(folder).as_posix(): file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    largest = max(sizes, key=lambda name: sizes[name])
    if sizes[largest] > FILE_BYTES:
        raise UserError(f"{largest} would have {sizes[largest]} bytes; {FILE_BYTES} is the most")
    if sum(sizes.values()) > TOTAL_BYTES:
        raise UserError(f"all files would have {sum(sizes.values())} bytes; {TOTAL_BYTES} is the most")
    return {"bytes": sum(sizes.values()), "largest_bytes": sizes[largest], "files": len(sizes)}


def _card(runs: Sequence[Run], report: Mapping[str, Any], judged: str | None, machine: str | None) -> str:
    """The model card."""
    data = _data_folders(runs)
    commands: dict[str, None] = {}
    for run, before in zip(runs, [None, *runs[:-1]], strict=True):
        folder = data[run.saved.state["data"]]
        commands |= dict.fromkeys([_data_command(run, folder), command_of(run, before, folder)])
    hours = {run.name: sum(line.get("seconds", 0.0) for line in run.log) / 3600 for run in runs}
    rows = [
        f"| {run.name} | {_steps(run)} | {run.config['batch']} x {run.config['frames']} | {run.config['seed']} |"
        f" {run.log[-1]['loss'] if run.log else float('nan'):.4f} | {hours[run.name]:.1f} |"
        for run in runs
    ]
    parts = [f"| `{name}` | {count:,} |" for name, count in report["parameters"].items()]
    found = "Not judged yet." if judged is None else f"{judged}\n\n![contact sheet](contact_sheet.png)\n\n{_SHEET}"
    return _TEXT.format(
        name=_NAME,
        digest=report["checkpoint_sha256"],
        total=f"{sum(report['parameters'].values()):,}",
        levels=report["mean_levels"],
        parts="\n".join(parts),
        commands="\n".join(_folded(command) for command in commands if command),
        rows="\n".join(rows),
        data=", ".join(f"{name} `{digest}`" for digest, name in data.items()),
        machine=f"On {machine}.\n" if machine else "",
        found=found,
    )


def _steps(run: Run) -> str:
    done, planned = run.saved.step, run.config["steps"]
    return str(done) if done == planned else f"{done}, stopped before {planned}"


def _folded(command: str, width: int = 110) -> str:
    """A command in lines that a shell takes as one."""
    first, *settings = command.split(" --set ")
    lines = [first]
    for setting in settings:
        if len(lines[-1]) + len(setting) + 7 > width:
            lines.append("   ")
        lines[-1] += f" --set {setting}"
    return " \\\n".join(lines)


_SHEET = """A row for each clip: the reference, then pose, truth and output of three frames. Table and sheet are of
`benchmarks/held_out.py`, which says what each number is."""
_TEXT = """---
license: apache-2.0
library_name: diffusers
tags: [character-animation, pose, video]
---

# {name}

The smallest config of `fypv2`, the open reference implementation of Follow-Your-Pose v2, trained on drawn clips. It
animates the people of a picture by driving poses, in 128 x 128 pixels. It is what `mcbench eval --method fypv2` and
`fypv2 animate` take where no checkpoint is named; `--checkpoint {name}` names it.

SHA-256 of the model as results state it: `{digest}`

## What it is for

With it the whole of `fypv2` can be tried on any computer, and the synthetic boards have a trained reference. It has
seen drawn people in drawn rooms and nothing else: it is no model for photographs or footage, and its numbers do not
compare with the paper's, whose model is over a hundred times its size.

- It was trained at 128 x 128 pixels alone, where a face is a few pixels wide.
- It was trained under still and shaken cameras with the motion shown; at inference the camera stands still, as in the
  paper.
- The depth order comes from the reference and holds for a whole clip: two people who change places front to back keep
  the old order. It has hardly learnt who passes in front: see `order_errors` below.
- Colours of clothes and the room are kept; faces, hands and fine patterns are smeared.

## Parts

Float16, {total} parameters. Rounding them from float32 moves the frames by {levels} of 255 levels in the mean.

| part | parameters |
|---|---|
{parts}

## How it was trained

On clips that `mcbench` draws, of which none has the seed of a benchmark clip. Digests: {data}.

```
{commands}
```

| run | steps | samples x frames | seed | last loss | hours |
|---|---|---|---|---|---|
{rows}

{machine}`training/` has each run's config and log, and the model configs that the commands name as files.

A run that was stopped ended at a signal, after the steps that stand there; its schedule was that of the command. Hours
are those of the log, pauses of a machine that did other work included.

## How good it is

{found}

## Licence

Apache-2.0, weights and code. The training clips are drawn by this project; no person was filmed for them.
"""


if __name__ == "__main__":
    main()

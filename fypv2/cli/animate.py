"""`fypv2 animate`: one's own picture by one's own driving poses."""

from __future__ import annotations

import json as json_module
import re
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console

from fypv2.errors import PipelineError
from fypv2.shipped import choose_checkpoint
from mcbench import open_frames, write_frames, write_video

if TYPE_CHECKING:
    from fypv2.conditions import ConditionMaps, Poses

__all__ = ["EXAMPLES", "NAME", "run"]

NAME = "animate"
EXAMPLES = """Examples:

$ fypv2 animate people.png --poses dance.mp4 -o people-dance.mp4 --checkpoint starts/paper

$ fypv2 animate people.png --reference-poses people.safetensors --poses openpose --depth none -o out

$ fypv2 animate two.png --poses skeletons.mp4 --assign 1,0 -o swapped.mp4 --grid conditions.mp4"""

_FPS = 25.0
_MOST_FPS = 1000
_FRAME = re.compile(r"\d{5,}\.png")
_PICTURES = (".png", ".jpg", ".jpeg", ".webp")
_POSES = "a video of people, a video of skeletons, OpenPose JSON (a file or a folder), or saved .safetensors"

Frames = npt.NDArray[np.uint8]


class Dtype(str, Enum):
    """Types of the weights in memory."""

    float32 = "float32"
    float16 = "float16"
    bfloat16 = "bfloat16"


class Offload(str, Enum):
    """Which parts wait in the computer's memory."""

    none = "none"
    model = "model"
    sequential = "sequential"


def run(
    reference: Annotated[
        Path, typer.Argument(help="The picture, or a video whose first frame it is.", metavar="REFERENCE")
    ],
    poses: Annotated[Path, typer.Option("--poses", help=f"Driving poses: {_POSES}.", metavar="POSES")],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="An .mp4 file, or a folder for lossless frames; replaced where it is one already.",
            metavar="OUT",
        ),
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--checkpoint",
            help="Folder of a trained model, or the name of one that ships: fypv2-tiny, which is the default.",
            metavar="DIR",
        ),
    ] = None,
    config: Annotated[
        str,
        typer.Option(
            "--config",
            help="Without a checkpoint: which model; trained where its weights ship, else fresh.",
            metavar="NAME",
        ),
    ] = "tiny",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Fresh weights of the config, also where trained ones ship.", metavar="")
    ] = False,
    reference_poses: Annotated[
        Path | None,
        typer.Option("--reference-poses", help=f"Poses in the picture: {_POSES}.", metavar="POSES"),
    ] = None,
    assign: Annotated[
        str | None,
        typer.Option(
            "--assign",
            help="For each driving character, which character of the picture it animates, from the left, from 0;"
            " -1 leaves it out. Default: from left to right.",
            metavar="I,J,…",
        ),
    ] = None,
    depth: Annotated[
        str,
        typer.Option(
            "--depth",
            help="Who stands in front: a depth network (a hub id or a folder), or none, which goes by their feet.",
            metavar="MODEL",
        ),
    ] = "depth-anything/Depth-Anything-V2-Small-hf",
    frames: Annotated[int | None, typer.Option("--frames", help="Only the first N frames.", min=1, metavar="N")] = None,
    fps: Annotated[
        float | None,
        typer.Option("--fps", help="Frames a second; default: the driving video's, else 25.", min=0.1, metavar="N"),
    ] = None,
    height: Annotated[
        int | None, typer.Option("--height", help="In pixels, a multiple of 8.", min=8, metavar="N")
    ] = None,
    width: Annotated[
        int | None, typer.Option("--width", help="In pixels, a multiple of 8.", min=8, metavar="N")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="DDIM steps; default: the model's.", min=1, metavar="N")
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option("--guidance", help="Of classifier-free guidance; default: the model's.", min=0, metavar="X"),
    ] = None,
    window: Annotated[
        int | None, typer.Option("--window", help="Frames denoised together.", min=1, metavar="N")
    ] = None,
    overlap: Annotated[
        int | None, typer.Option("--overlap", help="Frames that windows share.", min=0, metavar="N")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides the result.", min=0, max=2**63 - 1, metavar="N")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 …", metavar="DEVICE")] = "auto",
    dtype: Annotated[Dtype, typer.Option("--dtype", help="Type of the weights in memory.")] = Dtype.float32,
    offload: Annotated[
        Offload, typer.Option("--offload", help="Parts that wait in the computer's memory until the GPU needs them.")
    ] = Offload.none,
    attention_slices: Annotated[
        int, typer.Option("--attention-slices", help="Attend in so many parts, to save memory.", min=1, metavar="N")
    ] = 1,
    vae_tiling: Annotated[
        bool, typer.Option("--vae-tiling", help="Code pictures in tiles, to save memory.", metavar="")
    ] = False,
    grid: Annotated[
        Path | None,
        typer.Option(
            "--grid", help="Also write the picture, the drawn conditions and the result side by side.", metavar="OUT"
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never touch the network.", metavar="")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.", metavar="")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", metavar="")] = False,
) -> int:
    """Animate the people of a picture by driving poses."""
    assignment = _assignment(assign)
    checkpoint = choose_checkpoint(checkpoint, config=config, fresh=fresh)
    if fps is not None and not fps < _MOST_FPS:
        raise PipelineError(f"--fps {fps}; give less than {_MOST_FPS}")
    results = [out] if grid is None else [out, grid]
    _check_results(results, [reference, poses, *([reference_poses] if reference_poses else [])])
    picture = next(iter(open_frames(reference).read())) if reference.is_dir() else _picture(reference)

    import torch

    from fypv2.conditions import build_conditions
    from fypv2.config import STARTING_REPORT
    from fypv2.extractors import DepthAnything
    from fypv2.memory import check_device, in_memory, make_pipeline

    errors = Console(stderr=True, highlight=False)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    check_device(device)
    found = _in_picture(picture, reference_poses, device, offline)
    if found.size != picture.shape[:2]:
        raise PipelineError(
            f"{reference_poses}: poses in a picture of {found.size[1]} x {found.size[0]},"
            f" {reference} has {picture.shape[1]} x {picture.shape[0]}"
        )
    driving = _read(poses, device, offline, frames=frames)
    nearness = None
    if depth != "none" and driving.characters > 1:
        nearness = DepthAnything(depth, device=device, offline=offline or None).nearness(picture)
    pipeline = make_pipeline(
        checkpoint,
        config=config,
        device=device,
        dtype=dtype.value,
        offload=offload.value,
        attention_slices=attention_slices,
        vae_tiling=vae_tiling,
    )
    if checkpoint is None or (checkpoint / STARTING_REPORT).is_file():
        untrained = (
            f"no checkpoint: config '{config}' with fresh weights makes noise, not people"
            if checkpoint is None
            else f"{checkpoint} holds starting weights, which have learnt no animation yet"
        )
        errors.print(f"fypv2: warning: {untrained}", style="yellow", soft_wrap=True, markup=False)
    pipeline.set_progress_bar_config(disable=json or not sys.stderr.isatty(), desc="denoising")
    how = pipeline.model_config
    height, width = height or how.sampling.height, width or how.sampling.width
    pipeline.check_size(height, width)
    conditions = build_conditions(
        found,
        nearness,
        driving,
        height,
        width,
        assignment=assignment,
        dilation=how.conditions.dilation,
        flow_scale=how.conditions.flow_scale,
        rule=how.conditions.depth_rule,
    )
    with in_memory(str(out)):
        made = pipeline(
            picture,
            driving,
            conditions=conditions,
            height=height,
            width=width,
            num_inference_steps=steps,
            guidance_scale=guidance,
            window=window,
            overlap=overlap,
            generator=torch.Generator().manual_seed(seed),
        ).frames
    rate = fps or _rate(poses) or _FPS
    _write(out, made, rate)
    if grid is not None:
        _write(grid, _side_by_side(pipeline.crop_picture(picture, height, width), conditions, made), rate)
    if json:
        document = {"out": str(out), "frames": len(made), "height": height, "width": width, "fps": rate, "seed": seed}
        sys.stdout.write(json_module.dumps(document, indent=2) + "\n")
    else:
        errors.print(f"{out} ({len(made)} frames of {width} x {height})", soft_wrap=True, markup=False)
    return 0


def _assignment(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise PipelineError(f"--assign {text}: give numbers with commas between them, as 1,0") from None


def _check_results(results: list[Path], sources: list[Path]) -> None:
    """Refuse, before anything is computed, a place whose content would be lost: results replace what is there."""
    for path in results:
        if path.suffix not in ("", ".mp4") or path.name in ("", ".."):
            raise PipelineError(f"{path}: give an .mp4 file, or a folder's name without an ending")
        if path.suffix == ".mp4" and path.is_dir():
            raise PipelineError(f"{path}: is a folder; name an .mp4 file")
        if path.suffix != ".mp4" and path.exists():
            if not path.is_dir():
                raise PipelineError(f"{path}: is no folder; name another")
            if strange := next((entry.name for entry in path.iterdir() if not _FRAME.fullmatch(entry.name)), None):
                raise PipelineError(f"{path}: holds more than frames ('{strange}'), which would be lost; name another")
        for source in sources:
            if path.resolve() in (source.resolve(), *source.resolve().parents) and path.exists():
                raise PipelineError(f"{path}: would be written over {source}, which is read; name another")
    if len({path.resolve() for path in results}) < len(results):
        raise PipelineError(f"{results[0]}: --out and --grid are one place; name two")


def _picture(path: Path) -> Frames:
    """A picture, or the first frame of a video."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            # As a viewer shows it: a telephone's pictures lie on their side.
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith(("I", "F")):
                return _from_deep_grey(path, np.asarray(upright))
            if upright.has_transparency_data:
                # What lies under the transparent part is whatever the painting program left there.
                white = Image.new("RGBA", upright.size, "white")
                upright = Image.alpha_composite(white, upright.convert("RGBA"))
            return np.asarray(upright.convert("RGB"))
    except UnidentifiedImageError:
        return next(iter(open_frames(path).read()))
    except FileNotFoundError:
        raise PipelineError(f"{path}: no such file") from None
    except (OSError, Image.DecompressionBombError) as error:
        raise PipelineError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error


def _from_deep_grey(path: Path, values: npt.NDArray[Any]) -> Frames:
    """16-bit grey to 8 bits; Pillow would cut everything above 255 to white."""
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > 65535:
        raise PipelineError(f"{path}: its numbers have no white; give a picture of 8 or 16 bits")
    grey = np.rint(values / 257).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _read(path: Path, device: str, offline: bool, frames: int | None) -> Poses:
    from fypv2.extractors import DWPose, read_poses

    return read_poses(path, frames=frames, extractor=lambda: DWPose(device=device, offline=offline or None))


def _in_picture(picture: Frames, path: Path | None, device: str, offline: bool) -> Poses:
    """Poses of the reference: read from a file, or found in the picture."""
    from fypv2.extractors import DWPose, SkeletonDrawings

    if path is None:
        return DWPose(device=device, offline=offline or None).poses([picture])
    if path.suffix.lower() in _PICTURES:
        return SkeletonDrawings().poses([_picture(path)])
    return _read(path, device, offline, frames=1)


def _rate(poses: Path) -> float | None:
    return open_frames(poses).fps if poses.is_file() and poses.suffix not in (".json", ".safetensors") else None


def _write(path: Path, frames: Frames, fps: float) -> None:
    if path.suffix == ".mp4":
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, frames, fps)
    else:
        write_frames(path, frames)


def _side_by_side(picture: Frames, conditions: ConditionMaps, made: Frames) -> Frames:
    """Reference, its pose, driving pose, flow map, depth order, result: (T, H, 6 W, 3)."""

    def still(image: Frames) -> Frames:
        return np.broadcast_to(image, made.shape)

    flow = np.repeat((conditions.background * 255).round().astype(np.uint8)[..., None], 3, axis=-1)
    columns: list[Any] = [
        still(picture), still(conditions.reference_pose), conditions.pose, flow, conditions.depth_order, made
    ]  # fmt: skip
    return np.concatenate(columns, axis=2)

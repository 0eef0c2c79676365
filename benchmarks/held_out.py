"""How good a model of fypv2 is on drawn clips that no training has seen, beside another method.

    python benchmarks/held_out.py --out runs/held-out                                      # what ships
    python benchmarks/held_out.py --out runs/held-out-mine --checkpoint runs/tiny-2/model  # one's own
    python benchmarks/held_out.py --out runs/benchmark --dataset synthetic --clips 8       # of 512 pixels

The clips are of `mcbench.training_clips`, of a stream of their own (`--seed`; training takes seed 0), in the size of
`tiny`, and with the camera held still, as the reference model takes it to be at inference. `mcbench` itself animates,
measures and compares; what it says of every clip lies in OUT/<method>, and the same command takes an interrupted run
up. Under `mcbench@1`, which leaves the reference frame out. Paired over clips: the difference, its 95% interval, and p,
which Holm (1979) corrects over the six rows, chosen before any was seen. `order_errors` is of `figure_order.py`.

    OUT/held_out.json, held_out.md    the table
    OUT/contact_sheet.png             a row for each clip: the reference, then pose, truth and output of some frames
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from figure_order import Overlap, find_overlaps, wrong_overlaps
from PIL import Image, ImageDraw, ImageFont

from fypv2.conditions import draw_skeletons, poses_of_annotations
from fypv2.method import FollowYourPoseV2
from mcbench import Clip, Dataset, Method, UserError, evaluate, load_dataset, load_method, open_frames, training_clips
from mcbench.atomic import write_text
from mcbench.cli.options import parse_settings
from mcbench.compare import compare_results
from mcbench.compare.scores import PairwiseScores, read_source, scores_of
from mcbench.datasets.synthetic.dataset import _clip, _find, _make
from mcbench.datasets.synthetic.specs import SYNTHETIC_VERSION, ClipSpec, clip_specs, synthetic_names
from mcbench.evaluation import resolve_device
from mcbench.protocol import MCBENCH
from mcbench.statistics import holm, paired_difference

__all__ = ["ROWS", "Orders", "compare_runs", "contact_sheet", "held_out_set", "orders_of", "overlaps_of", "values_of"]

ROWS = ("fvd", "kvd", "l1_characters", "lpips_characters", "background_motion", "order_errors")
"""What is compared; of all of them less is better. Of `background_motion` the distance from 0 is compared."""
TRAINING_SEED = 0
"""Of the stream that `fypv2 preprocess synthetic` draws by default."""
Orders = Mapping[str, tuple[int, int]]
"""Wrong overlaps and all overlaps by clip."""
_SHOWN = 3
_CELL = 192


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the judgement")
    parser.add_argument("--checkpoint", type=Path, help="folder of a model, or a name; default: the one that ships")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE", help="setting of fypv2, as steps=50; repeatable")
    parser.add_argument("--against", default="copy-reference", help="another method")
    parser.add_argument("--dataset", help="a synthetic set of mcbench in place of held-out clips")
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--frames", type=int, default=48, help="of each")
    parser.add_argument("--size", type=int, default=128, help="of held-out clips in pixels")
    parser.add_argument(
        "--seed", type=int, default=2, help="of the stream of held-out clips; 1 was looked at in the making"
    )
    parser.add_argument("--step", type=int, default=4, help="look for overlaps in every so many-th frame")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true", help="print the JSON document in place of the table")
    options = parser.parse_args(arguments)
    try:
        report = judge(options)
    except UserError as error:
        parser.exit(2, f"held_out: error: {error}\n")
    print(json.dumps(report, indent=2) if options.json else table(report))  # noqa: T201


def judge(options: argparse.Namespace) -> dict[str, Any]:
    """The whole judgement; writes what it finds."""
    start = time.perf_counter()
    device = resolve_device(options.device)
    method = load_method("fypv2", settings=parse_settings(options.set), checkpoint=options.checkpoint, device=device)
    assert isinstance(method, FollowYourPoseV2)
    other = load_method(options.against, device=device)
    dataset, specs = _dataset(options)
    runs = [animate_and_measure(one, dataset, options.out / one.id, device) for one in (method, other)]
    overlaps = overlaps_of(dataset, specs, options.step)
    orders = [orders_of(run, overlaps) for run in runs]
    report = {
        "schema": "mcbench.held-out/1",
        "methods": [method.id, other.id],
        "checkpoint_sha256": method.checkpoint_sha256,
        "note": method.note,
        "settings": method.settings.model_dump(mode="json"),
        "dataset": {"name": dataset.name, "version": dataset.version, "clips": len(dataset.clips)},
        "frames": sum(clip.frames for clip in dataset.clips),
        "protocol": MCBENCH.id,
        "overlaps": sum(len(found) for found in overlaps.values()),
        "rows": compare_runs(runs[0], runs[1], orders[0], orders[1]),
        "seconds": round(time.perf_counter() - start, 1),
    }
    contact_sheet(dataset, runs[0]).save(options.out / "contact_sheet.png", optimize=True)
    write_text(json.dumps(report, indent=2) + "\n", options.out / "held_out.json")
    write_text(table(report) + "\n", options.out / "held_out.md")
    return report


def _dataset(options: argparse.Namespace) -> tuple[Dataset, dict[str, ClipSpec]]:
    if options.dataset is None:
        return held_out_set(options.out, options.seed, options.clips, options.frames, options.size)
    if options.dataset not in synthetic_names():
        raise UserError(f"--dataset {options.dataset}: is not drawn here; there are {', '.join(synthetic_names())}")
    specs = {spec.name: spec for spec in clip_specs(options.dataset)[: options.clips]}
    return load_dataset(options.dataset, clips=options.clips, frames=options.frames), specs


def held_out_set(folder: Path, seed: int, clips: int, frames: int, size: int) -> tuple[Dataset, dict[str, ClipSpec]]:
    """Clips that no training has seen, as a data set, and what each was drawn from.

    Args:
        folder: `clips` in it keeps them.
        seed: of their stream; not that of the training.
        clips: how many.
        frames: of each.
        size: in pixels.

    Raises:
        UserError: if a number is out of its range, or the stream is the training's.
    """
    if seed == TRAINING_SEED:
        raise UserError(f"--seed {seed}: is the stream of the training; give another")
    specs, made = {}, []
    for spec in training_clips(seed, clips, frames, size, "still"):
        still = replace(spec, name=spec.name.replace("train", "held-out"))
        shelf = folder / "clips" / f"{size}"
        there = _find(shelf, still.name, frames) or _make(shelf, still, frames, False, lambda: None)
        specs[still.name] = still
        made.append(_clip(still, there, frames, False))
    version = f"{SYNTHETIC_VERSION}/seed-{seed}-{size}px-{frames}"
    return Dataset(name="synthetic-held-out", version=version, clips=tuple(made)), specs


def animate_and_measure(method: Method, dataset: Dataset, run: Path, device: str) -> Path:
    """Let mcbench evaluate a method under `mcbench@1`; returns its run folder."""
    evaluate(method, dataset, protocols=[MCBENCH], out=run, device=device, reporter=_Lines(run))
    return run


class _Lines:
    """Says on stderr which clip is worked on."""

    def __init__(self, run: Path) -> None:
        self._run, self._last = run, ""

    def start(self, total: int) -> None:
        print(f"{self._run}: {total} frames", file=sys.stderr)  # noqa: T201

    def advance(self, frames: int, what: str) -> None:
        if what != self._last:
            self._last = what
            print(f"{self._run}: {what}", file=sys.stderr)  # noqa: T201

    def warn(self, text: str) -> None:
        print(f"{self._run}: warning: {text}", file=sys.stderr)  # noqa: T201


def overlaps_of(dataset: Dataset, specs: Mapping[str, ClipSpec], step: int) -> dict[str, list[Overlap]]:
    """The overlaps of each clip, in every so many-th of its frames that count: the reference frame is left out."""
    return {clip.name: list(find_overlaps(specs[clip.name], range(step, clip.frames, step))) for clip in dataset.clips}


def orders_of(run: Path, overlaps: Mapping[str, Sequence[Overlap]]) -> Orders:
    """Of each clip, how many of its overlaps a run shows wrongly, and how many there are."""
    found = {}
    for clip, some in overlaps.items():
        wrong = wrong_overlaps(open_frames(run / "predictions" / clip).read(), some) if some else []
        found[clip] = (sum(wrong), len(wrong))
    return found


def values_of(run: Path, orders: Orders | None) -> dict[str, float | None]:
    """Every metric of a run under `mcbench@1`, those on masks too, and its share of wrong overlaps."""
    source = read_source(run)
    found: dict[str, float | None] = {}
    for name, scores in scores_of(source, [MCBENCH.id])[MCBENCH.id].items():
        if isinstance(scores, PairwiseScores):
            found[name] = float(scores.means.mean()) if len(scores.means) else None
        else:
            found[name] = scores.value
    if orders is not None:
        wrong, count = (sum(column) for column in zip(*orders.values(), strict=True))
        found["order_errors"] = wrong / count if count else None
    return found


def compare_runs(
    a: Path, b: Path, orders_a: Orders | None, orders_b: Orders | None, names: Sequence[str] = ROWS
) -> list[dict[str, Any]]:
    """Two runs on the same clips, a against b.

    Args:
        a, b: run folders.
        orders_a, orders_b: their overlaps; None leaves `order_errors` out.
        names: which rows; what the clips cannot give is left out.

    Returns:
        One object a row: `metric`, `values` of both, `difference`, `interval` (95%), `p_value`, `p_holm` over these
        rows, `wins` (clips where a is better, b is, equal; None of a whole set's distance), `videos`, and `reason`
        where something is None.
    """
    pairs = {pair.metric: pair for pair in compare_results([a, b], protocols=[MCBENCH.id]).pairs}
    values = [values_of(a, orders_a), values_of(b, orders_b)]
    rows: list[dict[str, Any]] = []
    for name in names:
        row: dict[str, Any] = {"metric": name, "values": [one.get(name) for one in values]}
        if name in pairs:
            pair = pairs[name]
            row |= {"difference": pair.difference, "interval": pair.interval, "p_value": pair.p_value}
            row |= {"wins": pair.wins, "videos": pair.videos, "reason": pair.reason}
        elif name == "order_errors" and orders_a is not None and orders_b is not None:
            row |= _compare_orders(orders_a, orders_b)
        else:
            continue
        rows.append({key: list(value) if isinstance(value, tuple) else value for key, value in row.items()})
    for row, corrected in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_holm"] = corrected
    return rows


def _compare_orders(a: Orders, b: Orders) -> dict[str, Any]:
    """Shares of wrong overlaps, pooled over all of them and paired over clips."""
    clips = [clip for clip, (_, count) in a.items() if count]
    counts = [a[clip][1] for clip in clips]
    wrong_a, wrong_b = ([one[clip][0] for clip in clips] for one in (a, b))
    found = paired_difference(wrong_a, wrong_b, counts)
    gain = np.subtract(wrong_b, wrong_a)
    return {
        "difference": found.difference,
        "interval": found.interval,
        "p_value": found.p_value,
        "wins": (int((gain > 0).sum()), int((gain < 0).sum()), int((gain == 0).sum())),
        "videos": len(clips),
        "reason": found.reason,
    }


def contact_sheet(dataset: Dataset, run: Path, shown: int = _SHOWN) -> Image.Image:
    """A row for each clip: the reference, then pose, truth and output of some frames, the last one among them."""
    height, width = dataset.clips[0].source.size
    cell = min(width, _CELL), round(min(width, _CELL) * height / width)
    gap, head = 6, 22
    times = [np.linspace(0, clip.frames - 1, shown + 1).round().astype(int)[1:].tolist() for clip in dataset.clips]
    same = all(one == times[0] for one in times)
    when = [f"frame {i}" if same else f"{k + 1} of {shown}" for k, i in enumerate(times[0])]
    names = ["reference", *(f"{what}, {time}" for time in when for what in ("pose", "truth", "output"))]
    lefts = [gap + column * (cell[0] + 1) + (column + 2) // 3 * gap for column in range(len(names))]
    sheet = Image.new("RGB", (lefts[-1] + cell[0] + gap, head + len(dataset.clips) * (cell[1] + gap)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for left, name in zip(lefts, names, strict=True):
        draw.text((left + 2, 4), name, "black", font)
    for row, clip in enumerate(dataset.clips):
        for left, picture in zip(lefts, _pictures(clip, run, times[row]), strict=True):
            image = Image.fromarray(picture).resize(cell, Image.Resampling.LANCZOS)
            sheet.paste(image, (left, head + row * (cell[1] + gap)))
    return sheet


def _pictures(clip: Clip, run: Path, times: Sequence[int]) -> list[np.ndarray]:
    known = clip.annotations
    assert known is not None
    poses = poses_of_annotations(known.keypoints, known.visibility, clip.source.size)
    truth, made = list(clip.source.read()), list(open_frames(run / "predictions" / clip.name).read())
    reference = truth[clip.reference_frame or 0]
    if clip.reference_source is not None:
        reference = next(iter(clip.reference_source.read()))
    return [reference, *(one for i in times for one in (draw_skeletons(poses.frame(i))[0], truth[i], made[i]))]


def table(report: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    a, b = report["methods"]
    about = report["dataset"]
    lines = [
        f"`{a}` against `{b}` on {about['clips']} clips of `{about['name']}` ({about['version']}),"
        f" {report['frames']} frames, {report['overlaps']} overlaps; {report['protocol']}",
        "",
        f"| metric ↓ | {a} | {b} | difference | 95% interval | p (Holm) | clips: better, worse, equal |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(cells(row))} |" for row in report["rows"]]
    return "\n".join(lines + reasons(report["rows"]))


def reasons(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why rows have a dash, a line for each reason, with an empty one before the first."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["reason"]:
            found.setdefault(row["reason"], []).append(f"`{row['metric']}`")
    return [line for reason, names in found.items() for line in ("", f"{', '.join(names)}: {reason}.")]


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row's columns as text."""
    interval = "–" if row["interval"] is None else f"{row['interval'][0]:.4g} to {row['interval'][1]:.4g}"
    wins = "–" if row["wins"] is None else ", ".join(map(str, row["wins"]))
    numbers = (*row["values"], row["difference"])
    return [f"`{row['metric']}`", *map(number, numbers), interval, number(row["p_holm"]), wins]


def number(value: float | None) -> str:
    """Four digits, or a dash."""
    return "–" if value is None else f"{value:.4g}"


if __name__ == "__main__":
    main()

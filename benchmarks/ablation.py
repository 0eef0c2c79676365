"""The paper's ablation with a small model: without flow, without depth order, without reference pose.

    python benchmarks/ablation.py --data DATA --start runs/tiny-1/model --steps 2000 --out runs/ablation

Four trainings branch from one checkpoint of stage 1 with one budget, the same seed and so the same samples in the same
order: the whole model, and one without each guider. Then each is judged on clips that no training has seen, and
compared with the whole one, paired over clips. The same command takes up whatever was interrupted: a training goes on
from its last checkpoint, a judgement from its last clip.

What is claimed is fixed beforehand, one question for each guider, and Holm's correction is over these four tests:

- flow: more `background_motion` without it, on held-out clips, whose camera is still, after training on shaken ones too
- depth: more `order_errors` (`figure_order.py`) without it, on the same clips
- reference pose: more `l1_characters` and `lpips_characters` without it, on `synthetic-misaligned`, where the reference
  is another picture of the same people, in other places

All other numbers are in the document of `--record`. `--commands` prints the trainings, to be started elsewhere, as on
several machines; `--launch 'accelerate launch --num_processes 4'` trains on several GPUs.

    python benchmarks/ablation.py … --record leaderboard/ablation/fypv2-tiny.json --docs docs/ablation.md
    python benchmarks/ablation.py --show leaderboard/ablation/fypv2-tiny.json
"""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from held_out import animate_and_measure, compare_runs, held_out_set, number, orders_of, overlaps_of, values_of

from fypv2.training.config import TrainConfig, load_train_config
from fypv2.training.loop import FREE, differences
from fypv2.training.shards import open_shards
from fypv2.training.state import last_checkpoint
from mcbench import UserError, load_dataset, load_method
from mcbench.atomic import write_text
from mcbench.evaluation import resolve_device
from mcbench.leaderboard.paper import read_paper_table
from mcbench.protocol import MCBENCH
from mcbench.statistics import holm

__all__ = ["CLAIMS", "VARIANTS", "main", "markdown", "put_into"]

VARIANTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "without-flow": ("follow-your-pose-v2-without-optical-flow", ("flow",)),
    "without-reference-pose": ("follow-your-pose-v2-without-reference-pose", ("reference_pose",)),
    "without-depth": ("follow-your-pose-v2-without-depth", ("depth",)),
    "full": ("follow-your-pose-v2", ()),
}
"""By name, in the paper's order: the paper's row, and what is left out."""
CLAIMS = (
    ("without-flow", "held-out", "background_motion"),
    ("without-depth", "held-out", "order_errors"),
    ("without-reference-pose", "misaligned", "l1_characters"),
    ("without-reference-pose", "misaligned", "lpips_characters"),
)
"""Variant, clips and metric."""
MISALIGNED = "synthetic-misaligned"
COLUMNS = ("fid_vid", "fvd", "l1_characters", "lpips_characters", "background_motion", "order_errors")
START, END = "<!-- results: written by benchmarks/ablation.py -->", "<!-- end of results -->"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of `fypv2 preprocess`")
    parser.add_argument("--start", type=Path, help="the model of a stage 1, from which all branch")
    parser.add_argument("--steps", type=int, help="of each branch: the budget")
    parser.add_argument("--out", type=Path, help="folder of the ablation")
    parser.add_argument("--config", default="tiny-stage2", help="training config of the branches")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of all branches; repeatable")
    parser.add_argument(
        "--launch", default=shlex.quote(sys.executable), metavar="PROGRAM", help="what starts a training"
    )
    parser.add_argument("--clips", type=int, default=16, help="held-out ones")
    parser.add_argument("--misaligned", type=int, default=8, help=f"clips of {MISALIGNED}")
    parser.add_argument("--frames", type=int, default=48, help="of each clip")
    parser.add_argument("--size", type=int, default=128, help="of held-out clips in pixels")
    parser.add_argument(
        "--seed", type=int, default=2, help="of the stream of held-out clips; 1 was looked at in the making"
    )
    parser.add_argument("--step", type=int, default=4, help="look for overlaps in every so many-th frame")
    parser.add_argument("--device", default="auto", help="of the judgement")
    parser.add_argument("--commands", action="store_true", help="print the trainings and stop")
    parser.add_argument("--record", type=Path, help="write the JSON document there")
    parser.add_argument("--docs", type=Path, help="write the tables into this page, between its two marks")
    parser.add_argument("--show", type=Path, help="only print the tables of a document")
    options = parser.parse_args(arguments)
    try:
        if options.show:
            report = json.loads(options.show.read_text(encoding="utf-8"))
        else:
            if missing := [f"--{name}" for name in ("data", "start", "steps", "out") if not getattr(options, name)]:
                raise UserError(f"the ablation needs {', '.join(missing)}")
            if options.commands:
                print("\n".join(shlex.join(command) for command in commands(options).values()))  # noqa: T201
                return
            for name, command in commands(options).items():
                train(options, name, command)
            report = judge(options)
            if options.record:
                options.record.parent.mkdir(parents=True, exist_ok=True)
                write_text(json.dumps(report, indent=2) + "\n", options.record)
        if options.docs:
            put_into(options.docs, markdown(report))
    except (UserError, OSError, ValueError) as error:
        parser.exit(2, f"ablation: error: {error}\n")
    print(markdown(report))  # noqa: T201


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """The training of each variant, as a shell would start it."""
    made = {}
    for name, (_, without) in VARIANTS.items():
        settings = [*options.set, f"start={options.start}", f"steps={options.steps}", f"without=[{', '.join(without)}]"]
        command = [*shlex.split(options.launch), "-m", "fypv2.cli", "train", options.config]
        command += ["--data", str(options.data), "--out", str(_training(options, name))]
        made[name] = command + [word for setting in settings for word in ("--set", setting)]
    return made


def train(options: argparse.Namespace, name: str, command: Sequence[str]) -> None:
    """Bring a branch to its end; nothing is done for one that is there.

    Raises:
        UserError: if it stops before, or what is there was trained otherwise.
    """
    plan = _plan(options, name).model_dump(mode="json")
    saved = last_checkpoint(_training(options, name))
    if saved is not None:
        other = differences(saved, plan, FREE - {"steps", "start"})
        if saved.state["data"] != open_shards(options.data).digest:
            other.append("other data")
        if other:
            raise UserError(f"{saved.folder}: was trained with {other[0]}; give another --out")
        if saved.step >= options.steps:
            return
    print(shlex.join(command), file=sys.stderr)  # noqa: T201
    if code := run(command):
        raise UserError(f"the training {name} ended with {code}; the same command takes it up")


def run(command: Sequence[str]) -> int:
    """Run a program; signals reach it, so that it can leave a checkpoint before it ends."""
    with subprocess.Popen(command) as process, ExitStack() as stack:
        for number_, answer in ((signal.SIGTERM, lambda *_: process.terminate()), (signal.SIGINT, lambda *_: None)):
            # A terminal's Ctrl-C goes to both by itself.
            stack.callback(signal.signal, number_, signal.signal(number_, answer))
        return process.wait()


def judge(options: argparse.Namespace) -> dict[str, Any]:
    """What all four make of the clips, and the comparisons."""
    device = resolve_device(options.device)
    data = open_shards(options.data)
    seen = data.manifest["settings"]
    if seen.get("kind") == "synthetic" and seen.get("seed") == options.seed:
        raise UserError(f"--seed {options.seed}: is the stream of {options.data}, and so of the training; give another")
    held_out, specs = held_out_set(options.out, options.seed, options.clips, options.frames, options.size)
    misaligned = load_dataset(MISALIGNED, clips=options.misaligned, frames=options.frames)
    overlaps = overlaps_of(held_out, specs, options.step)
    variants, orders, runs = {}, {}, {}
    for name, (paper, without) in VARIANTS.items():
        method = load_method("fypv2", checkpoint=_training(options, name) / "model", device=device)
        for where, dataset in (("held-out", held_out), ("misaligned", misaligned)):
            runs[name, where] = animate_and_measure(method, dataset, options.out / name / where, device)
        orders[name, "held-out"] = orders_of(runs[name, "held-out"], overlaps)
        variants[name] = {
            "paper": paper,
            "without": list(without),
            "checkpoint_sha256": method.checkpoint_sha256,
            "values": {
                where: values_of(runs[name, where], orders.get((name, where))) for where in ("held-out", "misaligned")
            },
        }
    comparisons = [
        {"variant": name, "clips": where} | row
        for name, where in runs
        if name != "full"
        for row in compare_runs(
            runs[name, where], runs["full", where], orders.get((name, where)), orders.get(("full", where))
        )
    ]
    plan = _plan(options, "full")
    return {
        "schema": "mcbench.ablation/1",
        "model": plan.model,
        "data_sha256": data.digest,
        "start_sha256": load_method("fypv2", checkpoint=options.start).checkpoint_sha256,
        "budget": {"config": options.config, "steps": plan.steps, "batch": plan.batch, "frames": plan.frames},
        "settings": options.set,
        "seed": plan.seed,
        "clips_seed": options.seed,
        "protocol": MCBENCH.id,
        "clips": {
            where: {
                "name": dataset.name,
                "version": dataset.version,
                "clips": len(dataset.clips),
                "frames": options.frames,
            }
            for where, dataset in (("held-out", held_out), ("misaligned", misaligned))
        },
        "overlaps": sum(len(found) for found in overlaps.values()),
        "variants": variants,
        "comparisons": comparisons,
        "claims": _claims(comparisons),
    }


def _claims(comparisons: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The four tests, corrected for each other."""
    found = {(row["variant"], row["clips"], row["metric"]): row for row in comparisons}
    rows = [dict(found[claim]) for claim in CLAIMS if claim in found]
    for row, corrected in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_holm"] = corrected
    return rows


def _training(options: argparse.Namespace, name: str) -> Path:
    return Path(options.out) / name / "training"


def _plan(options: argparse.Namespace, name: str) -> TrainConfig:
    given = {"start": str(options.start), "steps": options.steps, "without": VARIANTS[name][1]}
    places = {"data": str(options.data), "out": str(_training(options, name))}
    return load_train_config(options.config, options.set, **given, **places)


def markdown(report: Mapping[str, Any]) -> str:
    """Two tables: the variants beside the paper's, and the four questions."""
    paper = {row.method: row for row in read_paper_table("ablation").rows}
    budget, clips = report["budget"], report["clips"]
    heads = ["FID-VID (paper)", "FVD (paper)", *(f"`{name}`" for name in COLUMNS)]
    heads += [f"`{name}`, misaligned" for name in ("l1_characters", "lpips_characters")]
    lines = [
        f"Model `{report['model']}`; each branch {budget['steps']} steps of `{budget['config']}`"
        f" ({budget['batch']} samples of {budget['frames']} frames each) from one stage 1"
        f" (`{report['start_sha256'][:12]}`), seed {report['seed']}. {clips['held-out']['clips']} held-out clips with"
        f" {report['overlaps']} overlaps, {clips['misaligned']['clips']} of `{clips['misaligned']['name']}`,"
        f" {clips['held-out']['frames']} frames each; {report['protocol']}. Less is better in every column. The paper's"
        " numbers are of TikTok.",
        "",
        f"| variant | {' | '.join(heads)} |",
        "|---" * (len(heads) + 1) + "|",
    ]
    for variant in report["variants"].values():
        row, values = paper[variant["paper"]], variant["values"]
        held_out, misaligned = values["held-out"], values["misaligned"]
        shown = [row.cells["fid_vid"].text, row.cells["fvd"].text, *(number(held_out.get(one)) for one in COLUMNS)]
        shown += [number(misaligned.get(one)) for one in ("l1_characters", "lpips_characters")]
        lines.append(f"| {row.name} | {' | '.join(shown)} |")
    lines += [
        "",
        "The four questions, as the variant less the full model: more than 0 says that this training without is worse.",
        "",
        "| variant | clips | metric | difference | 95% interval | p | p (Holm) | clips: better, worse, equal |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in report["claims"]:
        interval = "–" if row["interval"] is None else f"{row['interval'][0]:.4g} to {row['interval'][1]:.4g}"
        wins = "–" if row["wins"] is None else ", ".join(map(str, row["wins"]))
        name = paper[VARIANTS[row["variant"]][0]].name
        cells = [name, row["clips"], f"`{row['metric']}`", number(row["difference"]), interval]
        lines.append(f"| {' | '.join([*cells, number(row['p_value']), number(row['p_holm']), wins])} |")
    lines += [f"\n{reason}." for reason in dict.fromkeys(row["reason"] for row in report["claims"] if row["reason"])]
    return "\n".join(lines)


def put_into(page: Path, text: str) -> None:
    """Replace what lies between a page's two marks.

    Raises:
        UserError: if it has not both of them, once each and in their order.
    """
    content = page.read_text(encoding="utf-8")
    before, start, rest = content.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end or START in rest or END in before + after:
        raise UserError(f"{page}: has not the two marks between which results stand, {START} and {END}")
    write_text(f"{before}{START}\n\n{text}\n\n{END}{after}", page)


if __name__ == "__main__":
    main()

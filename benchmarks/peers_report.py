"""What the runs of `peers.py` say: speed-ups, equal numbers, the table. Arithmetic on what was measured, no runs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mcbench.protocol import DISCO_LEGACY, MCBENCH, Protocol

__all__ = ["compare_values", "exact_distance", "frechet_rows", "relative_difference", "speed_rows", "table"]

Array = npt.NDArray[Any]
Seconds = dict[str, float]

TOLERANCE = 1e-5
TARGETS = {
    (DISCO_LEGACY.id, "cold"): 1.3,
    (DISCO_LEGACY.id, "truth cached"): 1.8,
    (MCBENCH.id, "cold, against the passes of disco-legacy@1"): 10.0,
}
"""How many times as fast mcbench is to be, on two cores."""
GPU_TARGETS = {(DISCO_LEGACY.id, "cold"): 8.0}
"""The same on a GPU, where the peers' resizes and roots stay on the processor."""
FRECHET_TARGETS = {True: 100.0, False: 5.0}
"""The same of the distances alone: where vectors are fewer than dimensions, and where not."""


def frechet_rows(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Speed and equality of the distances alone, from what `separate_passes.py frechet` gives."""
    rows = []
    for row in found:
        target = FRECHET_TARGETS[row["vectors"] < row["dimensions"]]
        speedup = row["scipy_seconds"] / row["mcbench_seconds"]
        difference = None if row["scipy"] is None else relative_difference(row["mcbench"], row["scipy"])
        kept = {key: row[key] for key in ("vectors", "dimensions", "mcbench", "scipy")}
        times = {key: round(row[key], 4) for key in ("mcbench_seconds", "scipy_seconds")}
        verdict = {"speedup": round(speedup, 1), "target": target, "reached": speedup >= target}
        rows.append({**kept, **times, **verdict, "difference": difference, "equal": _equal(difference)})
    return rows


def speed_rows(
    turns: Sequence[Mapping[str, Mapping[str, Seconds]]], protocols: Sequence[Protocol], device: str = "cpu"
) -> list[dict[str, Any]]:
    """Medians over turns of the peers' and mcbench's seconds, and of their ratios, with and without what decodes.

    Args:
        turns: of each turn, by protocol: `passes`, seconds of each separate pass, and `mcbench`, seconds of `score`
            when `cold` and with the `truth cached`.
        protocols: those that were run.
        device: where; it decides the targets.
    """
    targets = TARGETS if device == "cpu" else GPU_TARGETS
    rows = []
    for protocol in protocols:
        for state in ("cold", "truth cached"):
            rivals = {state: protocol.id}
            if state == "cold" and protocol is MCBENCH and DISCO_LEGACY in protocols:
                rivals = {f"cold, against the passes of {DISCO_LEGACY.id}": DISCO_LEGACY.id}
                rivals["cold, against passes for its own numbers"] = MCBENCH.id
            for row, rival in rivals.items():
                peers = [_total(turn[rival]["passes"], state) for turn in turns]
                ours = [turn[protocol.id]["mcbench"][state] for turn in turns]
                bare = [_total(turn[rival]["passes"], "no decoding") for turn in turns]
                speedup, without = (
                    statistics.median(theirs / own for theirs, own in zip(sums, ours, strict=True))
                    for sums in (peers, bare)
                )
                target = targets.get((protocol.id, row))
                rows.append(
                    {
                        "protocol": protocol.id,
                        "row": row,
                        "peers_seconds": round(statistics.median(peers), 2),
                        "mcbench_seconds": round(statistics.median(ours), 2),
                        "speedup": round(speedup, 2),
                        "speedup_without_decoding": round(without, 2),
                        "target": target,
                        "reached": None if target is None else speedup >= target,
                    }
                )
    return rows


def _total(passes: Seconds, state: str) -> float:
    left_out = {"cold": (), "truth cached": ("decode truth",), "no decoding": ("decode truth", "decode method")}[state]
    return sum(seconds for name, seconds in passes.items() if name not in left_out)


def compare_values(
    ours: Mapping[str, float | None], theirs: Mapping[str, float | None], features: Mapping[str, tuple[Array, Array]]
) -> list[dict[str, Any]]:
    """Metric by metric: both values, their relative difference, and whether it is at most 1e-5.

    Args:
        ours: mcbench's values.
        theirs: the peer's, of the metrics that it computes, None where it gave up; others are left out.
        features: the peer's features of prediction and truth, (n, d) and (m, d), by Frechet metric, where known.
    """
    rows = []
    for metric, their in theirs.items():
        own = ours[metric]
        if own is None:
            continue
        difference = None if their is None else relative_difference(own, their)
        row: dict[str, Any] = {"metric": metric, "mcbench": own, "peer": their, "difference": difference}
        row |= {"equal": _equal(difference), "note": ""}
        if metric in features:
            prediction, truth = features[metric]
            exact = exact_distance(prediction, truth)
            row |= {"peer_exact": exact, "exact_difference": relative_difference(own, exact)}
            if not row["equal"]:
                vectors, dimensions = min(len(prediction), len(truth)), prediction.shape[1]
                fault = "is off" if difference is not None else "is complex, and it gave up"
                row["equal"] = _equal(row["exact_difference"])
                by = "equal" if row["equal"] else "other"
                row["note"] = f"{by} by its features; scipy's root of rank {vectors - 1} in {dimensions} {fault}"
        rows.append(row)
    return rows


def _equal(difference: float | None) -> bool | None:
    return None if difference is None else difference <= TOLERANCE


def relative_difference(a: float, b: float) -> float:
    """Of two numbers, relative to the larger; 0 if both are 0."""
    return abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0


def exact_distance(x: Array, y: Array) -> float:
    """Frechet distance of features (n, d) and (m, d), with eigenvalues of symmetric matrices in place of the root."""
    (a, mean_a), (b, mean_b) = (_centred(side) for side in (x, y))
    if min(len(a), len(b)) <= a.shape[1]:
        product = a @ b.T if len(a) <= len(b) else b @ a.T
        values = np.linalg.eigvalsh(product @ product.T)
    else:
        scales, directions = np.linalg.eigh(a.T @ a)
        root = directions * np.sqrt(np.clip(scales, 0, None)) @ directions.T
        values = np.linalg.eigvalsh(root @ (b.T @ b) @ root)
    apart = mean_a - mean_b
    trace = np.sqrt(np.clip(values, 0, None)).sum()
    return float(apart @ apart + (a * a).sum() + (b * b).sum() - 2 * trace)


def _centred(features: Array) -> tuple[Array, Array]:
    """Float64 features about their mean over sqrt(n - 1), and the mean."""
    mean = features.mean(axis=0, dtype=np.float64)
    return (features - mean) / np.sqrt(len(features) - 1), mean


def table(report: Mapping[str, Any]) -> str:
    """The report as text."""
    head = f"{report['machine']}; {report['frames']} frames in {report['clips']} clips ({report['container']})"
    lines = [
        head,
        "",
        f"{'seconds':66s}{'peers':>10s}{'mcbench':>10s}{'speed-up':>10s}{'no decoding':>13s}{'target':>8s}",
    ]
    for row in report["speed"]:
        name = f"{row['protocol']}, {row['row']}"
        seconds = f"{row['peers_seconds']:10.1f}{row['mcbench_seconds']:10.1f}"
        lines.append(
            f"  {name:64s}{seconds}{row['speedup']:9.2f}x{row['speedup_without_decoding']:12.2f}x{_target(row)}"
        )
    for row in report["frechet"]:
        name = f"Frechet distance, {row['vectors']} x {row['dimensions']}"
        seconds = f"{row['scipy_seconds']:10.2f}{row['mcbench_seconds']:10.3f}"
        lines.append(f"  {name:64s}{seconds}{row['speedup']:9.1f}x{'':13s}{_target(row)}")
    for id, passes in report["passes"].items():
        lines.append(f"\nthe passes of {id}: " + _seconds(passes))
        lines.append("within them: " + _seconds(report["within"][id]))
    for id, rows in report["equal"].items():
        lines += _equality(id, rows)
    for peer in report["further_peers"]:
        lines += _equality(f"{peer['peer']} ({peer['seconds']:.1f} s)", peer["equal"])
    lines += [f"\nnot measured: {name}: {why}" for name, why in report["not_measured"].items()]
    return "\n".join(lines)


def _seconds(named: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f} s" for name, value in named.items())


def _target(row: Mapping[str, Any]) -> str:
    return f"{row['target']:7g}x" + ("" if row["reached"] else " missed") if row["target"] else ""


def _equality(title: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [f"\n{title:24s}{'mcbench':>16s}{'peer':>16s}{'difference':>12s}  equal"]
    for row in rows:
        verdict = "yes" if row["equal"] else "no"
        values = f"{row['mcbench']:16.8g}{_shown(row['peer'], '16.8g')}{_shown(row['difference'], '12.1e')}"
        lines.append(f"  {row['metric']:22s}{values}  {verdict}{', ' * bool(row['note'])}{row['note']}")
    return lines


def _shown(value: float | None, form: str) -> str:
    return "-".rjust(int(form.partition(".")[0])) if value is None else format(value, form)

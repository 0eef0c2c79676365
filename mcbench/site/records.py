"""What a method's page says of one entry: each number in full, and settings, provenance and hashes as tables."""

from __future__ import annotations

from dataclasses import dataclass

from mcbench.leaderboard.wording import format_interval, format_value
from mcbench.protocol import LABELS, heading
from mcbench.results import MetricResult, Result
from mcbench.site.entries import Entry, Score
from mcbench.site.wording import as_json, cut

__all__ = ["Line", "Records", "lines_of", "records_of"]

Records = list[tuple[str, list[tuple[str, str]]]]
"""Tables by caption, each of label and value."""


@dataclass(frozen=True)
class Line:
    """One metric in words; `remark` is what must be known of the number."""

    heading: str
    text: str
    interval: str
    over: str
    split_half: str
    network: str
    remark: str


def lines_of(entry: Entry, protocol: str) -> list[Line]:
    """The entry's numbers under a protocol, one line a metric."""
    return [_line(protocol, metric, score) for metric, score in entry.scores[protocol].items() if metric in LABELS]


def _line(protocol: str, metric: str, score: Score) -> Line:
    detail = score.detail
    remarks = [score.remark]
    network = ""
    if detail is not None:
        remarks += [detail.interval_reason and f"no interval: {detail.interval_reason}", detail.interval_note]
        network = detail.backbone or ""
    return Line(
        heading=heading(metric),
        text=score.text,
        interval=format_interval(protocol, metric, score.interval) if score.interval else "",
        over=_over(detail) if detail else "",
        split_half=format_value(protocol, metric, detail.split_half)
        if detail and detail.split_half is not None
        else "",
        network=network,
        remark=cut("; ".join(filter(None, remarks)), 600),
    )


def _over(detail: MetricResult) -> str:
    counts = [(detail.videos, "videos"), (detail.frames, "frames"), (detail.windows, "windows")]
    return ", ".join(f"{count} {what}" for count, what in counts if count is not None)


def records_of(entry: Entry) -> Records:
    """Settings, provenance and hashes; what is unknown is left out."""
    records: Records = [("Said with it" if entry.result else "In print", list(entry.facts))]
    if entry.result is not None:
        settings = entry.result.method.settings
        records.append(("Settings", [(name, as_json(value)) for name, value in settings.items()]))
        records.append(("Provenance", _provenance(entry.result)))
        records.append(("Hashes (SHA-256)", _hashes(entry.result, entry.sha256)))
    return [(caption, rows) for caption, rows in records if rows]


def _provenance(result: Result) -> list[tuple[str, str]]:
    run, dataset, predictions = result.provenance, result.dataset, result.predictions
    dirty = {True: ", with uncommitted changes", False: "", None: ""}[run.git_dirty]
    size = predictions.size
    facts = {
        "method": " ".join(filter(None, [result.method.name, result.method.version])),
        "data set": f"{dataset.name} {dataset.version}: {dataset.clips} clips, {dataset.frames} frames",
        "its own frames": result.method.native.told() if result.method.native else "",
        "predictions": ", ".join(
            [
                predictions.container,
                f"{size[1]} x {size[0]} pixels" if size else "sizes differ",
                *([f"{predictions.fps:g} frames a second"] if predictions.fps else []),
                *predictions.conversions,
            ]
        ),
        "mcbench": run.mcbench + (f", commit {run.git_commit}{dirty}" if run.git_commit else ""),
        "libraries": ", ".join(f"{name} {version}" for name, version in run.libraries.items()),
        "device": run.device,
        "command": run.command,
        "seed": str(run.seed),
        "start": run.start,
        "seconds": f"{run.seconds:.1f}",
    }
    return [(name, value) for name, value in facts.items() if value]


def _hashes(result: Result, sha256: str | None) -> list[tuple[str, str]]:
    networks = {
        metric.backbone: metric.weights_sha256
        for protocol in result.protocols.values()
        for metric in protocol.metrics.values()
        if metric.backbone
    }
    facts = {
        "this submission": sha256,
        "predictions": result.predictions.digest,
        "data set": result.dataset.fingerprint,
        "checkpoint": result.method.checkpoint_sha256,
        **{f"network {name}": digest for name, digest in networks.items()},
    }
    return [(label, digest) for label, digest in facts.items() if digest]

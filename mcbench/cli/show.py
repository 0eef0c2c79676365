"""A result as a table for people."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table
from rich.text import Text

from mcbench.cli.console import errors, output
from mcbench.results import MetricResult, ProtocolResult, Result

__all__ = ["format_metric", "show_result"]

LABELS = {
    "fid": "FID ↓",
    "ssim": "SSIM ↑",
    "psnr": "PSNR ↑",
    "lpips": "LPIPS ↓",
    "l1": "L1 ↓",
    "fid_vid": "FID-VID ↓",
    "fvd": "FVD ↓",
    "kid": "KID ↓",
    "kvd": "KVD ↓",
}


def show_result(result: Result, path: Path, *, as_json: bool) -> None:
    """Print a result to stdout, as a table or as the whole document; where it lies goes to stderr."""
    if as_json:
        output.file.write(result.to_json())
        return
    star = "*" if result.method.needs_truth else ""
    output.print()
    output.print(
        Text.assemble(
            (f"{result.method.name}{star}", "bold"),
            f" on {result.dataset.name}: {result.dataset.clips} clips, {result.dataset.frames} frames",
        )
    )
    output.print(_table(result))
    for line in _footnotes(result):
        output.print(f"  {line}", style="dim", soft_wrap=True)
    unverified = result.unverified_weights
    if unverified:
        kinds = ", ".join(sorted(set(unverified.values())))
        output.print(
            f"  {kinds} weights under {', '.join(sorted(unverified))}: these numbers compare only with others of the"
            " same weights, never with a paper's",
            style="yellow",
            soft_wrap=True,
        )
    output.print()
    errors.print(f"{path} ({_duration(result.provenance.seconds)})", soft_wrap=True)


def format_metric(name: str, value: float | None) -> str:
    """A value as the field prints it: L1 below a thousandth as `0.73E-04`, PSNR and distances with two decimals."""
    if value is None:
        return "-"
    if name in ("ssim", "lpips"):
        return f"{value:.3f}"
    if name == "l1":
        return f"{value * 1e4:.2f}E-04" if abs(value) < 1e-2 and value else f"{value:.4f}"
    if abs(value) >= 1e5:
        return f"{value:.2E}"
    return f"{value:.4f}" if name in ("kid", "kvd") and abs(value) < 100 else f"{value:.2f}"


def _table(result: Result) -> Table:
    table = Table(box=None, pad_edge=True, header_style="bold", padding=(0, 2))
    table.add_column("")
    for id in result.protocols:
        table.add_column(id, justify="right")
        table.add_column("95% interval", justify="center", style="dim")
        table.add_column("n", justify="right", style="dim")
    names = dict.fromkeys(name for protocol in result.protocols.values() for name in protocol.metrics)
    for name in names:
        cells = [cell for protocol in result.protocols.values() for cell in _cells(name, protocol)]
        table.add_row(LABELS.get(name, name), *cells)
    return table


def _cells(name: str, protocol: ProtocolResult) -> tuple[str, str, str]:
    metric = protocol.metrics.get(name)
    if metric is None:
        return "", "", ""
    interval = " to ".join(format_metric(name, bound) for bound in metric.interval) if metric.interval else "-"
    return format_metric(name, metric.value), interval, _count(metric)


def _count(metric: MetricResult) -> str:
    return f"{metric.windows} windows" if metric.windows is not None else f"{metric.frames} frames"


def _footnotes(result: Result) -> list[str]:
    """Reasons and notes, each once, behind the metrics that they are about."""
    said: dict[str, dict[str, None]] = {}
    for protocol in result.protocols.values():
        for name, metric in protocol.metrics.items():
            label = LABELS.get(name, name).split()[0]
            if metric.reason:
                said.setdefault(metric.reason, {})[label] = None
            if metric.interval_reason:
                said.setdefault(f"no interval: {metric.interval_reason}", {})[label] = None
            if metric.note:
                said.setdefault(metric.note, {})[label] = None
    notes = [f"{', '.join(labels)}: {text}" for text, labels in said.items()]
    if result.method.needs_truth:
        notes.append("* was shown the truth")
    return notes


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)} min {rest:.0f} s" if minutes else f"{rest:.1f} s"

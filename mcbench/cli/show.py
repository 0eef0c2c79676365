"""A result as a table for people."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from mcbench.cli.console import errors, output, sheet
from mcbench.protocol import LABELS, PROTOCOLS, heading
from mcbench.results import MetricResult, ProtocolResult, Result

__all__ = ["format_metric", "show_result"]

NARROWEST_VALUE = 8
"""Columns that the longest value takes, as in `1.23E+05`."""


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
            f" on {result.dataset.name}: ",
            f"{_number(result.dataset.clips, 'clip')}, {_number(result.dataset.frames, 'frame')}",
        )
    )
    if result.method.note:
        output.print(result.method.note, style="bold yellow", soft_wrap=True, markup=False)
    for id, protocol in result.protocols.items():
        output.print()
        output.print(Text.assemble((id, "bold cyan"), f"  {PROTOCOLS[id].summary}"))
        sheet().print(_table(protocol))
    for line in _footnotes(result):
        output.print(f"  {line}", style="dim", soft_wrap=True, markup=False)
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
    errors.print(f"{path} ({_duration(result.provenance.seconds)})", soft_wrap=True, markup=False)


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


def _table(protocol: ProtocolResult) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    # In a narrow terminal the other columns make room, or rich would take away the first two.
    table.add_column("", no_wrap=True, min_width=max(map(len, map(heading, LABELS))))
    table.add_column("value", justify="right", style="bold", no_wrap=True, min_width=NARROWEST_VALUE)
    table.add_column("95% interval", justify="center", no_wrap=True)
    table.add_column("n", justify="right", style="dim", no_wrap=True)
    table.add_column("split-half", justify="right", style="dim")
    table.add_column("network", style="dim")
    for name, metric in protocol.metrics.items():
        interval = "–".join(format_metric(name, bound) for bound in metric.interval) if metric.interval else "-"
        half = format_metric(name, metric.split_half) if metric.split_half is not None else ""
        table.add_row(
            heading(name),
            format_metric(name, metric.value),
            interval,
            _count(metric),
            half,
            metric.backbone or "",
        )
    return table


def _count(metric: MetricResult) -> str:
    return _number(metric.windows, "window") if metric.windows is not None else _number(metric.frames or 0, "frame")


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _footnotes(result: Result) -> list[str]:
    """Reasons and notes, each once, behind the metrics that they are about."""
    said: dict[str, dict[str, None]] = {}
    for protocol in result.protocols.values():
        for name, metric in protocol.metrics.items():
            label = LABELS[name]
            if metric.reason:
                said.setdefault(metric.reason, {})[label] = None
            if metric.interval_reason:
                said.setdefault(f"no interval: {metric.interval_reason}", {})[label] = None
            if metric.split_half_reason and metric.value is not None:
                said.setdefault(f"no split-half: {metric.split_half_reason}", {})[label] = None
            if metric.note:
                said.setdefault(metric.note, {})[label] = None
    notes = [f"{', '.join(labels)}: {text}" for text, labels in said.items()]
    if any(metric.split_half is not None for item in result.protocols.values() for metric in item.metrics.values()):
        notes.append("split-half: mean distance between two halves of the truth's own videos, for scale")
    if result.method.native is not None:
        notes.append(f"frames of a program of its own: {result.method.native.told()}")
    if result.method.needs_truth:
        notes.append("* was shown the truth")
    return notes


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)} min {rest:.0f} s" if minutes else f"{rest:.1f} s"

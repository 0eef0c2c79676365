"""`fypv2 init`: starting weights."""

from __future__ import annotations

import json as json_module
import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from fypv2.weights.plan import Component
    from fypv2.weights.report import Report

__all__ = ["EXAMPLES", "NAME", "run"]

NAME = "init"
EXAMPLES = """Examples:

$ fypv2 init --config paper --dry-run

$ fypv2 init --config tiny --out starts/tiny

$ fypv2 init --config paper --motion mm_sd_v15_v2.ckpt --guider-output trained --dry-run --json"""

_ROWS = "Which source: unet, motion, vae, image-encoder or controlnet."


class Dtype(str, Enum):
    """Types that weights are written in."""

    float16 = "float16"
    float32 = "float32"


class Ending(str, Enum):
    """How the guiders from ControlNet end."""

    zero = "zero"
    trained = "trained"


def _place(option: str, what: str) -> Any:
    return typer.Option(option, help=f"{what}: a file, a folder, OWNER/NAME of the hub, or fresh.", metavar="SRC")


def run(
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The checkpoint's folder; must not be there, or be empty.", metavar="DIR"),
    ] = None,
    config: Annotated[
        str, typer.Option("--config", help="paper, small, tiny, or a .yaml file.", metavar="NAME")
    ] = "paper",
    unet: Annotated[str | None, _place("--unet", "Stable Diffusion 1.5, for the denoiser and ReferenceNet")] = None,
    motion: Annotated[str | None, _place("--motion", "AnimateDiff's motion modules")] = None,
    vae: Annotated[str | None, _place("--vae", "The VAE")] = None,
    image_encoder: Annotated[str | None, _place("--image-encoder", "CLIP's image encoder")] = None,
    controlnet: Annotated[
        str | None, _place("--controlnet", "ControlNet-openpose, for the pose and the reference pose guider")
    ] = None,
    guider_output: Annotated[
        Ending, typer.Option("--guider-output", help="Last convolution of the guiders that start from ControlNet.")
    ] = Ending.zero,
    fresh: Annotated[bool, typer.Option("--fresh", help="Draw all weights; no file is needed.", metavar="")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of what is drawn.", metavar="N", min=0, max=2**63 - 1)] = 0,
    dtype: Annotated[Dtype, typer.Option("--dtype", help="Type that is written.")] = Dtype.float32,
    revision: Annotated[
        list[str] | None,
        typer.Option("--revision", help="SOURCE=REVISION of a repository; repeat for several.", metavar="S=R"),
    ] = None,
    allow_missing: Annotated[
        list[str] | None,
        typer.Option("--allow-missing", help=f"A source that may lack tensors, which are drawn. {_ROWS}", metavar="S"),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never touch the network; take what the hub's cache has.", metavar="")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell the parts, their sizes and sources.", metavar="")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.", metavar="")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", metavar="")] = False,
) -> int:
    """Make a checkpoint of starting weights from published ones, with every tensor accounted for."""
    from fypv2.config import load_config
    from fypv2.errors import CheckpointError
    from fypv2.model.build import build_parts, build_scheduler
    from fypv2.weights.plan import check_names, choose_sources, plan

    given = {
        "unet": unet,
        "motion": motion,
        "vae": vae,
        "image-encoder": image_encoder,
        "controlnet": controlnet,
    }
    revisions = _revisions(revision or [])
    check_names("--revision", revisions)
    check_names("--allow-missing", tuple(allow_missing or ()))
    model = load_config(config)
    build_scheduler(model)  # a wrong argument is to be known before gigabytes are fetched
    places = choose_sources(model, given, fresh=fresh)
    if dry_run:
        components = plan(model, build_parts(model, device="meta"), places, guider_output.value)
        _show_plan(model.name, components, dtype.value, as_json=json)
        return 0
    if out is None:
        raise CheckpointError(
            "--out is missing: name the checkpoint's folder, or ask with --dry-run what would be in it"
        )

    from fypv2.weights.assembling import Request, assemble

    request = Request(
        config=model,
        out=out.expanduser(),
        places=places,
        revisions=revisions,
        allow_missing=tuple(allow_missing or ()),
        guider_output=guider_output.value,
        dtype=dtype.value,
        seed=seed,
        offline=offline,
    )
    _show_report(assemble(request), request.out, as_json=json)
    return 0


def _revisions(given: list[str]) -> dict[str, str]:
    revisions = {}
    for text in given:
        source, equals, revision = text.partition("=")
        if not equals or not revision:
            raise typer.BadParameter(f"--revision takes SOURCE=REVISION, as unet=main, not '{text}'")
        revisions[source] = revision
    return revisions


def _show_plan(config: str, components: list[Component], dtype: str, *, as_json: bool) -> None:
    from fypv2.weights.plan import size_in_bytes

    total = sum(component.parameters for component in components)
    size = sum(size_in_bytes(component, dtype) for component in components)
    if as_json:
        _print_json(
            {
                "config": config,
                "dtype": dtype,
                "parameters": total,
                "bytes": size,
                "components": [
                    {
                        "name": component.name,
                        "part": component.part,
                        "source": component.place,
                        "keys": len(component.shapes),
                        "parameters": component.parameters,
                        "bytes": size_in_bytes(component, dtype),
                        "drawn": list(component.shapes if component.place == "fresh" else component.drawn),
                    }
                    for component in components
                ],
            }
        )
        return
    table = _table("component", ">keys", ">parameters", "starts from")
    for component in components:
        zero = "; last convolution zero" if component.drawn and component.place != "fresh" else ""
        table.add_row(component.name, str(len(component.shapes)), f"{component.parameters:,}", component.place + zero)
    table.add_section()
    table.add_row("all", str(sum(len(one.shapes) for one in components)), f"{total:,}", f"{size / 1e9:.2f} GB {dtype}")
    Console(highlight=False).print(table)


def _show_report(report: Report, out: Path, *, as_json: bool) -> None:
    errors = Console(stderr=True, highlight=False)
    told = set()
    for one in report.components:
        if one.left_over_unexpected and one.left_over_unexpected not in told:
            told.add(one.left_over_unexpected)
            names = ", ".join(one.left_over_unexpected[:3])
            count = len(one.left_over_unexpected)
            errors.print(
                f"fypv2: warning: {one.file} ({one.name}): {count} tensors that are not known were left: {names}"
                + (" …" if count > 3 else ""),
                style="yellow",
                soft_wrap=True,
                markup=False,
            )
        if one.missing:
            errors.print(
                f"fypv2: warning: {one.name}: {len(one.missing)} of {one.keys} tensors drawn, the source lacks them",
                style="yellow",
                soft_wrap=True,
                markup=False,
            )
    if as_json:
        _print_json({"folder": str(out), **report.document()})
        return
    table = _table("component", ">parameters", "from", ">used", ">drawn", ">left")
    for one in report.components:
        left = sum(map(len, one.left_over_expected.values())) + len(one.left_over_unexpected)
        origin = one.published or one.file or one.source
        table.add_row(
            one.name,
            f"{one.parameters:,}",
            f"{origin} ({one.layout}, {(one.sha256 or '')[:12]})" if one.file else origin,
            str(one.used or ""),
            str(one.keys - one.used or ""),
            str(left or ""),
        )
    Console(highlight=False).print(table)
    errors.print(f"{out} ({report.parameters:,} parameters, {report.dtype})", soft_wrap=True, markup=False)


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        right = column.startswith(">")
        fixed = right or column == "component"
        table.add_column(column.lstrip(">"), justify="right" if right else "left", no_wrap=fixed, overflow="fold")
    return table


def _print_json(document: Any) -> None:
    sys.stdout.write(json_module.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

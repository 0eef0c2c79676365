"""Starting weights from their sources: checked, put together part by part, and written whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
import yaml
from diffusers import UNetMotionModel
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import logging

from fypv2.checkpoint import assemble as pipeline_of
from fypv2.config import STARTING_REPORT, ModelConfig
from fypv2.errors import CheckpointError
from fypv2.model.build import build_parts
from fypv2.model.motion import silence_motion
from fypv2.permissions import open_permissions
from fypv2.weights.matching import Match, match, take
from fypv2.weights.plan import Component, GuiderOutput, plan, size_in_bytes
from fypv2.weights.reading import TensorFile, open_tensors
from fypv2.weights.report import ComponentReport, Report
from fypv2.weights.sources import FRESH, check_published, locate, published_as

__all__ = ["DTYPES", "Request", "assemble"]

DTYPES = {"float16": torch.float16, "float32": torch.float32}
"""Types that starting weights are written in."""


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        config: the model.
        out: the folder to be made.
        places: for each source a file, a folder, a repository of the hub, or `fresh`.
        revisions: of repositories, by source.
        allow_missing: sources that may lack tensors, which are then fresh.
        guider_output: whether the guiders from ControlNet end in zeros.
        dtype: `float16` or `float32`.
        seed: of what is drawn fresh.
        offline: whether to use only what the hub's cache has.
    """

    config: ModelConfig
    out: Path
    places: Mapping[str, str]
    revisions: Mapping[str, str]
    allow_missing: tuple[str, ...] = ()
    guider_output: GuiderOutput = "zero"
    dtype: str = "float32"
    seed: int = 0
    offline: bool = False


def assemble(request: Request) -> Report:
    """Write a checkpoint of starting weights: what `DiffusionPipeline.save_pretrained` writes, config and report.

    One part at a time is in memory, unless all are fresh. The same request gives the same files.

    Returns:
        The report, which also lies in the folder.

    Raises:
        CheckpointError: if a source is missing, damaged, refused, of another model or incomplete, or the folder cannot
            be written or is not empty; then there is no folder.
    """
    _check_folder(request.out)
    config = request.config
    parts = build_parts(config, device="meta")
    components = plan(config, parts, request.places, request.guider_output)
    _check_space(request, components)
    with ExitStack() as stack:
        files = _open_sources(request, components, stack)
        matches = {
            component.name: _match(component, files[component.source], request)
            for component in components
            if component.source in files
        }
        everything = None if files else build_parts(config, device="cpu", seed=request.seed)
        reports = []
        with _whole_folder(request.out) as folder:
            for name in list(parts):
                part = parts[name]
                own = [component for component in components if component.part == name]
                fresh = everything.pop(name).state_dict() if everything else None
                state = _state(part, name, own, files, matches, fresh, request)
                _write_part(part, state, folder / name)
                reports += [_report(one, files, matches, request.dtype) for one in own]
                del state, fresh
                part.to("meta")
            report = Report(config.name, request.dtype, request.seed, request.guider_output, tuple(reports))
            _write_rest(config, parts, folder, report)
    return report


def _open_sources(request: Request, components: list[Component], stack: ExitStack) -> dict[str | None, TensorFile]:
    files: dict[str | None, TensorFile] = {}
    opened: dict[Path, TensorFile] = {}
    for source in dict.fromkeys(component.source for component in components):
        if source is None or request.places[source] == FRESH:
            continue
        located = locate(
            source, request.places[source], revision=request.revisions.get(source), offline=request.offline
        )
        if located.path not in opened:
            opened[located.path] = stack.enter_context(open_tensors(located.path))
        file = files[source] = opened[located.path]
        check_published(located, file.sha256, file.size)
    return files


def _match(component: Component, file: TensorFile, request: Request) -> Match:
    assert component.source is not None
    wanted = {key: shape for key, shape in component.shapes.items() if key not in component.drawn}
    found = match(component.source, wanted, file, request.config)
    if found.missing and component.source not in request.allow_missing:
        names = ", ".join(found.missing[:3]) + (f" and {len(found.missing) - 3} more" if len(found.missing) > 3 else "")
        raise CheckpointError(
            f"{file.path}: read as {found.layout}, it lacks {len(found.missing)} of the {len(wanted)} tensors of "
            f"{component.name}: {names}; take the whole file, or draw them with --allow-missing {component.source}"
        )
    return found


def _state(
    part: nn.Module,
    name: str,
    components: list[Component],
    files: Mapping[str | None, TensorFile],
    matches: Mapping[str, Match],
    fresh: dict[str, Tensor] | None,
    request: Request,
) -> dict[str, Tensor]:
    """All tensors of a part: from the files, and drawn where there is none."""
    dtype = DTYPES[request.dtype]
    state: dict[str, Tensor] = {}
    for component in components:
        if component.name in matches:
            state |= take(matches[component.name], component.shapes, files[component.source], dtype)
    lacking = [key for component in components for key in component.shapes if key not in state]
    if lacking:
        drawn = _draw(part, name, request.seed) if fresh is None else fresh
        state |= {key: drawn[key].to(dtype) for key in lacking}
    return state


def _draw(part: nn.Module, name: str, seed: int) -> dict[str, Tensor]:
    """A part's fresh weights, in memory by itself; each part has its own stream of random numbers."""
    kind: Any = type(part)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(f"{seed} {name}".encode()))
        if isinstance(part, PreTrainedModel):
            made: nn.Module = kind(part.config)
        else:
            # diffusers takes arguments that were given by position for defaults, and would forget them.
            given: Any = part.config
            made = kind.from_config({key: value for key, value in given.items() if key != "_use_default_values"})
    if isinstance(made, UNetMotionModel):
        silence_motion(made)
    return made.state_dict()


def _write_part(part: nn.Module, state: dict[str, Tensor], folder: Path) -> None:
    part.load_state_dict(state, strict=True, assign=True)
    saving: Any = part
    with _no_bars():
        saving.save_pretrained(folder)
    written: dict[str, tuple[int, ...]] = {}
    for file in folder.glob("*.safetensors"):
        with safetensors.safe_open(file, framework="pt") as content:
            written |= {key: tuple(content.get_slice(key).get_shape()) for key in content.keys()}  # noqa: SIM118
    if written != {key: tuple(tensor.shape) for key, tensor in state.items()}:
        raise CheckpointError(f"{folder.name}: what was written is not what was read; check the libraries' versions")


def _write_rest(config: ModelConfig, parts: Mapping[str, nn.Module], folder: Path, report: Report) -> None:
    pipeline = pipeline_of(config, parts)
    pipeline.feature_extractor.save_pretrained(folder / "feature_extractor")
    pipeline.scheduler.save_pretrained(folder / "scheduler")
    pipeline.save_config(folder)
    settings = config.model_dump(mode="json")
    (folder / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    (folder / STARTING_REPORT).write_text(report.to_json(), encoding="utf-8")


def _report(
    component: Component, files: Mapping[str | None, TensorFile], matches: Mapping[str, Match], dtype: str
) -> ComponentReport:
    if component.name not in matches:
        return ComponentReport(
            name=component.name,
            part=component.part,
            source=FRESH,
            keys=len(component.shapes),
            parameters=component.parameters,
            dtype=dtype,
        )
    file, found = files[component.source], matches[component.name]
    known = published_as(file.sha256)
    return ComponentReport(
        name=component.name,
        part=component.part,
        source=component.place,
        keys=len(component.shapes),
        parameters=component.parameters,
        dtype=dtype,
        file=file.path.name,
        bytes=file.size,
        sha256=file.sha256,
        published=f"{known.repository}/{known.file}" if known else None,
        layout=found.layout,
        source_dtypes=file.dtypes(found.found.values()),
        used=len(found.found),
        missing=found.missing,
        computed=found.computed,
        drawn=component.drawn,
        left_over_expected=found.expected,
        left_over_unexpected=found.strange,
        set_aside=file.set_aside,
    )


def _check_folder(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointError(f"{out}: is there already, and not an empty folder; name another, or remove it")


def _check_space(request: Request, components: list[Component]) -> None:
    needed = sum(size_in_bytes(component, request.dtype) for component in components)
    place = request.out.absolute().parent
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise CheckpointError(
            f"{request.out}: needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free there; "
            "name another place, or write --dtype float16"
        )


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without transformers' progress bar for each file that it writes."""
    bars: Any = logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the body is done, and is removed when it fails."""
    temporary: Path | None = None
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.absolute().parent))
        yield temporary
        open_permissions(temporary)
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    except (OSError, safetensors.SafetensorError) as error:
        why = getattr(error, "strerror", None) or error
        raise CheckpointError(f"{out}: cannot be written ({why}); free space there, or mend its permissions") from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)

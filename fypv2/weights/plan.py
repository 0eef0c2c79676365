"""What a checkpoint is made of: its components, their sizes, and where each starts from."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from torch import nn

from fypv2.config import CONFIGS, ModelConfig, load_config
from fypv2.errors import CheckpointError
from fypv2.model.build import guider_part
from fypv2.weights.layouts import SOURCES
from fypv2.weights.sources import DEFAULTS, FRESH

__all__ = ["Component", "GuiderOutput", "check_names", "choose_sources", "plan", "size_in_bytes"]

GuiderOutput = Literal["zero", "trained"]
"""How a guider that starts from ControlNet ends: with a last convolution of zeros, so that it changes nothing before it
is trained, or with ControlNet's trained one, whose output ControlNet's own copy of the U-Net was trained on."""

_STARTS_FROM_CONTROLNET = ("pose", "reference_pose")


@dataclass(frozen=True)
class Component:
    """A part of a checkpoint, or the share of it that one source fills.

    Attributes:
        name: `unet`, `motion`, or a part's name.
        part: the folder that it is in; the motion modules lie in the U-Net's.
        source: which of `SOURCES` can fill it, None for the guiders that nothing published fits.
        place: where that source is, or `fresh`.
        shapes: of its tensors, by key.
        drawn: those of them that are fresh whatever the source.
        parameters: numbers that are trained; the motion modules' positions are not.
    """

    name: str
    part: str
    source: str | None
    place: str
    shapes: dict[str, tuple[int, ...]]
    drawn: tuple[str, ...]
    parameters: int


def plan(
    config: ModelConfig, parts: Mapping[str, nn.Module], places: Mapping[str, str], guider_output: GuiderOutput = "zero"
) -> list[Component]:
    """The components of a model, in the order of its parts.

    Args:
        config: the model.
        parts: as `build_parts` makes them; the meta device will do.
        places: for each of `SOURCES` a file, a folder, a repository or `fresh`.
        guider_output: see `GuiderOutput`.
    """
    from_controlnet = {guider_part(name) for name in _STARTS_FROM_CONTROLNET}
    sources = {"unet": "unet", "reference_unet": "unet", "vae": "vae", "image_encoder": "image-encoder"}
    components = []
    for part, module in parts.items():
        source = "controlnet" if part in from_controlnet else sources.get(part)
        keys = list(module.state_dict())
        moving = [key for key in keys if "motion_modules" in key]
        still = [key for key in keys if "motion_modules" not in key]
        zero = [key for key in still if key.startswith("conv_out.")] if source == "controlnet" else []
        drawn = tuple(zero) if guider_output == "zero" else ()
        components.append(_component(part, part, module, source, places, still, drawn))
        if moving:
            components.append(_component("motion", part, module, "motion", places, moving, ()))
    return components


def choose_sources(config: ModelConfig, given: Mapping[str, str | None], *, fresh: bool = False) -> dict[str, str]:
    """Where each source is: as given, or where the published one is, if it is of this config's sizes.

    Args:
        config: the model. The published sources fit `paper` and all configs that share the section in question; the
            other configs that ship start fresh.
        given: what the user named, by source; None where nothing.
        fresh: whether the user asked for fresh weights throughout.

    Raises:
        CheckpointError: if `fresh` and a place are both given, or a config that is the user's own fits no published
            source and none is named.
    """
    named = {source: place for source, place in given.items() if place is not None}
    if fresh and named:
        raise CheckpointError(f"--fresh and --{next(iter(named))} exclude each other; name one of them")
    if fresh:
        return dict.fromkeys(SOURCES, FRESH)
    paper = load_config("paper")
    sections = {
        "unet": "unet",
        "motion": "motion",
        "vae": "vae",
        "image-encoder": "image_encoder",
        "controlnet": "guider",
    }
    places = {}
    for source, section in sections.items():
        if source in named:
            places[source] = named[source]
        elif getattr(config, section) == getattr(paper, section):
            places[source] = DEFAULTS[source]
        elif config.name in CONFIGS:
            places[source] = FRESH
        else:
            raise CheckpointError(
                f"config '{config.name}' has another {section} than the published weights; "
                f"name its file with --{source}, or start it from nothing with --{source} {FRESH}"
            )
    if config.name in CONFIGS and config.name != "paper":
        places |= {source: FRESH for source in SOURCES if source not in named}
    return places


def size_in_bytes(component: Component, dtype: str) -> int:
    """Of a component's tensors in a file.

    Args:
        component: of a plan.
        dtype: `float16` or `float32`.
    """
    return sum(prod(shape) for shape in component.shapes.values()) * {"float16": 2, "float32": 4}[dtype]


def check_names(option: str, names: Mapping[str, object] | tuple[str, ...]) -> None:
    """Refuse a source that there is not.

    Raises:
        CheckpointError: naming the nearest.
    """
    for name in names:
        if name not in SOURCES:
            close = difflib.get_close_matches(name, SOURCES, n=1)
            tail = f"; did you mean '{close[0]}'?" if close else f"; there are {', '.join(SOURCES)}"
            raise CheckpointError(f"{option}: nothing is called '{name}'{tail}")


def _component(
    name: str,
    part: str,
    module: nn.Module,
    source: str | None,
    places: Mapping[str, str],
    keys: list[str],
    drawn: tuple[str, ...],
) -> Component:
    state = module.state_dict()
    trained = {key: value.numel() for key, value in module.named_parameters()}
    return Component(
        name=name,
        part=part,
        source=source,
        place=FRESH if source is None else places[source],
        shapes={key: tuple(state[key].shape) for key in keys},
        drawn=drawn,
        parameters=sum(trained.get(key, 0) for key in keys),
    )

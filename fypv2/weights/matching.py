"""Which tensor of a file goes where: by a known layout, with every key of both sides accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fypv2.config import ModelConfig
from fypv2.errors import CheckpointError
from fypv2.weights.layouts import Layout, expected_left_over, layouts_for
from fypv2.weights.reading import TensorFile

__all__ = ["Match", "match", "take"]

_SHOWN = 3
_POSITIONS = ".pos_embed.pe"


@dataclass(frozen=True)
class Match:
    """How a file fills a component.

    Attributes:
        layout: name of the layout that the file is in.
        found: key in the file, by our key.
        missing: our keys that the file has not.
        computed: our keys that the file has not and need not have: the motion modules' positions are a formula.
        expected: keys that the file has beyond ours and that are known, by what they are.
        strange: keys that the file has beyond ours and that nothing is known of.
    """

    layout: str
    found: dict[str, str]
    missing: tuple[str, ...]
    computed: tuple[str, ...]
    expected: dict[str, tuple[str, ...]]
    strange: tuple[str, ...]


def match(source: str, shapes: Mapping[str, tuple[int, ...]], file: TensorFile, config: ModelConfig) -> Match:
    """Find a component's tensors in a file.

    Args:
        source: which of `SOURCES` the file is.
        shapes: of the component's tensors, by our key.
        file: the open file.
        config: the model.

    Raises:
        CheckpointError: if no key of the component is in the file under any layout, or a shape differs: then it is the
            file of another model.
    """
    layouts = layouts_for(source, config)
    tried = [(layout, prefix) for layout in layouts for prefix in layout.prefixes]
    layout, prefix = max(tried, key=lambda pair: sum(_name(key, *pair) in file.shapes for key in shapes))
    names = {key: _name(key, layout, prefix) for key in shapes}
    found = {key: name for key, name in names.items() if name in file.shapes}
    if not found:
        known = ", ".join(dict.fromkeys(layout.name for layout in layouts))
        raise CheckpointError(
            f"{file.path}: not a {source} file, none of the part's {len(shapes)} tensors is in it under the names of "
            f"{known}; it has {_some(list(file.shapes))}"
        )
    _check_shapes(shapes, found, file, config, source)
    absent = [key for key in shapes if key not in found]
    # AnimateDiff's later code does not store the positions.
    formula = tuple(key for key in absent if key.endswith(_POSITIONS))
    used = set(found.values())
    expected: dict[str, tuple[str, ...]] = {}
    strange = []
    for key in file.shapes:
        if key not in used:
            what = expected_left_over(source, key)
            if what is None:
                strange.append(key)
            else:
                expected[what] = (*expected.get(what, ()), key)
    missing = tuple(key for key in absent if key not in formula)
    return Match(layout.name, found, missing, formula, expected, tuple(strange))


def take(
    match: Match, shapes: Mapping[str, tuple[int, ...]], file: TensorFile, dtype: torch.dtype
) -> dict[str, Tensor]:
    """The component's tensors, by our key.

    Args:
        match: of this file.
        shapes: as they must be; a 1x1 convolution's weight becomes a matrix where we have one, and the reverse.
        file: the open file.
        dtype: of the result.

    Raises:
        CheckpointError: if a tensor is not of finite floating numbers, or is too large for `dtype`.
    """
    _check_positions(match, file)
    tensors = {}
    for key, name in match.found.items():
        tensor = file.tensor(name).to(dtype).reshape(shapes[key]).contiguous()
        if dtype == torch.float16 and not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{file.path}: {name} holds numbers too large for float16; use --dtype float32")
        # A view into a larger storage would be written as that storage, or be refused as shared.
        tensors[key] = tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()
    return tensors


def _name(key: str, layout: Layout, prefix: str) -> str:
    return prefix + layout.rename(key)


def _check_shapes(
    shapes: Mapping[str, tuple[int, ...]], found: dict[str, str], file: TensorFile, config: ModelConfig, source: str
) -> None:
    differing = [(key, name) for key, name in found.items() if _matrix(file.shapes[name]) != _matrix(shapes[key])]
    if differing:
        some = "; ".join(
            f"{name} is {_size(file.shapes[name])}, not {_size(shapes[k])}" for k, name in differing[:_SHOWN]
        )
        more = f"; and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
        raise CheckpointError(
            f"{file.path}: the {source} of another model than config '{config.name}': {some}{more}; "
            "name the file or the config that goes with it"
        )


def _check_positions(match: Match, file: TensorFile) -> None:
    """AnimateDiff stores the positions once for each attention, diffusers once for both, so they must agree."""
    for second in match.expected.get("positions, second copy", ()):
        first = second.replace(".attention_blocks.1.", ".attention_blocks.0.")
        if first in file.shapes and not torch.equal(file.tensor(first), file.tensor(second)):
            raise CheckpointError(
                f"{file.path}: {second} differs from that of attention_blocks.0, and the model has one for both; "
                "these motion modules cannot be used"
            )


def _matrix(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without the two ones of a 1x1 convolution."""
    return shape[:2] if len(shape) == 4 and shape[2:] == (1, 1) else shape


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a number"


def _some(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")

"""The account of starting weights: where every tensor came from, and what was left."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["SCHEMA", "ComponentReport", "Report"]

SCHEMA = "fypv2.starting-weights/1"
"""Name and version of the report's form."""


@dataclass(frozen=True)
class ComponentReport:
    """One component's account; where it has a file, `used + missing + computed + drawn` are all of its keys.

    Attributes:
        name: `unet`, `motion`, or a part's name.
        part: the folder that it is in.
        source: the place as it was named, or `fresh`.
        keys: tensors of the component.
        parameters: numbers that are trained.
        dtype: that was written.
        file: name of the source's file; this and all that follows is empty where the component is fresh.
        bytes: of that file.
        sha256: of that file.
        published: the published file that it is, by its hash; None for any other.
        layout: how the file names its tensors.
        source_dtypes: types of the tensors that were used.
        used: tensors taken from the file.
        missing: keys that the file lacked and that were allowed to be; they are fresh.
        computed: keys that the file lacked and that a formula gives.
        drawn: keys that are fresh on purpose; of a component that is fresh as a whole they are not listed.
        left_over_expected: keys of the file that are not used and known, by what they are.
        left_over_unexpected: keys of the file that are not used and not known.
        set_aside: entries of the file that are no tensors.
    """

    name: str
    part: str
    source: str
    keys: int
    parameters: int
    dtype: str
    file: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    published: str | None = None
    layout: str | None = None
    source_dtypes: tuple[str, ...] = ()
    used: int = 0
    missing: tuple[str, ...] = ()
    computed: tuple[str, ...] = ()
    drawn: tuple[str, ...] = ()
    left_over_expected: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left_over_unexpected: tuple[str, ...] = ()
    set_aside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """The whole account.

    Attributes:
        config: name of the model's config.
        dtype: that was written.
        seed: of what was drawn.
        guider_output: `zero` or `trained`.
        components: in the order of the parts.
    """

    config: str
    dtype: str
    seed: int
    guider_output: str
    components: tuple[ComponentReport, ...]

    @property
    def parameters(self) -> int:
        """Of the whole model."""
        return sum(component.parameters for component in self.components)

    def document(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"schema": SCHEMA, **asdict(self), "parameters": self.parameters}

    def to_json(self) -> str:
        """As a JSON document that ends in a newline."""
        return json.dumps(self.document(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

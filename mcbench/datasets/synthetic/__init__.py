"""The synthetic data sets: people who dance, drawn by the project, with exact annotations.

`moves`, `script` and `choreography` say what is danced, `motion` and `body` where every joint is, `wardrobe`, `heads`
and `figure` what the figures look like, `room`, `decor` and `furniture` where they are, `raster`, `shadows` and `warp`
how it is drawn; `scene` puts a frame together, `specs` lists the clips, `dataset` keeps them on disk.
"""

from __future__ import annotations

from mcbench.datasets.synthetic.dataset import load_synthetic
from mcbench.datasets.synthetic.scene import Frame, render_clip, render_reference
from mcbench.datasets.synthetic.specs import (
    SYNTHETIC_VERSION,
    Cameras,
    ClipSpec,
    clip_specs,
    synthetic_names,
    synthetic_shape,
    training_clips,
)

__all__ = [
    "SYNTHETIC_VERSION",
    "Cameras",
    "ClipSpec",
    "Frame",
    "clip_specs",
    "load_synthetic",
    "render_clip",
    "render_reference",
    "synthetic_names",
    "synthetic_shape",
    "training_clips",
]

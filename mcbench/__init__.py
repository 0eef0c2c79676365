"""mcbench: the benchmark of pose-guided character animation.

What stands in `__all__` is the public interface; all else may change. Names are loaded when first used, so that
`import mcbench` and `mcbench --help` take no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcbench.cases import Case, DrivingPoses, case_digest
    from mcbench.command_line import run_command_line
    from mcbench.datasets import load_dataset, open_truth
    from mcbench.datasets.base import KEYPOINT_NAMES, Annotations, Clip, Dataset, FrameSource, ReferenceAnnotations
    from mcbench.datasets.synthetic import Cameras, render_clip, training_clips
    from mcbench.digests import files_of, files_sha256
    from mcbench.engines import run_on_ray
    from mcbench.errors import MethodError, UserError
    from mcbench.evaluation import evaluate, score
    from mcbench.geometry import to_square
    from mcbench.home import home_folder
    from mcbench.methods import Method, Question, load_method
    from mcbench.protocol import PROTOCOLS, Protocol
    from mcbench.results import NativeOutput, Result, read_result
    from mcbench.video import find_clips, open_frames, write_frames, write_video
    from mcbench.workers import share_threads, this_worker

__version__ = "0.1.0"

__all__ = [
    "KEYPOINT_NAMES",
    "PROTOCOLS",
    "Annotations",
    "Cameras",
    "Case",
    "Clip",
    "Dataset",
    "DrivingPoses",
    "FrameSource",
    "Method",
    "MethodError",
    "NativeOutput",
    "Protocol",
    "Question",
    "ReferenceAnnotations",
    "Result",
    "UserError",
    "case_digest",
    "evaluate",
    "files_of",
    "files_sha256",
    "find_clips",
    "home_folder",
    "load_dataset",
    "load_method",
    "open_frames",
    "open_truth",
    "read_result",
    "render_clip",
    "run_command_line",
    "run_on_ray",
    "score",
    "share_threads",
    "this_worker",
    "to_square",
    "training_clips",
    "write_frames",
    "write_video",
]

_HOMES = {
    "KEYPOINT_NAMES": "mcbench.datasets.base",
    "PROTOCOLS": "mcbench.protocol",
    "Annotations": "mcbench.datasets.base",
    "Cameras": "mcbench.datasets.synthetic",
    "Case": "mcbench.cases",
    "Clip": "mcbench.datasets.base",
    "Dataset": "mcbench.datasets.base",
    "DrivingPoses": "mcbench.cases",
    "FrameSource": "mcbench.datasets.base",
    "Method": "mcbench.methods",
    "MethodError": "mcbench.errors",
    "NativeOutput": "mcbench.results",
    "Protocol": "mcbench.protocol",
    "Question": "mcbench.methods",
    "ReferenceAnnotations": "mcbench.datasets.base",
    "Result": "mcbench.results",
    "UserError": "mcbench.errors",
    "case_digest": "mcbench.cases",
    "evaluate": "mcbench.evaluation",
    "files_of": "mcbench.digests",
    "files_sha256": "mcbench.digests",
    "find_clips": "mcbench.video",
    "home_folder": "mcbench.home",
    "load_dataset": "mcbench.datasets",
    "load_method": "mcbench.methods",
    "open_frames": "mcbench.video",
    "open_truth": "mcbench.datasets",
    "read_result": "mcbench.results",
    "render_clip": "mcbench.datasets.synthetic",
    "run_command_line": "mcbench.command_line",
    "run_on_ray": "mcbench.engines",
    "score": "mcbench.evaluation",
    "share_threads": "mcbench.workers",
    "this_worker": "mcbench.workers",
    "to_square": "mcbench.geometry",
    "training_clips": "mcbench.datasets.synthetic",
    "write_frames": "mcbench.video",
    "write_video": "mcbench.video",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mcbench' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

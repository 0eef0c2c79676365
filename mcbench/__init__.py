"""mcbench: the benchmark of pose-guided character animation.

What stands in `__all__` is the public interface; all else may change. Names are loaded when first used, so that
`import mcbench` and `mcbench --help` take no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcbench.datasets import load_dataset, open_truth
    from mcbench.datasets.base import KEYPOINT_NAMES, Clip, Dataset
    from mcbench.errors import MethodError, UserError
    from mcbench.evaluate import evaluate, score
    from mcbench.methods import Case, DrivingPoses, Method, load_method
    from mcbench.protocol import PROTOCOLS, Protocol
    from mcbench.results import Result, read_result

__version__ = "0.1.0"

__all__ = [
    "KEYPOINT_NAMES",
    "PROTOCOLS",
    "Case",
    "Clip",
    "Dataset",
    "DrivingPoses",
    "Method",
    "MethodError",
    "Protocol",
    "Result",
    "UserError",
    "evaluate",
    "load_dataset",
    "load_method",
    "open_truth",
    "read_result",
    "score",
]

_HOMES = {
    "KEYPOINT_NAMES": "mcbench.datasets.base",
    "PROTOCOLS": "mcbench.protocol",
    "Case": "mcbench.methods",
    "Clip": "mcbench.datasets.base",
    "Dataset": "mcbench.datasets.base",
    "DrivingPoses": "mcbench.methods",
    "Method": "mcbench.methods",
    "MethodError": "mcbench.errors",
    "Protocol": "mcbench.protocol",
    "Result": "mcbench.results",
    "UserError": "mcbench.errors",
    "evaluate": "mcbench.evaluate",
    "load_dataset": "mcbench.datasets",
    "load_method": "mcbench.methods",
    "open_truth": "mcbench.datasets",
    "read_result": "mcbench.results",
    "score": "mcbench.evaluate",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mcbench' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])

"""The metrics: a pure function each, and a torchmetrics class on top.

The functions take NumPy arrays: frames for pairwise metrics, features video by video for distances. The classes take
whole videos as uint8 tensors. Several modules carry the name of their function: here the name means the function.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mcbench.metrics.fid import fid
from mcbench.metrics.fid_vid import fid_vid
from mcbench.metrics.frechet import frechet_distance
from mcbench.metrics.fvd import fvd
from mcbench.metrics.kernel_distance import kernel_distance, pair_matrix
from mcbench.metrics.kid import kid
from mcbench.metrics.kvd import kvd
from mcbench.metrics.l1 import absolute_error, l1_per_area, l1_unit
from mcbench.metrics.lpips import lpips
from mcbench.metrics.masked import background_motion, l1_characters, lpips_characters
from mcbench.metrics.psnr import psnr, psnr_wrapped
from mcbench.metrics.ssim import luma, ssim_gaussian, ssim_uniform
from mcbench.metrics.windows import window_count, window_starts

if TYPE_CHECKING:
    from mcbench.metrics.classes import FID, FIDVID, FVD, KID, KVD, L1, LPIPS, PSNR, SSIM

__all__ = [
    "FID",
    "FIDVID",
    "FVD",
    "KID",
    "KVD",
    "L1",
    "LPIPS",
    "PSNR",
    "SSIM",
    "absolute_error",
    "background_motion",
    "fid",
    "fid_vid",
    "frechet_distance",
    "fvd",
    "kernel_distance",
    "kid",
    "kvd",
    "l1_characters",
    "l1_per_area",
    "l1_unit",
    "lpips",
    "lpips_characters",
    "luma",
    "pair_matrix",
    "psnr",
    "psnr_wrapped",
    "ssim_gaussian",
    "ssim_uniform",
    "window_count",
    "window_starts",
]


def __getattr__(name: str) -> Any:
    """A class, when it is first asked for: only then is torchmetrics loaded."""
    if name not in __all__:
        raise AttributeError(f"module 'mcbench.metrics' has no attribute '{name}'")
    return getattr(import_module("mcbench.metrics.classes"), name)

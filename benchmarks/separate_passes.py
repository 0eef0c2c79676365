"""What a user runs in place of one `mcbench score`: separate passes over the same frames, which `peers.py` times.

Each pass is a process of its own, reads PNG files, and writes a JSON file of what it found. They are written as the
evaluation scripts of the field are, DisCo's above all, with the networks as torch runs them by default.

    decode            every frame of every video into PNG files of Pillow's default compression; frames that are PNG
                      files already are linked
    pairs             L1, PSNR and SSIM (scikit-image), frame by frame, one thread; then the package `lpips`, frame pair
                      by frame pair
    videos            FID-VID, then FVD: a video network on windows of 16 frames, one at a time; a loader's processes
                      read and resize every frame of every window anew, channel by channel, by Pillow in mode F; then
                      scipy's sqrtm

and `python -m pytorch_fid`, unchanged. What differs from the published scripts, in the passes' favour: PNG files are
read once for L1, PSNR and SSIM and once for LPIPS, not once for each; SSIM makes no map; LPIPS keeps no gradients and
runs on the GPU where there is one; there are no more loader processes than cores. In their disfavour: a published
sequence starts from frames on disk, so `decode` is ours; and its windows are GIF files of 16 frames, written beforehand
and each read once, where these read 16 PNG files a window. The video networks are the definitions of
`mcbench.backbones` before mcbench folds norms and chooses layouts and kernels; weights come from files.

Beside the sequence:

    torchmetrics      FID, SSIM, PSNR and LPIPS of `mcbench@1` by torchmetrics, with the same networks
    torch_fidelity    FID by torch-fidelity, with the same weights
    fid_features      the features behind `python -m pytorch_fid`, which prints a distance alone
    frechet           Frechet distances of drawn features, by mcbench and by pytorch-fid's function, in turn
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mcbench.metrics.windows import window_starts
from mcbench.protocol import PROTOCOLS, Protocol, get_protocol

__all__ = ["PASSES", "average", "clips_of", "drawn_features", "frechet_by_scipy"]

Frame = npt.NDArray[np.uint8]
Array = npt.NDArray[Any]

FRAMES_AT_A_TIME = 16
NETWORKS = {"fid_vid": "r3d50", "fvd": "i3d"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(PASSES))
    parser.add_argument("predictions", type=Path, help="folder of <clip>-<frame>.png; of videos where they are decoded")
    parser.add_argument("truth", type=Path, help="the same of the truth; the folder to fill where they are decoded")
    parser.add_argument("--protocol", choices=list(PROTOCOLS), default="disco-legacy@1")
    parser.add_argument("--weights", type=Path, help="folder of the weights files")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--windows", type=int, default=1, help="that a video network takes at a time")
    parser.add_argument("--loaders", type=int, default=0, help="processes that read and resize windows")
    parser.add_argument("--counts", default="", help="of drawn features, as 245x2048,3917x2048")
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    options = parser.parse_args()
    found = PASSES[options.name](options, get_protocol(options.protocol))
    options.out.write_text(json.dumps(found), encoding="utf-8")


def clips_of(folder: Path) -> dict[str, list[Path]]:
    """PNG files of each clip, both in the order of their names."""
    clips: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("*.png")):
        clips.setdefault(file.stem.rpartition("-")[0], []).append(file)
    return clips


def read(file: Path) -> Frame:
    """A PNG file as uint8 RGB (H, W, 3)."""
    return np.array(Image.open(file).convert("RGB"))


def pairs(options: argparse.Namespace, protocol: Protocol) -> Iterator[Iterator[tuple[Frame, Frame]]]:
    """Prediction and truth frame by frame, clip by clip; without the reference frame where the protocol drops it."""
    first = int(protocol.drop_reference)
    sides = (clips_of(folder).values() for folder in (options.predictions, options.truth))
    for predictions, truths in zip(*sides, strict=True):
        yield ((read(p), read(t)) for p, t in zip(predictions[first:], truths[first:], strict=True))


def average(clips: Sequence[Sequence[float]], protocol: Protocol) -> float:
    """The mean over all frames, or over the means of clips."""
    if protocol.pool == "frames":
        return statistics.fmean(value for clip in clips for value in clip)
    return statistics.fmean(statistics.fmean(clip) for clip in clips)


def decode(options: argparse.Namespace, protocol: Protocol) -> dict[str, Any]:
    """Videos, or folders of PNG files, to one folder of PNG files; the latter as they are."""
    import av

    options.truth.mkdir(parents=True)
    count = 0
    for source in sorted(options.predictions.iterdir()):
        number = -1
        if source.is_dir():
            for number, file in enumerate(sorted(source.glob("*.png"))):
                _link(file, options.truth / _frame_name(source, number))
        else:
            for number, picture in enumerate(av.open(str(source)).decode(video=0)):
                Image.fromarray(picture.to_ndarray(format="rgb24")).save(options.truth / _frame_name(source, number))
        count += number + 1
    return {"frames": count}


def _frame_name(source: Path, number: int) -> str:
    return f"{source.stem}-{number:05d}.png"


def _link(file: Path, place: Path) -> None:
    try:
        place.hardlink_to(file)
    except OSError:  # another file system, or one without links
        shutil.copyfile(file, place)


def both(options: argparse.Namespace, protocol: Protocol, **parts: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """What the parts of one process find, and the seconds of each by name."""
    found: dict[str, Any] = {"seconds": {}}
    for name, part in parts.items():
        start = time.perf_counter()
        found |= part(options, protocol)
        found["seconds"][name] = round(time.perf_counter() - start, 3)
    return found


def frame_pairs(options: argparse.Namespace, protocol: Protocol) -> dict[str, Any]:
    """The pairwise metrics and LPIPS in one process."""
    return both(options, protocol, pairwise=pairwise, lpips=lpips)


def videos(options: argparse.Namespace, protocol: Protocol) -> dict[str, Any]:
    """FID-VID and FVD in one process."""
    return both(options, protocol, **{name: partial(video_network, name=name) for name in NETWORKS})


def pairwise(options: argparse.Namespace, protocol: Protocol) -> dict[str, Any]:
    """L1, PSNR and SSIM."""
    import cv2
    from skimage import metrics

    cv2.setNumThreads(1)
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    window = gaussian if protocol.ssim == "gaussian-11" else {}
    structural_similarity: Callable[..., float] = metrics.structural_similarity
    values: dict[str, list[list[float]]] = {"l1": [], "psnr": [], "ssim": []}
    for clip in pairs(options, protocol):
        for found in values.values():
            found.append([])
        for p, t in clip:
            difference = p.astype(np.float64) - t
            divisor = p.shape[0] * p.shape[1] if protocol.l1 == "per-area" else 255
            values["l1"][-1].append(np.abs(difference).mean() / divisor)
            wrapped = p - t
            square = (wrapped * wrapped if protocol.psnr == "wrapped" else difference**2).mean()
            values["psnr"][-1].append(20 * np.log10(255 / np.sqrt(square)) if square else 100.0)
            grey_p, grey_t = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (p, t))
            values["ssim"][-1].append(structural_similarity(grey_t, grey_p, data_range=255, **window))
    return {name: float(average(found, protocol)) for name, found in values.items()}


def lpips(options: argparse.Namespace, protocol: Protocol) -> dict[str, Any]:
    """LPIPS, one pair at a time."""
    import lpips as package
    import torch

    network = package.LPIPS(net={"vgg16": "vgg", "alexnet": "alex"}[protocol.lpips_network], verbose=False)
    network = network.to(options.device)

    def image(frame: Frame) -> torch.Tensor:
        pixels = torch.from_numpy(frame).permute(2, 0, 1)[None].float().to(options.device)
        return pixels / 127.5 - 1 if protocol.lpips_range == "signed" else pixels / 255

    with torch.no_grad():
        found = [[network(image(p), image(t)).item() for p, t in clip] for clip in pairs(options, protocol)]
    return {"lpips": average(found, protocol)}


class Windows:
    """The windows of a folder's clips, each read and resized when it is asked for: float32 (length, 3, size, size)."""

    def __init__(self, folder: Path, protocol: Protocol, size: int) -> None:
        self._size = size
        self._windows = [
            files[start : start + protocol.window_length]
            for files in clips_of(folder).values()
            for start in window_starts(len(files), protocol.window_stride, protocol.window_length)
        ]

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, number: int) -> Array:
        return np.stack([self._resized(read(file)) for file in self._windows[number]])

    def _resized(self, frame: Frame) -> Array:
        size = (self._size, self._size)
        planes = frame.astype(np.float32).transpose(2, 0, 1)
        return np.stack([np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC)) for plane in planes])


def video_network(options: argparse.Namespace, protocol: Protocol, name: str) -> dict[str, Any]:
    """Features of the windows of both sides by one network, and their distance."""
    import torch
    from torch.utils.data import DataLoader

    network = _plain_network(NETWORKS[name], options.weights).to(options.device)

    def features(folder: Path) -> Array:
        windows: Any = Windows(folder, protocol, network.input_size)
        found = [np.zeros((0, network.dimension), np.float32)]
        for batch in DataLoader(windows, batch_size=options.windows, num_workers=options.loaders):
            images = network.scale(batch.to(options.device)).transpose(1, 2).contiguous()
            found.append(network(images).cpu().numpy())
        return np.concatenate(found)

    with torch.no_grad():
        prediction, truth = features(options.predictions), features(options.truth)
    np.savez(options.out.with_name(f"{options.out.stem}-{name}.npz"), prediction=prediction, truth=truth)
    return {name: frechet_by_scipy(prediction, truth)}


def frechet_by_scipy(prediction: Array, truth: Array) -> float | None:
    """The Frechet distance of features (n, d) and (m, d) as pytorch-fid has it, means and covariances included.

    None where it gives up: scipy's root of a singular matrix can come out complex, or not finite.
    """
    from pytorch_fid.fid_score import calculate_frechet_distance

    # Its own arrays of features are float64 as well.
    pair = (prediction.astype(np.float64), truth.astype(np.float64))
    sides = [(side.mean(axis=0), np.cov(side, rowvar=False)) for side in pair]
    try:
        distance = float(calculate_frechet_distance(*sides[0], *sides[1]))
    except ValueError:
        return None
    return distance if np.isfinite(distance) else None


def torchmetrics(options: argparse.Namespace, protocol: Protocol) -> dict[str, Any]:
    """Four metrics of `mcbench@1` by torchmetrics' classes."""
    import cv2
    import torch
    from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    fid = FrechetInceptionDistance(feature=_inception()).to(options.device)
    ssim = StructuralSimilarityIndexMeasure(sigma=1.5, kernel_size=11, data_range=255.0).to(options.device)
    psnr = PeakSignalNoiseRatio(data_range=255.0, reduction="elementwise_mean", dim=(1, 2, 3)).to(options.device)
    lpips = LearnedPerceptualImagePatchSimilarity(net_type="alex").to(options.device)
    with torch.no_grad():
        for folder, real in ((options.predictions, False), (options.truth, True)):
            files = [file for clip in clips_of(folder).values() for file in clip]
            for first in range(0, len(files), FRAMES_AT_A_TIME):
                frames = np.stack([read(file) for file in files[first : first + FRAMES_AT_A_TIME]])
                fid.update(torch.from_numpy(frames).permute(0, 3, 1, 2).to(options.device), real=real)
        metrics: dict[str, Any] = {"ssim": ssim, "psnr": psnr, "lpips": lpips}
        means: dict[str, list[float]] = {name: [] for name in metrics}
        for clip in pairs(options, protocol):
            for pair in clip:
                grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[None, None] for frame in pair]
                ssim.update(*(torch.from_numpy(one).float().to(options.device) for one in grey))
                p, t = (torch.from_numpy(one).permute(2, 0, 1)[None].float().to(options.device) for one in pair)
                psnr.update(p, t)
                lpips.update(p / 127.5 - 1, t / 127.5 - 1)
            for name, metric in metrics.items():
                means[name].append(float(metric.compute()))
                metric.reset()
    return {"fid": float(fid.compute()), **{name: statistics.fmean(values) for name, values in means.items()}}


def torch_fidelity(options: argparse.Namespace, protocol: Protocol) -> dict[str, Any]:
    """FID by torch-fidelity's own call."""
    from mcbench.backbones.weights import REGISTRY

    found = import_module("torch_fidelity").calculate_metrics(
        input1=str(options.predictions),
        input2=str(options.truth),
        cuda=options.device != "cpu",
        fid=True,
        feature_extractor_weights_path=str(options.weights / REGISTRY["inception"].file),
        cache=False,
        verbose=False,
    )
    return {"fid": float(found["frechet_inception_distance"])}


def fid_features(options: argparse.Namespace, protocol: Protocol) -> dict[str, Any]:
    """What pytorch-fid compares, by its own function."""
    from pytorch_fid.fid_score import get_activations
    from pytorch_fid.inception import InceptionV3

    network = InceptionV3([3]).to(options.device)
    sides = {
        side: get_activations(sorted(folder.glob("*.png")), network, device=options.device)
        for side, folder in (("prediction", options.predictions), ("truth", options.truth))
    }
    np.savez(options.out.with_suffix(".npz"), **sides)
    return {side: list(features.shape) for side, features in sides.items()}


def drawn_features(vectors: int, dimensions: int) -> tuple[Array, Array]:
    """Two sets (vectors, dimensions), float32, whose spectra fall as those of feature networks do."""
    random = np.random.default_rng(vectors + dimensions)
    decay = (1 + np.arange(dimensions)) ** -0.5
    mix = random.normal(size=(dimensions, dimensions)) * decay[:, None]
    sets = [random.normal(size=(vectors, dimensions)) @ mix + shift for shift in (0.0, 0.2)]
    return sets[0].astype(np.float32), sets[1].astype(np.float32)


def frechet(options: argparse.Namespace, protocol: Protocol) -> dict[str, Any]:
    """Seconds and values of both on features of the counts asked for, the less of two turns each."""
    from mcbench.metrics.frechet import frechet_distance

    functions: dict[str, Callable[[Array, Array], float | None]] = {
        "mcbench": frechet_distance,
        "scipy": frechet_by_scipy,
    }
    rows = []
    for count in options.counts.split(","):
        vectors, dimensions = map(int, count.split("x"))
        sets = drawn_features(vectors, dimensions)
        seconds: dict[str, list[float]] = {name: [] for name in functions}
        values = {}
        for _ in range(2):
            for name, function in functions.items():
                start = time.perf_counter()
                values[name] = function(*sets)
                seconds[name].append(time.perf_counter() - start)
        least = {f"{name}_seconds": min(taken) for name, taken in seconds.items()}
        rows.append({"vectors": vectors, "dimensions": dimensions, **least, **values})
    return {"rows": rows}


def _plain_network(name: str, folder: Path) -> Any:
    """A video network as it is defined: norms apart, torch's own layouts and choice of kernels."""
    import torch

    from mcbench.backbones.i3d import I3D
    from mcbench.backbones.resnet3d import ResNet3D50
    from mcbench.backbones.state import fill
    from mcbench.backbones.weights import REGISTRY

    with torch.device("meta"):
        network = ResNet3D50() if name == "r3d50" else I3D()
    file = folder / REGISTRY[name].file
    fill(network, torch.load(file, weights_only=True), network.unused, str(file))
    return network.eval().requires_grad_(False)


def _inception() -> Any:
    """pytorch-fid's network for torchmetrics: uint8 (N, 3, H, W) in, features (N, 2048) out."""
    from pytorch_fid.inception import InceptionV3
    from torch import Tensor, nn

    class Features(nn.Module):
        num_features = 2048

        def __init__(self) -> None:
            super().__init__()
            self.network = InceptionV3([3]).eval()

        def forward(self, images: Tensor) -> Tensor:
            features: Tensor = self.network(images.float() / 255)[0].flatten(1)
            return features

    return Features()


PASSES: dict[str, Callable[[argparse.Namespace, Protocol], dict[str, Any]]] = {
    "decode": decode,
    "pairs": frame_pairs,
    "videos": videos,
    "torchmetrics": torchmetrics,
    "torch_fidelity": torch_fidelity,
    "fid_features": fid_features,
    "frechet": frechet,
}
"""By name; each takes the options and a protocol, and gives what is written to the JSON file."""


if __name__ == "__main__":
    main()

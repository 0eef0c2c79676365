"""mcbench against what a user would run instead: the same frames, the same random weights, one run.

    python benchmarks/peers.py                                         # 5 clips of 40 frames, both protocols
    python benchmarks/peers.py --clips 2 --frames 16 --protocol mcbench@1 --json
    python benchmarks/peers.py --device cuda --clips 20 --frames 195   # the same sequence on a GPU

Truths are drawn clips of 512 x 512, predictions are the truths shifted, dimmed and made a little noisy; all are H.264
files (or `--container png`). The peer is a sequence of separate passes, each a process of its own
(`separate_passes.py`):

    decode to PNG files, twice; the pairwise metrics and LPIPS frame by frame; `python -m pytorch_fid`; both video
    networks, with a Pillow resize of every frame in every window and scipy's sqrtm

Its time is the sum of the processes, start-up included; so is that of `mcbench score`. Both read the same weights
files: `random@1` under the published names, in a torch home that the packages take for their download folder, so that
they run unchanged. The peer's video networks take one window at a time, as in the published evaluator; `--windows 4`
lets them take four, by which plain torch runs the 3D-ResNet-50 on a CPU in 0.6 of the time and I3D hardly faster. The
rows:

- `disco-legacy@1`, cold: nothing cached, against the passes for its seven numbers.
- `disco-legacy@1`, truth cached: `score` of a second method on the same truth, against the same passes without the
  truth's decoding, which a user would not repeat. pytorch-fid could keep the truth's statistics as well; the published
  evaluator does not, and neither do the passes.
- `mcbench@1`, cold, twice. Against the passes of `disco-legacy@1`: what a user runs today for these metrics, with
  VGG-16 and windows at stride 1, so these numbers differ by definition. And against passes for its own numbers, with
  AlexNet and windows at stride 16: what computing the same without mcbench takes. KID, KVD and intervals, which no
  pass computes, are in mcbench's time alone.
- Each of these also without the passes that decode (`speedup_without_decoding`), for a reader who holds that they are
  not the peer's to pay; mcbench's time stays whole.
- Frechet distances alone, on drawn features of the counts of this clip set and of Multi-Character, by mcbench and by
  pytorch-fid's function with scipy's sqrtm.

`equal` compares every metric that both compute, relative to the larger, with 1e-5. Where there are fewer vectors than
dimensions, scipy's root of a singular matrix moves a distance, or comes out complex, at which pytorch-fid gives up;
its time counts all the same. Then the peer's own features decide: their distance without a root, from eigenvalues of
symmetric matrices, is `peer_exact`.

The passes are timed as torch is by default, which on a GPU computes convolutions in TF32; mcbench does not, so there
the values that `equal` compares come from one more sequence, not timed and with TF32 off.

torchmetrics and torch-fidelity run too where they are installed. cd-fvd cannot: its networks are TorchScript files of
its own, and take no other weights.
"""

from __future__ import annotations

import argparse
import inspect
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.linalg
import torch
from peers_report import Seconds, compare_values, frechet_rows, speed_rows, table
from torchvision.models import alexnet, inception_v3, vgg16

from mcbench import UserError, load_dataset, to_square, write_frames, write_video
from mcbench.backbones.i3d import I3D
from mcbench.backbones.inception import Inception
from mcbench.backbones.lpips import VGG16, AlexNet
from mcbench.backbones.random_weights import random_state
from mcbench.backbones.resnet3d import ResNet3D50
from mcbench.backbones.state import tensor_shapes
from mcbench.backbones.weights import REGISTRY
from mcbench.metrics.windows import window_count
from mcbench.protocol import DISCO_LEGACY, MCBENCH, PROTOCOLS, Protocol, get_protocol
from mcbench.provenance import device_name
from mcbench.workers import processors

__all__ = ["Bench", "distance_of", "frechet_counts", "main", "make_videos", "reason_for", "write_weights"]

MULTI_CHARACTER = (3917, 3617)
"""Frames, and windows at stride 1."""
SIZE = 512
LOADERS = 16
"""Processes that read windows in the published evaluator; here no more than there are cores to use."""
PASSES = Path(__file__).with_name("separate_passes.py")
EXTRA = {
    "torchmetrics": {
        "fid": (1e-3, "sums roots of the eigenvalues of an unsymmetric, here singular product, and rounds to float32"),
        "ssim": (0.05, "takes the mean over the mirrored border too"),
    },
    "torch_fidelity": {"fid": (0.05, "resizes as TensorFlow 1 did, not as pytorch-fid")},
}
"""Further peers, why a number of theirs differs by definition, and how far that can move it, relative to the larger."""
SEQUENCE = ("pairs", "pytorch_fid", "videos")
"""The passes after the decoding."""
WITHOUT_TF32 = {"NVIDIA_TF32_OVERRIDE": "0"}
_FRECHET = {"fid": "fid", "fid_vid": "videos-fid_vid", "fvd": "videos-fvd"}
"""Where the features behind each distance lie."""

Array = npt.NDArray[Any]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=5)
    parser.add_argument("--frames", type=int, default=40, help="of each clip")
    parser.add_argument("--protocol", action="append", choices=list(PROTOCOLS))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--container", choices=("mp4", "png"), default="mp4")
    parser.add_argument("--windows", type=int, default=1, help="that the peers' video networks take at a time")
    parser.add_argument("--repeat", type=int, default=1, help="turns; medians are given")
    parser.add_argument("--frechet", metavar="NxD,...", help="counts of drawn features; those of this set by default")
    parser.add_argument("--no-extra", action="store_true", help="leave torchmetrics and torch-fidelity out")
    parser.add_argument("--out", type=Path, help="file for the JSON document")
    parser.add_argument("--json", action="store_true", help="print the JSON document in place of the table")
    options = parser.parse_args(arguments)
    try:
        report = compare(options)
    except UserError as error:
        parser.exit(2, f"peers: error: {error}\n")
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2) if options.json else table(report))  # noqa: T201


def compare(options: argparse.Namespace) -> dict[str, Any]:
    """The whole comparison."""
    if options.clips * options.frames < 2 or min(options.repeat, options.windows, options.threads) < 1:
        raise UserError("it takes two frames, and one turn, window and thread; raise what is below that")
    if "disp" not in inspect.signature(scipy.linalg.sqrtm).parameters:
        raise UserError("pytorch-fid 0.3.0 does not run with this SciPy: pip install 'scipy<1.18'")
    if find_spec("skimage") is None:
        raise UserError("scikit-image computes the peers' SSIM and is missing: pip install scikit-image")
    torch.set_num_threads(options.threads)
    protocols = [get_protocol(id) for id in dict.fromkeys(options.protocol or PROTOCOLS)]
    with tempfile.TemporaryDirectory(prefix="mcbench-peers-") as scratch:
        bench = Bench(Path(scratch), options)
        make_videos(bench.folder, options.clips, options.frames, options.container)
        write_weights(bench.weights)
        turns = [bench.turn(number, protocols) for number in range(options.repeat)]
        extra, missing = ([], {}) if options.no_extra or MCBENCH not in protocols else bench.extra_peers()
        equal = {protocol.id: bench.equality(protocol) for protocol in protocols}
        counts = options.frechet or frechet_counts(options.clips, options.frames)
        distances = bench.run_pass("frechet", MCBENCH, "frechet", ["--counts", counts])["rows"]
    return {
        "schema": "mcbench.peers/1",
        "machine": device_name(options.device),
        "threads": options.threads,
        "clips": options.clips,
        "frames": options.clips * options.frames,
        "container": options.container,
        "windows_at_a_time": options.windows,
        "turns": options.repeat,
        "speed": speed_rows(turns, protocols, options.device),
        **{
            kind: {
                protocol.id: {
                    name: round(statistics.median(turn[protocol.id][kind][name] for turn in turns), 2)
                    for name in turns[0][protocol.id][kind]
                }
                for protocol in protocols
            }
            for kind in ("passes", "within")
        },
        "frechet": frechet_rows(distances),
        "equal": equal,
        "further_peers": extra,
        "not_measured": missing,
    }


class Bench:
    """Videos, weights and runs in one folder."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder = folder
        self.weights = folder / "torch" / "hub" / "checkpoints"
        self.options = options
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in WITHOUT_TF32},
            "OMP_NUM_THREADS": str(options.threads),
            "TORCH_HOME": str(folder / "torch"),
            "PYTHONWARNINGS": "ignore",
        }
        # For runs that give values and are not timed; on a CPU they are the timed ones.
        self._for_values = WITHOUT_TF32 if torch.device(options.device).type == "cuda" else {}

    def turn(self, number: int, protocols: Sequence[Protocol]) -> dict[str, dict[str, Any]]:
        """Seconds of one run of everything; in every other turn mcbench goes first."""
        seconds: dict[str, dict[str, Any]] = {}
        for protocol in protocols:
            runs = [("passes", self._passes), ("mcbench", self._mcbench)]
            found = {name: run(number, protocol) for name, run in (runs if number % 2 == 0 else runs[::-1])}
            found["within"] = {}
            for name in SEQUENCE:
                found["within"] |= self._found(protocol, name).get("seconds", {})
            seconds[protocol.id] = found
        return seconds

    def _passes(self, number: int, protocol: Protocol) -> Seconds:
        # Each turn decodes into new folders, and later passes take the last.
        side = {name: self.folder / f"png-{number}-{protocol.id}" / name for name in ("truth", "method-0")}
        seconds = {}
        for name, folder in side.items():
            start = time.perf_counter()
            self._separate("decode", self.folder / name, folder, protocol, f"decode-{name}")
            seconds[f"decode {name.partition('-')[0]}"] = time.perf_counter() - start
        self.png = side
        return seconds | self._sequence(protocol)

    def _sequence(self, protocol: Protocol, more: Mapping[str, str] | None = None) -> Seconds:
        seconds = {}
        for name in SEQUENCE:
            start = time.perf_counter()
            if name == "pytorch_fid":
                self._pytorch_fid(protocol, more)
            else:
                folders = self.png["method-0"], self.png["truth"]
                self._separate(name, *folders, protocol, f"{protocol.id}-{name}", environment=more)
            seconds[name] = time.perf_counter() - start
        return seconds

    def _found(self, protocol: Protocol, name: str) -> dict[str, Any]:
        file = self.folder / f"{protocol.id}-{name}.json"
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        return found

    def _mcbench(self, number: int, protocol: Protocol) -> Seconds:
        seconds = {}
        for state, method in (("cold", 0), ("truth cached", 1)):
            run = self.folder / f"run-{number}-{protocol.id}-{method}"
            command = [sys.executable, "-m", "mcbench", "score", str(self.folder / f"method-{method}")]
            command += ["--truth", str(self.folder / "truth"), "--protocol", protocol.id, "--out", str(run)]
            command += ["--device", self.options.device]
            for name in ("inception", protocol.lpips_network, "r3d50", "i3d"):
                command += ["--weights", f"{name}={self.weights / REGISTRY[name].file}"]
            start = time.perf_counter()
            self._run(command, {"MCBENCH_HOME": str(self.folder / f"home-{number}-{protocol.id}")})
            seconds[state] = time.perf_counter() - start
        return seconds

    def extra_peers(self) -> tuple[list[dict[str, Any]], dict[str, str]]:
        """What torchmetrics and torch-fidelity say of the numbers of `mcbench@1`, and why others are not there."""
        rows, missing = [], {"cd-fvd": "its networks are TorchScript files of its own and take no other weights"}
        ours = self._values(MCBENCH)
        for name, reasons in EXTRA.items():
            if find_spec(name) is None:
                missing[name] = "not installed"
                continue
            start = time.perf_counter()
            try:
                theirs = self.run_pass(name, MCBENCH, name)
            except UserError as error:
                missing[name] = str(error)
                continue
            taken = round(time.perf_counter() - start, 2)
            if self._for_values:
                theirs = self.run_pass(name, MCBENCH, name, environment=self._for_values)
            values = compare_values(ours, theirs, {})
            for row in values:
                row["note"] = reason_for(row, reasons)
            rows.append({"peer": name, "seconds": taken, "equal": values})
        return rows, missing

    def equality(self, protocol: Protocol) -> list[dict[str, Any]]:
        """Every number of a protocol beside the passes' number."""
        if self._for_values:
            self._sequence(protocol, self._for_values)
        theirs: dict[str, float | None] = {}
        for name in SEQUENCE:
            theirs |= {metric: value for metric, value in self._found(protocol, name).items() if metric != "seconds"}
        said = (self.folder / f"{protocol.id}-pytorch_fid.txt").read_text(encoding="utf-8")
        theirs["fid"] = distance_of(said)
        self.run_pass("fid_features", protocol, f"{protocol.id}-fid", environment=self._for_values)
        features = {}
        for name, file in _FRECHET.items():
            with np.load(self.folder / f"{protocol.id}-{file}.npz") as sides:
                features[name] = (sides["prediction"], sides["truth"])
        rows = compare_values(self._values(protocol), theirs, features)
        if "singular product" in said:
            next(row for row in rows if row["metric"] == "fid")["note"] += "; it added 1e-6 to the diagonals"
        return rows

    def run_pass(
        self,
        name: str,
        protocol: Protocol,
        out: str,
        more: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """One pass on the PNG files of the last turn; what it found."""
        self._separate(name, self.png["method-0"], self.png["truth"], protocol, out, more, environment)
        found: dict[str, Any] = json.loads((self.folder / f"{out}.json").read_text(encoding="utf-8"))
        return found

    def _values(self, protocol: Protocol) -> dict[str, float | None]:
        result = json.loads((self.folder / f"run-0-{protocol.id}-0" / "result.json").read_text(encoding="utf-8"))
        return {name: metric["value"] for name, metric in result["protocols"][protocol.id]["metrics"].items()}

    def _separate(
        self,
        name: str,
        predictions: Path,
        truth: Path,
        protocol: Protocol,
        out: str,
        more: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        command = [sys.executable, str(PASSES), name, str(predictions), str(truth), "--protocol", protocol.id]
        command += ["--weights", str(self.weights), "--device", self.options.device]
        command += ["--windows", str(self.options.windows), "--loaders", str(min(LOADERS, processors()))]
        self._run([*command, "--out", str(self.folder / f"{out}.json"), *more], environment)

    def _pytorch_fid(self, protocol: Protocol, more: Mapping[str, str] | None = None) -> None:
        folders = [str(self.png["truth"]), str(self.png["method-0"])]
        command = [sys.executable, "-m", "pytorch_fid", *folders, "--device", self.options.device]
        try:
            said = self._run(command, more)
        except UserError as error:
            # This is where it ends on too few frames; anything else is a fault of the run.
            if "Imaginary component" not in str(error):
                raise
            said = ""
        (self.folder / f"{protocol.id}-pytorch_fid.txt").write_text(said, encoding="utf-8")

    def _run(self, command: Sequence[str], more: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(command, env=self._environment | dict(more or {}), capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
            raise UserError(f"`{' '.join(Path(word).name for word in command[1:4])}` failed: {last}")
        return done.stdout


def reason_for(row: Mapping[str, Any], reasons: Mapping[str, tuple[float, str]]) -> str:
    """Why a further peer's number is not equal; nothing where it is further off than that reason can move it."""
    limit, reason = reasons.get(row["metric"], (0.0, ""))
    difference = row["difference"]
    return reason if not row["equal"] and difference is not None and difference <= limit else ""


def distance_of(said: str) -> float | None:
    """What `python -m pytorch_fid` printed as the distance; None if it printed none, or no number."""
    _, found, value = said.rpartition("FID:")
    return float(value) if found and math.isfinite(float(value)) else None


def make_videos(folder: Path, clips: int, frames: int, container: str) -> None:
    """Truths and the predictions of two methods, no frame of which is another's, so that no pass can be saved."""
    random = np.random.default_rng(0)
    for clip in load_dataset("synthetic", clips=clips, frames=frames).clips:
        truth = np.stack([to_square(frame, SIZE) for frame in islice(clip.source.read(), clip.frames)])
        for method, video in _sides(truth, random):
            place = folder / method / clip.name
            place.parent.mkdir(parents=True, exist_ok=True)
            if container == "png":
                write_frames(place, video)
            else:
                write_video(place.with_suffix(".mp4"), video, 25)


def _sides(truth: Array, random: np.random.Generator) -> Iterator[tuple[str, Array]]:
    yield "truth", truth
    for method, (columns, light) in enumerate(((24, 0.8), (40, 0.7))):
        moved = np.roll(truth, columns, axis=2) * light + random.integers(-4, 5, truth.shape)
        yield f"method-{method}", np.clip(moved, 0, 255).astype(np.uint8)


def write_weights(folder: Path) -> None:
    """`random@1` of every network as a state dict under its published name, the unused classifiers as zeros."""
    folder.mkdir(parents=True)
    with torch.device("meta"):
        networks = [Inception(), VGG16(), AlexNet(), ResNet3D50(), I3D()]
        whole = {
            "inception": inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False),
            "vgg16": vgg16(weights=None, init_weights=False),
            "alexnet": alexnet(weights=None),
        }
    for network in networks:
        drawn = random_state(tensor_shapes(network.core()))
        state = {key: torch.from_numpy(value) for key, value in drawn.items()}
        for key, shape in tensor_shapes(whole[network.name]).items() if network.name in whole else ():
            if key.startswith(network.unused):
                # One zero, however many there are of it: nobody looks at them.
                state[key] = torch.zeros(1).expand(shape)
        torch.save(state, folder / REGISTRY[network.name].file)


def frechet_counts(clips: int, frames: int) -> str:
    """Vectors x dimensions: of this clip set under `disco-legacy@1`, then of Multi-Character."""
    windows = clips * window_count(frames, DISCO_LEGACY.window_stride)
    rows = [(clips * frames, 2048), (windows, 2048), (windows, 400)]
    rows += [(MULTI_CHARACTER[0], 2048), (MULTI_CHARACTER[1], 2048), (MULTI_CHARACTER[1], 400)]
    return ",".join(f"{vectors}x{dimensions}" for vectors, dimensions in rows if vectors > 1)


if __name__ == "__main__":
    main()

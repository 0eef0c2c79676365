"""The whole data set encoded and drawn once, beside the data: what a sample needs, without pixels and without the VAE.

    DATA/prepared-<key>/prepared.json          what it was made from; the key is its digest
    DATA/prepared-<key>/clip-000000.safetensors

Both the clip and its mirror image are encoded and drawn: the VAE's latents of a mirrored picture are not the mirrored
latents. Drawings are deflated, since a skeleton is mostly black: a tenth of the bytes to read for a sample.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPImageProcessor

from fypv2.conditions import background_map, crop_resize_flow
from fypv2.config import ModelConfig
from fypv2.pipeline import FollowYourPosePipeline
from fypv2.training.clips import AffineFlow, ClipSource, DenseFlow, Flow
from fypv2.training.errors import TrainingError
from fypv2.training.samples import Choice, draw, mirrored, still_start
from fypv2.training.state import write_text

__all__ = ["PreparedClips", "encode_pictures", "frozen_digest", "prepare", "prepared_key", "weights_digest"]

_DRAWINGS = ("pose", "flow", "depth", "characters")
_DOCUMENT = "prepared.json"
_VERSION = 2

Frames = npt.NDArray[np.uint8]


def weights_digest(module: nn.Module, parts: tuple[str, ...] = ("",)) -> str:
    """SHA-256 (hex) of a module's tensors, their names and types.

    Args:
        module: any.
        parts: beginnings of names; only these tensors count. All by default.
    """
    return _digest({name: tensor for name, tensor in module.state_dict().items() if name.startswith(parts)})


def frozen_digest(parts: Mapping[str, nn.Module], learning: Iterable[nn.Parameter]) -> str:
    """SHA-256 (hex) of all that a run reads from its start and never writes.

    Args:
        parts: of the model, by name.
        learning: the parameters that are left out.
    """
    learns = {id(parameter) for parameter in learning}
    frozen: dict[str, Tensor] = {}
    for part, module in parts.items():
        trained = {name for name, parameter in module.named_parameters() if id(parameter) in learns}
        frozen |= {f"{part}.{name}": one for name, one in module.state_dict().items() if name not in trained}
    return _digest(frozen)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        flat = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {flat.dtype} {tuple(flat.shape)}\n".encode())
        digest.update(flat.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def prepared_key(source: ClipSource, vae: AutoencoderKL, model: ModelConfig, size: tuple[int, int]) -> dict[str, Any]:
    """All that the prepared data depends on."""
    how = model.conditions
    return {
        "version": _VERSION,
        "data": source.digest,
        "encoder": weights_digest(vae, ("encoder.", "quant_conv.")),  # another decoder makes no other latents
        "size": list(size),
        "prompt": int(model.image_encoder["image_size"]),
        "dilation": how.dilation,
        "flow_scale": how.flow_scale,
        "depth_rule": how.depth_rule,
    }


@torch.no_grad()
def encode_pictures(vae: AutoencoderKL, pictures: Tensor, chunk: int = 16) -> Tensor:
    """Latents, not scaled: the mean of the posterior, as the pipeline takes it of the reference.

    Args:
        vae: on any device.
        pictures: uint8 (n, 3, H, W).
        chunk: pictures at a time.

    Returns:
        (n, c, h, w) on the VAE's device.
    """
    parts = []
    for block in pictures.split(chunk):
        pixels = block.to(vae.device).to(vae.dtype) / 127.5 - 1
        parts.append(vae.encode(pixels).latent_dist.mode())
    return torch.cat(parts)


def prepare(
    source: ClipSource,
    vae: AutoencoderKL,
    model: ModelConfig,
    processor: CLIPImageProcessor,
    size: tuple[int, int],
    folder: Path,
    *,
    share: tuple[int, int] = (0, 1),
    workers: int = 0,
    on_clip: Callable[[int, int], None] | None = None,
) -> Path:
    """Encode and draw what is not there yet; an interrupted run is taken up.

    Args:
        source: of the clips.
        vae: the frozen VAE.
        model: the model.
        processor: the image encoder's preprocessing.
        size: height and width of the training frames.
        folder: of the data; a folder of its own is made in it.
        share: this process and how many there are; each takes its part of the clips.
        workers: processes that draw while this one encodes.
        on_clip: told after each clip how many are done, and of how many.

    Returns:
        The prepared folder.

    Raises:
        TrainingError: if it cannot be written.
    """
    key = prepared_key(source, vae, model, size)
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    place = folder / f"prepared-{digest[:16]}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        if not (place / _DOCUMENT).exists():
            write_text(json.dumps(key, indent=2) + "\n", place / _DOCUMENT)
        mine = range(share[0], len(source), share[1])
        missing = [index for index in mine if not clip_file(place, index).exists()]
        drawing = _Drawing(source, model, processor, size, missing)
        loader: Any = torch.utils.data.DataLoader(
            drawing, batch_size=None, num_workers=min(workers, len(missing)), worker_init_fn=quiet_worker
        )
        for done, (index, drawn) in enumerate(loader, start=len(mine) - len(missing) + 1):
            pictures = torch.cat([drawn.pop("pictures"), drawn.pop("mirrored_pictures")])
            latents = encode_pictures(vae, pictures).to("cpu", torch.float16)
            drawn["latents"] = latents.unflatten(0, (2, -1)).contiguous()
            temporary = place / f".clip-{index:06d}.{os.getpid()}"
            try:
                save_file(drawn, temporary)
                temporary.replace(clip_file(place, index))
            finally:
                temporary.unlink(missing_ok=True)
            if on_clip is not None:
                on_clip(done, len(mine))
    except (OSError, SafetensorError) as error:
        why = " ".join(str(error).split())
        raise TrainingError(f"{place}: cannot be written ({why}); free space, or set cache_latents=false") from error
    return place


def clip_file(place: Path, index: int) -> Path:
    """Where a clip's part of the prepared data is."""
    return place / f"clip-{index:06d}.safetensors"


def quiet_worker(_: int) -> None:
    """One thread for each worker, as the cores belong to the training process; and signals are for that one to answer.

    A terminal, `torchrun` and Slurm send theirs to all processes of a group. A worker that died of one would take the
    batch of the last step with it, and the checkpoint. It ends when it is told to, or when its parent is gone.
    """
    import cv2

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


class _Drawing(torch.utils.data.Dataset[tuple[int, dict[str, Tensor]]]):
    """Clips read and drawn, both ways round, before they are encoded."""

    def __init__(
        self,
        source: ClipSource,
        model: ModelConfig,
        processor: CLIPImageProcessor,
        size: tuple[int, int],
        indices: Sequence[int],
    ) -> None:
        self.source, self.model, self.processor = source, model, processor
        self.size, self.indices = size, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int) -> tuple[int, dict[str, Tensor]]:
        index = self.indices[place]
        clip = self.source.read(index)
        result: dict[str, Tensor] = {}
        blobs: list[bytes] = []
        for name, one in (("pictures", clip), ("mirrored_pictures", mirrored(clip))):
            frames = [FollowYourPosePipeline.crop_picture(frame, *self.size) for frame in one.frames]
            result[name] = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()
            maps, characters = draw(one, one.poses.frame(0), *self.size, self.model.conditions)
            drawings: dict[str, npt.NDArray[Any]] = {
                "pose": maps.pose,
                "flow": maps.background.astype(np.float16),
                "depth": maps.depth_order,
                "characters": np.rint(characters * 255).astype(np.uint8),
            }
            blobs += [zlib.compress(drawings[kind][i].tobytes(), 1) for kind in _DRAWINGS for i in range(len(frames))]
            if one is clip:
                prompts = self.processor([Image.fromarray(frame) for frame in frames], return_tensors="pt")
                result["prompts"] = prompts.pixel_values.to(torch.float16)
        result["blobs"] = torch.frombuffer(bytearray(b"".join(blobs)), dtype=torch.uint8)
        result["ends"] = torch.tensor(np.cumsum([len(blob) for blob in blobs]))
        if isinstance(clip.flow, AffineFlow):
            result["motion"] = torch.from_numpy(clip.flow.motion)
        elif isinstance(clip.flow, DenseFlow):
            result["vectors"] = torch.from_numpy(clip.flow.vectors)
        result["size"] = torch.tensor(clip.frames.shape[1:3])
        return index, result


class PreparedClips:
    """The prepared data, read sample by sample. Safe to pickle and to share.

    Args:
        folder: of `prepare`.
        size: height and width of the training frames.
        flow_scale: of the model's conditions.
    """

    def __init__(self, folder: Path, size: tuple[int, int], flow_scale: float) -> None:
        self.folder, self.size, self.flow_scale = folder, size, flow_scale

    def read(self, choice: Choice, *, consecutive: bool) -> dict[str, Any]:
        """What the step needs of a sample.

        Returns:
            `latents` float32 (c, f, h, w) and `reference_latents` (c, h, w), not scaled; `prompt` float32 (3, s, s);
            `pose`, `depth` uint8 (3, f, H, W), `reference_pose` (3, 1, H, W); `flow` float32 (1, f, H, W);
            `characters` float32 (f, H, W).
        """
        frames, way = list(choice.frames), int(choice.flipped)
        height, width = self.size
        try:
            with safe_open(clip_file(self.folder, choice.clip), framework="pt") as file:
                ends = file.get_tensor("ends").numpy()
                blobs = file.get_slice("blobs")
                count = len(ends) // (2 * len(_DRAWINGS))

                def drawing(kind: str, frame: int, shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
                    at = (way * len(_DRAWINGS) + _DRAWINGS.index(kind)) * count + frame
                    start = int(ends[at - 1]) if at else 0
                    blob = blobs[start : int(ends[at])].numpy().tobytes()
                    return np.frombuffer(zlib.decompress(blob), dtype).reshape(shape)

                colours, grey = (height, width, 3), (height, width)
                depth = np.stack([drawing("depth", i, colours, np.uint8) for i in frames])
                latents = file.get_slice("latents")
                prompt = file.get_slice("prompts")[choice.reference].float()
                moved = None if not consecutive else self._background(file, np.asarray(depth.any(axis=-1)), frames, way)
                if moved is None:
                    moved = np.stack([drawing("flow", i, grey, np.float16) for i in frames]).astype(np.float32)
                return {
                    "latents": torch.stack([latents[way, i] for i in frames], dim=1).float(),
                    "reference_latents": latents[way, choice.reference].float(),
                    "prompt": prompt.flip(-1) if choice.flipped else prompt,
                    "pose": _channels_first(np.stack([drawing("pose", i, colours, np.uint8) for i in frames])),
                    "depth": _channels_first(depth),
                    "flow": torch.from_numpy(moved)[None],
                    "reference_pose": _channels_first(drawing("pose", choice.reference, colours, np.uint8)[None]),
                    "characters": torch.from_numpy(
                        np.stack([drawing("characters", i, grey, np.uint8) for i in frames]).astype(np.float32) / 255
                    ),
                }
        except (OSError, SafetensorError, zlib.error, ValueError) as error:
            raise TrainingError(
                f"{clip_file(self.folder, choice.clip)}: damaged ({' '.join(str(error).split())}); remove it, and the"
                " next run makes it anew"
            ) from error

    def _background(
        self, file: Any, regions: npt.NDArray[np.bool_], frames: list[int], way: int
    ) -> npt.NDArray[np.float32] | None:
        """Eq. 3 for a window, whose flow runs from each of its frames to the next; None where no flow is known."""
        size = (int(file.get_slice("size")[0]), int(file.get_slice("size")[1]))
        known = file.keys()
        flow: Flow
        if "motion" in known:
            flow = AffineFlow(file.get_tensor("motion").numpy(), size)
        elif "vectors" in known:
            flow = DenseFlow(file.get_tensor("vectors").numpy(), size)
        else:
            return background_map(regions[:, None])
        flow = still_start(flow.choose(frames))
        dense = [flow.dense(i)[:, ::-1] if way else flow.dense(i) for i in range(len(frames))]
        # Only the length counts, so that a mirrored flow keeps its sign.
        return background_map(
            regions[:, None], np.stack([crop_resize_flow(one, *self.size) for one in dense]), self.flow_scale
        )


def _channels_first(frames: Frames) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(3, 0, 1, 2)))

"""Where starting weights come from: a file, a folder, or a repository of the Hugging Face hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fypv2.errors import CheckpointError
from fypv2.weights.layouts import SOURCES

__all__ = ["DEFAULTS", "FRESH", "PUBLISHED", "Located", "PublishedFile", "check_published", "locate", "published_as"]

FRESH: Final = "fresh"
"""In place of a file: weights drawn from a seed."""

DEFAULTS: Final = {
    "unet": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "motion": "guoyww/animatediff",
    "vae": "stabilityai/sd-vae-ft-mse",
    "image-encoder": "lambdalabs/sd-image-variations-diffusers",
    "controlnet": "lllyasviel/control_v11p_sd15_openpose",
}
"""Repositories of the published weights, by source."""

_FORMS: Final = (".safetensors", ".bin", ".fp16.safetensors", ".fp16.bin")
_FILES: Final = {
    "unet": (*(f"unet/diffusion_pytorch_model{form}" for form in _FORMS), "v1-5-pruned-emaonly.safetensors"),
    "motion": ("mm_sd_v15_v2.safetensors", "mm_sd_v15_v2.ckpt"),
    "vae": tuple(f"vae/diffusion_pytorch_model{form}" for form in _FORMS),
    "image-encoder": tuple(
        f"{folder}{stem}" for folder in ("image_encoder/", "") for stem in ("model.safetensors", "pytorch_model.bin")
    ),
    "controlnet": (),
}
_WEIGHTS: Final = (".safetensors", ".ckpt", ".pth", ".pt", ".bin")
_HUB: Final = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<file>[^@]+))?(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class PublishedFile:
    """A published file, so that one that was fetched or is at hand can be recognised.

    Attributes:
        repository: of the hub.
        file: its path there.
        sha256: of the file.
        size: bytes, None where it is not known.
    """

    repository: str
    file: str
    sha256: str
    size: int | None


def _sd15(file: str, sha256: str, size: int | None) -> PublishedFile:
    return PublishedFile("stable-diffusion-v1-5/stable-diffusion-v1-5", file, sha256, size)


PUBLISHED: Final = (
    _sd15(
        "unet/diffusion_pytorch_model.safetensors",
        "19da7aaa4b880e59d56843f1fcb4dd9b599c28a1d9d9af7c1143057c8ffae9f1",
        3_438_167_540,
    ),
    _sd15(
        "unet/diffusion_pytorch_model.bin",
        "c7da0e21ba7ea50637bee26e81c220844defdf01aafca02b2c42ecdadb813de4",
        3_438_354_725,
    ),
    _sd15(
        "v1-5-pruned-emaonly.safetensors",
        "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa",
        4_265_146_304,
    ),
    _sd15("v1-5-pruned-emaonly.ckpt", "cc6cb27103417325ff94f52b7a5d2dde45a7515b25c255d8e396c90014281516", None),
    PublishedFile(
        "guoyww/animatediff",
        "mm_sd_v15_v2.ckpt",
        "69ed0f5fef82b110aca51bcab73b21104242bc65d6ab4b8b2a2a94d31cad1bf0",
        1_817_888_431,
    ),
    PublishedFile(
        "stabilityai/sd-vae-ft-mse",
        "diffusion_pytorch_model.safetensors",
        "a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
        334_643_276,
    ),
    PublishedFile(
        "stabilityai/sd-vae-ft-mse",
        "diffusion_pytorch_model.bin",
        "1b4889b6b1d4ce7ae320a02dedaeff1780ad77d415ea0d744b476155c6377ddc",
        334_707_217,
    ),
    PublishedFile(
        "stabilityai/sd-vae-ft-mse-original",
        "vae-ft-mse-840000-ema-pruned.safetensors",
        "735e4c3a447a3255760d7f86845f09f937809baa529c17370d83e4c3758f3c75",
        334_641_190,
    ),
    PublishedFile(
        "lambdalabs/sd-image-variations-diffusers",
        "image_encoder/pytorch_model.bin",
        "89d2aa29b5fdf64f3ad4f45fb4227ea98bc45156bbae673b85be1af7783dbabb",
        1_215_993_967,
    ),
    PublishedFile(
        "openai/clip-vit-large-patch14",
        "model.safetensors",
        "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
        1_710_540_580,
    ),
    PublishedFile(
        "lllyasviel/ControlNet-v1-1",
        "control_v11p_sd15_openpose.pth",
        "db97becd92cd19aff71352a60e93c2508decba3dee64f01f686727b9b406a9dd",
        1_445_235_707,
    ),
)
"""Files whose hash is published; docs/starting-weights.md says where the hashes are from."""


@dataclass(frozen=True)
class Located:
    """A file on this machine.

    Attributes:
        path: of the file.
        pinned: the published file that it must be, as it was asked for by its name on the hub and no revision; None
            where any file will do.
    """

    path: Path
    pinned: PublishedFile | None


def locate(source: str, place: str, *, revision: str | None = None, offline: bool = False) -> Located:
    """Find a source's file, and fetch it where need be.

    Args:
        source: one of `SOURCES`.
        place: a file, a folder, or `OWNER/NAME[/FILE][@REVISION]` of the hub. In a folder or repository the file is
            looked for under the names of the published ones; in a folder a lone weights file will do as well.
        revision: of the repository; another way to say `@REVISION`.
        offline: whether to use only what the hub's cache has.

    Raises:
        CheckpointError: if there is none, or the hub does not answer.
    """
    assert source in SOURCES
    path = Path(place).expanduser()
    if path.is_file():
        return Located(path, None)
    if path.is_dir():
        return Located(_in_folder(source, path), None)
    parsed = _HUB.fullmatch(place)
    if parsed is None or place.startswith((".", "~")) or (parsed["file"] is None and path.suffix in _WEIGHTS):
        raise CheckpointError(
            f"no {source} weights at '{place}'; give a file, a folder, OWNER/NAME of the hub, or '{FRESH}'"
        )
    return _from_hub(source, parsed["repository"], parsed["file"], revision or parsed["revision"], offline)


def published_as(sha256: str) -> PublishedFile | None:
    """The published file of that hash, if it is one."""
    return next((entry for entry in PUBLISHED if entry.sha256 == sha256), None)


def check_published(located: Located, sha256: str, size: int) -> None:
    """Hold a fetched file against what is published under its name.

    Raises:
        CheckpointError: if it is another one.
    """
    pinned = located.pinned
    if pinned is not None and pinned.sha256 != sha256:
        raise CheckpointError(
            f"{located.path}: {size} bytes with SHA-256 {sha256[:12]}…, but {pinned.file} of {pinned.repository} is "
            f"published with {pinned.sha256[:12]}…; delete it to fetch it again, or name a --revision to trust it"
        )


def _candidates(source: str) -> tuple[str, ...]:
    plain = () if source == "image-encoder" else tuple(f"diffusion_pytorch_model{form}" for form in _FORMS)
    return (*_FILES[source], *plain)


def _in_folder(source: str, folder: Path) -> Path:
    for name in _candidates(source):
        if (folder / name).is_file():
            return folder / name
    lone = [path for path in sorted(folder.iterdir()) if path.suffix in _WEIGHTS and path.is_file()]
    if len(lone) == 1:
        return lone[0]
    what = f"has {len(lone)} weights files, and none" if lone else "has no weights file"
    raise CheckpointError(f"{folder}: {what} by the names of {source} ({_candidates(source)[0]}, …); name the file")


def _from_hub(source: str, repository: str, file: str | None, revision: str | None, offline: bool) -> Located:
    import huggingface_hub
    from huggingface_hub import errors

    for name in (file,) if file is not None else _candidates(source):
        try:
            path = huggingface_hub.hf_hub_download(repository, name, revision=revision, local_files_only=offline)
        except errors.LocalEntryNotFoundError as error:
            if offline:
                continue
            raise CheckpointError(
                f"{repository} ({source}): the hub does not answer; try again, or give a local file with --{source}"
            ) from error
        except errors.EntryNotFoundError:
            continue
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError) as error:
            at = f" at {revision}" if revision else ""
            raise CheckpointError(
                f"{repository}{at} ({source}): not on the hub, or not for all to read; "
                f"check the name, log in with `hf auth login`, or give a local file with --{source}"
            ) from error
        except OSError as error:
            raise CheckpointError(
                f"{repository}/{name}: not fetched ({error.strerror or error}); "
                f"try again, or give a local file with --{source}"
            ) from error
        pinned = [entry for entry in PUBLISHED if (entry.repository, entry.file) == (repository, name)]
        return Located(Path(path), pinned[0] if pinned and revision is None else None)
    where = "in the hub's cache on this machine; go without --offline" if offline else "in that repository"
    names = file or " or ".join(_candidates(source)[:2])
    raise CheckpointError(f"{repository} ({source}): no {names} {where}, or give a local file with --{source}")

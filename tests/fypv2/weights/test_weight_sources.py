"""Where weights are looked for: files, folders, the hub and its cache."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from fypv2.config import load_config
from fypv2.errors import CheckpointError
from fypv2.weights.plan import check_names, choose_sources
from fypv2.weights.sources import DEFAULTS, FRESH, PUBLISHED, Located, check_published, locate, published_as

SD15 = DEFAULTS["unet"]


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


def cached(cache: Path, repository: str, file: str, revision: str = "main") -> Path:
    """Put a file into the cache, as the hub's client lays it out."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    root = cache / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True, exist_ok=True)
    (root / "refs" / revision).write_text(commit)
    return touch(root / "snapshots" / commit / file)


def test_files_and_folders(tmp_path: Path) -> None:
    lone = touch(tmp_path / "lone" / "anything.ckpt")
    assert locate("motion", str(lone)) == Located(lone, None)
    assert locate("motion", str(lone.parent)).path == lone
    half = touch(tmp_path / "sd" / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    assert locate("unet", str(tmp_path / "sd")).path == half
    pickled = touch(tmp_path / "sd" / "unet" / "diffusion_pytorch_model.bin")
    assert locate("unet", str(tmp_path / "sd")).path == pickled
    whole = touch(tmp_path / "sd" / "unet" / "diffusion_pytorch_model.safetensors")
    assert locate("unet", str(tmp_path / "sd")).path == whole
    assert locate("unet", str(tmp_path / "sd" / "unet")).path == whole


def test_folders_that_do_not_tell(tmp_path: Path) -> None:
    touch(tmp_path / "readme.md")
    with pytest.raises(CheckpointError, match="has no weights file"):
        locate("vae", str(tmp_path))
    touch(tmp_path / "a.safetensors")
    touch(tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match="has 2 weights files"):
        locate("vae", str(tmp_path))


@pytest.mark.parametrize("place", ["./no/such", "nothing", "no/such.safetensors", "/no/such/file.bin", "a b/c"])
def test_places_that_are_none(place: str) -> None:
    with pytest.raises(CheckpointError, match="no vae weights at"):
        locate("vae", place)


def test_the_cache_is_enough_offline(cache: Path) -> None:
    file = cached(cache, SD15, "unet/diffusion_pytorch_model.bin")
    found = locate("unet", SD15, offline=True)
    assert found.path.read_bytes() == file.read_bytes()
    assert found.pinned is not None
    assert found.pinned.file == "unet/diffusion_pytorch_model.bin"
    with pytest.raises(CheckpointError, match=r"is published with c7da0e21ba7e…; delete it"):
        check_published(found, "0" * 64, 7)
    check_published(found, found.pinned.sha256, 7)


def test_a_named_revision_or_file_is_taken_as_it_is(cache: Path) -> None:
    cached(cache, SD15, "v1-5-pruned.safetensors", revision="mine")
    by_option = locate("unet", f"{SD15}/v1-5-pruned.safetensors", revision="mine", offline=True)
    by_place = locate("unet", f"{SD15}/v1-5-pruned.safetensors@mine", offline=True)
    assert by_option == by_place
    assert by_place.pinned is None


def test_an_empty_cache_offline(cache: Path) -> None:
    with pytest.raises(CheckpointError, match="cache on this machine; go without --offline") as caught:
        locate("motion", DEFAULTS["motion"], offline=True)
    assert "mm_sd_v15_v2" in str(caught.value)


def raising(error: Exception) -> object:
    def download(*_: object, **__: object) -> str:
        raise error

    return download


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.LocalEntryNotFoundError("cannot connect"), "the hub does not answer"),
        (errors.EntryNotFoundError("404"), "in that repository"),
        (errors.HFValidationError("bad name"), "not on the hub"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_what_the_hub_says_becomes_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception, words: str) -> None:
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", raising(error))
    with pytest.raises(CheckpointError, match=words) as caught:
        locate("vae", "someone/something")
    assert "\n" not in str(caught.value)
    assert "--vae" in str(caught.value)


def test_published_hashes_are_whole_and_distinct() -> None:
    assert len({entry.sha256 for entry in PUBLISHED}) == len(PUBLISHED)
    assert {len(entry.sha256) for entry in PUBLISHED} == {64}
    assert published_as(PUBLISHED[0].sha256) == PUBLISHED[0]
    assert published_as("0" * 64) is None


def test_the_paper_starts_from_the_published_weights() -> None:
    assert choose_sources(load_config("paper"), {}) == DEFAULTS
    assert set(choose_sources(load_config("tiny"), {}).values()) == {FRESH}
    assert set(choose_sources(load_config("paper"), {}, fresh=True).values()) == {FRESH}
    mixed = choose_sources(load_config("paper"), {"motion": "mine.ckpt", "controlnet": FRESH})
    assert (mixed["motion"], mixed["controlnet"], mixed["vae"]) == ("mine.ckpt", FRESH, DEFAULTS["vae"])
    with pytest.raises(CheckpointError, match="--fresh and --vae exclude each other"):
        choose_sources(load_config("paper"), {"vae": "mine"}, fresh=True)


def test_a_config_of_ones_own_names_what_nothing_published_fits() -> None:
    ablation = load_config("paper").model_copy(update={"name": "no-flow"})
    assert choose_sources(ablation, {}) == DEFAULTS
    narrow = ablation.model_copy(update={"vae": ablation.vae | {"layers_per_block": 1}})
    with pytest.raises(CheckpointError, match="name its file with --vae, or start it from nothing with --vae fresh"):
        choose_sources(narrow, {})
    assert choose_sources(narrow, {"vae": FRESH})["unet"] == SD15


def test_unknown_sources_name_the_nearest() -> None:
    with pytest.raises(CheckpointError, match="did you mean 'image-encoder'"):
        check_names("--allow-missing", ("image_encoder",))
    with pytest.raises(CheckpointError, match="there are unet, motion, vae"):
        check_names("--revision", {"xyz": "main"})

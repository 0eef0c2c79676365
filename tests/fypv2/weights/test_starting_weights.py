"""Starting weights put together from small files in the published layouts: every number, every key, every fault."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import yaml
from torch import Tensor
from weight_files import (
    animatediff_file,
    compvis_file,
    controlnet_file,
    layout,
    renamed,
    sample_config,
    split_motion,
    trained_parts,
    write_sources,
    written,
)

from fypv2.config import ModelConfig
from fypv2.errors import CheckpointError
from fypv2.model.build import build_parts
from fypv2.pipeline import FollowYourPosePipeline
from fypv2.weights import assembling
from fypv2.weights.assembling import Request, assemble
from fypv2.weights.layouts import SOURCES
from fypv2.weights.report import ComponentReport, Report
from fypv2.weights.sources import FRESH

CONFIG = sample_config()
GUIDERS = ("pose_guider", "flow_guider", "depth_guider", "reference_pose_guider")

Parts = dict[str, dict[str, Tensor]]
Ask = Callable[..., Request]


@pytest.fixture(scope="module")
def trained() -> Parts:
    return trained_parts(CONFIG)


@pytest.fixture(scope="module")
def places(trained: Parts, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_sources(tmp_path_factory.mktemp("sources"), trained, CONFIG)


@pytest.fixture
def ask(places: dict[str, str], tmp_path: Path) -> Ask:
    def request(config: ModelConfig = CONFIG, changed: dict[str, Any] | None = None, **rest: Any) -> Request:
        return Request(config, tmp_path / "out", places | {k: str(v) for k, v in (changed or {}).items()}, {}, **rest)

    return request


def component(report: Report, name: str) -> ComponentReport:
    return next(one for one in report.components if one.name == name)


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [key for key in one if not torch.equal(one[key], other[key])] == []


def refusal(request: Request) -> str:
    """The line that a request is refused with; it leaves nothing behind."""
    before = set(request.out.parent.iterdir())
    with pytest.raises(CheckpointError) as caught:
        assemble(request)
    assert "\n" not in str(caught.value)
    assert set(request.out.parent.iterdir()) == before
    return str(caught.value)


def save(path: Path, state: dict[str, Tensor]) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


def test_every_number_arrives(ask: Ask, trained: Parts) -> None:
    request = ask()
    report = assemble(request)
    still, motion = split_motion(trained["unet"])
    assert_same(written(request.out, "unet"), still | motion)
    assert_same(written(request.out, "reference_unet"), still)
    assert_same(written(request.out, "vae"), trained["vae"])
    assert_same(written(request.out, "image_encoder"), trained["image_encoder"])
    for name in ("pose_guider", "reference_pose_guider"):
        guider = written(request.out, name)
        assert not guider["conv_out.weight"].any()
        assert not guider["conv_out.bias"].any()
        assert_same(
            guider | {key: v for key, v in trained["pose_guider"].items() if "conv_out" in key}, trained["pose_guider"]
        )
    drawn = written(request.out, "flow_guider"), written(request.out, "depth_guider")
    assert not torch.equal(drawn[0]["conv_in.weight"], drawn[1]["conv_in.weight"])
    assert not drawn[0]["conv_out.weight"].any()
    assert json.loads((request.out / "starting_weights.json").read_text()) == json.loads(report.to_json())


def test_every_key_is_accounted_for(ask: Ask) -> None:
    report = assemble(ask())
    for one in report.components:
        if one.source != FRESH:
            assert one.used + len(one.missing) + len(one.computed) + len(one.drawn) == one.keys
            assert (one.missing, one.computed, one.left_over_unexpected) == ((), (), ())
            assert len(one.sha256 or "") == 64
    assert component(report, "motion").layout == "AnimateDiff"
    second = component(report, "motion").left_over_expected["positions, second copy"]
    assert len(second) == len([key for key in second if ".attention_blocks.1." in key]) == 11
    assert component(report, "vae").layout == "diffusers, old attention names"
    assert set(component(report, "image_encoder").left_over_expected) == {"position numbers"}
    guider = component(report, "pose_guider")
    assert guider.drawn == ("conv_out.weight", "conv_out.bias")
    assert guider.left_over_expected == {
        "output convolution of the condition embedding": (
            "controlnet_cond_embedding.conv_out.bias",
            "controlnet_cond_embedding.conv_out.weight",
        ),
        "ControlNet's copy of the U-Net": ("controlnet_mid_block.bias", "conv_in.weight"),
    }
    assert component(report, "flow_guider").source == FRESH
    parts = build_parts(CONFIG, device="meta")
    assert report.parameters == sum(p.numel() for part in parts.values() for p in part.parameters())


def test_the_folder_is_a_checkpoint_of_the_pipeline(ask: Ask, trained: Parts) -> None:
    request = ask()
    assemble(request)
    pipeline = FollowYourPosePipeline.from_pretrained(request.out)
    assert pipeline.model_config == CONFIG
    assert_same(dict(pipeline.vae.state_dict()), trained["vae"])
    assert_same(dict(pipeline.unet.state_dict()), trained["unet"])
    assert pipeline.feature_extractor.crop_size["height"] == CONFIG.image_encoder["image_size"]
    assert ModelConfig.model_validate(yaml.safe_load((request.out / "config.yaml").read_text())) == CONFIG
    modes = {path.stat().st_mode & 0o777 for path in request.out.rglob("*") if path.is_file()}
    plain = request.out.parent / "plain"
    plain.touch()
    assert modes == {plain.stat().st_mode & 0o777}


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_one_compvis_file_gives_unet_and_vae(ask: Ask, trained: Parts, tmp_path: Path, suffix: str) -> None:
    whole = save(tmp_path / f"sd{suffix}", compvis_file(trained, CONFIG))
    request = ask(changed={"unet": whole, "vae": whole})
    report = assemble(request)
    assert_same(written(request.out, "unet"), trained["unet"])
    assert_same(written(request.out, "vae"), trained["vae"])
    assert {one.layout for one in report.components if one.file == whole.name} == {"CompVis"}
    assert set(component(report, "unet").left_over_expected) == {"VAE", "text encoder", "EMA copy", "noise schedule"}
    assert set(component(report, "vae").left_over_expected) == {"U-Net", "text encoder", "EMA copy", "noise schedule"}


def test_other_layouts_give_the_same_numbers(ask: Ask, trained: Parts, tmp_path: Path) -> None:
    still, motion = split_motion(trained["unet"])
    prefixed = {f"module.{key}": value for key, value in animatediff_file(trained, CONFIG).items()}
    control = renamed(trained["pose_guider"], layout("controlnet", "ControlNet", CONFIG), "control_model.")
    tower = {"text_model.final_layer_norm.bias": torch.zeros(2), "logit_scale": torch.zeros(())}
    first = replace(
        ask(
            changed={
                "unet": save(tmp_path / "unet.pth", {f"module.{key}": value for key, value in still.items()}),
                "motion": save(tmp_path / "motion.pth", {"state_dict": prefixed, "global_step": 7}),  # type: ignore[dict-item]
                "vae": save(tmp_path / "vae.safetensors", trained["vae"]),
                "image-encoder": save(tmp_path / "clip.safetensors", trained["image_encoder"] | tower),
                "controlnet": save(
                    tmp_path / "control.pth", control | {"control_model.time_embed.0.bias": torch.zeros(2)}
                ),
            }
        ),
        guider_output="trained",
    )
    report = assemble(first)
    for part in ("unet", "vae", "image_encoder"):
        assert_same(written(first.out, part), trained[part])
    assert_same(written(first.out, "pose_guider"), trained["pose_guider"])
    assert component(report, "motion").set_aside == ("global_step",)
    assert component(report, "pose_guider").layout == "ControlNet"
    assert set(component(report, "image_encoder").left_over_expected) == {"text tower"}
    adapter = replace(ask(changed={"motion": save(tmp_path / "adapter.bin", motion)}), out=tmp_path / "second")
    assert component(assemble(adapter), "motion").layout == "diffusers"
    assert_same(written(adapter.out, "unet"), trained["unet"])


def test_positions_are_computed_where_the_file_has_none(ask: Ask, trained: Parts, tmp_path: Path) -> None:
    file = {key: value for key, value in animatediff_file(trained, CONFIG).items() if not key.endswith(".pe")}
    request = ask(changed={"motion": save(tmp_path / "motion.safetensors", file)})
    found = component(assemble(request), "motion")
    assert len(found.computed) == 11
    assert found.missing == ()
    assert_same(written(request.out, "unet"), trained["unet"])


def test_half_precision(ask: Ask, trained: Parts, tmp_path: Path) -> None:
    request = ask(dtype="float16")
    assert component(assemble(request), "vae").source_dtypes == ("float32",)
    assert_same(written(request.out, "vae"), {key: value.half() for key, value in trained["vae"].items()})
    assert {value.dtype for part in GUIDERS for value in written(request.out, part).values()} == {torch.float16}
    large = trained["vae"] | {"encoder.conv_in.bias": torch.full((32,), 1e5)}
    again = replace(
        request, out=tmp_path / "large", places=request.places | {"vae": str(save(tmp_path / "v.bin", large))}
    )
    assert "numbers too large for float16; use --dtype float32" in refusal(again)


def test_the_same_request_gives_the_same_files(ask: Ask, tmp_path: Path) -> None:
    folders = []
    for name, seed in (("first", 3), ("second", 3), ("other", 4)):
        request = replace(ask(seed=seed), out=tmp_path / name)
        assemble(request)
        folders.append(request.out)
    files = [path.relative_to(folders[0]) for path in folders[0].rglob("*.safetensors")]
    assert len(files) == 8
    assert all((folders[0] / file).read_bytes() == (folders[1] / file).read_bytes() for file in files)
    other = {str(file.parent) for file in files if (folders[0] / file).read_bytes() != (folders[2] / file).read_bytes()}
    assert other == {"flow_guider", "depth_guider"}


def test_fresh_weights_are_those_of_the_model(ask: Ask) -> None:
    request = replace(ask(seed=9), places=dict.fromkeys(SOURCES, FRESH))
    report = assemble(request)
    for name, part in build_parts(CONFIG, seed=9).items():
        assert_same(written(request.out, name), dict(part.state_dict()))
    assert {one.source for one in report.components} == {FRESH}
    silent = replace(ask(changed={"motion": FRESH}), out=request.out.parent / "silent")
    assemble(silent)
    ends = [value for key, value in written(silent.out, "unet").items() if ".proj_out." in key and "motion" in key]
    assert len(ends) == 22
    assert not any(bool(value.any()) for value in ends)


def test_missing_tensors_are_refused_or_drawn_by_name(ask: Ask, trained: Parts, tmp_path: Path) -> None:
    cut = {key: value for key, value in trained["vae"].items() if not key.startswith("decoder.up_blocks.3.")}
    gone = trained["vae"].keys() - cut.keys()
    request = ask(changed={"vae": save(tmp_path / "vae.safetensors", cut)})
    text = refusal(request)
    assert f"lacks {len(gone)} of the {len(trained['vae'])} tensors of vae: decoder.up_blocks.3." in text
    assert f"and {len(gone) - 3} more" in text
    assert "--allow-missing vae" in text
    assert "--allow-missing vae" in refusal(replace(request, allow_missing=("unet",)))
    report = assemble(replace(request, allow_missing=("vae",)))
    assert set(component(report, "vae").missing) == gone
    state = written(request.out, "vae")
    assert_same({key: value for key, value in state.items() if key not in gone}, cut)
    assert gone <= state.keys()


def test_strangers_are_named_in_the_report(ask: Ask, trained: Parts, tmp_path: Path) -> None:
    file = save(tmp_path / "vae.safetensors", trained["vae"] | {"lora.down": torch.zeros(2)})
    found = component(assemble(ask(changed={"vae": file})), "vae")
    assert found.left_over_unexpected == ("lora.down",)


def test_the_weights_of_another_model_are_refused(ask: Ask, trained: Parts, tmp_path: Path) -> None:
    wide = {key: torch.cat([value, value]) for key, value in trained["vae"].items()}
    text = refusal(ask(changed={"vae": save(tmp_path / "wide.safetensors", wide)}))
    assert "the vae of another model than config 'sample'" in text
    assert "encoder.conv_in.weight is 64x3x3x3, not 32x3x3x3" in text
    assert text.count(" not ") == 3
    assert f"and {len(wide) - 3} more" in text
    short = {key: v[:, :24] if key.endswith(".pe") else v for key, v in animatediff_file(trained, CONFIG).items()}
    text = refusal(ask(changed={"motion": save(tmp_path / "short.ckpt", short)}))
    assert "attention_blocks.0.pos_encoder.pe is 1x24x32, not 1x32x32" in text


def test_a_file_of_another_part_is_refused(ask: Ask, places: dict[str, str]) -> None:
    text = refusal(ask(changed={"unet": places["image-encoder"]}))
    assert "not a unet file, none of the part's" in text
    assert "diffusers, CompVis; it has vision_model." in text
    assert "not a vae file" in refusal(ask(changed={"vae": places["motion"]}))
    assert "not a controlnet file" in refusal(ask(changed={"controlnet": places["image-encoder"]}))


def test_positions_that_differ_are_refused(ask: Ask, trained: Parts, tmp_path: Path) -> None:
    file = animatediff_file(trained, CONFIG)
    second = next(key for key in file if key.endswith("attention_blocks.1.pos_encoder.pe"))
    text = refusal(ask(changed={"motion": save(tmp_path / "motion.ckpt", file | {second: file[second] + 1})}))
    assert f"{second} differs" in text


def test_numbers_that_are_not_finite_are_refused(ask: Ask, trained: Parts, tmp_path: Path) -> None:
    control = controlnet_file(trained)
    control["controlnet_cond_embedding.blocks.2.bias"] = torch.full((4,), float("nan"))
    text = refusal(ask(changed={"controlnet": save(tmp_path / "control.safetensors", control)}))
    assert "controlnet_cond_embedding.blocks.2.bias holds numbers that are not finite" in text


def test_what_is_there_is_never_overwritten(ask: Ask) -> None:
    request = ask()
    request.out.mkdir()
    (request.out / "mine.txt").write_text("mine")
    assert "is there already" in refusal(request)
    (request.out / "mine.txt").unlink()
    assemble(request)
    assert "is there already" in refusal(request)


def test_a_failure_half_way_leaves_nothing(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    write = assembling._write_part

    def failing(part: Any, state: dict[str, Tensor], folder: Path) -> None:
        if folder.name == "image_encoder":
            raise OSError(28, "No space left on device")
        write(part, state, folder)

    monkeypatch.setattr(assembling, "_write_part", failing)
    assert "cannot be written (No space left on device)" in refusal(ask())


def test_a_full_disk_is_seen_before_anything_is_read(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1000, 999, 1))
    assert "0.0 GB are free there" in refusal(ask(changed={"unet": "/no/such/file"}))

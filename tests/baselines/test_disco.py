"""DisCo's adapter, from a case to its frames, with a program in DisCo's place that checks what it is given."""

from __future__ import annotations

import dataclasses
import json
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from baselines.base import Job
from baselines.disco import CONFIG, DisCo, DisCoPlus
from baselines.disco_poses import DRAWING_SIDE, disco_drawings
from baselines.inputs import driving_poses, reference_square
from mcbench import Case, DrivingPoses, MethodError, ReferenceAnnotations, UserError

STAND_IN = Path(__file__).parent / "stand_ins" / "disco.py"
BATCH = 4


class Unseen:
    """A driving video that nobody may look at, since all that is to be found in it is known."""

    conversions: set[str] = set()  # noqa: RUF012
    container, frames, size, fps = "png", 99, (120, 160), 25.0

    def read(self) -> Iterator[np.ndarray]:
        raise AssertionError("the true frames were read")

    def digest(self) -> str:
        return "0" * 64


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in as a checkout, with weights, written into methods.toml."""
    folder = tmp_path / "DisCo"
    (folder / CONFIG).parent.mkdir(parents=True)
    (folder / CONFIG).touch()
    shutil.copy(STAND_IN, folder / "finetune_sdm_yaml.py")
    variations = tmp_path / "variations"
    for part in ("scheduler", "feature_extractor", "image_encoder", "vae", "unet"):
        (variations / part).mkdir(parents=True)
        (variations / part / "config.json").write_text("{}")
    for name in ("tiktok", "more"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mp_rank_00_model_states.pt").write_text(name)
    methods = tmp_path / "methods.toml"
    methods.write_text(
        f"""
        [disco]
        repository = {str(folder)!r}
        interpreter = {sys.executable!r}
        [disco.weights]
        checkpoint = {str(tmp_path / "tiktok" / "mp_rank_00_model_states.pt")!r}
        image_variations = {str(variations)!r}
        [disco-plus.weights]
        checkpoint = {str(tmp_path / "more" / "mp_rank_00_model_states.pt")!r}
        """
    )
    monkeypatch.setenv("MCBENCH_METHODS", str(methods))
    monkeypatch.setenv("WORLD_SIZE", "2")  # as in a worker of a larger run, which is none of the program's business
    return folder


@pytest.fixture
def make_case(tmp_path: Path) -> Callable[..., Case]:
    def make(clip: str = "a.b", frames: int = 3, seed: int = 5, shade: int = 1) -> Case:
        random = np.random.default_rng(shade)
        reference = random.integers(0, 256, (120, 160, 3), np.uint8)
        mask = np.zeros((120, 160), np.uint8)
        mask[20:100, 40:70], mask[30:110, 90:120] = 1, 2
        keypoints = random.uniform((25, 5), (135, 115), (frames, 2, 18, 2)).astype(np.float32)
        visibility = np.full((frames, 2, 18), 2, np.uint8)
        known = ReferenceAnnotations(keypoints[0], visibility[0], mask, np.where(mask > 0, 2, 9).astype(np.float32))
        return Case(
            clip=clip,
            frames=frames,
            fps=25.0,
            size=(120, 160),
            seed=seed,
            reference=reference,
            poses=DrivingPoses(keypoints, visibility),
            reference_annotations=known,
            driving_video=Unseen(),
            folder=tmp_path / "run" / "work" / clip,
        )

    return make


def method(kind: type[DisCo] = DisCo, **settings: Any) -> DisCo:
    return kind(kind.Settings.model_validate({"batch_size": BATCH, **settings}))


def mask_of(case: Case) -> np.ndarray:
    """The people of the reference in the centred square, (256, 256) bool; 120 to 256 by the nearest pixel's centre."""
    assert case.reference_annotations is not None
    nearest = np.floor((np.arange(256) + 0.5) * 120 / 256).astype(int)
    return case.reference_annotations.mask[:, 20:140][np.ix_(nearest, nearest)] > 0


def meant(case: Case, mask: np.ndarray | None = None) -> np.ndarray:
    """What the stand-in makes of a case: (frames, 256, 256, 3)."""
    animated = runpy.run_path(str(STAND_IN))["animated"]
    people = np.repeat((mask_of(case) if mask is None else mask)[..., None], 3, axis=-1)
    drawings = disco_drawings(driving_poses(case, DRAWING_SIDE), 256)
    reference = reference_square(case, 256)
    return np.stack([animated(it, reference, people, i % BATCH, case.seed) for i, it in enumerate(drawings)])


def starts(checkout: Path) -> list[str]:
    file = checkout / "starts.txt"
    return file.read_text().splitlines() if file.exists() else []


def test_clips_whose_names_are_one_without_dots_come_back_each_as_it_was_meant(
    checkout: Path, make_case: Callable[..., Case]
) -> None:
    cases = [
        make_case(name, frames=frames, shade=shade)
        for shade, (name, frames) in enumerate([("a.b", 5), ("ab", 3), ("a b", 1), ("a_b", 2), ("a∕b#0.png", 4)])
    ]
    disco = method()
    disco.expect(cases)
    for case in cases:
        frames = np.stack(list(disco.animate(case)))
        np.testing.assert_array_equal(frames, meant(case), err_msg=case.clip)
    assert len(starts(checkout)) == 1


def test_a_clip_is_the_same_alone_and_in_company(checkout: Path, make_case: Callable[..., Case]) -> None:
    first, second = make_case("first", frames=5, shade=1), make_case("second", frames=6, shade=2)
    together = method()
    together.expect([first, second])
    list(together.animate(first))
    in_company = list(together.animate(second))
    alone = list(method().animate(dataclasses.replace(second, folder=None)))
    assert len(starts(checkout)) == 2
    np.testing.assert_array_equal(np.stack(in_company), np.stack(alone))


def test_no_frame_but_the_reference_is_handed_over(checkout: Path, make_case: Callable[..., Case]) -> None:
    case = make_case("clip")
    list(method(keep=True).animate(case))  # `Unseen` raises at the first look
    assert case.folder is not None
    images = (case.folder / "start" / "tsv" / "mcbench_images.tsv").read_text().splitlines()
    assert len(images) == BATCH
    assert len({line.split("\t")[1] for line in images}) == 1
    given = np.asarray(Image.open(case.folder / "inputs" / "reference.png"))
    np.testing.assert_array_equal(given, reference_square(case, 256))


def test_inputs_go_and_frames_stay(checkout: Path, make_case: Callable[..., Case]) -> None:
    case = make_case("clip")
    list(method().animate(case))
    assert case.folder is not None
    assert not (case.folder / "inputs").exists()
    assert not (case.folder / "start").exists()
    assert sorted(file.name for file in (case.folder / "outputs").iterdir()) == ["00000.png", "00001.png", "00002.png"]
    list(method().animate(case))
    assert len(starts(checkout)) == 1


def test_disco_plus_is_the_same_program_with_its_own_checkpoint(checkout: Path, make_case: Callable[..., Case]) -> None:
    case = make_case("clip")
    disco, plus = method(), method(DisCoPlus)
    list(plus.animate(case))
    (command,) = starts(checkout)
    assert "/more/mp_rank_00_model_states.pt" in command
    assert plus.place.repository == disco.place.repository
    assert plus.checkpoint_sha256 != disco.checkpoint_sha256


def test_settings_reach_the_program(checkout: Path, make_case: Callable[..., Case]) -> None:
    # A seed beyond 32 bits would be replaced by one that nobody knows.
    case = make_case("clip", seed=2**32 + 7)
    frames = list(method(guidance_scale=3, steps=20).animate(case))
    (command,) = starts(checkout)
    assert "--guidance_scale 3.0" in command
    assert "--num_inference_steps 20" in command
    assert "--seed 7 " in command
    assert frames[1][0, 0].tolist() == [1, 7, 0]


def test_the_users_own_mask_takes_the_place_of_the_exact_one(
    checkout: Path, make_case: Callable[..., Case], tmp_path: Path
) -> None:
    case = make_case("clip", frames=2)
    white = np.zeros((120, 160), np.uint8)
    white[:, 80:] = 255
    Image.fromarray(white).save(tmp_path / "clip.png")
    frames = list(method(masks=str(tmp_path)).animate(case))
    np.testing.assert_array_equal(np.stack(frames), meant(case, mask=np.arange(256)[None, :].repeat(256, 0) >= 128))


def test_a_mask_that_was_changed_is_another_clip(
    checkout: Path, make_case: Callable[..., Case], tmp_path: Path
) -> None:
    case, disco = make_case("clip"), method(masks=str(tmp_path))
    digests = {disco.case_digest(case), method().case_digest(case)}
    assert len(digests) == 1  # there is none yet
    for shade in (0, 255):
        Image.new("L", (160, 120), shade).save(tmp_path / "clip.png")
        digests.add(disco.case_digest(case))
    assert len(digests) == 3


def test_masks_that_do_not_fit_are_refused(checkout: Path, make_case: Callable[..., Case], tmp_path: Path) -> None:
    case, disco = make_case("clip"), method(masks=str(tmp_path))
    with pytest.raises(UserError, match=r"clip\.png: missing"):
        list(disco.animate(case))
    Image.fromarray(np.zeros((60, 80), np.uint8)).save(tmp_path / "clip.png")
    with pytest.raises(UserError, match="80 x 60, but the reference image of clip 'clip' is 160 x 120"):
        list(disco.animate(case))
    (tmp_path / "clip.png").write_text("no picture")
    with pytest.raises(UserError, match="not a PNG image"):
        list(disco.animate(case))
    assert not starts(checkout)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("crash", "crashed on purpose"),
        ("memory", "needs more memory than there is"),
        ("missing", r"00001\.png: the program did not write this frame"),
        ("size", r"00001\.png: 128 x 128, expected 256 x 256"),
        ("garbage", r"00001\.png: this frame does not decode"),
        ("torn", r"00001\.png: this frame does not decode"),
    ],
)
def test_faults_are_told_in_one_line(checkout: Path, make_case: Callable[..., Case], fault: str, message: str) -> None:
    (checkout / "fault.txt").write_text(fault)
    with pytest.raises(MethodError, match=message) as told:
        list(method().animate(make_case("a.b")))
    assert "\n" not in str(told.value)
    assert "clip 'a.b'" in str(told.value)
    assert "log.txt" in str(told.value)


def test_a_start_that_dies_keeps_what_it_made(checkout: Path, make_case: Callable[..., Case]) -> None:
    cases = [make_case("first"), make_case("second", shade=2)]
    disco = method()
    disco.expect(cases)
    (checkout / "fault.txt").write_text("dies")
    with pytest.raises(MethodError, match="clip 'second'"):
        list(disco.animate(cases[0]))
    (checkout / "fault.txt").unlink()
    np.testing.assert_array_equal(np.stack(list(disco.animate(cases[0]))), meant(cases[0]))
    assert len(starts(checkout)) == 1
    np.testing.assert_array_equal(np.stack(list(disco.animate(cases[1]))), meant(cases[1]))
    assert len(starts(checkout)) == 2


def test_clips_of_several_seeds_are_refused(checkout: Path, make_case: Callable[..., Case]) -> None:
    cases = [make_case("first", seed=1), make_case("second", seed=2)]
    disco = method()
    disco.expect(cases)
    with pytest.raises(MethodError, match="one start has one seed, but these clips have 2"):
        list(disco.animate(cases[0]))


def test_what_it_was_is_told(checkout: Path) -> None:
    native = method().native
    assert (native.size, native.container, native.driver, native.fps) == ((256, 256), "png", "openpose", None)
    assert native.commit is None


class TestStandIn:
    """The program in DisCo's place refuses what DisCo would stumble over or quietly take for something else."""

    @pytest.fixture
    def start(
        self, checkout: Path, make_case: Callable[..., Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., None]:
        """Runs it in this process, as the adapter says, less some words of the command line."""
        job = Job(make_case("clip"), tmp_path / "job")
        (job.folder / "inputs").mkdir(parents=True)
        disco = method()
        disco.prepare(job.case, job.folder)
        command = disco.command([job], tmp_path / "start")
        assert command.argv[0] == sys.executable
        monkeypatch.chdir(command.cwd)
        monkeypatch.delenv("WORLD_SIZE")
        for name, value in command.env.items():
            monkeypatch.setenv(name, value)
        (job.folder / "outputs").mkdir()

        def run(*without: str) -> None:
            monkeypatch.setattr(sys, "argv", [word for word in command.argv[1:] if word not in without])
            runpy.run_path(command.argv[1], run_name="__main__")

        run.tsv = tmp_path / "start" / "tsv"  # type: ignore[attr-defined]
        return run

    def test_it_takes_what_the_adapter_says(self, start: Callable[..., None]) -> None:
        start()

    @pytest.mark.parametrize("flag", ["--eval_visu", "--deepspeed", "--refer_sdvae", "--combine_use_mask", "masks"])
    def test_it_misses_a_flag(self, start: Callable[..., None], flag: str) -> None:
        with pytest.raises(SystemExit, match="stand-in: "):
            start(flag)

    @pytest.mark.parametrize(("name", "value"), [("WANDB_ENABLE", "1"), ("WORLD_SIZE", "1")])
    def test_it_misses_its_environment(
        self, start: Callable[..., None], monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit, match="stand-in: "):
            start()

    def test_it_minds_offsets(self, start: Any) -> None:
        index = start.tsv / "mcbench_poses.lineidx"
        offsets = [int(line) for line in index.read_text().splitlines()]
        index.write_text("".join(f"{offset + (row == 2)}\n" for row, offset in enumerate(offsets)))
        with pytest.raises(SystemExit, match=r"row [12] "):
            start()

    def test_it_minds_the_order_of_keys(self, start: Any) -> None:
        rewrite(start.tsv / "mcbench_masks.tsv", lambda rows: [rows[1], rows[0], *rows[2:]])
        with pytest.raises(SystemExit, match="but its caption is"):
            start()

    def test_it_minds_rows_that_are_counted_from_the_file(self, start: Any) -> None:
        keys = [line.split("\t")[0] for line in (start.tsv / "mcbench_vid2line.tsv").read_text().splitlines()]
        spans = [f"{key}\t{json.dumps([0, len(keys) - 1])}\n" for key in keys]
        rewrite(start.tsv / "mcbench_vid2line.tsv", lambda rows: spans)
        with pytest.raises(SystemExit, match="outside its video"):
            start()

    def test_it_minds_missing_captions(self, start: Any) -> None:
        (start.tsv / "mcbench_caption.tsv").unlink()
        with pytest.raises(FileNotFoundError):
            start()


def rewrite(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """Change the rows of a TSV and the offsets beside it."""
    rows = change(path.read_text().splitlines(keepends=True))
    path.write_text("".join(rows))
    offsets = np.cumsum([0, *map(len, rows[:-1])])
    path.with_suffix(".lineidx").write_text("".join(f"{offset}\n" for offset in offsets))

"""The training loop, one for the VAE and both stages.

    fypv2 train tiny-stage1 --data DATA --out RUN                                one process
    accelerate launch --num_processes 4 -m fypv2.cli train paper-stage1 …        one machine, four GPUs
    accelerate launch --num_machines 2 --machine_rank 0 … -m fypv2.cli train …   several machines

A step: batches come ready from other processes, frozen parts encode them, the module gives the loss, gradients are
clipped, the optimiser and the average step on. Every so often a line is logged, a checkpoint written, a grid drawn.
"""

from __future__ import annotations

import copy
import shutil
import signal
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from pydantic_core import to_jsonable_python
from torch import Tensor

from fypv2.checkpoint import save_pipeline
from fypv2.errors import ConfigError
from fypv2.model.build import build_feature_extractor
from fypv2.pipeline import FollowYourPosePipeline
from fypv2.training.clips import ClipSource
from fypv2.training.config import TrainConfig
from fypv2.training.data import Samples, batches, frame_size, numbers_of
from fypv2.training.errors import TrainingError
from fypv2.training.latents import PreparedClips, frozen_digest, prepare, weights_digest
from fypv2.training.logs import LOG, RunLog
from fypv2.training.models import averaged_pipeline, starting_parts
from fypv2.training.module import FrozenParts, build_step, to_device
from fypv2.training.pictures import animation_grid, vae_grid
from fypv2.training.setup import learning_rate, make_accelerator, make_optimiser, open_run
from fypv2.training.shards import open_shards
from fypv2.training.state import (
    Average,
    Saved,
    full,
    last_checkpoint,
    learning_parameters,
    load_tensors,
    optimiser_tensors,
    restore_optimiser,
    save,
)
from fypv2.training.vae import VaeStep, measure_scale

__all__ = ["FREE", "Trainer", "differences", "train"]

CHECK_EVERY = 10
"""Steps between looks at the loss on a GPU, each of which waits for it; a CPU is asked at every step."""
SCALE_SAMPLES = 64
"""Samples that the VAE's scaling factor is measured on."""
FREE = {
    *("data", "out", "start", "steps", "workers", "prefetch", "save_every", "keep", "log_every", "sample_every"),
    *("sample_clips", "log_with", "micro_batch", "cache_latents", "gradient_checkpointing", "compile", "fsdp"),
    *("channels_last", "mixed_precision", "model_dtype"),
}
"""What a run that is taken up may have otherwise: it changes where and how it is computed, not what."""


def train(config: TrainConfig, *, resume: bool | None = None) -> bool:
    """Run a training to its end, or until it is told to stop.

    Args:
        config: with `data` and `out`.
        resume: True goes on from the last checkpoint, False starts anew in place of what is there, None goes on if
            there is a checkpoint.

    Returns:
        Whether the end was reached.

    Raises:
        TrainingError: if the run cannot start or go on; the last good checkpoint is kept.
        ConfigError, CheckpointError, ShardError: for what it is made from.
    """
    if not config.data or not config.out:
        raise ConfigError("a training needs data and a place: give --data DIR and --out DIR")
    source = open_shards(Path(config.data).expanduser())
    out = Path(config.out).expanduser()
    accelerator = make_accelerator(config)
    with open_run(out, accelerator):
        return Trainer(config, accelerator, source, out, resume=resume).run()


class Trainer:
    """A run: its parts, and the loop over its steps.

    Args:
        config: of the run.
        accelerator: of `make_accelerator`.
        source: of the clips.
        out: the run's folder.
        resume: as `train`.
    """

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Accelerator,
        source: ClipSource,
        out: Path,
        *,
        resume: bool | None = None,
    ) -> None:
        self.config, self.accelerator, self.out = config, accelerator, out
        saved = _taken_up(out, resume)
        self.model, self.parts = starting_parts(config)
        self.state: dict[str, Any] = {
            "config": config.model_dump(mode="json"),
            "data": source.digest,
            "processes": accelerator.num_processes,
        }
        processor = build_feature_extractor(self.model)
        prepared = None if config.of_vae else self._frozen(source)
        step = self._step()
        frozen = frozen_digest(self.parts, learning_parameters(step).values())
        self.state |= {"model": self.model.model_dump(mode="json"), "frozen": frozen}
        timesteps = 1 if config.of_vae else step.objective.timesteps
        self.samples = Samples(source, config, self.model, processor, timesteps, prepared)
        if saved is not None:
            _check_same(saved, self.state)
            load_tensors(step, saved.tensors("model"))
        self.module = accelerator.prepare(step)
        self.learning = learning_parameters(self.module)
        self.optimiser = accelerator.prepare(make_optimiser(config, self.learning.values(), accelerator.device))
        self.average = Average(self.module, config.ema)
        self.start = 0
        if saved is not None:
            self.start = saved.step
            self.average.load(saved.tensors("ema"))
            restore_optimiser(self.module, self.optimiser.optimizer, saved.tensors("optimiser"))
            if accelerator.scaler is not None and saved.state.get("scaler"):
                accelerator.scaler.load_state_dict(saved.state["scaler"])
        self.asked = False  # to stop, by a signal to this process
        if saved is None and accelerator.is_main_process:
            _clear(config, out)  # only now: nothing that was asked for is known to be impossible
        accelerator.wait_for_everyone()

    def _frozen(self, source: ClipSource) -> PreparedClips | None:
        """Put the parts that do not learn where they compute, and encode the data where that is wanted."""
        config, accelerator = self.config, self.accelerator
        self.parts["vae"].to(accelerator.device)
        if learns := "image_encoder" not in config.learning:
            self.parts["image_encoder"].to(accelerator.device)
        self.before = FrozenParts(self.parts["vae"], self.parts["image_encoder"] if learns else None)
        self.state["vae"] = weights_digest(self.parts["vae"])
        if not config.cache_latents:
            return None
        told = time.monotonic()

        def on_clip(done: int, total: int) -> None:
            nonlocal told
            if accelerator.is_main_process and (time.monotonic() > told + 30 or done == total):
                told = time.monotonic()
                RunLog.note(f"encoded and drew {done} of {total} clips")

        size = frame_size(config, self.model)
        folder = prepare(
            source,
            self.parts["vae"],
            self.model,
            build_feature_extractor(self.model),
            size,
            Path(str(config.data)).expanduser(),
            share=(accelerator.process_index, accelerator.num_processes),
            workers=config.workers,
            on_clip=on_clip,
        )
        accelerator.wait_for_everyone()
        return PreparedClips(folder, size, self.model.conditions.flow_scale)

    def _step(self) -> Any:
        """The module whose forward pass is the loss."""
        config = self.config
        if not config.of_vae:
            return build_step(config, self.model, self.parts)
        step = VaeStep(
            self.parts["vae"],
            config.kl_weight,
            config.gradient_weight,
            config.contrast_weight,
            decoder_only=config.stage == "decoder",
        )
        return step.to(memory_format=torch.channels_last) if config.channels_last else step

    def run(self) -> bool:
        """Train. Returns whether the end was reached, else a checkpoint holds where it stopped."""
        config, accelerator = self.config, self.accelerator
        world, rank = accelerator.num_processes, accelerator.process_index
        on_gpu = accelerator.device.type == "cuda"
        accelerator.init_trackers("fypv2", config={key: str(value) for key, value in self.state["config"].items()})
        with self._signals(), RunLog(self.out, accelerator, config.steps, self.start) as log:
            if self.start >= config.steps:
                log.say(f"{self.out}: all {config.steps} steps are done")
                if self._lacks_model():
                    self._keep(self.start, log, model=True)
            ready = batches(self.samples, self.start, rank, world, pin=on_gpu)
            for step in range(self.start, config.steps):
                loss, norm, waited = self.advance(ready, step)
                done = step + 1
                log.count(torch.stack([loss, norm]), config.batch, waited)
                save_now = done % config.save_every == 0 or done == config.steps
                draw_now = bool(config.sample_every) and done % (config.sample_every or 1) == 0
                stop = False
                if save_now or draw_now or not on_gpu or done % CHECK_EVERY == 0:
                    stop = self.agree(loss, norm, done)
                if done % config.log_every == 0 or save_now or stop:
                    log.write(done, learning_rate(config, step))
                if save_now or draw_now or stop:
                    keep = save_now or stop
                    self._keep(done, log, model=keep, checkpoint=keep, grid=draw_now)
                    log.skip_time()
                if stop and done < config.steps:
                    log.say(f"{self.out}: step {done} of {config.steps}")
                    break
        accelerator.end_training()
        return self.start >= config.steps or done == config.steps

    def advance(self, ready: Iterator[Any], step: int) -> tuple[Tensor, Tensor, float]:
        """One optimiser step, counted from 0.

        Args:
            ready: of `batches`.
            step: which.

        Returns:
            This process's loss, the norm of all gradients, and the seconds that no batch was there.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.config, step)
        loss, waited = torch.zeros((), device=self.accelerator.device), 0.0
        passes = self.passes
        for number in range(passes):
            begun = time.perf_counter()
            batch = next(ready)
            waited += time.perf_counter() - begun
            loss += self._pass(batch, last=number == passes - 1) / passes
        norm = self.accelerator.clip_grad_norm_(self.learning.values(), self.config.clip)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.average.update(step + 1)
        return loss, _plain(norm), waited

    def _pass(self, batch: dict[str, Any], *, last: bool) -> Tensor:
        """One pass forward and back. Returns its loss."""
        device = self.accelerator.device
        if self.config.of_vae:
            ready = {name: to_device(tensor, device) for name, tensor in batch.items()}
        else:
            ready = self.before(batch, device, self.model.guiders)
        # Processes add up their gradients in the last pass alone.
        if last:
            loss = self.module(ready)
            self.accelerator.backward(loss / self.passes)
        else:
            with self.accelerator.no_sync(self.module):
                loss = self.module(ready)
                self.accelerator.backward(loss / self.passes)
        return loss.detach().float()

    @property
    def passes(self) -> int:
        """Passes of one process in a step."""
        return len(numbers_of(0, self.config, 0, self.accelerator.num_processes))

    def agree(self, loss: Tensor, norm: Tensor, step: int) -> bool:
        """Whether all processes stop here: none may wait for one that has left.

        Raises:
            TrainingError: in all of them, if a loss or gradient of any is not finite.
        """
        finite = torch.isfinite(loss)
        if self.accelerator.scaler is None:  # which skips steps whose gradients are too large for float16
            finite = finite & torch.isfinite(norm)
        told = torch.stack([(~finite).float(), torch.tensor(float(self.asked), device=loss.device)])
        broken, stop = (bool(value) for value in self.accelerator.reduce(told, "sum").tolist())
        if broken:
            saved = last_checkpoint(self.out)
            good = f"the last good checkpoint is {saved.folder}" if saved else "there is no checkpoint yet"
            raise TrainingError(
                f"{self.out}: the loss is not finite at step {step}; {good}. Lower learning_rate, or set"
                " mixed_precision=no"
            )
        return stop

    def _lacks_model(self) -> bool:
        """Whether the model of a run that is done was removed; the main process looks, and all know."""
        lost = self.accelerator.is_main_process and not (self.out / "model").is_dir()
        told = torch.tensor(float(lost), device=self.accelerator.device)
        return bool(self.accelerator.reduce(told, "sum").item())

    def _keep(
        self, step: int, log: RunLog, *, model: bool = False, checkpoint: bool = False, grid: bool = False
    ) -> None:
        """Write the model and the checkpoint, and draw a grid; all processes take part in gathering what is sharded."""
        main = self.accelerator.is_main_process
        learnt = full(learning_parameters(self.module), wanted=main)
        average = full(self.average.values, wanted=main)
        optimiser = optimiser_tensors(self.module, self.optimiser.optimizer) if checkpoint else {}
        whole = full(self.accelerator.unwrap_model(self.module).state_dict(), wanted=main)
        if main:
            pipeline = self._pipeline({**whole, **(average if self.config.ema else learnt)})
            # In this order: a run whose last checkpoint is there is done, and its model is there too; and what takes
            # long comes last.
            if model:
                saved = copy.deepcopy(pipeline).to(torch.float16) if self.config.model_dtype == "float16" else pipeline
                save_pipeline(saved.to("cpu"), self.out / "model")
            if checkpoint:
                scaler = self.accelerator.scaler
                state = {**self.state, "scaler": None if scaler is None else scaler.state_dict()}
                tensors = {"model": learnt, "ema": average, "optimiser": optimiser}
                save(self.out, step, state, tensors, self.config.keep)
            if grid:
                log.picture("sample", self._grid(pipeline), step)
        self.accelerator.wait_for_everyone()

    def _pipeline(self, tensors: dict[str, Tensor]) -> FollowYourPosePipeline:
        """The averaged model; after the VAE's training with the scale of its latents."""
        pipeline = averaged_pipeline(self.model, self.parts, tensors)
        if self.config.stage != "vae":
            return pipeline
        vae = pipeline.vae.to(self.accelerator.device)
        some = (self.samples[number] for number in range(SCALE_SAMPLES))
        scale = measure_scale(vae, ({"pixels": one["pixels"][None]} for one in islice(some, SCALE_SAMPLES)))
        return averaged_pipeline(self.model, self.parts, tensors, scale)

    def _grid(self, pipeline: FollowYourPosePipeline) -> Any:
        device = self.accelerator.device
        if self.config.of_vae:
            return vae_grid(pipeline.vae, self.samples, device, self.config.sample_clips)
        return animation_grid(pipeline, self.samples, device, self.config.sample_clips)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM, and the first Ctrl-C, end the run after the step in hand, with a checkpoint."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

        def asked(number: int, _: Any) -> None:
            self.asked = True
            signal.signal(signal.SIGINT, before[signal.SIGINT])

        for number in before:
            signal.signal(number, asked)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _taken_up(out: Path, resume: bool | None) -> Saved | None:
    if resume is False:
        return None
    saved = last_checkpoint(out)
    if resume and saved is None:
        raise TrainingError(f"{out}: no checkpoint to go on from; leave --resume out to start")
    return saved


def _clear(config: TrainConfig, out: Path) -> None:
    """Remove what an earlier run left of itself, and nothing else; its model stays where this one starts from it."""
    for name in ("checkpoints", "logs", "samples"):
        shutil.rmtree(out / name, ignore_errors=True)
    model = out / "model"
    starts_there = config.start != "fresh" and Path(config.start).expanduser().resolve() == model.resolve()
    if not starts_there and (model / "model_index.json").is_file():
        shutil.rmtree(model, ignore_errors=True)
    (out / LOG).unlink(missing_ok=True)


def _check_same(saved: Saved, state: dict[str, Any]) -> None:
    """Refuse to go on with other data, weights or settings than the checkpoint was made with."""
    for key, what in (("data", "data"), ("vae", "VAE"), ("model", "model settings"), ("frozen", "start")):
        # A checkpoint may be older than a key.
        if key in saved.state and saved.state[key] != state.get(key):
            raise TrainingError(f"{saved.folder}: was trained with another {what}; use --fresh, or that {what}")
    if other := differences(saved, state["config"], FREE):
        raise TrainingError(f"{saved.folder}: was trained with {other[0]}; use --fresh, or that value")


def differences(saved: Saved, config: Mapping[str, Any], free: Collection[str]) -> list[str]:
    """What a checkpoint was trained with and a config has otherwise, as `seed=0, not 1`, by the names of the keys.

    Args:
        saved: the checkpoint.
        config: of a `TrainConfig` by `model_dump(mode="json")`.
        free: keys that may differ.
    """
    # A key that a checkpoint is older than had no effect then, and its default has none.
    fields = TrainConfig.model_fields.items()
    absent = {name: to_jsonable_python(field.default) for name, field in fields if not field.is_required()}
    old = absent | saved.state["config"]
    keys = sorted((set(old) | set(config)) - set(free))
    return [f"{key}={old.get(key)}, not {config.get(key)}" for key in keys if old.get(key) != config.get(key)]


def _plain(norm: Any) -> Tensor:
    """A norm of sharded gradients as a plain number."""
    value = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return torch.as_tensor(value).detach().float().reshape(())

"""The proof that training and sampling are of one piece: four clips are learnt by heart, and come out again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from training_runs import CLIPS, configured, log_of, run

from fypv2.checkpoint import load_pipeline
from fypv2.conditions import ConditionMaps, Poses
from fypv2.model.build import build_feature_extractor
from fypv2.training.data import Samples
from fypv2.training.samples import Choice
from fypv2.training.shards import open_shards

FRAMES = (1, 3, 5, 7)


@pytest.mark.slow
def test_four_clips_are_learnt_by_heart(shards: Path, tmp_path: Path) -> None:
    run(tmp_path / "vae", shards, stage="vae", steps=300, batch=4, frames=4, flip=0, learning_rate=5e-3, ema=0.98,
        warmup=20, schedule="cosine", save_every=300, kl_weight=1e-4)  # fmt: skip
    how = {"steps": 400, "batch": 4, "frames": 4, "flip": 0, "learning_rate": 3e-3, "ema": 0.98, "warmup": 20,
           "schedule": "cosine", "save_every": 400, "start": str(tmp_path / "vae/run/model"), "min_snr_gamma": None,
           "trains": ["unet", "reference_unet", "guiders", "image_encoder"]}  # fmt: skip
    lines = [line["loss"] for line in run(tmp_path / "one", shards, **how)]
    assert np.mean(lines[:5]) >= 5 * np.mean(lines[-50:]), (np.mean(lines[:5]), np.mean(lines[-50:]))
    assert len(log_of(tmp_path / "one")) == 400

    pipeline = load_pipeline(tmp_path / "one/run/model")
    pipeline.set_progress_bar_config(disable=True)
    model = pipeline.model_config
    samples = Samples(open_shards(shards), configured(tmp_path / "one", shards), model, build_feature_extractor(model))
    truths, made = [], []
    for clip in range(CLIPS):
        sample = samples.read(Choice(0, clip, FRAMES, 9, False), consecutive=False)
        pictures = {name: sample[name].permute(1, 2, 3, 0).numpy() for name in ("pose", "depth", "pixels")}
        maps = ConditionMaps(
            pictures["pose"],
            sample["flow"][0].numpy(),
            pictures["depth"],
            sample["reference_pose"][:, 0].permute(1, 2, 0).numpy(),
        )
        nobody = Poses(np.zeros((0, 0, 18, 2), np.float32), np.zeros((0, 0, 18), np.float32), samples.size)
        truths.append(pictures["pixels"].astype(np.float32))
        made.append(
            pipeline(
                sample["reference_pixels"].permute(1, 2, 0).numpy(),
                nobody,
                conditions=maps,
                num_inference_steps=20,
                guidance_scale=1.0,
                generator=torch.Generator().manual_seed(clip),
            ).frames.astype(np.float32)
        )
    distances = np.array([[np.abs(one - other).mean() for other in truths] for one in made])
    assert (distances.argmin(axis=1) == np.arange(CLIPS)).all(), distances.round(1)

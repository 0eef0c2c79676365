"""The method `fypv2` of mcbench: the reference model on the benchmark's cases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from mcbench import Case, Method, MethodError

if TYPE_CHECKING:
    from fypv2.pipeline import FollowYourPosePipeline

__all__ = ["FollowYourPoseV2"]

FRESH = "fypv2 WITHOUT TRAINING: config '{config}' with fresh weights; its frames are noise, and so are these numbers"


class FollowYourPoseV2(Method):
    """Follow-Your-Pose v2.

    Characters are matched by the data set's own identities where it has exact annotations. Where it has driving poses
    but no annotations of the reference image, there is nothing to match them with, and the method says so.
    """

    name: ClassVar[str] = "fypv2"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "Follow-Your-Pose v2, the reference model"
    takes_checkpoint: ClassVar[bool] = True

    class Settings(BaseModel):
        """What `--set` may set; null is the checkpoint's own."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        config: Literal["paper", "small", "tiny"] = "tiny"
        """Which model to draw fresh weights for, where no checkpoint is given."""
        height: int | None = Field(default=None, ge=8)
        """Of the frames in pixels, a multiple of 8."""
        width: int | None = Field(default=None, ge=8)
        """Likewise; frames must be square, or of the clip's ratio."""
        steps: int | None = Field(default=None, ge=1)
        """DDIM steps."""
        guidance: float | None = Field(default=None, ge=0)
        """Weight of classifier-free guidance."""
        window: int | None = Field(default=None, ge=1)
        """Frames denoised together."""
        overlap: int | None = Field(default=None, ge=0)
        """Frames that windows share."""
        dtype: Literal["float32", "float16", "bfloat16"] = "float32"
        """Of the weights."""
        offload: Literal["none", "model", "sequential"] = "none"
        """Which parts wait in the computer's memory until the GPU needs them."""
        attention_slices: int = Field(default=1, ge=1)
        """Parts of the queries that are attended to one after the other."""
        vae_tiling: bool = False
        """Whether pictures are decoded in tiles."""

    def __init__(self, settings: BaseModel, checkpoint: Path | None = None, device: str = "cpu") -> None:
        super().__init__(settings, checkpoint, device)
        self._pipeline: FollowYourPosePipeline | None = None

    @property
    def note(self) -> str | None:
        """Says loudly that nothing was trained, where that is so."""
        assert isinstance(self.settings, self.Settings)
        return FRESH.format(config=self.settings.config) if self.checkpoint is None else None

    def animate(self, case: Case) -> Iterator[npt.NDArray[np.uint8]]:
        """The clip, square or of the configured size."""
        import torch  # the command line must not wait for it

        from fypv2.conditions import NOBODY, nearness_from_depth, poses_of_annotations
        from fypv2.memory import in_memory

        assert isinstance(self.settings, self.Settings)
        if case.poses is None or case.reference_annotations is None:
            raise MethodError(
                f"clip '{case.clip}' has no exact poses; estimate them first, or animate it with `fypv2 animate`"
            )
        known = case.reference_annotations
        reference_poses = poses_of_annotations(known.keypoints, known.visibility, case.reference.shape[:2])
        driving = poses_of_annotations(case.poses.keypoints, case.poses.visibility, case.size)
        shown = reference_poses.present[0]
        with in_memory(f"clip '{case.clip}'"):
            frames = self._loaded()(
                case.reference,
                driving,
                reference_poses,
                reference_nearness=nearness_from_depth(known.depth),
                assignment=[index if shown[index] else NOBODY for index in range(driving.characters)],
                height=self.settings.height,
                width=self.settings.width,
                num_inference_steps=self.settings.steps,
                guidance_scale=self.settings.guidance,
                window=self.settings.window,
                overlap=self.settings.overlap,
                # On the CPU, so that every device starts from the same noise.
                generator=torch.Generator().manual_seed(case.seed),
            ).frames
        yield from frames

    def _loaded(self) -> FollowYourPosePipeline:
        """The pipeline, made or loaded at the first clip."""
        if self._pipeline is None:
            from fypv2.memory import make_pipeline

            assert isinstance(self.settings, self.Settings)
            self._pipeline = make_pipeline(
                self.checkpoint,
                config=self.settings.config,
                device=self.device,
                dtype=self.settings.dtype,
                offload=self.settings.offload,
                attention_slices=self.settings.attention_slices,
                vae_tiling=self.settings.vae_tiling,
            )
            self._pipeline.set_progress_bar_config(disable=True)
        return self._pipeline

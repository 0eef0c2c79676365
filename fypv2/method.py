"""The method `fypv2` of mcbench: the reference model on the benchmark's cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from fypv2.shipped import choose_checkpoint
from mcbench import Case, Method, MethodError

if TYPE_CHECKING:
    from fypv2.conditions import Poses
    from fypv2.pipeline import FollowYourPosePipeline

    # Driving poses, the reference's, its nearness, and who animates whom.
    _Driving = tuple[Poses, Poses, npt.NDArray[np.float32] | None, list[int] | None]

__all__ = ["FollowYourPoseV2"]

STARTING = (
    "fypv2 WITHOUT TRAINING: '{folder}' holds the starting weights of `fypv2 init`; it has learnt no animation yet"
)
FRESH = "fypv2 WITHOUT TRAINING: config '{config}' with fresh weights; its frames are noise, and so are these numbers"


class FollowYourPoseV2(Method):
    """Follow-Your-Pose v2; without a checkpoint, the trained one that ships for the config, `fypv2-tiny` by default.

    Characters are matched by the data set's own identities where it has exact annotations, else from left to right.
    """

    name: ClassVar[str] = "fypv2"
    version: ClassVar[str] = "1"
    summary: ClassVar[str] = "Follow-Your-Pose v2, the reference model"
    takes_checkpoint: ClassVar[bool] = True
    needs_driving_video: ClassVar[bool] = True

    class Settings(BaseModel):
        """What `--set` may set; null is the checkpoint's own."""

        model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

        config: Literal["paper", "small", "tiny"] = "tiny"
        """Which model, where no checkpoint is given: its trained weights where they ship, else fresh ones."""
        fresh: bool = False
        """Fresh weights of `config`, also where trained ones ship."""
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
        poses: Literal["dwpose"] | Path | None = None
        """Driving poses for data sets that have none of their own, or in their place: `dwpose` finds them in the
        driving video; or a folder of them by clip, of what `fypv2 animate` reads, called `<clip>`, `<clip>.json`,
        `<clip>.safetensors` or `<clip>.mp4`, and `<clip>-reference` likewise, where the reference image is not the
        first driving frame."""
        depth: str = "none"
        """Depth network for the reference image of such data sets; `none` goes by where people stand."""

    def __init__(self, settings: BaseModel, checkpoint: Path | None = None, device: str = "cpu") -> None:
        assert isinstance(settings, self.Settings)
        chosen = choose_checkpoint(checkpoint, config=settings.config, fresh=settings.fresh)
        super().__init__(settings, chosen, device)
        self._pipeline: FollowYourPosePipeline | None = None

    @property
    def note(self) -> str | None:
        """Says loudly that nothing was trained, where that is so."""
        from fypv2.config import STARTING_REPORT  # a list of methods must not wait for OpenCV

        assert isinstance(self.settings, self.Settings)
        if self.checkpoint is None:
            return FRESH.format(config=self.settings.config)
        if (self.checkpoint / STARTING_REPORT).is_file():
            return STARTING.format(folder=self.checkpoint.name)
        return None

    def files(self, case: Case) -> Sequence[Path]:
        """Poses of a folder, where one is given."""
        from fypv2.extractors import pose_files_of

        assert isinstance(self.settings, self.Settings)
        poses = self.settings.poses
        return pose_files_of(poses, case.clip) if isinstance(poses, Path) else ()

    def animate(self, case: Case) -> Iterator[npt.NDArray[np.uint8]]:
        """The clip, square or of the configured size."""
        import torch  # the command line must not wait for it

        from fypv2.memory import in_memory

        assert isinstance(self.settings, self.Settings)
        driving, reference_poses, nearness, assignment = self._known(case) or self._read(case)
        with in_memory(f"clip '{case.clip}'"):
            frames = self._loaded()(
                case.reference,
                driving,
                reference_poses,
                reference_nearness=nearness,
                assignment=assignment,
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

    def _known(self, case: Case) -> _Driving | None:
        """What exact annotations say; a character keeps its index, and that is who it is."""
        from fypv2.conditions import NOBODY, nearness_from_depth, poses_of_annotations

        assert isinstance(self.settings, self.Settings)
        if self.settings.poses is not None or case.poses is None or case.reference_annotations is None:
            return None
        known = case.reference_annotations
        reference = poses_of_annotations(known.keypoints, known.visibility, case.reference.shape[:2])
        driving = poses_of_annotations(case.poses.keypoints, case.poses.visibility, case.size)
        shown = reference.present[0]
        assignment = [index if shown[index] else NOBODY for index in range(driving.characters)]
        return driving, reference, nearness_from_depth(known.depth), assignment

    def _read(self, case: Case) -> _Driving:
        """What the user's folder of poses says, or DWPose."""
        from fypv2.extractors import DepthAnything

        assert isinstance(self.settings, self.Settings)
        if self.settings.poses is None:
            raise MethodError(
                f"clip '{case.clip}' has no exact poses; find them with --set poses=dwpose, give a folder of them with"
                " --set poses=DIR, or animate it with `fypv2 animate`"
            )
        if self.settings.poses == "dwpose":
            driving, reference = self._found(case)
        else:
            driving, reference = _in_folder(self.settings.poses, case)
        nearness = None
        if self.settings.depth != "none" and driving.characters > 1:
            nearness = DepthAnything(self.settings.depth, device=self.device).nearness(case.reference)
        return driving, reference, nearness, None

    def _found(self, case: Case) -> tuple[Poses, Poses]:
        """The poses of the driving video and of the reference image by DWPose."""
        from fypv2.extractors import picture_poses, video_poses

        if case.driving_video is None:
            raise MethodError(
                f"clip '{case.clip}' has no driving video to find poses in; give them with --set poses=DIR"
            )
        driving = video_poses(case.driving_video, case.frames, device=self.device)
        return driving, picture_poses(case.reference, device=self.device)

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


def _in_folder(folder: Path, case: Case) -> tuple[Poses, Poses]:
    """The driving poses and the reference image's in a folder of pose files."""
    from fypv2.extractors import clip_poses, reference_poses

    driving = clip_poses(folder, case.clip, case.frames, case.size)
    own = reference_poses(folder, case.clip, (case.reference.shape[0], case.reference.shape[1]))
    return driving, driving.frame(0) if own is None else own

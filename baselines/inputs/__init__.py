"""What drives external methods, made in one place: poses, drawings, DensePose, masks and square pictures.

All of it lies in the centred square of a picture, resized to `size` x `size` pixels, as the protocols crop what they
measure. Exact annotations serve where a case has them, the user's files and extractors otherwise; what an extractor
found is kept under `mcbench.home_folder()/cache/inputs` by content.

    class Settings(PoseSettings, DensePoseSettings, ExternalMethod.Settings): ...

    poses = driving_poses(case, 512, extractor=self.settings.poses, device=self.device)
    write_video(folder / "poses.mp4", pose_drawings(poses), case.fps)
    network = {"model": self.settings.densepose, "sha256": self.settings.densepose_sha256, "device": self.device}
    for frame in densepose(case, 512, **network):
        picture = densepose_colours(frame.part)
"""

from __future__ import annotations

from baselines.inputs.dense import DensePoseSettings, densepose, person_masks, reference_densepose
from baselines.inputs.errors import InputError
from baselines.inputs.frames import driving_square, reference_square, truth_square
from baselines.inputs.parts import DensePoseFrame, densepose_colours
from baselines.inputs.poses import PoseSettings, PoseSource, driving_poses, pose_drawings, reference_pose

__all__ = [
    "DensePoseFrame",
    "DensePoseSettings",
    "InputError",
    "PoseSettings",
    "PoseSource",
    "densepose",
    "densepose_colours",
    "driving_poses",
    "driving_square",
    "person_masks",
    "pose_drawings",
    "reference_densepose",
    "reference_pose",
    "reference_square",
    "truth_square",
]

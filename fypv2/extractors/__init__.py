"""Poses, optical flow and depth of pictures: estimators and exact annotations behind one interface, and pose files.

`base` holds the interfaces; `dwpose`, `raft` and `depth_anything` estimate, `annotations` knows; `tracking` says who is
who over time; `openpose_json`, `skeleton_video` (with `skeleton_frame` and `skeleton_colours`) and `pose_files` read
poses that somebody else made; `driving` reads or finds those that drive a clip, and `cache` keeps what was found.
Libraries that only one of them needs are imported when it is made.
"""

from __future__ import annotations

from fypv2.extractors.annotations import (
    AnnotatedDepth,
    AnnotatedFlow,
    AnnotatedPoses,
    poses_from_annotations,
)
from fypv2.extractors.base import (
    DepthExtractor,
    ExtractorError,
    ExtractorRecord,
    FlowExtractor,
    PoseExtractor,
    PoseFileError,
    WeightsUsed,
)
from fypv2.extractors.depth_anything import DepthAnything
from fypv2.extractors.driving import clip_poses, picture_poses, pose_files_of, reference_poses, video_poses
from fypv2.extractors.dwpose import DWPose
from fypv2.extractors.openpose_json import read_openpose_json, write_openpose_json
from fypv2.extractors.pose_files import read_poses, save_poses
from fypv2.extractors.raft import RaftFlow
from fypv2.extractors.skeleton_video import SkeletonDrawings
from fypv2.extractors.tracking import People, TrackSettings, track_people

__all__ = [
    "AnnotatedDepth",
    "AnnotatedFlow",
    "AnnotatedPoses",
    "DWPose",
    "DepthAnything",
    "DepthExtractor",
    "ExtractorError",
    "ExtractorRecord",
    "FlowExtractor",
    "People",
    "PoseExtractor",
    "PoseFileError",
    "RaftFlow",
    "SkeletonDrawings",
    "TrackSettings",
    "WeightsUsed",
    "clip_poses",
    "picture_poses",
    "pose_files_of",
    "poses_from_annotations",
    "read_openpose_json",
    "read_poses",
    "reference_poses",
    "save_poses",
    "track_people",
    "video_poses",
    "write_openpose_json",
]

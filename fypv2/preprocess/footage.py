"""Videos as units of work."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fypv2.errors import lacks_memory
from fypv2.extractors import ExtractorError
from fypv2.preprocess.cutting import CutSettings, Scene, cut, frame_step, target_size
from fypv2.preprocess.estimating import Estimators, SceneRefusedError, estimate, load_estimators
from fypv2.preprocess.probing import BadVideoError, Footage, open_footage
from fypv2.preprocess.writer import UnitWriter
from fypv2.training.clips import ShardError
from fypv2.training.members import FrameFormat, encode_sample

__all__ = ["FootageJob", "clip_key"]


@dataclass
class FootageJob:
    """Cuts videos into clips and asks extractors about them.

    Attributes:
        videos: name to path, of `find_videos`.
        cutting: what a clip is.
        poses: folder of pose files; DWPose if None.
        flow: `raft_large`, `raft_small`, or None.
        depth: a model for `DepthAnything`, or None.
        frame_format: how frames are kept.
        map_scale: by how much flow and nearness are kept coarser than the frames.
        min_people: a scene with fewer is left out.
        max_people: a scene with more is left out.
        videos_per_shard: how many make a unit.
        device: see `load_estimators`; another device makes the same data up to rounding, so it is no part of `request`.
        offline: likewise.
        loader: makes other extractors than `poses`, `flow` and `depth` name, in each process anew; a function of a
            module, since it is sent to workers by its name.
    """

    videos: dict[str, Path]
    cutting: CutSettings
    poses: Path | None = None
    flow: str | None = "raft_large"
    depth: str | None = None
    frame_format: FrameFormat = "jpg"
    map_scale: int = 4
    min_people: int = 1
    max_people: int = 8
    videos_per_shard: int = 16
    device: str = "auto"
    offline: bool | None = None
    loader: Callable[[], Estimators] | None = None
    _estimators: Estimators | None = field(default=None, init=False, repr=False)

    @property
    def request(self) -> dict[str, Any]:
        """See `Job`. Videos are known by their names and sizes."""
        digest = hashlib.sha256()
        for name, path in self.videos.items():
            size = path.stat().st_size if path.is_file() else None
            digest.update(json.dumps([name, size]).encode() + b"\n")
        extractors: dict[str, Any] = {
            "poses": "dwpose" if self.poses is None else "files",
            "flow": self.flow,
            "depth": self.depth,
        }
        if self.loader is not None:
            extractors = {"loader": f"{self.loader.__module__}.{self.loader.__qualname__}"}
        return {
            "kind": "videos",
            "videos": {"count": len(self.videos), "sha256": digest.hexdigest()},
            "cutting": json.loads(json.dumps(asdict(self.cutting))),
            **extractors,
            "frame_format": self.frame_format,
            "map_scale": self.map_scale,
            "min_people": self.min_people,
            "max_people": self.max_people,
            "videos_per_shard": self.videos_per_shard,
        }

    @property
    def units(self) -> int:
        """See `Job`."""
        return -(-len(self.videos) // self.videos_per_shard)

    def load(self) -> None:
        """Loads the extractors, if they are not there yet: what is missing is known before work begins.

        Raises:
            ExtractorError: if weights or libraries are missing.
        """
        if self._estimators is None and self.loader is not None:
            self._estimators = self.loader()
        elif self._estimators is None:
            self._estimators = load_estimators(self.poses, self.flow, self.depth, self.device, self.offline)

    def make(self, unit: int, writer: UnitWriter) -> None:
        """See `Job`."""
        self.load()
        assert self._estimators is not None
        writer.extractors = self._estimators.record
        first = unit * self.videos_per_shard
        for name in list(self.videos)[first : first + self.videos_per_shard]:
            before = writer.clips
            try:
                self._video(name, writer, self._estimators)
            except BadVideoError as error:
                writer.bad_video(name, str(error), writer.clips - before)

    def __getstate__(self) -> dict[str, Any]:
        # A worker loads its own networks.
        return {**vars(self), "_estimators": None}

    def _video(self, name: str, writer: UnitWriter, estimators: Estimators) -> None:
        footage = open_footage(self.videos[name])
        target_size(footage.size, self.cutting)
        estimators.poses.begin(name, footage)
        fps = footage.fps or self.cutting.assumed_fps
        if footage.fps is None:
            writer.note(f"footage without a frame rate taken as {fps:g} frames a second")
        made, reasons = 0, []
        for scene in cut(footage, self.cutting):
            reason = scene.reason or self._scene(name, fps, scene, writer, estimators)
            if reason:
                reasons.append(reason)
                writer.left_out(name, scene.first_frame, len(scene.frames), reason)
            else:
                made += 1
        for note in footage.notes:
            writer.note(note)
        if not made:
            raise BadVideoError(_verdict(reasons, footage, frame_step(fps, self.cutting)))

    def _scene(self, name: str, fps: float, scene: Scene, writer: UnitWriter, estimators: Estimators) -> str:
        """Adds a scene as a clip; returns why it is none."""
        title = f"{name}#{scene.first_frame}"
        try:
            clip = estimate(scene, title, fps, estimators, self.map_scale, self.min_people, self.max_people)
        except SceneRefusedError as error:
            return str(error)
        except ExtractorError as error:
            return f"extractor failed: {' '.join(str(error).split())[:200]}"
        except Exception as error:
            if not lacks_memory(error):
                raise
            raise ShardError(
                f"{title}: memory is short for {len(scene.frames)} frames; give a smaller --size, --max-frames or"
                " --workers and run the same command again"
            ) from error
        header, files = encode_sample(
            clip,
            frame_format=self.frame_format,
            map_scale=self.map_scale,
            has_depth=estimators.depth is not None,
            video=name,
            first_frame=scene.first_frame,
        )
        writer.add(clip_key(name, scene.first_frame), header, files)
        return ""


def clip_key(video: str, first_frame: int) -> str:
    """A sample's key, without a dot and short enough for tar: what can be read of the name, and a digest of it."""
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(video).stem)[:40].strip("_")
    return f"{readable or 'video'}-{hashlib.sha256(video.encode()).hexdigest()[:12]}-{first_frame:07d}"


def _verdict(reasons: list[str], footage: Footage, step: int) -> str:
    """Why nothing came of a whole video."""
    kinds = sorted(set(reasons))
    if kinds and all(kind.startswith("shorter") for kind in kinds):
        kept = -(-footage.frames // step)
        return f"too short: {kept} frames in {len(reasons)} scene{'s' * (len(reasons) != 1)}, each {kinds[0]}"
    if kinds == ["no colour"]:
        return "wrong colour: grey throughout"
    return "; ".join(kinds) or "no frames"

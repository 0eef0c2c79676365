"""The trained checkpoints in the package's own data, and which weights a command means.

In the package lies, where one ships:

    fypv2/checkpoints/<name>/model/   a checkpoint as `save_pipeline` writes it
    …/MODEL_CARD.md                   what it is, how it was made, how good it is
    …/training/                       the configs and logs of its training
"""

from __future__ import annotations

from pathlib import Path

from fypv2.errors import CheckpointError

__all__ = ["SHIPPED", "choose_checkpoint", "shipped_checkpoint"]

SHIPPED = {"tiny": "fypv2-tiny"}
"""The names of the checkpoints that may ship, by the config that they are of."""

_FOLDER = Path(__file__).resolve().parent / "checkpoints"


def shipped_checkpoint(name: str) -> Path | None:
    """The folder of a checkpoint in the package; None where this copy of the package has none of that name."""
    folder = _FOLDER / name / "model"
    return folder if name in SHIPPED.values() and (folder / "model_index.json").is_file() else None


def choose_checkpoint(given: Path | None, *, config: str, fresh: bool) -> Path | None:
    """The checkpoint that a user means.

    Args:
        given: what `--checkpoint` says: a folder, or the name of a checkpoint that ships. A folder of that name in the
            working directory counts first.
        config: the model, where nothing is given: its shipped checkpoint, else fresh weights.
        fresh: whether fresh weights are wanted, whatever ships.

    Returns:
        A folder, which need not be there where it was given; None for fresh weights.

    Raises:
        CheckpointError: if a checkpoint and fresh weights are asked for at once.
    """
    if given is not None and fresh:
        raise CheckpointError(f"checkpoint {given} and fresh weights contradict each other; give one of them")
    if given is None:
        return None if fresh or config not in SHIPPED else shipped_checkpoint(SHIPPED[config])
    return given if given.exists() else shipped_checkpoint(str(given)) or given

"""Data sets of Hugging Face, through its own library, which keeps them in `$HF_HOME` and resumes by itself."""

from __future__ import annotations

import sys
from pathlib import Path

from mcbench.download.faults import DownloadError

__all__ = ["fetch_hub"]


def fetch_hub(name: str, revision: str | None = None, *, offline: bool = False) -> Path:
    """The folder of a data set's snapshot in the hub's cache. Files only; no code of the data set is run.

    Args:
        name: `owner/name`.
        revision: a branch, tag or commit; the newest of the main branch if None.
        offline: take what the cache has, and never touch the network. `HF_HUB_OFFLINE=1` does the same.

    Raises:
        DownloadError: if it is not there, asks for an account, or cannot be fetched.
    """
    # Here, since the library reads its environment when it is imported, and most commands do not need it.
    from huggingface_hub import errors, snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    page = f"https://huggingface.co/datasets/{name}"
    try:
        return Path(snapshot_download(name, repo_type="dataset", revision=revision, local_files_only=offline))
    except errors.GatedRepoError as error:
        raise DownloadError(
            f"{page}: asks for its terms to be accepted; do so there, then give your token in HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise DownloadError(f"{page}: has no revision '{revision}'; leave it out for the newest") from error
    except errors.RepositoryNotFoundError as error:
        raise DownloadError(
            f"{page}: no such data set, or a private one; check the name, or give your token in HF_TOKEN"
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise DownloadError(
            f"{page}: not in the cache of this machine and not to be reached; leave --offline out, unset"
            " HF_HUB_OFFLINE, or look after the connection"
        ) from error
    except Exception as error:
        # The library hands through the faults of whatever it fetches with.
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DownloadError(f"{page}: cannot be fetched ({reason}); run the same command again") from error

"""Files of a model or data set of the Hugging Face Hub, at a fixed revision, whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from .errors import InputError

# everything that transformers reads, and nothing that can run code or unpickle
MODEL_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt", "README.md")
DATASET_FILES = ("*.parquet", "README.md")


def snapshot(
    hub_id: str, revision: str, folder: str | Path, *, dataset: bool, patterns: Sequence[str], field: str
) -> None:
    """Download what matches ``patterns`` into ``folder``, which exists already.

    Args:
        hub_id: repository id.
        revision: commit or tag.
        folder: where the files appear.
        dataset: whether it is a data set, else a model.
        patterns: file names with wildcards.
        field: configuration key, for errors.

    Raises:
        InputError: the hub does not have it, does not give it, or none of its files match.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        snapshot_download(
            hub_id,
            revision=revision,
            repo_type="dataset" if dataset else "model",
            local_dir=folder,
            allow_patterns=list(patterns),
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{hub_id} at {revision} could not be downloaded: {reason}", field=field) from error
    shutil.rmtree(Path(folder) / ".cache", ignore_errors=True)
    if not any(path.is_file() and path.name != "README.md" for path in Path(folder).rglob("*")):
        raise InputError(f"{hub_id} at {revision} holds none of {', '.join(patterns)}", field=field)

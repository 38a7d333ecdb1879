"""Downloads of the hub: whole folders at a revision, or a clear error. The hub itself is a stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest

import fetch_hub
from mintflow import hub
from mintflow.errors import InputError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Calls of the hub, which gives one file and its bookkeeping folder."""
    calls: list[dict] = []

    def give(hub_id: str, local_dir: Path, **options: object) -> None:
        calls.append({"id": hub_id, **options})
        (Path(local_dir) / ".cache").mkdir()
        (Path(local_dir) / "README.md").write_text("about")
        if hub_id != "only/words":
            (Path(local_dir) / "fold1.parquet").write_bytes(b"1")

    monkeypatch.setattr("huggingface_hub.snapshot_download", give)
    return calls


def arguments(hub_id: str, output: Path) -> list[str]:
    given = {"kind": "dataset", "hub": hub_id, "revision": "abc", "key": "tissue.tile_sets.x.hub"}
    return [*(word for key, value in given.items() for word in (f"--{key}", value)), "--output", str(output)]


def test_data_set_at_its_revision_without_bookkeeping(asked: list[dict], tmp_path: Path) -> None:
    fetch_hub.main(fetch_hub.arguments().parse_args(arguments("some/set", tmp_path / "set")))
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["README.md", "fold1.parquet"]
    assert asked == [
        {
            "id": "some/set",
            "revision": "abc",
            "repo_type": "dataset",
            "allow_patterns": list(hub.DATASET_FILES),
        }
    ]


def test_nothing_that_unpickles_is_asked_for() -> None:
    assert not [
        pattern
        for pattern in (*hub.MODEL_FILES, *hub.DATASET_FILES)
        if pattern.endswith((".bin", ".pt", ".py"))
    ]


def test_repository_without_a_wanted_file(asked: list[dict], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tissue\.tile_sets\.x\.hub: only/words at abc holds none of"):
        fetch_hub.main(fetch_hub.arguments().parse_args(arguments("only/words", tmp_path / "set")))
    assert not (tmp_path / "set").exists()


def test_hub_out_of_reach(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no route to host\nand more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(InputError, match=r"some/set at abc could not be downloaded: no route to host$"):
        fetch_hub.main(fetch_hub.arguments().parse_args(arguments("some/set", tmp_path / "set")))

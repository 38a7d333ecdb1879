"""The run's exit code tells whether more slides failed than allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

import verify_slides
from mintflow.errors import InputError


def judge(folder: Path, statuses: list[str], allowed: int) -> str:
    rows = [f"s{number},{status}" for number, status in enumerate(statuses)]
    (folder / "manifest.csv").write_text("\n".join(["slide_id,status", *rows]) + "\n")
    output = folder / "counts.tsv"
    verify_slides.main(
        verify_slides.arguments().parse_args(
            [
                "--manifest",
                str(folder / "manifest.csv"),
                "--max-failed",
                str(allowed),
                "--output",
                str(output),
            ]
        )
    )
    return output.read_text()


def test_slides_without_tissue_have_not_failed(tmp_path: Path) -> None:
    assert judge(tmp_path, ["ok", "empty", "ok"], 0) == "empty\t1\nok\t2\n"


@pytest.mark.parametrize(
    "status", ["unreadable-file", "unreadable-region", "no-mpp", "implausible-mpp", "timeout"]
)
def test_every_other_status_is_a_failure(tmp_path: Path, status: str) -> None:
    with pytest.raises(InputError, match=rf"1 of 2 slides failed, 0 allowed: s1 \({status}\)"):
        judge(tmp_path, ["ok", status], 0)
    assert not (tmp_path / "counts.tsv").exists()
    assert judge(tmp_path, ["ok", status], 1) == "".join(sorted([f"{status}\t1\n", "ok\t1\n"]))

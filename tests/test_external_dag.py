"""The target external: what it runs on a finished run, and what it says without a cohort."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from workflow_tools import phenopacket, place, snakemake, zip_of

SMOKE = ("--configfile", "config/smoke.yaml")
OWN = {"screen_external", "score_external", "evaluate_external", "export_pheval", "plot_disease_ranks"}


def blocks(output: str) -> list[tuple[str, str]]:
    """Rule and text of every job of a dry run."""
    parts = re.split(r"^(?:local)?rule (\w+):$", output, flags=re.M)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def external_jobs(names: list[str]) -> set[str]:
    return {name for name in names if name.startswith("external_") or name in OWN}


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A folder in which every file that the target needs of the run is there, empty and new."""
    folder = place(tmp_path)
    zip_of(folder / "few.zip", [phenopacket(1, 100001, 11)])
    output = snakemake(folder, "-n", "external", *SMOKE, "--config", "external=few.zip").stdout
    made = []
    for name, text in blocks(output):
        if external_jobs([name]) or name == "external":
            continue
        for entry in re.search(r"^    output: (.*)$", text, flags=re.M)[1].split(", "):
            path = folder / entry
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.name in ("adapter", "merged") or path.parent.name == "models":
                path.mkdir(exist_ok=True)
                (path / "x").touch()
                # Snakemake takes the time of a folder from this file
                path = path / ".snakemake_timestamp"
            path.touch()
            made.append(path)
    assert any("adapter" in path.parts for path in made)
    for path in made:
        os.utime(path)
    return folder


def test_a_finished_run_is_not_trained_again(finished: Path) -> None:
    output = snakemake(finished, "-n", "external", *SMOKE, "--config", "external=few.zip").stdout
    names = [name for name, _ in blocks(output)]
    assert set(names) == external_jobs(names) | {"external"}
    assert set(names) > OWN
    answered = [text for name, text in blocks(output) if name == "external_generate_answers"]
    assert len(answered) == 2 and sum("student/orpo/adapter" in text for text in answered) == 1


def test_nothing_of_it_is_in_any_other_target(finished: Path) -> None:
    for target in ("all", "rare", "figures"):
        output = snakemake(finished, "-n", target, *SMOKE, "--config", "external=few.zip").stdout
        assert not external_jobs([name for name, _ in blocks(output)])


def test_without_a_cohort_it_names_the_key(tmp_path: Path) -> None:
    done = snakemake(place(tmp_path), "-n", "external", check=False)
    assert done.returncode and "set the key external" in done.stdout


def test_without_the_track_it_says_so(tmp_path: Path) -> None:
    zip_of(place(tmp_path) / "few.zip", [phenopacket(1, 100001, 11)])
    (tmp_path / "tissue.yaml").write_text("tracks: [tissue]\nexternal: few.zip\n")
    done = snakemake(tmp_path, "-n", "external", "--configfile", "tissue.yaml", check=False)
    assert done.returncode and "needs the track rare" in done.stdout


def test_a_cohort_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = snakemake(place(tmp_path), "-n", "external", "--config", "external=no.zip", check=False)
    assert done.returncode and "external: no.zip does not exist" in done.stdout


def test_scores_from_a_file_leave_the_teacher_out(tmp_path: Path) -> None:
    zip_of(place(tmp_path) / "few.zip", [phenopacket(1, 100001, 11)])
    (tmp_path / "scores.tsv").write_text("case_id\tdisease_id\tscore\n")
    (tmp_path / "kind.yaml").write_text(
        "rare: {teacher: {kind: scores, scores: scores.tsv}}\nexternal: few.zip\n"
    )
    output = snakemake(tmp_path, "-n", "external", "--configfile", "kind.yaml").stdout
    scored = [text for name, text in blocks(output) if name == "score_external"]
    yardsticks = {"similarity", "likelihood-ratio", "nearest-patient", "gene-lookup", "prior"}
    assert {re.search(r"wildcards: arm=(\S+)", text)[1] for text in scored} == yardsticks


def _reads(jobs: list[tuple[str, str]], rule: str, path: str) -> tuple[set[str], set[str]]:
    """All arms of a rule, and those that read a file."""
    arms = {re.search(r"wildcards: arm=(\S+)", text)[1]: text for name, text in jobs if name == rule}
    return set(arms), {arm for arm, text in arms.items() if path in text}


def test_an_edited_phenopacket_and_another_cohort_are_noticed(tmp_path: Path) -> None:
    """Of a folder Snakemake sees neither; results of two cohorts stand side by side."""
    folder = place(tmp_path)
    inside = folder / "my patients.v2" / "ward"
    inside.mkdir(parents=True)
    file = inside / "a.json"
    file.write_text(json.dumps(phenopacket(1, 100001, 11)))
    wanted = "results/smoke/external/my-patients.v2/cohort/raw/cases.parquet"

    def planned() -> list[str]:
        given = ("--config", "external=my patients.v2")
        return [name for name, _ in blocks(snakemake(folder, "-n", wanted, *SMOKE, *given).stdout)]

    snakemake(folder, "--cores", "1", wanted, *SMOKE, "--config", "external=my patients.v2")
    assert planned() == []
    file.write_text(json.dumps(phenopacket(1, 100002, 11)))
    assert planned() == ["external_read_cohort"]
    file.write_text(json.dumps(phenopacket(1, 100001, 11)))
    assert planned() == []  # what is in the file counts, not its time; nor does what lies beside it
    (inside / "notes.txt").write_text("x")
    (folder / "my patients.v2" / ".git").mkdir()
    (folder / "my patients.v2" / ".git" / "x.json").write_text("{}")
    os.utime(folder / "my patients.v2", (1, 1))
    assert planned() == []
    (inside / "b.json").write_text(json.dumps(phenopacket(2, 100001, 12)))
    assert planned() == ["external_read_cohort"]
    zip_of(folder / "other.zip", [phenopacket(1, 100001, 11)])
    text = snakemake(folder, "-n", "external", *SMOKE, "--config", "external=other.zip").stdout
    assert "results/smoke/external/other/summary.json" in text and "my-patients" not in text
    # nothing of one cohort is written over by the next
    written = re.findall(r"^    (?:output|log|benchmark): (.*external/.*)$", text, flags=re.M)
    assert written and all("external/other/" in path for line in written for path in line.split(", "))


def test_arms_that_read_profiles_are_shown_those_of_the_new_patients(tmp_path: Path) -> None:
    zip_of(place(tmp_path) / "few.zip", [phenopacket(1, 100001, 11)])
    (tmp_path / "arms.yaml").write_text("rare: {arms: [orpo, rag, orpo+rag]}\nexternal: few.zip\n")
    jobs = blocks(snakemake(tmp_path, "-n", "external", "evaluate", "--configfile", "arms.yaml").stdout)
    assert [name for name, _ in jobs].count("external_retrieve_profiles") == 1
    reading = {"rag", "orpo+rag"}
    arms = {"base", "orpo", *reading}
    for rule in ("external_generate_answers", "external_rank_candidates"):
        assert _reads(jobs, rule, "default/external/few/retrieval/prompts.parquet") == (arms, reading)
        assert _reads(jobs, rule, "default/external/few/prompts.parquet") == (arms, arms - reading)
    arms, rankings = _reads(jobs, "rank_candidates", "default/rare/retrieval/prompts.parquet")
    assert arms == {"base", "orpo", *reading} and rankings == reading
    arms, answers = _reads(jobs, "generate_answers", "default/rare/retrieval/prompts.parquet")
    assert arms > {"base", "orpo-blank"} and answers == reading
    scored = [text for name, text in jobs if name == "score_external"]
    assert scored and not any("arm=retrieval" in text for text in scored)

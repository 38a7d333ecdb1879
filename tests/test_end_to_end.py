"""The whole DAG on config/smoke.yaml: its products, a second call, and a run that is killed everywhere."""

from __future__ import annotations

import csv
import json
import os
import re
import stat
import sys
import time
from pathlib import Path

import pytest

import workflow_tools
from mintflow import io
from workflow_tools import phenopacket, place, snakemake, zip_of

SCRIPTS = workflow_tools.ROOT / "workflow/scripts"
SMOKE = ("--configfile", "config/smoke.yaml")
ARMS = {
    "base",
    "orpo",
    "orpo-blank",
    "orpo-shuffled",
    "teacher",
    "teacher-phenotype",
    "similarity",
    "likelihood-ratio",
    "nearest-patient",
    "gene-lookup",
    "prior",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A working folder in which the smoke run has ended, and the seconds it took."""
    folder = place(tmp_path_factory.mktemp("smoke"))
    started = time.monotonic()
    snakemake(folder, "--cores", "2", *SMOKE, timeout=600)
    return folder, time.monotonic() - started


TISSUE_ARMS = {"base", "orpo", "orpo-blank", "orpo-shuffled", "teacher", "prior"}


def _metrics(folder: Path, track: str) -> list[dict[str, str]]:
    with open(folder / f"results/smoke/{track}/metrics.csv", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def test_under_four_minutes(finished: tuple[Path, float]) -> None:
    assert finished[1] < 240, f"the smoke run took {finished[1]:.0f} s"


@pytest.mark.parametrize(("track", "arms"), [("rare", ARMS), ("tissue", TISSUE_ARMS)])
def test_metrics_of_every_arm(finished: tuple[Path, float], track: str, arms: set[str]) -> None:
    rows = _metrics(finished[0], track)
    assert list(rows[0]) == ["arm", "metric", "value", "ci_low", "ci_high", "n"]
    assert {row["arm"] for row in rows} == arms
    for row in rows:
        if row["value"] and row["ci_low"]:
            low, value, high = (float(row[name]) for name in ("ci_low", "value", "ci_high"))
            assert low - 1e-9 <= value <= high + 1e-9, row
        assert int(row["n"]) > 0, row
    top1 = {row["arm"]: float(row["value"]) for row in rows if row["metric"] == "top1"}
    assert top1["base"] == 0.0  # an untrained student of 2 layers names nothing
    if track == "rare":  # whose teacher learns even at this size
        assert top1["teacher"] > top1["prior"]


def test_slides_became_tiles(finished: tuple[Path, float]) -> None:
    tissue = finished[0] / "results/smoke/tissue"
    with open(tissue / "cohort/manifest.csv", encoding="utf-8") as table:
        slides = list(csv.DictReader(table))
    assert len(slides) == 8 and {slide["status"] for slide in slides} == {"ok"}
    assert {float(slide["mpp_x"]) for slide in slides} == {0.5}
    for slide in slides:
        found = list((tissue / "tiles").glob(f"*/{slide['slide_id']}.*"))
        assert sorted(path.suffix for path in found) == [".parquet", ".png"]
    assert (tissue / "slides_by_status.tsv").read_text() == "ok\t8\n"


def test_a_slides_tiles_open_as_images(finished: tuple[Path, float]) -> None:
    import datasets

    files = sorted((finished[0] / "results/smoke/tissue/tiles").glob("*/*.parquet"))
    loaded = datasets.load_dataset("parquet", data_files=str(files[0]), split="train")
    kept = next(row for row in loaded if row["kept"])
    assert kept["image"].size == (96, 96) and kept["mpp"] == 1.0 and kept["schema_version"] == 1


def test_both_sections_are_in_the_report(finished: tuple[Path, float]) -> None:
    page = (finished[0] / "results/smoke/report.html").read_text(encoding="utf-8")
    for track in ("rare", "tissue"):
        assert page.count(f'<article class="track" id="{track}">') == 1
    # eight patients are too few for any paired test, and a random student sees nothing
    assert "is not shown to use the image" in page


def test_report_is_one_offline_page_without_secrets(finished: tuple[Path, float]) -> None:
    page = (finished[0] / "results/smoke/report.html").read_text(encoding="utf-8")
    assert "simulated" in page.lower()
    assert not re.search(r'(src|href)="https?://[^"]+\.(js|css|png|svg|woff2?)"', page)
    assert "<script src" not in page
    assert str(finished[0]) not in page
    assert str(Path.home()) not in page


def test_no_absolute_path_in_cards_and_summaries(finished: tuple[Path, float]) -> None:
    results = finished[0] / "results/smoke"
    texts = [p for p in results.rglob("*") if p.suffix in (".md", ".json", ".jsonl", ".csv", ".tsv")]
    texts = [p for p in texts if "checkpoints" not in p.parts]
    assert len(texts) > 10
    for path in texts:
        content = path.read_text(encoding="utf-8")
        assert str(finished[0]) not in content, path
        assert str(workflow_tools.ROOT) not in content, path


def test_second_call_has_nothing_to_do(finished: tuple[Path, float]) -> None:
    output = snakemake(finished[0], "--cores", "2", *SMOKE).stdout
    assert "Nothing to be done" in output


def test_snakemake_report_builds(finished: tuple[Path, float]) -> None:
    snakemake(finished[0], "--report", "report.zip", *SMOKE)
    assert (finished[0] / "report.zip").stat().st_size > 10_000


def test_changing_one_key_reruns_only_what_depends_on_it(finished: tuple[Path, float]) -> None:
    change = finished[0] / "change.yaml"
    change.write_text("rare: {evaluation: {bootstrap_samples: 300}}\n")
    output = snakemake(finished[0], "-n", *SMOKE, str(change)).stdout
    rules = set(re.findall(r"^rule (\w+):", output, flags=re.M))
    assert "evaluate_arms" in rules
    assert not rules & {
        "train_student",
        "generate_answers",
        "train_teacher",
        "read_cohort",
        "build_preferences",
    }


def _strangers(folder: Path) -> Path:
    """A zip of a further cohort: three new patients, and one of every kind that must not count."""
    cohort = folder / "results/smoke/rare/cohort"
    cases = io.read_parquet(cohort / "cases.parquet").sort_values("case_id")
    terms = io.read_parquet(cohort / "phenotypes.parquet", ["case_id", "hpo_id", "excluded"])
    trained = cases[cases["split"] == "train"].iloc[0]
    own = terms[(terms["case_id"] == trained["case_id"]) & ~terms["excluded"]]
    numbers = [int(disease.removeprefix("OMIM:")) for disease in sorted(cases["disease_id"].unique())]
    features = [{"type": {"id": term}} for term in own["hpo_id"]]
    packets = [phenopacket(i, number, 99000000 + i) for i, number in enumerate(numbers[:3])]
    packets.append(phenopacket(3, 999999, 99000003))
    packets.append(phenopacket(4, numbers[0], int(trained["publication"].removeprefix("PMID:"))))
    disease = int(trained["disease_id"].removeprefix("OMIM:"))
    packets.append(phenopacket(5, disease, 99000005, phenotypicFeatures=features))
    packets.append(phenopacket(6, numbers[0], 99000006, phenotypicFeatures=[]))
    return zip_of(folder / "strangers.zip", packets)


def test_a_further_cohort_is_evaluated_without_training(finished: tuple[Path, float]) -> None:
    folder = finished[0]
    adapter = folder / "results/smoke/rare/student/orpo/adapter/adapter_model.safetensors"
    before = (adapter.read_bytes(), adapter.stat().st_mtime_ns)
    given = ("--config", f"external={_strangers(folder).name}")
    output = snakemake(folder, "--cores", "2", "external", *SMOKE, *given).stdout
    rules = set(re.findall(r"^rule (\w+):", output, flags=re.M))
    assert not rules & {"train_student", "train_teacher", "read_cohort", "build_preferences"}
    assert (adapter.read_bytes(), adapter.stat().st_mtime_ns) == before
    external = folder / "results/smoke/external/strangers"
    with open(external / "set_aside.tsv", encoding="utf-8") as table:
        reasons = sorted(row["reason"] for row in csv.DictReader(table, delimiter="\t"))
    assert reasons == ["no_terms", "out_of_set", "training_publication", "training_twin"]
    with open(external / "metrics.csv", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert list(rows[0]) == ["arm", "metric", "value", "ci_low", "ci_high", "n"]
    assert {row["arm"] for row in rows} == ARMS - {"orpo-blank", "orpo-shuffled"}
    n = {row["metric"]: int(row["n"]) for row in rows if row["arm"] == "teacher"}
    assert (n["top1"], n["top1_all"]) == (3, 4)
    assert io.read_json(external / "summary.json")["patients"]["cohort"] == "strangers.zip"
    for arm in ("teacher", "similarity"):  # the run's own teacher, to the last digit
        told = io.read_json(external / f"teacher/{arm}.json")
        assert told["largest_difference_from_run"] == 0.0
    for arm in ("base", "orpo", "teacher"):
        assert len(list((external / f"pheval/{arm}/pheval_disease_results").glob("*.parquet"))) == 4
    assert "Nothing to be done" in snakemake(folder, "--cores", "2", "external", *SMOKE, *given).stdout
    (folder / "reading.yaml").write_text("rare: {arms: [orpo, rag]}\n")
    output = snakemake(folder, "--cores", "2", "external", *SMOKE, "reading.yaml", *given).stdout
    assert not re.findall(r"^rule (train_student|retrieve_profiles):", output, flags=re.M)
    with open(external / "metrics.csv", encoding="utf-8") as table:
        more = {(row["arm"], row["metric"]) for row in csv.DictReader(table)}
    assert {arm for arm, _ in more} == {row["arm"] for row in rows} | {"rag", "retrieval"}
    assert ("rag", "rank_top1") in more
    shown = io.read_parquet(external / "retrieval/prompts.parquet", ["case_id"])["case_id"]
    assert set(shown) == set(io.read_parquet(external / "cohort/cases.parquet")["case_id"])


KILLER = """\
#!/bin/sh
# Runs python; the first call of each script with each output is killed -9 after 10 to 40 % of its time.
case "$1" in
  *workflow/scripts/*.py) ;;
  *) exec {python} "$@" ;;
esac
mark="{marks}/$(echo "$@" | cksum | cut -d' ' -f1)"
if [ -e "$mark" ]; then exec {python} "$@"; fi
echo "$1" > "$mark"
called=$(basename "$1" .py)
while read -r name seconds; do [ "$name" = "$called" ] && took=$seconds; done < {took}
delay=$(awk -v s="$(basename "$mark")" -v t="${{took:-0.3}}" 'BEGIN {{ print t * (0.1 + (s % 30) / 100) }}')
{python} "$@" &
child=$!
sleep "$delay"
kill -9 $child 2>/dev/null && echo "$1" >> {marks}/killed.txt
wait $child
"""


def _seconds(folder: Path) -> dict[str, float]:
    """Of the shortest job of each program that has a benchmark."""
    found: dict[str, float] = {}
    for path in (folder / "benchmarks").rglob("*.tsv"):
        program = next(n for n in (path.stem, path.parent.name) if (SCRIPTS / f"{n}.py").exists())
        with open(path, encoding="utf-8") as table:
            seconds = float(next(csv.DictReader(table, delimiter="\t"))["s"])
        found[program] = min(seconds, found.get(program, seconds))
    return found


def test_killed_in_every_rule_it_still_ends_with_the_same_bytes(
    finished: tuple[Path, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 in rule after rule of a fresh folder; each next call goes on; the same bytes result."""
    first, again = finished[0], place(tmp_path / "again")
    bin_folder, marks = tmp_path / "bin", tmp_path / "marks"
    bin_folder.mkdir()
    marks.mkdir()
    python = bin_folder / "python"
    took = tmp_path / "took.txt"
    took.write_text("".join(f"{name} {seconds}\n" for name, seconds in _seconds(first).items()))
    python.write_text(KILLER.format(python=sys.executable, marks=marks, took=took))
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    path = f"{bin_folder}{os.pathsep}{workflow_tools.ENVIRONMENT['PATH']}"
    monkeypatch.setitem(workflow_tools.ENVIRONMENT, "PATH", path)

    for _ in range(60):
        done = snakemake(again, "--cores", "2", "--keep-going", "--quiet", "all", *SMOKE, check=False)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stdout
    killed = {Path(line).name for line in (marks / "killed.txt").read_text().split()}
    called = {Path(path.read_text().strip()).name for path in marks.glob("[0-9]*")}
    assert len(called) > 30 and not called - killed, f"ended before the kill: {called - killed}"

    same = ["preferences/train.parquet", "preferences/validation.parquet", "metrics.csv", "comparisons.csv"]
    for track in ("rare", "tissue"):
        for name in (*same, "student/orpo/adapter/adapter_model.safetensors"):
            one, other = (folder / "results/smoke" / track / name for folder in (first, again))
            assert one.read_bytes() == other.read_bytes(), f"{track}/{name} differs after kills"
    tables = sorted(path.relative_to(first) for path in first.glob("results/smoke/tissue/tiles/[0-9]*/*"))
    assert tables and all((first / name).read_bytes() == (again / name).read_bytes() for name in tables)
    assert not list((again / "results").rglob("*.part"))


def test_every_arm_of_the_paper(finished: tuple[Path, float]) -> None:
    """On top of the finished run, and last: the other tests look at it as it was."""
    arms = (*SMOKE, "config/smoke_arms.yaml")
    planned = snakemake(finished[0], "-n", "evaluate", *arms).stdout
    assert not {"read_cohort", "align_student", "train_teacher"} & set(
        re.findall(r"^rule (\w+):", planned, flags=re.M)
    )
    snakemake(finished[0], "evaluate", "--cores", "2", *arms, timeout=900)
    more = {"sft-truth", "dpo"}
    for track, wanted in (
        ("rare", ARMS | more | {"rag", "orpo+rag", "orpo-hard", "orpo-more", "sft-truth-more", "retrieval"}),
        ("tissue", TISSUE_ARMS | {"sft", "listwise", "orpo-few"}),
    ):
        rows = _metrics(finished[0], track)
        assert {row["arm"] for row in rows} == wanted
        n = {row["n"] for row in rows if row["metric"] == "top1"}
        assert len(n) == 1, "arms were measured on different cases"
    rare = finished[0] / "results/smoke/rare"
    with open(rare / "seeds.csv", encoding="utf-8") as table:
        assert {"dpo", "dpo.seed7"} < {row["run"] for row in csv.DictReader(table)}
    rate = json.loads((rare / "student/orpo/learning_rate.json").read_text())
    assert {trial["rate"] for trial in rate["trials"]} == {0.0005, 0.001}
    trained = {
        name: json.loads((rare / f"student/{name}/training.json").read_text())
        for name in ("orpo", "orpo.seed7", "orpo-hard")
    }
    assert {summary["learning_rate"] for summary in trained.values()} == {rate["learning_rate"]}
    # the first seed is the trial of that rate, not a training of its own
    trial = rare / "student" / trained["orpo"]["trial"]
    weights = "adapter/adapter_model.safetensors"
    assert (trial / weights).read_bytes() == (rare / "student/orpo" / weights).read_bytes()
    with open(rare / "training.csv", encoding="utf-8") as table:
        assert [row["training"] for row in csv.DictReader(table)].count(trial.name) == 0
    with open(rare / "comparisons.csv", encoding="utf-8") as table:
        pairs = {(row["arm_a"], row["arm_b"]) for row in csv.DictReader(table)}
    assert {("orpo", other) for other in (*more, "rag")} < pairs
    assert {("orpo-hard", "orpo"), ("orpo-more", "orpo"), ("rag", "base")} < pairs
    assert ("sft-truth-more", "sft-truth") in pairs
    truth = {
        name: json.loads((rare / f"student/{name}/training.json").read_text()).get("without_truth", 0)
        for name in ("sft-truth", "sft-truth-more")
    }
    assert truth["sft-truth"] == 0 < truth["sft-truth-more"]
    ranked = {row["arm"] for row in _metrics(finished[0], "rare") if row["metric"] == "rank_top1"}
    assert ranked > {"rag", "orpo+rag", "teacher", "retrieval", "sft-truth"}
    pairs_of = {
        name: json.loads((rare / f"{name}/summary.json").read_text())
        for name in ("preferences", "preferences-orpo-more", "preferences-sft-truth-more")
    }
    assert pairs_of["preferences-sft-truth-more"]["view_pairs"] > 0 == pairs_of["preferences"]["view_pairs"]
    assert not (rare / "preferences/views.parquet").exists()
    both = pairs_of["preferences-sft-truth-more"]
    rows = io.read_parquet(rare / "preferences-sft-truth-more/train.parquet")
    drawn = rows[rows["truth"].isna()]
    assert drawn["case_id"].duplicated().any() and len(drawn) == both["without_truth"]
    assert len(rows) == both["splits"]["train"]["pairs"] + both["unlabelled"]["pairs"] + both["view_pairs"]
    assert (
        pairs_of["preferences-orpo-more"]["unlabelled"]["pairs"] > 0
        and not pairs_of["preferences"]["unlabelled"]
    )

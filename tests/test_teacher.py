from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

from mintflow.errors import InputError
from mintflow.features import Cohort
from mintflow.teacher import Encoder, fit, prototype_scores, train_and_score
from mintflow.teacher_inputs import COMPARISONS, Problem, Settings, collect, leading_directions
from patients import annotation, annotations
from ranking_material import DISEASES, LEAVES, SETTINGS, cohort, evidence, hpoa


def settings(**changes) -> Settings:
    return Settings.read({**SETTINGS, **changes})


def problem(patients: Cohort, chosen: Settings) -> Problem:
    train = patients.in_split("train")
    return Problem(patients, DISEASES, evidence(patients), train, patients.publications(~train), chosen)


@pytest.fixture(scope="module")
def trained() -> tuple[Cohort, np.ndarray, dict]:
    patients = cohort()
    return patients, *train_and_score(patients, DISEASES, evidence(patients), settings())


def test_scores_are_log_probabilities_of_every_candidate(trained):
    patients, scores, log = trained
    assert scores.shape == (len(patients), len(DISEASES))
    assert np.exp(scores).sum(axis=1) == pytest.approx(1, abs=1e-4)
    assert [model["fold"] for model in log["models"]] == [-1, 0, 1]
    assert log["top1"]["test"]["encoder"] > 0.8
    assert log["top1"]["train"]["encoder"] > 0.8


def test_same_seed_same_scores(trained):
    patients, scores, _ = trained
    torch.rand(3)
    again, _ = train_and_score(patients, DISEASES, evidence(patients), settings())
    assert (again == scores).all()


def test_a_training_patient_never_sees_its_own_fold(trained):
    patients, scores, _ = trained
    first = (patients.cases["fold"] == 0).to_numpy()
    # another patient of the fold changes disease, findings and gene; the annotations that cite it change
    sibling = patients.cases.index[first][0]
    name = patients.cases.loc[sibling, "case_id"]
    cases = patients.cases.copy()
    cases.loc[sibling, "disease_id"] = DISEASES[3]
    phenotypes = patients.phenotypes[patients.phenotypes["case_id"] != name]
    genotypes = patients.genotypes.copy()
    genotypes.loc[genotypes["case_id"] == name, "gene_symbol"] = "GENE3"
    planted = [annotation(900 + i, DISEASES[0], term, "PMID:00") for i, term in enumerate(LEAVES)]
    table = pd.concat([hpoa(), annotations(planted)], ignore_index=True)
    changed = Cohort(cases, phenotypes, genotypes)
    after, _ = train_and_score(changed, DISEASES, evidence(changed, table), settings())
    others = first & (cases["case_id"] != name).to_numpy()
    assert (after[others] == scores[others]).all()
    assert (after[~first] != scores[~first]).any()


def test_test_patients_teach_nothing(trained):
    patients, scores, _ = trained
    test = patients.in_split("test", "test_unseen")
    cases = patients.cases.copy()
    cases.loc[test, "disease_id"] = cases.loc[test, "disease_id"].to_numpy()[::-1]
    changed = Cohort(cases, patients.phenotypes, patients.genotypes)
    after, _ = train_and_score(changed, DISEASES, evidence(changed), settings())
    assert (after == scores).all()


def test_whether_a_gene_is_a_decoy_is_no_feature(trained):
    patients, scores, _ = trained
    blind = Cohort(patients.cases, patients.phenotypes, patients.genotypes.drop(columns="is_decoy"))
    after, _ = train_and_score(blind, DISEASES, evidence(blind), settings())
    assert (after == scores).all()


def test_prototypes_and_profiles_leave_the_own_publication_out():
    patients = cohort()
    found = problem(patients, settings())
    references = found.references
    ((code, row),) = references.rows_of["PMID:01"]
    assert code == 0
    members = [i for i in np.flatnonzero(found.train) if found.codes[i] == 0]
    rest = [i for i in members if patients.cases.loc[i, "publication"] != "PMID:01"]
    expected = found.patients.observed[rest].toarray().sum(axis=0)
    found_row = references.prototypes.rows[row].toarray().ravel()
    assert found_row == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)
    # findings 1 and 7 of disease 0 rest on PMID:01 alone; no profile of the pair shows them
    general = references.profiles.rows[0].toarray().ravel()
    own = references.profiles.rows[row].toarray().ravel()
    assert (own > 0).sum() == (general > 0).sum() - 2
    gene = found.gene_ids.index("GENE0")
    shares = found.patients.genes[np.flatnonzero(found.train)].toarray().sum(axis=0)
    background = (shares[gene] + 1 / len(shares)) / (shares.sum() + 1)
    count = found.patients.genes[rest].toarray()[:, gene].sum()
    expected = (count + 1 + 0.5 * background) / (len(rest) + 1.5) / background
    assert references.genes.rows[row, gene] == pytest.approx(expected, rel=1e-5)


def test_own_rows_replace_the_general_ones_in_training_batches():
    patients = cohort()
    found = problem(patients, settings())
    rows = np.flatnonzero(found.train)[:4]
    batch = collect(found, rows, leave_out=True)
    assert batch.general.shape == (len(COMPARISONS), 4, len(DISEASES))
    assert batch.replaced[:, 0].tolist() == [0, 1, 2, 3]
    at = COMPARISONS.index("prototype")
    general = batch.general[at, batch.replaced[:, 0], batch.replaced[:, 1]]
    assert (batch.own[at] < general).all()
    logits = Encoder(found, settings())(batch, found.references)
    plain = Encoder(found, settings())(collect(found, rows, leave_out=False), found.references)
    changed = (logits != plain).nonzero().tolist()
    assert changed == batch.replaced[:, :2].tolist()


def test_unseen_diseases_are_ranked_by_their_profiles():
    patients = cohort()
    found = problem(patients, settings(modalities=["phenotype"]))
    assert found.references.seen[: len(DISEASES)].tolist() == [True] * 4 + [False]
    unseen = np.flatnonzero(patients.in_split("test_unseen"))
    scores = prototype_scores(found, settings(modalities=["phenotype"]), unseen)
    assert (scores.argmax(axis=1) == 4).mean() > 0.5


def test_the_start_competes_with_what_training_finds():
    patients = cohort()
    chosen = settings(learning_rate=10.0)
    fitted = fit(problem(patients, chosen), chosen, patients.in_split("validation"))
    losses = [record["validation_loss"] for record in fitted.epochs]
    assert fitted.best["validation_loss"] == min(losses)
    assert sum(record["kept"] for record in fitted.epochs) == 1
    rows = np.flatnonzero(patients.in_split("validation"))
    truth = fitted.problem.codes[rows]
    again = -fitted.score(rows)[np.arange(len(rows)), truth].mean()
    assert again == pytest.approx(min(losses), abs=1e-6)


def test_without_validation_all_epochs_are_run():
    patients = cohort()
    chosen = settings()
    fitted = fit(problem(patients, chosen), chosen, np.zeros(len(patients), bool))
    assert fitted.best["epoch"] == chosen.epochs
    assert fitted.best["validation_loss"] is None


@pytest.mark.parametrize("modalities", [["genotype"], ["image"], ["phenotype", "genotype", "image"]])
def test_every_modality_teaches(modalities):
    patients = cohort(images=True)
    chosen = settings(modalities=modalities)
    scores, log = train_and_score(patients, DISEASES, evidence(patients), chosen)
    assert np.isfinite(scores).all()
    assert log["top1"]["test"]["encoder"] > 0.5


def test_hidden_modalities_do_not_matter():
    patients = cohort()
    chosen = settings(modalities=["phenotype"], epochs=1)
    bare = Cohort(patients.cases, patients.phenotypes, patients.genotypes[:0])
    with_genes, _ = train_and_score(patients, DISEASES, evidence(patients), chosen)
    without, _ = train_and_score(bare, DISEASES, evidence(bare), chosen)
    assert with_genes == pytest.approx(without, abs=1e-5)


def test_patients_without_genes_and_with_unknown_genes_are_scored():
    patients = cohort()
    genotypes = patients.genotypes.copy()
    test = patients.cases.loc[patients.in_split("test"), "case_id"].tolist()
    genotypes = genotypes[genotypes["case_id"] != test[0]]
    genotypes.loc[genotypes["case_id"] == test[1], "gene_symbol"] = "NEVER1"
    # a deletion of several genes names none, in training too
    trained_on = patients.cases.loc[patients.in_split("train"), "case_id"].tolist()
    genotypes.loc[genotypes["case_id"].isin([test[2], trained_on[0]]), "gene_symbol"] = np.nan
    changed = Cohort(patients.cases, patients.phenotypes, genotypes)
    scores, _ = train_and_score(changed, DISEASES, evidence(changed), settings(epochs=1))
    assert np.isfinite(scores).all()


def test_directions_span_the_rows_when_there_are_enough():
    matrix = csr_matrix(np.random.default_rng(0).random((4, 9)))
    basis = leading_directions(matrix, settings())
    assert basis.shape == (9, 4)
    assert basis.T @ basis == pytest.approx(np.eye(4), abs=1e-5)
    assert matrix @ basis @ basis.T == pytest.approx(matrix.toarray(), abs=1e-5)


def test_wrong_inputs_are_named():
    patients = cohort()
    with pytest.raises(InputError, match=r"rare\.teacher.*dim"):
        Settings.read({key: value for key, value in SETTINGS.items() if key != "dim"})
    with pytest.raises(InputError, match="image_embeddings"):
        train_and_score(patients, DISEASES, evidence(patients), settings(modalities=["image"]))
    nobody = replace(patients, cases=patients.cases.assign(split="test", fold=-1))
    with pytest.raises(InputError, match="no training patient"):
        train_and_score(nobody, DISEASES, evidence(patients), settings())
    one_fold = replace(patients, cases=patients.cases.assign(fold=patients.cases["fold"].clip(upper=0)))
    with pytest.raises(InputError, match=r"rare\.split\.folds"):
        train_and_score(one_fold, DISEASES, evidence(patients), settings(epochs=1))

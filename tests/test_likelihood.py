from __future__ import annotations

import numpy as np
import pytest
import torch

import tiny_student as tiny
from mintflow import likelihood as lk
from mintflow.errors import InputError


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory):
    return tiny.make_base(tmp_path_factory.mktemp("base") / "tiny")


def random_sequences(count: int = 40, vocabulary: int = 5) -> list[list[int]]:
    rng = np.random.default_rng(1)
    return [[7, 8, *rng.integers(0, vocabulary, rng.integers(1, 9)).tolist(), 99] for _ in range(count)]


def test_trie_by_hand() -> None:
    trie = lk.build_trie([[1, 2, 9], [1, 3, 9], [1, 2, 4, 9]])
    assert len(trie.tokens) == 7  # 1, 2, 4, 9, 9, 3, 9
    spelled = [[trie.tokens[node] for node in trie.path(leaf)] for leaf in trie.leaves]
    assert spelled == [[1, 2, 9], [1, 3, 9], [1, 2, 4, 9]]
    assert all(parent < node for node, parent in enumerate(trie.parents))
    assert [trie.depths[leaf] for leaf in trie.leaves] == [2, 2, 3]
    with pytest.raises(ValueError, match="candidate 1 has no token"):
        lk.build_trie([[1], []])


@pytest.mark.parametrize("limit", [1, 4, 16, 1000])
def test_chunks_cover_inner_nodes_and_their_ancestors(limit: int) -> None:
    trie = lk.build_trie(random_sequences())
    chunks = lk.plan_chunks(trie, limit)
    assert {node for chunk in chunks for node in chunk} == set(trie.parents) - {-1}
    longest = max(map(len, random_sequences())) - 1
    for chunk in chunks:
        assert len(chunk) <= max(limit, longest)
        for place, node in enumerate(chunk):
            assert trie.parents[node] == -1 or trie.parents[node] in chunk[:place]
    assert lk.plan_chunks(lk.build_trie([[1], [2]]), limit) == []


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("chunk", [16, 1000])
def test_equals_scoring_each_candidate_alone(base, attention: str, chunk: int) -> None:
    student = tiny.model(base, attention)
    prompt = list(range(20, 45))
    sequences = [*random_sequences(), [3]]
    found = lk.score_candidates(student, prompt, lk.build_trie(sequences), chunk)
    expected = [tiny.naive_logp(student, prompt, sequence) for sequence in sequences]
    assert np.ptp(expected) > 5
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("depth", [1, 5, 60])
@pytest.mark.parametrize("chunk", [3, 1000])
def test_the_best_are_found_without_reading_all(base, depth: int, chunk: int) -> None:
    student = tiny.model(base)
    prompt = list(range(20, 45))
    sequences = random_sequences(vocabulary=4)
    sequences[3] = sequences[0]  # twice the same: a tie, and one leaf
    trie = lk.build_trie(sequences)
    every = lk.score_candidates(student, prompt, trie, 1000)
    scores, own = lk.best_candidates(student, prompt, trie, chunk, depth)
    best = np.argsort(-every, kind="stable")[:depth]
    assert own[best].all()
    np.testing.assert_allclose(scores[own], every[own], atol=1e-4, rtol=0)
    if depth >= len(sequences):
        assert own.all()
    else:
        assert scores[~own].max() <= every[best].min() + 1e-4
    # what is given to those that were not read is no more than what their beginnings have
    once = [trie.leaves.index(leaf) for leaf in set(trie.leaves)]
    assert np.exp(scores[once]).sum() <= 1 + 1e-6


def test_odd_likelihoods_and_candidates_are_refused(base) -> None:
    student = tiny.model(base)
    with pytest.raises(ValueError, match="candidate is the beginning of another: 1"):
        lk.best_candidates(student, [1], lk.build_trie([[5, 6, 7], [5]]), 10, 1)
    with torch.no_grad():
        student.get_output_embeddings().weight[6] = float("nan")
    with pytest.raises(InputError, match="no finite number"):
        lk.best_candidates(student, [1], lk.build_trie([[5, 6, 7], [4]]), 10, 1)


def test_beginnings_that_cannot_win_are_not_read(base, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two likely names and many behind a beginning that the model would hardly write."""
    student = tiny.model(base)
    prompt = [1, 2, 3]
    with torch.no_grad():
        order = student(torch.tensor([prompt])).logits[0, -1].argsort(descending=True).tolist()
    rng = np.random.default_rng(0)
    unlikely = [[order[-1], *rng.integers(0, 90, 8).tolist()] for _ in range(30)]
    trie = lk.build_trie([[order[0]], [order[1]], *unlikely])
    seen: list[int] = []
    plan = lk.plan_chunks

    def counted(*given: object) -> list[list[int]]:
        chunks = plan(*given)
        seen.extend(node for chunk in chunks for node in chunk)
        return chunks

    monkeypatch.setattr(lk, "plan_chunks", counted)
    scores, own = lk.best_candidates(student, prompt, trie, 1000, 2)
    assert own.tolist() == [True, True] + [False] * 30 and not seen
    assert len(set(scores[2:])) == 1
    total = lk.score_candidates(student, prompt, lk.build_trie([[order[-1]]]), 10)[0]
    assert np.exp(scores[2:]).sum() == pytest.approx(np.exp(total), rel=1e-4)


def test_probabilities_of_all_next_tokens_sum_to_one(base) -> None:
    student = tiny.model(base)
    everything = lk.build_trie([[token] for token in range(student.config.vocab_size)])
    logp = lk.score_candidates(student, [1, 2, 3], everything, 64)
    assert np.exp(logp).sum() == pytest.approx(1, abs=1e-5)


def test_refuses_what_it_cannot_score(base) -> None:
    trie = lk.build_trie([[1]])
    with pytest.raises(ValueError, match="float32"):
        lk.score_candidates(tiny.model(base).to(torch.bfloat16), [1], trie, 16)
    with pytest.raises(ValueError, match="empty prompt"):
        lk.score_candidates(tiny.model(base), [], trie, 16)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_first_lines_are_the_beginning_of_what_the_student_learns(base, k: int) -> None:
    encoder = tiny.encoder(base)
    prompt = tiny.messages("seizure")
    lines = lk.first_lines(encoder, prompt, tiny.NAMES, k)
    for name, line in zip(tiny.NAMES, lines, strict=True):
        others = [other for other in tiny.NAMES if other != name]
        text = "\n".join(f"{i}. {one}" for i, one in enumerate([name, *others][:k], start=1))
        whole = encoder.completion_ids(prompt, [{"role": "assistant", "content": text}])
        assert line == whole[: len(line)]
        if k == 1:
            assert line == whole and line[-1] in encoder.end_ids
        else:
            assert encoder.tokenizer.decode(line) == f"1. {name}\n"


def test_a_name_that_begins_another_is_not_favoured(base) -> None:
    lines = lk.first_lines(tiny.encoder(base), tiny.messages("x"), tiny.NAMES, 3)
    assert all(a[: len(b)] != b for a in lines for b in lines if a is not b)


def test_ranking_scores(base) -> None:
    encoder, student = tiny.encoder(base), tiny.model(base)
    prompts = [tiny.messages("seizure"), tiny.messages("tall stature")]
    blanks = [tiny.messages("not available")] * 2
    found = lk.rank_candidates(student, encoder, prompts, blanks, tiny.NAMES, k=3, chunk=16)
    lines = lk.first_lines(encoder, prompts[0], tiny.NAMES, 3)
    for row, prompt in enumerate(prompts):
        for column, line in enumerate(lines):
            alone = tiny.naive_logp(student, encoder.prompt_ids(prompt), line)
            blank = tiny.naive_logp(student, encoder.prompt_ids(blanks[0]), line)
            assert found["sum"][row, column] == pytest.approx(alone, abs=1e-4)
            assert found["mean"][row, column] == pytest.approx(alone / len(line), abs=1e-4)
            assert found["pmi"][row, column] == pytest.approx(alone - blank, abs=2e-4)
    without = lk.rank_candidates(student, encoder, prompts, None, tiny.NAMES, k=3, chunk=16)
    assert np.isnan(without["pmi"]).all()
    np.testing.assert_array_equal(without["sum"], found["sum"])
    few = lk.rank_candidates(student, encoder, prompts, blanks, tiny.NAMES, k=3, chunk=16, depth=1)
    exact = ~np.isnan(few["pmi"])
    assert (np.isnan(few["mean"]) == ~exact).all() and (exact.sum(1) >= 1).all()
    assert (few["sum"].argmax(1) == found["sum"].argmax(1)).all()
    for name in few:
        np.testing.assert_allclose(few[name][exact], found[name][exact], atol=1e-4)


def test_a_model_that_ignores_the_mask_is_refused(base, monkeypatch: pytest.MonkeyPatch) -> None:
    student = tiny.model(base)
    trie = lk.build_trie(random_sequences())
    lk.check_masking(student, [1, 2, 3], trie, 64)
    everything = lambda trie, nodes, length, device: torch.zeros(1, 1, len(nodes), length + len(nodes))  # noqa: E731
    monkeypatch.setattr(lk, "_block_mask", everything)
    with pytest.raises(InputError, match=r"ranking_cases.*does not heed"):
        lk.check_masking(student, [1, 2, 3], trie, 64)

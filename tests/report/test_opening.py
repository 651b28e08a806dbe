"""The first screen in words: question, answer, and what the claims rest on."""

from __future__ import annotations

from pathlib import Path

import pytest

from hw2tune.inference.evidence import Evidence
from hw2tune.inference.verdicts import BETTER, THE_SAME, UNDECIDED, Verdict
from hw2tune.report.claims import ClaimResult
from hw2tune.report.page.opening import answer_prose, basis_facts, opening_blocks
from hw2tune.report.results import StudyResults, compute
from hw2tune.report.study_data import read_study_data
from hw2tune.text.numbers import ranges
from tests.report.fake_study import write_fake_study


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> StudyResults:
    return compute(read_study_data(write_fake_study(tmp_path_factory.mktemp("results"), test_size=100)))


def claim(variant: str, against: str, word: str, *, within: bool = False) -> ClaimResult:
    found = {"variant": variant, "against": against}
    if word not in (BETTER, THE_SAME, UNDECIDED):
        return ClaimResult(**found, verdict=word, sentence="")
    verdict = Verdict(
        word=word, within=within, reached=None, same_reached=None, n=5, mean=0.0, sd=0.1, seeds_interval=None,
        two_way=None, e_value=None, p=None,
    )  # fmt: skip
    evidence = Evidence(**found, seeds=(), differences=[], worth=0.005)  # type: ignore[arg-type]
    return ClaimResult(**found, verdict=word, sentence="", evidence=evidence, result=verdict)


def asked(results: StudyResults, *claims: ClaimResult) -> tuple[str, str]:
    prose = answer_prose(StudyResults(**{**vars(results), "claims": list(claims)}))
    return prose.note, prose.paragraphs[0]


def test_the_answer_has_the_verdict_of_each_pair_decided_ones_first(results: StudyResults) -> None:
    question, answer = asked(
        results, claim("l2", "baseline", UNDECIDED), claim("tuned", "baseline", BETTER, within=True),
        claim("tuned", "tuned-no-l2", THE_SAME, within=True), claim("a", "b", UNDECIDED), claim("c", "d", "missing"),
    )  # fmt: skip
    assert question == "Which of 5 pairs of configurations differ, and how, for mnist_cnn on invented?"
    assert answer == (
        "Tuned is better than baseline by less than 0.5 points; tuned and tuned-no-l2 are the same within 0.5 points; "
        "undecided: 2 claims; missing: 1 claim."
    )


def test_the_question_names_the_pairs_of_a_few_claims(results: StudyResults) -> None:
    assert asked(results, claim("tuned", "baseline", BETTER)) == (
        "Which is better for mnist_cnn on invented: tuned or baseline?", "Tuned is better than baseline."
    )  # fmt: skip
    assert asked(results, claim("l2", "baseline", UNDECIDED), claim("a", "b", UNDECIDED), claim("c", "d", "missing"))[
        1
    ] == ("Undecided: l2 against baseline and a against b; missing: c against d.")


def test_what_the_claims_rest_on_is_summed_up(results: StudyResults) -> None:
    facts = dict(basis_facts(results).facts)
    assert facts["data"] == "invented: 4,000 train, 500 validation, 100 test"
    assert facts["split"] == "seed 0, checksum `11`"
    assert facts["network"] == "mnist_cnn, double softmax loss, 5 epochs"
    assert facts["budget"] == "10 trials, 34 epochs"
    assert facts["seeds"] == "search 0; claims 0 to 2"
    # 34 epochs and 12 x 5, 1.1 s each
    assert facts["compute"] == "1 min 43 s of training without the race, a processor, 2 cores"
    assert facts["made with"] == "hw2tune 0.1.0, commit `abc`, 2026-11-23"


def test_seeds_are_written_as_ranges() -> None:
    assert ranges([]) == "" and ranges([3]) == "3" and ranges([1, 2, 3, 5, 7, 8]) == "1 to 3, 5, 7 to 8"


def test_the_first_screen_has_answer_claims_basis_and_sentences_in_this_order(results: StudyResults) -> None:
    assert [block.name for block in opening_blocks(results)] == ["answer", "basis", "claims-text"]


def test_without_an_environment_the_basis_is_shorter(tmp_path: Path) -> None:
    folder = write_fake_study(tmp_path, seeds=0, trials=2)
    folder.environment.unlink()
    facts = dict(basis_facts(compute(read_study_data(folder))).facts)
    assert facts["seeds"] == "search 0; claims none yet" and "made with" not in facts

"""The files for a paper: every number from the records, several studies in one table, and a folder of their own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from hw2tune.errors import NotWritableError, PathError, StudyFolderError
from hw2tune.inference.verdicts import BETTER
from hw2tune.records.layout import StudyFolder
from hw2tune.records.trials.states import DIVERGED, FAILED_BY_ITSELF
from hw2tune.report.paper.claims_table import claims_tex
from hw2tune.report.paper.methods import methods_tex, references_bib
from hw2tune.report.paper.numbers import numbers_tex
from hw2tune.report.paper.write import marked, refuse_changed, write_paper
from hw2tune.report.results import StudyResults, compute
from hw2tune.report.study_data import read_study_data
from hw2tune.study.file import find_study, parse_study
from hw2tune.study.schema import Sampler
from tests.command_line import hw2tune
from tests.report.fake_study import write_fake_study

ODD = "we_ird & 50 % #1 {x} $y^2$ ~ \\ \u65e5\u672c"


def results_of(place: Path, **fake: object) -> StudyResults:
    return compute(read_study_data(write_fake_study(place, **fake)))


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory) -> StudyResults:
    return results_of(tmp_path_factory.mktemp("results"), trials=12, seeds=8)


def commands(text: str) -> dict[str, str]:
    found = re.findall(r"^\\newcommand\{\\([A-Za-z]+)\}\{(.*)\} % \S.*$", text, re.MULTILINE)
    assert len(found) == text.count(r"\newcommand"), text
    assert len(dict(found)) == len(found)
    return dict(found)


def test_each_number_is_a_command_with_its_value_from_the_records(quickstart):
    found = commands(numbers_tex([quickstart]))
    accuracies = [one.chosen.accuracy for one in quickstart.data.of("tuned")]
    assert found["quickstartTunedTestAccuracy"] == f"{100 * sum(accuracies) / 8:.2f}"
    assert found["quickstartTunedN"] == found["quickstartTunedMinusBaselineN"] == found["quickstartSeeds"] == "8"
    before = [one.chosen.accuracy for one in quickstart.data.of("baseline")]
    assert found["quickstartTunedMinusBaseline"] == rf"\ensuremath{{{100 * (sum(accuracies) - sum(before)) / 8:+.2f}}}"
    epochs = sum(
        len(path.read_text().splitlines()) for path in quickstart.data.overview.folder.root.glob("trials/*/result.json")
    )
    assert (found["quickstartTrials"], found["quickstartEpochs"]) == ("12", str(epochs))
    assert found["quickstartTrainImages"] == "4{,}000"
    assert found["quickstartLTwoWeightDecay"] == r"\ensuremath{10^{-4}}"
    assert found["quickstartTunedOptimizer"] == "adamw"


def test_bold_is_only_what_a_verdict_says(quickstart):
    rows = {row.partition(" &")[0].strip(): row for row in claims_tex([quickstart]).splitlines() if "$-$" in row}
    bold = {name for name, row in rows.items() if r"\textbf" in row}
    words = {f"{claim.variant} $-$ {claim.against}": claim.verdict for claim in quickstart.claims}
    assert rows.keys() == words.keys() and words["tuned $-$ baseline"] == BETTER
    assert bold == {name for name, word in words.items() if word in ("better", "worse")}
    low, high = (100 * end for end in quickstart.claims[1].result.interval)
    assert rf"\ensuremath{{{low:+.2f}}} to \ensuremath{{{high:+.2f}}} & 8 &" in rows["tuned $-$ baseline"]


def test_seeds_that_failed_are_told_with_the_table_and_are_numbers(quickstart):
    claim = next(one for one in quickstart.claims if (one.variant, one.against) == ("tuned", "baseline"))
    failed = replace(quickstart, claims=[replace(claim, evidence=replace(claim.evidence, failed=(2, 0)))])
    assert "tuned diverged or collapsed on 2 of 8 seeds, baseline on none." in claims_tex([failed])
    found = commands(numbers_tex([failed]))
    assert (found["quickstartTunedMinusBaselineFailed"], found["quickstartTunedMinusBaselineFailedAgainst"]) == (
        "2",
        "0",
    )
    sound = replace(quickstart, claims=[replace(claim, evidence=replace(claim.evidence, failed=(0, 0)))])
    assert "diverged" not in claims_tex([sound]) and "quickstartTunedMinusBaselineFailed" not in numbers_tex([sound])


def test_small_losses_are_numbers_with_a_power_of_ten(quickstart):
    claim = next(one for one in quickstart.claims if (one.variant, one.against) == ("tuned", "baseline"))
    small = replace(claim.evidence, metric="validation_loss", worth=2e-5)
    verdict = replace(claim.result, mean=3.4e-5, seeds_interval=(1e-5, 6e-5), two_way=(1e-5, 6e-5))
    table = replace(quickstart, claims=[replace(claim, evidence=small, result=verdict)])
    found = commands(numbers_tex([table]))
    name = "quickstartTunedMinusBaseline"
    assert found[name] == r"\ensuremath{-3.4\times 10^{-5}}"
    assert found[f"{name}Low"] == r"\ensuremath{-6\times 10^{-5}}"
    assert found[f"{name}High"] == r"\ensuremath{-1\times 10^{-5}}"
    assert found[f"{name}Worth"] == r"\ensuremath{2\times 10^{-5}}"
    row = next(row for row in claims_tex([table]).splitlines() if "$-$" in row)
    assert r"\ensuremath{-6\times 10^{-5}} to \ensuremath{-1\times 10^{-5}}" in row


def test_several_studies_make_one_table_and_no_command_twice(quickstart, tmp_path):
    other = results_of(tmp_path, trials=6, seeds=2, name="quick-start", max_epochs=2)
    both = [quickstart, other]
    assert claims_tex(both).count(r"\begin{tabularx}") == 1 and claims_tex(both).count("$-$") == 6
    assert r"\emph{quick-start} (invented, 500 test images)" in claims_tex(both)
    found = commands(numbers_tex(both))
    assert (found["quickstartMaxEpochs"], found["quickStartMaxEpochs"]) == ("5", "2")
    assert methods_tex(both).count(r"\paragraph{Data (quick-start).}") == 1
    assert methods_tex(both).count(r"\paragraph{Verdicts.}") == 1


def test_a_table_of_two_metrics_says_which_row_is_in_which(quickstart):
    in_loss = [
        replace(claim, evidence=replace(claim.evidence, metric="validation_loss")) for claim in quickstart.claims
    ]
    loss = replace(quickstart, claims=in_loss)
    rows = [line.strip() for line in claims_tex([quickstart, loss]).splitlines() if "$-$" in line]
    assert [row.partition(" &")[0] for row in rows[1::3]] == [
        "tuned $-$ baseline (test accuracy)", "tuned $-$ baseline (test loss)"
    ]  # fmt: skip
    assert "(test" not in claims_tex([loss]).partition(r"\midrule")[2]


def test_folders_with_any_name_have_files_and_labels_that_latex_finds(tmp_path):
    study = write_fake_study(tmp_path / "results", trials=6, seeds=0)
    odd = shutil.copytree(study.root, tmp_path / "results" / "50% of {quickstart} #1 ~")
    write_paper([study, StudyFolder(odd)], tmp_path / "paper")
    drawn = re.findall(r"\\includegraphics\[.*\]\{figures/(.+)\}", (tmp_path / "paper" / "figures.tex").read_text())
    assert sorted(drawn) == sorted(path.name for path in (tmp_path / "paper" / "figures").glob("*-column.pdf"))
    assert {name.partition("-search")[0] for name in drawn if "history" in name} == {
        "quickstart",
        "50-of-quickstart-1-",
    }
    labels = re.findall(r"\\label\{(.+)\}", (tmp_path / "paper" / "methods.tex").read_text())
    assert labels == ["tab:space-quickstart", "tab:space-50-of-quickstart-1-"]
    shutil.copytree(study.root, again := tmp_path / "results" / "50 of {quickstart} #1 ~")
    with pytest.raises(StudyFolderError, match=r"files of two of them would have one name; rename a study's folder$"):
        write_paper([StudyFolder(odd), StudyFolder(again)], tmp_path / "paper")


def test_the_space_of_a_study_with_arms_has_what_each_arm_changes(quickstart):
    study = parse_study(*find_study("mnist-l2"))
    overview = replace(quickstart.data.overview, study=study)
    text = methods_tex([replace(quickstart, data=replace(quickstart.data, overview=overview), claims=[])])
    rows = re.findall(r"^ +(.+, arm .+) & (.+) \\\\$", text, re.MULTILINE)
    assert rows == [
        ("weight decay, arm l2", r"\ensuremath{10^{-6}} to \ensuremath{0.1}, log-uniform"),
        ("weight decay, arm no-l2", "0"),
    ]


def test_a_disk_without_room_is_named_with_the_option_of_this_command(tmp_path, monkeypatch):
    study = write_fake_study(tmp_path / "results", trials=2, seeds=0)
    monkeypatch.setattr("hw2tune.report.outputs.SPACE", 10**18)
    with pytest.raises(PathError, match=r"^paper: .*a paper takes about .* MB are free; make room, .* with --to$"):
        write_paper([study], tmp_path / "paper")
    monkeypatch.undo()

    def full(path: Path, text: str) -> None:
        raise NotWritableError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr("hw2tune.report.paper.write.write_atomically", full)
    with pytest.raises(NotWritableError, match=r"/paper/numbers.tex: cannot .*; an earlier paper there stays as it"):
        write_paper([study], tmp_path / "paper")
    assert not (tmp_path / "paper").exists()


def test_methods_say_what_the_records_say_and_cite_what_the_bibliography_has(quickstart):
    text = " ".join(methods_tex([quickstart]).split())
    for said in (
        "4,000 training, 500 validation and 500 test images",
        r"Optuna~\cite{akiba2019optuna}", r"Ray Tune~\cite{liaw2018tune}", r"PyTorch~\cite{paszke2019pytorch}",
        r"asynchronous successive halving~\cite{li2020system} on the best value so far, from epoch 1 on, with "
        "reduction factor 3",
        "The best 2 trials of the search raced",
        "The variants baseline, l2, tuned and tuned-no-l2 were trained on the 8 seeds 0 to 7.",
        r"batch size & 32, 64, 100, 128, 256 \\",
        "Python 3.11.7 with hw2tune 0.1.0, torch 2.15.0, ray 2.60.0 and optuna 5.0.0",
    ):  # fmt: skip
        assert said in text, said
    cited = set(re.findall(r"\\cite\{(\w+)\}", text))
    assert set(re.findall(r"^@\w+\{(\w+),", references_bib(text), re.MULTILINE)) == cited
    assert "Neither the search nor the race used these seeds." not in text  # the invented race had some of them


def test_methods_say_which_trials_a_rung_compares_where_the_space_has_rates_that_rise(quickstart):
    sentence = "Trials whose learning rate still rose were compared with each other alone."
    assert sentence not in methods_tex([quickstart])
    schedule = parse_study(*find_study("cifar10-plus")).space["schedule"]
    space = {**quickstart.data.overview.study.space, "schedule": schedule}
    assert sentence in methods_tex([with_study(quickstart, space=space)])


def test_methods_say_what_drew_also_where_it_was_a_sampler_of_an_earlier_version(quickstart):
    sentence = "A draw was kept with the square of its probability to train without failing"
    rows = quickstart.data.overview.rows
    fine = [row for row in rows if row.state not in FAILED_BY_ITSELF]
    failed = [*fine[:-1], replace(fine[-1], state=DIVERGED)]
    for name, said in (
        ("tpe", r"by the tree-structured Parzen estimator~\cite{bergstra2011algorithms}, with seed 0"),
        ("random", "by independent random draws, with seed 0"),
        (
            "guided",
            r"by the sampler \texttt{guided} of an earlier version, which drew anywhere in the space, near a good",
        ),
    ):
        with_failure, without = (
            " ".join(methods_tex([with_study(quickstart, some, sampler=Sampler(name=name))]).split())
            for some in (failed, fine)
        )
        assert said in with_failure and said in without
        assert (sentence in with_failure) == (name == "tpe") and sentence not in without


def with_study(results, rows=None, **update):
    data, overview = results.data, results.data.overview
    changed = replace(overview, study=overview.study.model_copy(update=update), rows=rows or overview.rows)
    return replace(results, data=replace(data, overview=changed))


def test_a_study_without_replicates_gives_what_there_is_and_says_so(tmp_path):
    write_fake_study(tmp_path / "ray_results", trials=2, seeds=0)
    told = hw2tune("paper", "quickstart", "--to", "paper", cwd=tmp_path)
    assert (told.returncode, told.stderr) == (0, "")
    assert (
        "note:    quickstart has no replicates, so no claim was tested; `hw2tune summarize quickstart` trains them\n"
        in told.stdout
    )
    paper = tmp_path / "paper"
    assert sorted(path.name for path in paper.iterdir()) == [
        "checklist.md", "claims.tex", "example.tex", "figures", "figures.tex", "methods.tex", "numbers.tex",
        "references.bib",
    ]  # fmt: skip
    assert r"tuned $-$ baseline & -- & -- & -- & missing \\" in (paper / "claims.tex").read_text()
    history = "quickstart-search-history-"
    widths = {
        path.stem.removeprefix(history): re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", path.read_bytes())
        for path in paper.glob(f"figures/{history}*.pdf")
    }
    assert {name: float(found[1]) / 72 for name, found in widths.items()} == {"column": 3.25, "page": 6.75}
    fonts = (paper / "figures" / "quickstart-search-history-column.pdf").read_bytes()
    assert b"/FontFile2" in fonts and b"/Type3" not in fonts


def test_a_text_that_was_changed_by_hand_is_not_written_over(tmp_path):
    study = write_fake_study(tmp_path / "results", trials=0, seeds=0)
    for name, text in (("methods.tex", "Methods.\n"), ("checklist.md", "# Checklist\n")):
        (tmp_path / name).write_text(marked(name, text))
    refuse_changed(tmp_path)  # as written
    (tmp_path / "methods.tex").write_text((tmp_path / "methods.tex").read_text().replace("Methods", "My methods"))
    with pytest.raises(PathError) as refused:
        write_paper([study], tmp_path)
    assert str(refused.value) == (
        f"--to {tmp_path}: methods.tex was changed since hw2tune wrote it; rename it, or name another folder"
    )


def test_figures_of_studies_that_are_no_longer_named_go_and_a_file_of_the_users_stays(tmp_path):
    first, second = (write_fake_study(tmp_path / "results", name=name, trials=3, seeds=0) for name in ("one", "two"))
    write_paper([first, second], tmp_path / "paper")
    own = tmp_path / "paper" / "figures" / "two-claims-mine.pdf"
    own.write_text("mine")
    names = {path.name for path in own.parent.iterdir()}
    assert {"one-search-history-page.pdf", "two-search-history-page.pdf"} < names
    write_paper([first], tmp_path / "paper")
    assert {path.name for path in own.parent.iterdir()} == {n for n in names if n.startswith("one-")} | {own.name}


def test_a_folder_with_other_files_and_a_study_that_cannot_be_written_about_are_refused(tmp_path):
    study = write_fake_study(tmp_path / "results", trials=0, seeds=0)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "main.tex").write_text("mine")
    with pytest.raises(PathError) as refused:
        write_paper([study], tmp_path / "thesis")
    assert str(refused.value) == (
        f"--to {tmp_path}/thesis: holds no paper but main.tex, and a paper is not mixed with other files; name a new "
        "or an empty folder"
    )
    with pytest.raises(StudyFolderError) as refused:
        write_paper([study], tmp_path / "new")
    assert str(refused.value) == (
        f"{study.root}: no trial of `quickstart` has finished, so there is nothing to report; "
        "`hw2tune study quickstart` runs it"
    )
    with pytest.raises(StudyFolderError, match=r"^quickstart: named twice; name each study once$"):
        write_paper([study, study], tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.matrix
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs LaTeX, which .ci/nightly installs")
def test_a_document_of_all_texts_compiles_without_a_complaint(tmp_path):
    claims = [
        {"a": "tuned", "b": "baseline"},
        {"a": "tuned", "b": {"of": "tuned", "with": {"weight_decay": 0.0}, "name": "we_ird--v__1.0"}, "sentence": ODD},
    ]
    studies = [
        write_fake_study(tmp_path, trials=12, seeds=4),
        write_fake_study(tmp_path, trials=12, seeds=0, name="endless_study-2", claims=claims),
    ]
    record = studies[0].datasets[0]
    record.write_text(json.dumps(json.loads(record.read_text()) | {"label": ODD}))
    assert compile_paper([StudyFolder(one.root) for one in studies], tmp_path / "paper") == []


def compile_paper(studies: list[StudyFolder], to: Path) -> list[str]:
    """Return what LaTeX and BibTeX complain about: errors, what is undefined, and boxes more than 10 pt too wide."""
    write_paper(studies, to)
    latex = ["pdflatex", "-interaction=nonstopmode", "example"]
    for command in (latex, ["bibtex", "example"], latex, latex):
        ended = subprocess.run(command, cwd=to, capture_output=True, encoding="utf-8", errors="replace", check=False)
        if command[0] == "bibtex":
            bibliography = re.findall("^.*(?:Warning|error).*$", ended.stdout, re.MULTILINE)
    wide = [
        line
        for line in re.findall(r"^Overfull .*$", ended.stdout, re.MULTILINE)
        if float(line.split()[2].strip("(pt")) > 10
    ]
    return bibliography + wide + re.findall("^(?:!|.*(?:undefined|multiply)).*$", ended.stdout, re.MULTILINE)

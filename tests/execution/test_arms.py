"""A study with arms: one search after the other, each in its folder, under one lock; killed, continued, extended."""

import csv
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from optuna import get_all_study_summaries
from rich.console import Console

from hw2tune.api import check_study
from hw2tune.errors import Hw2tuneError, NoTrialFinishedError, StudyFileError, StudyFolderError
from hw2tune.events import Listeners, Noted, StudyStarted
from hw2tune.execution import cleaning
from hw2tune.execution.preflight import batch_sizes
from hw2tune.execution.request import Connection, Request
from hw2tune.export.trained import find_model
from hw2tune.integrations.dashboard.folders import ShownFolders
from hw2tune.records.layout import StudyFolder
from hw2tune.records.lock import locked, owner_of, this_process
from hw2tune.records.overview import find_folder, read_overview, with_searches, without_rows
from hw2tune.records.remote.mirror import owner_at
from hw2tune.records.trials.states import DIVERGED, FAILED
from hw2tune.replication.rerun import rerun_trial
from hw2tune.report.compare import compare_studies, extent
from hw2tune.resources import ResourceRequest
from hw2tune.search.driver import Assignment, EpochResult, Outcome, RunEnd
from hw2tune.search.failures import Failure
from hw2tune.study.file import find_study, parse_study
from hw2tune.study_result import StudyResult
from hw2tune.study_run import _asks_for_less, run_on
from hw2tune.terminal.models import print_comparison
from hw2tune.terminal.tables import print_status, print_studies, status_rows, status_title
from hw2tune.terminal.upkeep import _line
from tests.execution.test_run import OneMachine

FILE = """
name = "sides"
dataset = "synthetic-mnist"
model = "mnist_cnn"
max_epochs = 1
validation_size = 100
trials = 3
sampler = "random"
pruner = "none"
[space]
learning_rate = { low = 1e-4, high = 1e-1, log = true }
batch_size = 32
optimizer = "adam"
weight_decay = { low = 1e-6, high = 1e-1, log = true, or_zero = true }
[arms.l2]
weight_decay = { low = 1e-6, high = 1e-1, log = true }
[arms.no-l2]
weight_decay = 0.0
"""


class KilledError(Exception):
    pass


class Scripted(Connection):
    """A connection to a machine without Ray."""

    def cluster(self, meanwhile=""):
        return OneMachine(resources=self.resources)


class Executor:
    """Trains nothing: an epoch of one `validation_accuracy` for each trial, noted by the folder of its search."""

    def __init__(self, dies_at=None, ends_at=None, accuracy=0.5):
        self.trained, self.dies_at, self.ends_at, self.accuracy = [], dies_at, ends_at, accuracy

    def __call__(self, driver, **_):
        while isinstance(given := driver.next(), Assignment):
            folder = driver.recorder.folder
            if len(self.trained) == self.dies_at:
                raise KilledError  # as kill -9: nothing is written any more
            if len(self.trained) == self.ends_at:
                return RunEnd.OUT_OF_TIME
            own = StudyFolder(folder.root.parents[1]) if folder.root.parent.name == "arms" else folder
            assert owner_of(own) is not None, "the study itself is locked as well"
            self.trained.append((folder.name, given.trial, given.hyperparameters))
            record = {"epoch": 1, "validation_accuracy": self.accuracy, "images_per_second": 1.0, "epoch_seconds": 0.1}
            driver.epoch(given.trial, EpochResult(record=record, checkpoint=b""))
            driver.ended(given.trial, Outcome(machine="a"))
        return RunEnd.COMPLETE

    @property
    def order(self):
        return [(name, number) for name, number, _ in self.trained]


def run(tmp_path, execute, text=FILE, listeners=(), **options):
    tmp_path.mkdir(parents=True, exist_ok=True)
    (tmp_path / "sides.toml").write_text(text)
    request = Request(study=str(tmp_path / "sides.toml"), results=tmp_path / "results", **options)
    tell = Listeners(listeners)
    with Scripted(ResourceRequest(concurrency=1), tell) as connection:
        return run_on(connection, request, tell, execute=execute)


EACH = [("sides/l2", 0), ("sides/l2", 1), ("sides/l2", 2), ("sides/no-l2", 0), ("sides/no-l2", 1), ("sides/no-l2", 2)]


def test_each_arm_is_searched_in_its_folder_on_the_same_seed_and_budget(tmp_path):
    execute, plans = Executor(), []
    result = run(tmp_path, execute, listeners=[lambda event: plans.append(event)])
    assert execute.order == EACH and result.end is RunEnd.COMPLETE and result.state == "complete"
    assert [params["weight_decay"] for name, _, params in execute.trained if name == "sides/no-l2"] == [0.0] * 3
    assert all(params["weight_decay"] > 0 for name, _, params in execute.trained if name == "sides/l2")
    assert [event.study.seed for event in plans if isinstance(event, StudyStarted)] == [0, 0]
    arms = tmp_path / "results" / "sides" / "arms"
    assert sorted(path.parent.name for path in arms.glob("*/optuna.journal")) == ["l2", "no-l2"]
    assert not (tmp_path / "results" / "sides" / "optuna.journal").exists()


def test_a_run_killed_in_the_second_arm_goes_on_there_and_a_complete_one_trains_nothing(tmp_path):
    with pytest.raises(KilledError):
        run(tmp_path, Executor(dies_at=4))
    overview = read_overview(StudyFolder(tmp_path / "results" / "sides"))
    assert (overview.state, overview.done, overview.extent) == ("interrupted", 4, (6, "trials"))
    assert [search.state for search in overview.searches] == ["complete", "interrupted"]
    again, third = Executor(), Executor()
    run(tmp_path, again)
    assert again.order == EACH[4:]
    assert run(tmp_path, third).state == "complete" and third.order == []


def test_the_dashboard_follows_a_study_with_arms_while_it_runs(tmp_path):
    results, found, told = tmp_path / "results", [], []
    shown = ShownFolders(results)

    class Watched(Executor):
        def __call__(self, driver, **options):
            shown()
            attributes = {one.study_name: one.user_attrs for one in get_all_study_summaries(shown.storage)}
            found.append((attributes["sides"]["finished"], attributes["sides"]["best"]))
            told.append(read_overview(StudyFolder(results / "sides")))
            return super().__call__(driver, **options)

    run(tmp_path, Watched())
    assert [(f"{one.done} of {one.extent[0]} trials", one.running is not None) for one in told] == [
        ("0 of 6 trials", True),
        ("3 of 6 trials", True),
    ]
    assert found == [("0 of 6 trials", "\N{EN DASH}"), ("3 of 6 trials", "50.00 % (trial 0 of l2)")]


def test_the_best_trial_of_all_arms_is_the_same_in_each_format_with_its_arm(tmp_path, capsys):
    class Unequal(Executor):
        def __call__(self, driver, **options):
            self.accuracy = 0.7 if driver.recorder.folder.root.name == "no-l2" else 0.5
            return super().__call__(driver, **options)

    run(tmp_path, Unequal())
    overview = read_overview(StudyFolder(tmp_path / "results" / "sides"))
    print_studies([overview], {}, Console(), "csv", "")
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    print_studies([overview], {}, Console(), "json", "")
    (content,) = json.loads(capsys.readouterr().out)
    assert (content["best"]["value"], content["best"]["number"], content["best_arm"]) == (0.7, 0, "no-l2")
    assert (row["best"], row["best_trial"], row["best_arm"]) == ("0.7", "0", "no-l2")
    assert [(one["best"]["value"], one["best_arm"]) for one in content["searches"]] == [(0.5, None), (0.7, None)]
    assert "best 70.00 % (#0 of no-l2)" in _line(overview)
    result = StudyResult(overview)
    assert result.best is not None and (result.best.value, result.best.number) == (0.7, 0)
    assert repr(result).endswith("6 trials finished, best validation_accuracy 0.7000 (#0 of no-l2)>")


def test_in_python_the_trials_and_epochs_of_arms_have_the_names_of_their_searches(tmp_path):
    trials, epochs = (result := run(tmp_path, Executor(), overrides={"searches": 2})).trials, result.epochs
    named = [(search, number) for search in ("l2", "no-l2", "l2.2", "no-l2.2") for number in range(3)]
    assert list(zip(trials["search"], trials["number"], strict=True)) == named
    assert list(trials.columns)[:2] == ["search", "number"] and trials["epochs"].sum() == 12
    assert list(zip(epochs["search"], epochs["trial"], strict=True)) == named
    assert list(epochs.columns)[:4] == ["search", "trial", "epoch", "train_loss"]
    begun = StudyResult(with_searches(without_rows(StudyFolder(tmp_path / "other"), result.study)))
    assert list(begun.trials.columns)[:2] == ["search", "number"] and begun.trials.empty
    assert list(begun.epochs.columns) == list(epochs.columns) and begun.epochs.empty


def test_a_run_out_of_time_begins_no_further_arm(tmp_path):
    execute = Executor(ends_at=2)
    assert run(tmp_path, execute).end is RunEnd.OUT_OF_TIME and execute.order == EACH[:2]


def test_further_searches_come_arm_by_arm_each_on_a_seed_of_its_own_and_may_be_asked_for_later(tmp_path):
    run(tmp_path, Executor())
    execute, plans = Executor(), []
    run(tmp_path, execute, overrides={"searches": 3}, listeners=[lambda event: plans.append(event)])
    names = list(dict.fromkeys(name for name, _ in execute.order))
    assert names == ["sides/l2.2", "sides/no-l2.2", "sides/l2.3", "sides/no-l2.3"]
    seeds = [event.study.seed for event in plans if isinstance(event, StudyStarted)]
    assert seeds == [10_000, 10_000, 20_000, 20_000]
    overview = read_overview(StudyFolder(tmp_path / "results" / "sides"))
    assert [one.folder.root.name for one in overview.searches_of("l2")] == ["l2", "l2.2", "l2.3"]


def test_more_trials_are_searched_in_every_arm_and_an_arm_may_be_added_but_not_changed(tmp_path):
    run(tmp_path, Executor())
    execute = Executor()
    run(tmp_path, execute, overrides={"trials": 4})
    assert execute.order == [("sides/l2", 3), ("sides/no-l2", 3)]
    added = Executor()
    run(tmp_path, added, FILE + "[arms.weak]\nweight_decay = 1e-4\n", overrides={"trials": 4})
    assert {name for name, _ in added.order} == {"sides/weak"}
    with pytest.raises(StudyFolderError) as refusal:
        run(tmp_path, Executor(), FILE.replace("weight_decay = 0.0", "weight_decay = 1e-4"))
    assert "holds a different study (arms.no-l2.weight_decay: {0.0} -> {0.0001})" in str(refusal.value)
    without = FILE.partition("[arms.l2]")[0]
    with pytest.raises(StudyFolderError, match=r"holds a different study \(arms: l2, no-l2, weak -> none\)"):
        run(tmp_path, Executor(), without)


def test_an_arm_that_was_removed_comes_back_as_it_was_or_not_at_all(tmp_path):
    run(tmp_path, Executor())
    kept = FILE.partition("[arms.no-l2]")[0]
    other = "[arms.weak]\nweight_decay = 1e-4\n"
    run(tmp_path, Executor(), kept + other)
    folder, execute = StudyFolder(tmp_path / "results" / "sides"), Executor()
    before = folder.study_file.read_bytes()
    with pytest.raises(StudyFolderError) as refusal:
        run(tmp_path, execute, kept + "[arms.new]\nweight_decay = 1e-3\n[arms.no-l2]\nweight_decay = 1e-5\n")
    assert str(refusal.value) == (
        f"{folder.arms / 'no-l2'}: holds a different study (space.weight_decay.choices: [0.0] -> [1e-05]); give the "
        "arm another name, or move it aside with --fresh"
    )
    assert execute.order == [] and folder.study_file.read_bytes() == before, "before the new arm is searched"
    run(tmp_path, execute, FILE)
    assert execute.order == []


def test_an_arm_that_another_process_summarizes_by_itself_keeps_the_study_waiting(tmp_path):
    run(tmp_path, Executor())
    arm = StudyFolder(tmp_path / "results" / "sides" / "arms" / "no-l2")
    with locked(arm):
        for options in ({"fresh": True}, {"overrides": {"trials": 4}}):
            execute = Executor()
            with pytest.raises(StudyFolderError, match=f"{arm.root}: process .* runs this study"):
                run(tmp_path, execute, **options)
            assert execute.order == []
        assert owner_at(tmp_path / "results", "sides/no-l2") == this_process(), "so that `stop sides/no-l2` ends it"


def test_a_warm_start_that_does_not_fit_an_arm_is_refused_before_the_first_is_searched(tmp_path):
    pilot = FILE.partition("[arms.l2]")[0].replace('"sides"', '"pilot"').replace(", or_zero = true", "")
    run(tmp_path, Executor(), pilot.replace("trials = 3", "trials = 2"))
    execute, results = Executor(), tmp_path / "results"
    with pytest.raises(StudyFolderError) as refusal:
        run(tmp_path, execute, warm_start="pilot")
    assert str(refusal.value) == (
        "--warm-start pilot: none of its 2 trials that have a value or failed by themselves lies in the space "
        "of no-l2; name another study, or leave --warm-start out"
    )
    assert not (results / "sides").exists() and execute.order == []
    run(tmp_path, execute)
    with pytest.raises(StudyFolderError) as refusal:
        run(tmp_path, Executor(), pilot.replace('"pilot"', '"next"'), warm_start="sides")
    assert str(refusal.value) == "--warm-start sides: has its trials in arms; use one of sides/l2, sides/no-l2"
    run(tmp_path, Executor(), pilot.replace('"pilot"', '"next"'), warm_start="sides/l2")
    assert (results / "next" / "warm-start.json").exists()


def test_arms_have_the_same_budget_also_where_a_run_asks_for_less_than_one_before(tmp_path):
    folder, execute = StudyFolder(tmp_path / "results" / "sides"), Executor()
    run(tmp_path, Executor())
    run(tmp_path, Executor(ends_at=2), overrides={"trials": 6})  # ended with five trials in the first arm
    refused = (
        f"{folder.root}: arms are compared on the same budget, and some may have had more than 3 trials here; use "
        "--trials 6 or more"
    )
    for text in (FILE, FILE + "[arms.weak]\nweight_decay = 1e-4\n"):
        with pytest.raises(StudyFolderError) as refusal:
            run(tmp_path, execute, text)
        assert str(refusal.value) == refused and execute.order == []
        run(tmp_path, Executor(), overrides={"trials": 6})
    other = FILE.replace("trials = 3", "trials = 3\nreplicates = 7")
    assert run(tmp_path, execute, other).state == "complete" and execute.order == []
    assert (read_overview(folder).study.trials, read_overview(folder).study.replicates) == (6, 7)


@pytest.mark.parametrize(
    ("had", "asked", "less"),
    [
        ({"trials": 12}, {"trials": 11}, True),
        ({"trials": 12}, {"budget": 4}, False),  # 20 epochs, and an arm has had 18
        ({"trials": 12}, {"budget": 3}, True),
        ({"budget": 11}, {"trials": 9}, False),  # as many as an arm has begun
        ({"budget": 11}, {"trials": 8}, True),
        ({"budget": 11}, {"budget": 10}, True),
    ],
)
def test_what_arms_have_had_is_compared_with_what_is_asked_for_in_its_own_unit(had, asked, less):
    before, study = (parse_study(*find_study("quickstart"), overrides=one) for one in (had, asked))
    searches = [SimpleNamespace(rows=[SimpleNamespace(epochs_spent=2)] * trials) for trials in (9, 7)]
    assert _asks_for_less(SimpleNamespace(study=before, searches=searches), study) == less


@pytest.mark.parametrize("file", [FILE, FILE[: FILE.index("[arms")]], ids=["arms", "one search"])
def test_more_trials_than_a_spent_budget_allows_are_said_to_begin_none(tmp_path, file):
    file, notes = file.replace("trials = 3", "budget = 3"), []
    run(tmp_path, Executor(), file)
    for trials, said in ((5, 1), (3, 0), (None, 0)):
        notes.clear()
        execute = Executor()
        run(tmp_path, execute, file, [notes.append], overrides={"trials": trials})
        texts = [one.text for one in notes if isinstance(one, Noted)]
        assert (
            execute.order == []
            and texts
            == [
                "--trials 5 begins no further one, as the study's budget of 3 trainings is spent; a larger --budget "
                "continues it"
            ][:said]
        )


def test_a_space_that_is_used_up_is_not_said_to_be_a_spent_budget(tmp_path):
    file, notes = FILE[: FILE.index("[space]")].replace("trials = 3", "budget = 9"), []
    file += '[space]\nlearning_rate = [1e-3, 1e-2]\nbatch_size = 32\noptimizer = "adam"\nweight_decay = 0.0\n'
    run(tmp_path, Executor(), file)
    run(tmp_path, Executor(), file, [notes.append], overrides={"trials": 5})
    assert [one.text for one in notes if isinstance(one, Noted) and "--trials" in one.text] == []


def test_fresh_sets_the_study_aside_with_all_its_arms(tmp_path):
    run(tmp_path, Executor())
    execute = Executor()
    run(tmp_path, execute, fresh=True)
    assert execute.order == EACH
    [aside] = (tmp_path / "results" / "set-aside").iterdir()
    assert sorted(path.parent.name for path in aside.glob("arms/*/optuna.journal")) == ["l2", "no-l2"]


def test_an_arm_is_found_by_its_name_behind_the_studys(tmp_path):
    run(tmp_path, Executor())
    results = tmp_path / "results"
    assert len(read_overview(find_folder(results, "sides/no-l2")).rows) == 3
    with pytest.raises(StudyFolderError) as refusal:
        find_folder(results, "sides/l1")
    assert str(refusal.value) == f"{results}/sides: no arm `l1`; it has l2, no-l2"
    for trial in results.glob("sides/arms/*/trials/*"):
        (trial / "best.npz").touch()  # so that last.pt can go
    of_study, of_arm = (cleaning.find(results, [name]) for name in ("sides", "sides/no-l2"))
    assert [(one.study, one.count) for one in of_study.found] == [("sides", 6)]  # last.pt of the arms' trials
    assert [(one.study, one.count) for one in of_arm.found] == [("sides/no-l2", 3)]
    assert [one.count for one in cleaning.remove(of_arm).found] == [3]
    assert [(one.study, one.count) for one in cleaning.find(results, ["sides"]).found] == [("sides", 3)]


def test_an_arms_own_file_is_no_study_and_a_trial_is_of_one_arm(tmp_path):
    run(tmp_path, Executor())
    results = tmp_path / "results"
    file = results / "sides" / "arms" / "l2" / "study.toml"
    with pytest.raises(StudyFolderError) as refusal:
        check_study(Request(study=str(file), results=results))
    assert str(refusal.value) == f"{file}: is of an arm; name its study, sides, which runs all of them"
    with pytest.raises(StudyFolderError) as refusal:
        rerun_trial("sides", 1, results_dir=results)
    assert str(refusal.value) == f"{results / 'sides'}: has its trials in arms; add --arm and one of l2, no-l2"


class Failing(Executor):
    """As its parent, but each trial of one search fails."""

    def __init__(self, search, state):
        super().__init__()
        self.search, self.state = search, state

    def __call__(self, driver, **options):
        if driver.recorder.folder.name != self.search:
            return super().__call__(driver, **options)
        while isinstance(given := driver.next(), Assignment):
            driver.ended(given.trial, Outcome(failure=Failure(state=self.state, reason=f"{self.state} in epoch 1")))
        return driver.ending or RunEnd.COMPLETE


def test_a_search_of_which_every_trial_failed_is_named_with_the_way_to_repeat_it(tmp_path):
    with pytest.raises(NoTrialFinishedError) as failed:
        run(tmp_path, Failing("sides/l2", FAILED))
    root = tmp_path / "results" / "sides" / "arms" / "l2"
    assert str(failed.value) == (
        f"{root}: every one of 3 trials failed, the last one `failed in epoch 1`; hw2tune status sides/l2 shows each; "
        f"correct the cause, move {root} away, and `hw2tune study sides` searches again"
    )
    with pytest.raises(NoTrialFinishedError):
        run(tmp_path, Executor())
    root.rename(tmp_path / "away")
    assert run(tmp_path, Executor()).state == "complete"


def test_a_search_of_which_every_trial_diverged_is_a_result_and_the_study_goes_on(tmp_path):
    notes = []
    for _ in range(2):
        result = run(tmp_path, Failing("sides/l2", DIVERGED), listeners=[lambda event: notes.append(event)])
        assert result.state == "complete" and result.end is RunEnd.COMPLETE
        assert [len(one.finished) for one in result.overview.searches] == [3, 3]
    told = (
        f"{tmp_path / 'results' / 'sides' / 'arms' / 'l2'}: every trial diverged; the search counts, as one that failed"
    )
    assert [event.text for event in notes if isinstance(event, Noted)] == [told]


def test_after_a_sound_arm_more_trials_of_another_may_diverge_than_end_a_run(tmp_path):
    more = {"trials": 7}
    result = run(tmp_path / "one", Failing("sides/no-l2", DIVERGED), overrides=more)
    assert [len(one.finished) for one in result.overview.searches] == [7, 7]
    for search, state in (("sides/l2", DIVERGED), ("sides/no-l2", FAILED)):  # nothing is sound yet; no divergence
        with pytest.raises(NoTrialFinishedError, match=": 5 trials in a row failed in the same way"):
            run(tmp_path / search, Failing(search, state), overrides=more)


def test_a_second_run_that_ends_in_a_common_failure_does_not_call_its_trials_the_first_of_the_study(tmp_path):
    for ended in (5, 10):
        with pytest.raises(NoTrialFinishedError) as failed:
            run(tmp_path, Failing("sides/l2", DIVERGED), overrides={"trials": 12})
        root = tmp_path / "results" / "sides" / "arms" / "l2"
        assert len(read_overview(StudyFolder(root)).finished) == ended
        assert str(failed.value) == (
            f"{root}: 5 trials in a row failed in the same way, the last one `diverged in epoch 1`. Mend the cause, "
            "and the same command goes on; a change of the study file or its code needs --fresh"
        )


def test_the_terminal_shows_each_arm(tmp_path, capsys):
    with pytest.raises(KilledError):
        run(tmp_path, Executor(dies_at=2))
    overview = read_overview(StudyFolder(tmp_path / "results" / "sides"))
    assert status_title(overview) == "sides: interrupted, 2 of 6 trials finished"
    assert [cells[:5] for cells in status_rows(overview)] == [
        ("l2", "interrupted", "2/3", "50.00 %", "#0"),
        ("no-l2", "not begun", "0/3", "-", "-"),
    ]
    counts = overview.as_json()
    assert (counts["trials_planned"], counts["trials_finished"]) == (6, 2)
    assert [one["name"] for one in counts["searches"]] == ["sides/l2", "sides/no-l2"]
    with pytest.raises(Hw2tuneError) as refusal:
        print_status(overview, Console(), "csv")
    assert str(refusal.value) == "sides: has a table of trials for each arm; add --arm and one of l2, no-l2"


def test_a_comparison_counts_the_trials_of_all_arms(tmp_path):
    run(tmp_path, Executor())
    found = compare_studies("sides", "sides/l2", results_dir=tmp_path / "results")
    assert [extent(data) for data in (found.a, found.b)] == ["6 (complete), 6 epochs", "3 (complete), 3 epochs"]
    assert [(one["trials"], one["epochs"]) for one in found.as_json()["studies"]] == [(6, 6), (3, 3)]


def test_a_comparison_has_the_best_trial_of_all_arms(tmp_path):
    run(tmp_path, Executor())
    found = compare_studies("sides", "sides/l2", results_dir=tmp_path / "results")
    a, b = (one["best"]["value"] for one in found.as_json()["studies"])
    print_comparison(found, Console(file=(out := io.StringIO()), width=200))
    (line,) = (line for line in out.getvalue().splitlines() if line.startswith("best"))
    assert a == b == 0.5
    assert "50.00 % (#0 of l2, epoch 1 of 1)" in line and "50.00 % (#0, epoch 1 of 1)" in line


def test_check_counts_the_cost_of_every_search_that_is_left(tmp_path):
    (tmp_path / "sides.toml").write_text(FILE)
    request = Request(study=str(tmp_path / "sides.toml"), results=tmp_path / "results")
    plan, whole, _ = check_study(request)
    _, more, _ = check_study(replace(request, overrides={"searches": 3}))
    # 5 seeds of two winners and a race of one finalist in each arm; 3 searches of each arm, on a seed each.
    first = whole.replicates.each[0]
    assert (first.seeds, first.trainings) == (5, 5 * 2 + 2 * 2)
    assert [(one.seeds, one.trainings, one.smallest) for one in more.replicates.each] == [(3, 3 * 2 + 6 * 2, None)]
    assert more.full_seconds == pytest.approx(3 * whole.full_seconds) and plan.study.arms
    run(tmp_path, Executor(ends_at=4))
    _, left, _ = check_study(request)
    assert (left.epoch_seconds, left.source) == (0.1, "measured in this study")  # in the first arm
    each = whole.full_seconds / (whole.epoch_seconds + 0.04)  # of a second from epoch to epoch
    assert left.full_seconds == pytest.approx(2 / 6 * each * 0.14, rel=1e-6)


def test_results_behind_a_url_are_refused(tmp_path):
    (tmp_path / "sides.toml").write_text(FILE)
    request = Request(study=str(tmp_path / "sides.toml"), results=f"file://{tmp_path}/store")
    with Scripted(ResourceRequest(), Listeners()) as connection:
        for command in (check_study, lambda request: run_on(connection, request, Listeners())):
            with pytest.raises(StudyFolderError) as refusal:
                command(request)
            assert str(refusal.value).endswith(
                "/store: a study with arms is not kept behind a URL; name a folder with --results-dir"
            )


def test_a_sampler_must_serve_each_arm_and_need_not_serve_the_whole_space(tmp_path):
    """`grid` goes through no range of real numbers: the space has one, which arms may fix."""
    space = FILE.partition("[arms.l2]")[0].replace('"random"', '"grid"').partition("weight_decay")[0]
    execute = Executor()
    with pytest.raises(StudyFileError, match=r"sampler: grid .* space.learning_rate is a range of real numbers"):
        run(tmp_path, execute, space + "[arms.high]\nlearning_rate = 0.1\n[arms.any]\n")
    assert execute.order == [] and not (tmp_path / "results").exists()
    run(tmp_path, execute, space + "[arms.high]\nlearning_rate = 0.1\n[arms.low]\nlearning_rate = [0.01, 0.02]\n")
    assert execute.order == [("sides/high", 0), ("sides/low", 0), ("sides/low", 1)]


def test_the_network_is_tried_with_what_an_arm_fixes():
    study = parse_study(FILE + "batch_size = 1000\n", "sides.toml")
    assert batch_sizes(study) == [32, 1000]


def test_a_study_file_with_an_arm_that_is_none_says_why(tmp_path):
    wrong = FILE.replace("weight_decay = 0.0", "momentum = [0.5, 0.9]")
    with pytest.raises(StudyFileError, match=r"arms.no-l2.momentum: not in \[space\]; narrow what is searched there"):
        run(tmp_path, Executor(), wrong)


def test_the_network_of_a_study_with_arms_is_that_of_one_arm(tmp_path):
    run(tmp_path, Executor())
    with pytest.raises(StudyFolderError) as refusal:
        find_model(tmp_path / "results", "sides")
    assert str(refusal.value) == "sides: the network of which arm? name one of `l2` and `no-l2` with --arm"
    with pytest.raises(StudyFolderError, match=r"sides/arms/no-l2/trials/1/best.npz: the weights of trial 1 after"):
        find_model(tmp_path / "results", "sides", arm="no-l2", trial=1)  # the executor has left no weights


def test_the_dashboard_shows_each_arm_as_a_study(tmp_path):
    run(tmp_path, Executor())
    shown = ShownFolders(tmp_path / "results")
    assert [folder.name for folder in shown()] == ["sides", "sides/l2", "sides/no-l2"]
    studies = {one.study_name: one for one in get_all_study_summaries(shown.storage)}
    assert [studies[name].n_trials for name in ("sides", "sides/l2", "sides/no-l2")] == [0, 3, 3]
    assert studies["sides"].user_attrs["finished"] == "6 of 6 trials"

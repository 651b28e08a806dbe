"""CSV and JSON: raw numbers that a program reads back as they were."""

import csv
import io
import json

import pytest

from hw2tune.data.load import list_datasets
from hw2tune.execution.machine import this_machine
from hw2tune.records.overview import read_overview
from tests import command_line
from tests.report.fake_study import write_fake_study


def hw2tune(*arguments, cwd):
    ended = command_line.hw2tune(*arguments, cwd=cwd, COLUMNS="80", HW2TUNE_CACHE=str(cwd / "cache"))
    return ended.returncode, ended.stdout, ended.stderr


def read_csv(*arguments, cwd):
    code, out, err = hw2tune(*arguments, "--format", "csv", cwd=cwd)
    assert code == 0, err
    return list(csv.DictReader(io.StringIO(out, newline=""), strict=True))


def test_the_trials_of_a_study_come_back_from_csv_to_the_last_digit(tmp_path):
    overview = read_overview(write_fake_study(tmp_path / "ray_results", trials=10, seeds=0))
    read = read_csv("status", "quickstart", cwd=tmp_path)
    assert len(read) == 10
    for row, back in zip(overview.rows, read, strict=True):
        assert (int(back["number"]), back["label"], back["state"]) == (row.number, row.label, row.state)
        assert (float(back["value"]), back["reason"]) == (row.value, row.reason)
        assert {name: back[name] for name in row.params} == {name: str(value) for name, value in row.params.items()}
    assert read[7]["reason"] == "diverged in epoch 2: loss nan (training), nan (validation)"  # with commas


def test_the_list_of_studies_comes_back_with_those_that_cannot_be_read(tmp_path):
    best = read_overview(write_fake_study(tmp_path / "ray_results", trials=10, seeds=0)).best
    write_fake_study(tmp_path / "ray_results", "mnist", trials=0, seeds=0).study_file.write_text('name = "a,\n"b"')
    good, bad = read_csv("status", cwd=tmp_path)
    assert (good["name"], good["state"], good["trials_finished"]) == ("quickstart", "complete", "10")
    assert (float(good["best"]), int(good["best_trial"]), good["error"]) == (best.value, best.number, "")
    assert (bad["name"], bad["state"], bad["best"]) == ("mnist", "unreadable", "")
    assert bad["error"].startswith("ray_results/mnist/study.toml: not valid TOML")


def test_data_sets_come_back_from_csv_and_json(tmp_path, monkeypatch):
    monkeypatch.setenv("HW2TUNE_CACHE", str(tmp_path / "cache"))
    expected = [(one.name, one.title, str(one.found), one.source) for one in list_datasets()]
    for read in (read_csv("data", cwd=tmp_path), json.loads(hw2tune("data", "--format", "json", cwd=tmp_path)[1])):
        assert [(one["name"], one["title"], str(one["found"]), one["source"]) for one in read] == expected


def test_what_doctor_sees_comes_back_from_csv_and_json(tmp_path):
    machine = json.loads(hw2tune("doctor", "--machine", "--json", cwd=tmp_path)[1])
    rows = read_csv("doctor", "--machine", cwd=tmp_path)
    assert {row["name"] for row in rows} == machine.keys() and machine["packages"][0].startswith("hw2tune ")
    assert [row["value"] for row in rows if row["name"] == "data"] == machine["data"] and len(machine["data"]) > 4
    slots = int(this_machine()["CPU"])
    assert [(one["model"], one["device"], one["slots"]) for one in machine["speed"]][:2] == [
        ("mnist_cnn", "cpu", slots), ("cifar10_cnn", "cpu", slots)
    ]  # fmt: skip
    assert [row["value"].split(", ")[0] for row in rows if row["name"] == "speed"][:2] == ["mnist_cnn", "cifar10_cnn"]
    said = hw2tune("check", "quickstart", cwd=tmp_path)[1]
    assert f"measured on this machine on {machine['speed'][0]['date'][:4]}" in said and f", {slots} at once" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("status", "--json", "--format", "csv"), "--json and --format csv exclude each other"),
     (("status", "--format", "xml"), "'xml' is not one of"),
     (("status", "--watch", "--format", "csv"), "--watch shows a table, or with --format json a line a change"),
     (("doctor", "--json"), "--format is for a study, or for --machine")],
)  # fmt: skip
def test_formats_that_there_are_not_are_refused(tmp_path, arguments, said):
    code, out, err = hw2tune(*arguments, cwd=tmp_path)
    assert (code, out) == (2, "") and said in " ".join(err.split()), err

"""What is sent to a cluster's job server, and what is said where none answers."""

import os
import shutil
import socket
import subprocess
import sys

import pytest

from hw2tune.errors import JobError, ResourceError
from hw2tune.execution.cluster import package_folder
from hw2tune.execution.jobs import (
    JobServer,
    _exit_code,
    _without_rays,
    entrypoint,
    environment_of,
    follow,
    newest,
    next_number,
    options_of,
    submit_study,
    write_study,
)
from hw2tune.execution.request import Request
from hw2tune.resources import ResourceRequest
from hw2tune.study.file import find_study, parse_study


def test_the_command_keeps_every_option_and_attaches_to_its_own_cluster():
    request = Request(
        study="mnist", resources=ResourceRequest(cpus_per_trial=0.5, gpus_per_trial=0.25, concurrency=3, address="http://head:8265"),
        retries=1, time_budget=90, fresh=True, warm_start="earlier",
    )  # fmt: skip
    assert options_of(request) == [
        "--cpus-per-trial", "0.5", "--gpus-per-trial", "0.25", "--concurrency", "3", "--retries", "1",
        "--warm-start", "earlier", "--time-budget", "90s", "--fresh",
    ]  # fmt: skip
    command = entrypoint("./mnist.toml", "ray_results", ["--retries", "1"])
    assert command.endswith(
        '-m hw2tune study ./mnist.toml --retries 1 --address auto --results-dir "$HOME"/ray_results'
    )


def test_the_package_alone_has_its_commands(tmp_path):
    shutil.copytree(package_folder(), tmp_path / "hw2tune", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-P", "-m", "hw2tune", "study", "--help"]  # as a job does: no `studies/` beside it
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, check=True, stdout=subprocess.DEVNULL)


def test_where_loggers_log_travels_and_logins_do_not():
    environment = {"MLFLOW_TRACKING_URI": "http://mlflow:5000", "WANDB_MODE": "offline", "WANDB_API_KEY": "secret"}
    assert environment_of(environment) == {"MLFLOW_TRACKING_URI": "http://mlflow:5000", "WANDB_MODE": "offline"}
    assert environment_of({"MLFLOW_TRACKING_URI": "http://me:secret@mlflow:5000"}) == {}


@pytest.mark.parametrize(
    ("results", "expected"),
    [("a folder; rm -rf x", "HOME/a folder; rm -rf x"), ("/nfs/it's", "/nfs/it's"), ("s3://b/c", "s3://b/c")],
)
def test_the_shell_that_runs_the_command_gets_each_word_whole(results, expected):
    command = entrypoint("./x.toml", results, []).replace("exec", "printf '%s\\n'")
    shown = subprocess.run(["sh", "-c", command], env={"HOME": "HOME", "PATH": "/usr/bin:/bin"}, capture_output=True)
    assert shown.stdout.decode().splitlines()[-1] == expected


def test_a_study_of_ones_own_is_handed_over_with_its_code(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here / "parts", there):
        folder.mkdir(parents=True)
    for name, text in (("net.py", "from parts import x\nNet = x.Net\n"), ("parts/__init__.py", ""), ("parts/x.py", "")):
        (here / name).write_text(text)
    (here / "mine.toml").write_text(
        'name = "mine"\ndataset = "digits"\nmodel = "net.py:Net"\nmax_epochs = 1\n'
        "[space]\nlearning_rate = 0.1\nbatch_size = 8\noptimizer = 'sgd'\n"
    )
    study = parse_study(*find_study(str(here / "mine.toml")))
    write_study(there, study)
    assert sorted(study.code) == ["net.py", "parts/__init__.py", "parts/x.py"]
    assert parse_study(*find_study(str(there / "mine.toml"))) == study


def test_an_address_where_no_job_server_answers_is_refused_with_what_to_look_at():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(ResourceError) as refused:
            newest(JobServer(url=url, study="x", rejoin=""))
    assert str(refused.value) == (
        f"--address {url}: no job server answers there (Failed to connect to Ray at address: {url}.); is it the "
        "dashboard's address (port 8265), and does the head have ray[default] installed?"
    )


def test_joining_needs_the_dashboards_address():
    with pytest.raises(ResourceError) as refused:
        request = Request(study="quickstart", resources=ResourceRequest(address="auto"))
        submit_study(request, [], attach=True, logs=False, out=sys.stdout)
    assert str(refused.value) == ("--attach and --logs need the cluster's dashboard: --address http://head:8265")


def test_a_folder_of_images_is_said_to_stay_here(tmp_path, capsys):
    (tmp_path / "own.toml").write_text(
        'name = "own"\ndataset = "./imgs"\nmodel = "mnist_cnn"\nmax_epochs = 1\n'
        "[space]\nlearning_rate = 0.1\nbatch_size = 8\noptimizer = 'sgd'\n"
    )
    request = Request(study=str(tmp_path / "own.toml"), resources=ResourceRequest(address="http://127.0.0.1:9"))
    with pytest.raises(ResourceError, match="no job server answers"):
        submit_study(request, [], attach=False, logs=False, out=sys.stdout)
    assert capsys.readouterr().err == (
        f"dataset {tmp_path}/imgs: only its path is sent; the cluster needs the same images there\n"
    )


def test_what_ray_says_above_the_commands_own_lines_is_left_out():
    head = "2026-01-01 INFO job_manager.py:581 -- Runtime env is setting up.\n"
    assert _without_rays(head) == ""
    assert _without_rays(head + "Running entrypoint for job x: exec y\n1/8 #0\nRunning entrypoint for job z\n") == (
        "1/8 #0\nRunning entrypoint for job z\n"
    )


def test_a_client_without_rays_job_client_is_told_what_to_install(monkeypatch):
    from ray.dashboard.modules.job import sdk

    monkeypatch.setattr(sdk, "requests", None)  # what Ray 2.60 does where ray[default] is not installed
    with pytest.raises(ResourceError) as refused:
        newest(JobServer(url="http://head:8265", study="x", rejoin=""))
    assert str(refused.value) == (
        "--address http://head:8265: handing a study over needs Ray's job client here: pip install '.[cluster]' in "
        "hw2tune's checkout"
    )


def test_a_job_that_the_server_does_not_know_any_more_is_an_error_in_a_line(monkeypatch):
    class Client:
        """Ray's job client, whose server answers with an error."""

        def get_job_status(self, job):
            raise RuntimeError(f"Request failed with status code 404: Job {job} does not exist.")

    monkeypatch.setattr("hw2tune.execution.jobs._client", lambda cluster: Client())
    with pytest.raises(JobError) as refused:
        follow(JobServer(url="http://head:8265", study="x", rejoin="hw2tune study x --attach"), "x-1", sys.stdout)
    assert str(refused.value) == (
        "http://head:8265: job x-1 cannot be followed (Request failed with status code 404: Job x-1 does not exist.); "
        "`hw2tune study x --attach` follows it again"
    )


def test_a_job_that_never_ran_its_command_says_why(capsys):
    from ray.job_submission import JobDetails, JobStatus, JobType

    def job(**fields):
        return JobDetails(type=JobType.SUBMISSION, entrypoint="", submission_id="hw2tune-x-1", **fields)

    assert _exit_code(job(status=JobStatus.FAILED, message="no such package")) == 1
    assert capsys.readouterr().err == "hw2tune: job hw2tune-x-1: failed: no such package\n"
    assert _exit_code(job(status=JobStatus.FAILED, driver_exit_code=3)) == 3
    assert _exit_code(job(status=JobStatus.SUCCEEDED)) == 0 and capsys.readouterr().err == ""


@pytest.mark.parametrize(("known", "next_one"), [((), 1), (("a-1", "a-2"), 3), (("a-2",), 3), (("a-9", "a-10"), 11)])
def test_a_job_gets_a_number_that_no_other_has_whatever_was_deleted(known, next_one):
    assert next_number(known) == next_one

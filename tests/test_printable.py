"""Addresses as they are shown, printed and recorded: whatever somebody puts into one, no credential stays."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw2tune.console import _tell
from hw2tune.errors import ResourceError
from hw2tune.events import Listeners, Noted
from hw2tune.execution import machine
from hw2tune.execution.jobs import submit_study
from hw2tune.execution.request import Request
from hw2tune.records.environment import run_facts
from hw2tune.records.remote.store import shown
from hw2tune.resources import ResourceRequest
from hw2tune.text.plain import printable, without_secrets

SCHEMES = st.sampled_from(["s3", "gs", "abfss", "http", "https", "postgresql+psycopg2", "socks5h"])
HOSTS = st.from_regex(r"[a-z][a-z0-9.-]{0,12}(:[0-9]{2,4})?", fullmatch=True)
PATHS = st.from_regex(r"(/[A-Za-z0-9._-]{1,8}){0,3}", fullmatch=True)
SECRET = "Se/cr#et?&=:@;'\""  # and what hypothesis puts around it
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=8)
OPTIONS = st.sampled_from(["sig", "client_secret", "X-Amz-Signature", "access_token", "account_key", "code", "st"])
URLS_OF_TODAY = [
    "s3://bucket/studies", "gs://bucket", "file:///home/me/a@b", "s3://bucket/a@b", "http://head:8265",
    "s3://bucket/studies?region=eu-central-1&endpoint_override=http://minio:9000&scheme=http", "ray_results/a?b",
    "hw2tune study mnist --results-dir s3://bucket/studies", "net.py:Net", "see https://docs.ray.io, please",
]  # fmt: skip


@given(SCHEMES, WORDS, WORDS, HOSTS, PATHS)
def test_user_and_password_go_whatever_they_hold(scheme, before, after, host, path):
    address = f"{scheme}://me:{before}{SECRET}{after}@{host}{path}"
    assert without_secrets(f"at {address} now") == f"at {scheme}://{host}{path} now"
    assert shown(address) == f"{scheme}://{host}{path}"


@given(SCHEMES, st.from_regex(r"[\w.%~-]{1,20}", fullmatch=True), HOSTS, PATHS)
def test_a_token_alone_goes_too(scheme, token, host, path):
    assert without_secrets(f"{scheme}://{token}@{host}{path}") == f"{scheme}://{host}{path}"


@given(SCHEMES, HOSTS, PATHS, OPTIONS, st.from_regex(r"[\w%+/=.~-]{1,20}", fullmatch=True), st.sampled_from("?#"))
def test_options_that_sign_in_go_and_those_that_say_where_stay(scheme, host, path, option, secret, mark):
    told = without_secrets(f"{scheme}://{host}{path}{mark}region=eu-1&{option}={secret}&scheme=http")
    assert told == f"{scheme}://{host}{path}?region=eu-1&scheme=http"


@given(WORDS.filter(lambda word: "@" not in word))
def test_a_proxy_without_a_scheme_loses_its_login_too(password):
    assert without_secrets(f"me:x{password}@proxy:3128") == "proxy:3128"


def test_credentials_within_an_option_go():
    assert (
        without_secrets("s3://b?endpoint_override=http://me:pw@minio:9000")
        == "s3://b?endpoint_override=http://minio:9000"
    )
    assert without_secrets("s3://b?endpoint_override=http%3A%2F%2Fme%3Apw%40minio") == "s3://b"


@pytest.mark.parametrize("text", URLS_OF_TODAY)
def test_what_holds_no_secret_stays_as_it_is(text):
    assert without_secrets(text) == text


ADDRESS = "https://me:hunter2@host/x?sig=hunter3"


def test_the_doctor_prints_no_password_of_a_variables_value(monkeypatch):
    for name in ("HTTPS_PROXY", "MLFLOW_TRACKING_URI", "HW2TUNE_MIRROR", "WANDB_BASE_URL"):
        monkeypatch.setenv(name, ADDRESS)
    monkeypatch.setenv("https_proxy", "me:hunter2@proxy:3128")
    lines = machine.variables()
    assert "MLFLOW_TRACKING_URI=https://host/x (handled)" in lines and "https_proxy=proxy:3128 (honoured)" in lines
    assert not any("hunter" in line for line in lines)


def test_the_command_on_record_the_notes_and_the_errors_hold_none(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hw2tune", "study", "mnist", "--results-dir", ADDRESS, f"--address={ADDRESS}"])
    assert run_facts()["command"] == "hw2tune study mnist --results-dir https://host/x --address=https://host/x"
    said = []
    tell = Listeners([said.append])
    tell.note(f"attaching to {ADDRESS} fails")
    assert said == [Noted(text="attaching to https://host/x fails")]
    _tell(ResourceError(f"--address {ADDRESS} : no"))
    _tell(ValueError(f"{ADDRESS} is odd"))
    assert "hunter" not in capsys.readouterr().err


def test_results_whose_address_holds_credentials_are_not_handed_over():
    request = Request(
        study="quickstart", resources=ResourceRequest(address="http://127.0.0.1:9"), results="s3://KEY:SECRET@bucket/x"
    )
    with pytest.raises(ResourceError) as refused:
        submit_study(request, [], attach=False, logs=False, out=sys.stdout)
    assert str(refused.value) == (
        "--results-dir s3://bucket/x: the address holds credentials, and the cluster's dashboard would show them; "
        "leave them out, and set them in the environment of the cluster's head"
    )


def test_bytes_of_a_file_name_that_are_not_utf_8_can_be_printed():
    assert (
        printable("caf\udce9.png: no such file").encode() == "caf\N{REPLACEMENT CHARACTER}.png: no such file".encode()
    )

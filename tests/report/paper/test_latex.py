"""Text, numbers and names of commands for LaTeX, read back by a reader of LaTeX of the test's own."""

import re
import unicodedata

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw2tune.report.paper.latex import Names, camel_case, comment, signed, tex

PRINTED = {
    r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textless{}": "<",
    r"\textgreater{}": ">", r"\textbar{}": "|", r"{\char34}": '"', r"{\char96}": "`", "{[}": "[", "{]}": "]",
    "{*}": "*", r"\_\allowbreak{}": "_", r"\ensuremath{\times}": "\u00d7", r"\ensuremath{\pm}": "\u00b1",
    r"\ensuremath{-}": "\u2212", r"\{": "{", r"\}": "}", r"\$": "$", r"\&": "&", r"\#": "#", r"\%": "%", r"\,": " ",
    "{}": "",
}  # fmt: skip
TOKEN = re.compile(
    "|".join([*map(re.escape, sorted(PRINTED, key=len, reverse=True)), r"\\hwtunechar\{(.)\}\{[0-9A-F]+\}"])
)
LIGATURES = ("--", ",,", "''", "``", "<<", ">>", "?`", "!`")


def printed(latex: str) -> str:
    """What LaTeX sets; what is no command that the test knows is set as it is, and must not be special."""
    text, place = "", 0
    for token in TOKEN.finditer(latex):
        plain = latex[place : token.start()]
        assert not set(plain) & set("\\{}$&#%_~^"), latex
        assert not any(two in plain for two in LIGATURES), latex
        text, place = text + plain + (token[1] or PRINTED.get(token[0], "")), token.end()
    assert not set(latex[place:]) & set("\\{}$&#%_~^"), latex
    return text + latex[place:]


@settings(max_examples=40)
@given(st.text())
@example("a_b % & # $ ~ ^ \\ { } [1] * \"q\" 'r' ''s'' u`v -- --- ,, << >> !` ?` 50 % ")
@example("\u65e5\u672c, \u03b1 and \U0001f600; e\u0301 \u00df \u0141 \u00d7 \u2212")
@example("\\input{x} %\nnew line\r\x07\x00")
def test_a_text_is_set_as_it_is_written_on_one_line_whatever_is_in_it(text):
    if text.count("`") % 2 or "`" not in text:
        clean = re.sub("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", "\ufffd", text)
        assert printed(tex(text)) == unicodedata.normalize("NFC", " ".join(clean.split()))
    assert "\n" not in tex(text)


def test_backticks_set_code_and_a_percent_sign_stays_with_its_number():
    assert tex("run `a_b` at 95 %") == r"run \texttt{a\_\allowbreak{}b} at 95\,\%"


def test_numbers_are_formulas_with_a_real_minus():
    assert signed("-0.05") == r"\ensuremath{-0.05}"
    assert signed("2.5e-4") == r"\ensuremath{2.5\times 10^{-4}}"
    assert signed("1e-4") == r"\ensuremath{10^{-4}}"


@given(st.text())
def test_a_comment_never_ends_before_its_line(text):
    assert comment(text).startswith("% ") and len(comment(text).splitlines()) == 1


def test_a_command_is_called_as_its_study_variant_and_quantity_read():
    assert camel_case(["quickstart", "tuned-no-l2", "test", "accuracy"]) == "quickstartTunedNoLTwoTestAccuracy"
    assert camel_case(["MNIST-5k", "n"]) == "mnistFiveKN"
    assert camel_case(["caf\u00e9", "\u65e5\u672c", "v1.0"]) == "cafeVOneZero"


@given(st.lists(st.lists(st.text(), min_size=1, max_size=3), min_size=1, max_size=20))
@example([["end", "n"], ["endurance", "n"], ["a-b"], ["a_b"], ["aB"], [""], ["\u65e5"]])
def test_names_of_commands_are_letters_that_latex_takes_and_no_two_are_equal(many):
    names = Names()
    called = [names.unique(*words) for words in many]
    assert len(set(called)) == len(called)
    assert all(re.fullmatch("[A-Za-z]+", one) and not one.startswith(("end", "relax")) for one in called)

"""Text, numbers and names of commands for LaTeX: pdfLaTeX, XeLaTeX and LuaLaTeX, whatever packages are loaded."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from hw2tune.text.plain import printable

# `\char` in place of quotes and backticks, which babel and ligatures change; braces keep `[` and `*` from being read as
# an option of `\\` or `\item`, and end a ligature.
_MARKUP = {character: f"\\{character}" for character in "{}$&#%"} | {
    "\\": r"\textbackslash{}",
    "_": r"\_\allowbreak{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\char34}",
    "`": r"{\char96}",
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "\xd7": r"\ensuremath{\times}",
    "\xb1": r"\ensuremath{\pm}",
    "\u2212": r"\ensuremath{-}",
}
_TWICE = "-,'"  # only two of them are a ligature
# What pdfLaTeX sets in T1 without further packages: most Latin letters with accents, dashes and quotes.
_RAW = {*map(chr, range(0xC0, 0x17F))} - {*"\xd7\xf7ĦħĸĿŀŉŦŧ"} | {*"\u2013\u2014\u2018\u2019\u201c\u201d\u2026"}
# A character that only XeLaTeX and LuaLaTeX can set; with pdfLaTeX its code point is printed.
UNICODE = r"\providecommand{\hwtunechar}[2]{\ifdefined\Umathchar#1\else{[}U+#2{]}\fi}"
_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def tex(text: object) -> str:
    """Return plain text as LaTeX that prints it, in a paragraph, a cell or a caption; `...` is set as code."""
    plain = unicodedata.normalize("NFC", " ".join(printable(str(text)).split()))
    parts = plain.split("`")
    if len(parts) % 2 == 0:  # an odd backtick is a backtick
        return _escape(plain)
    return "".join(rf"\texttt{{{_escape(part)}}}" if place % 2 else _escape(part) for place, part in enumerate(parts))


def _escape(text: str) -> str:
    escaped = "".join(map(_character, re.sub(f"([{_TWICE}])(?=\\1)", "\\1\0", text)))
    return re.sub(r"(?<=\d) (?=\\%)", r"\\,", escaped)


def _character(character: str) -> str:
    if character == "\0":  # between two characters that are a ligature
        return "{}"
    if character in _MARKUP:
        return _MARKUP[character]
    if character.isascii() or character in _RAW:
        return character
    return rf"\hwtunechar{{{character}}}{{{ord(character):04X}}}"


def signed(text: str) -> str:
    r"""Return a number as a formula, with a real minus: `$-0.05$`, `$2.5\times 10^{-4}$`."""
    mantissa, _, exponent = text.partition("e")
    if not exponent:
        return rf"\ensuremath{{{text}}}"
    factor = "" if mantissa == "1" else rf"{mantissa}\times "
    return rf"\ensuremath{{{factor}10^{{{int(exponent)}}}}}"


def comment(text: str) -> str:
    """Return text as a comment, on one line whatever it contains."""
    return f"% {' '.join(printable(text).split())}"


def file_stem(name: str) -> str:
    r"""Return a folder's name for files that `\includegraphics` finds, and for labels: whatever a user calls it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)


def booktabs(heading: str, rows: Iterable[str], columns: str, *, caption: str, label: str, wide: bool = False) -> str:
    """Return a float with a table, of LaTeX throughout; `columns` are its columns, and a `wide` one has its width."""
    around, inside = ("table*", "tabularx") if wide else ("table", "tabular")
    lines = [r"\centering\small", rf"\caption{{{caption}}}", rf"\label{{{label}}}", rf"\begin{{{inside}}}{columns}"]
    table = [r"\toprule", heading, r"\midrule", *rows, r"\bottomrule"]
    body = [*lines, *(f"  {line}" for line in table), rf"\end{{{inside}}}"]
    return "\n".join([rf"\begin{{{around}}}", *(f"  {line}" for line in body), rf"\end{{{around}}}", ""])


class Names:
    """Names of commands, of letters alone as LaTeX wants them, and each different from all others."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unique(self, *words: str) -> str:
        r"""Return `quickstartTunedNoLTwo` of `quickstart`, `tuned-no-l2`; of a second one of it `...Second`."""
        name = camel_case(words)
        # LaTeX takes no new command whose name begins with `end`.
        name = f"the{name[:1].upper()}{name[1:]}" if name.startswith("end") or not name else name
        while name in self._taken:
            name += "Second"
        self._taken.add(name)
        return name


def camel_case(texts: Iterable[str]) -> str:
    """Return texts as one word of ASCII letters; digits as words, other characters dropped."""
    plain = unicodedata.normalize("NFKD", " ".join(texts)).encode("ascii", "ignore").decode("ascii")
    spelled = re.sub(r"\d", lambda digit: f" {_DIGITS[int(digit[0])]} ", plain)
    words = re.findall(r"[A-Za-z]+", spelled)
    first, *rest = [word.capitalize() if word.isupper() else word for word in words] or [""]
    return "".join([first[:1].lower() + first[1:], *(word[:1].upper() + word[1:] for word in rest)])

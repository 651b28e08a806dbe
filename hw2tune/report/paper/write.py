"""A paper's files in a folder of their own.

    DIR/
        claims.tex       the table of all claims
        numbers.tex      a command for each number
        methods.tex      paragraphs with citations, and the search space
        references.bib   the works that they cite
        figures.tex      a float for each figure of a column's width, with its caption
        figures/*.pdf    each figure as wide as a column and as both
        checklist.md     what a reviewer asks, answered from the records
        example.tex      a document with all of it

Each text begins with the digest of the rest: a text that was changed by hand is not written over.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from hw2tune.errors import PathError, StudyFolderError
from hw2tune.paths import folder, refuse_unwritable
from hw2tune.records.atomic import write_atomically
from hw2tune.records.layout import StudyFolder
from hw2tune.records.remote.mirror import reading_study
from hw2tune.report.appendix.checklists import Item, checklists
from hw2tune.report.outputs import refuse_foreign, replacing
from hw2tune.report.paper.claims_table import claims_tex
from hw2tune.report.paper.figures import draw_figures, figures_tex, shown_in
from hw2tune.report.paper.latex import UNICODE, file_stem
from hw2tune.report.paper.methods import methods_tex, references_bib
from hw2tune.report.paper.numbers import numbers_tex
from hw2tune.report.results import StudyResults, compute
from hw2tune.report.study_data import StudyData, read_study_data
from hw2tune.report.write import escape, refuse_nothing_to_report
from hw2tune.text.numbers import listed

TEXTS = ("numbers.tex", "claims.tex", "methods.tex", "figures.tex", "references.bib", "checklist.md", "example.tex")
_MARK = re.compile(r"(?:%|<!--) hw2tune paper, sha256 of what follows: ([0-9a-f]{64})(?: -->)?\n")
_EXAMPLE = r"""\documentclass[twocolumn]{article}
\usepackage[T1]{fontenc}
\usepackage{lmodern,booktabs,tabularx,graphicx}
\input{numbers}
\begin{document}
\section{Methods}
\input{methods}
\section{Results}
\input{claims}
\input{figures}
\bibliographystyle{plain}
\bibliography{references}
\end{document}
"""


@dataclass(frozen=True, kw_only=True)
class PaperFiles:
    """The files for a paper, and what is missing in them."""

    folder: Path
    texts: list[Path]
    figures: list[Path]
    notes: list[str]


def paper(names: str | Sequence[str], to: str | Path, *, results_dir: str | Path = "ray_results") -> PaperFiles:
    """Write tables, numbers, methods and figures of studies for LaTeX into the folder `to`; nothing is trained.

    Needs neither torch nor Ray. Raises Hw2tuneError, also for a folder with other files and for texts that were changed
    since.
    """
    folders = [reading_study(results_dir, name) for name in ([names] if isinstance(names, str) else names)]
    return write_paper(folders, to)


def write_paper(folders: Sequence[StudyFolder], to: str | Path) -> PaperFiles:
    """Write the files for a paper on one or several studies into the folder `to`.

    Raises StudyFolderError for a study without a finished trial, PathError for a folder that has other files or texts
    that were changed, and NotWritableError; nothing is written then.
    """
    target = folder(to, "--to")
    refuse_unwritable(target, "--to")
    refuse_foreign(target, "--to", "paper", lambda place: any(_MARK.match(_content(place / name)) for name in TEXTS))
    refuse_changed(target)
    every = [compute(data) for data in _read(folders)]
    with replacing(target, "--to", "paper", shown_in(_content(target / "figures.tex"))) as scratch:
        drawn = [draw_figures(one.data, scratch / "figures") for one in every]
        texts = {
            "numbers.tex": numbers_tex(every),
            "claims.tex": claims_tex(every),
            "methods.tex": methods_tex(every),
            "figures.tex": "\n".join(map(figures_tex, drawn)),
            "checklist.md": checklist_md(every),
            "example.tex": _EXAMPLE,
        }
        texts["references.bib"] = references_bib(*texts.values())
        for name, text in texts.items():
            write_atomically(scratch / name, marked(name, text))
    figures = [target / "figures" / one.pdf.name for each in drawn for one in each]
    notes = [
        f"{name} has no replicates, so no claim was tested; `hw2tune summarize {name}` trains them"
        for name in (one.data.called for one in every if not one.data.replicates)
    ]
    return PaperFiles(folder=target, texts=[target / name for name in TEXTS], figures=figures, notes=notes)


def _read(folders: Sequence[StudyFolder]) -> list[StudyData]:
    """Read the studies. Raises StudyFolderError for one without a finished trial, and for a name given twice."""
    names = [folder.name for folder in folders]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise StudyFolderError(f"{listed(twice)}: named twice; name each study once")
    if len({*map(file_stem, names)}) < len(names):
        raise StudyFolderError(f"{listed(names)}: files of two of them would have one name; rename a study's folder")
    every = [read_study_data(folder) for folder in folders]
    for data in every:
        refuse_nothing_to_report(data)
    return every


def checklist_md(every: Sequence[StudyResults]) -> str:
    """Return a list of tasks per study and checklist."""
    return "\n".join(line for results in every for line in _of_a_study(results))


def _of_a_study(results: StudyResults) -> Iterator[str]:
    yield f"# Checklists for {escape(results.data.called)}\n"
    yield "Items are shortened; their numbers are those of the source. Files are below the study's folder.\n"
    for name, items in groupby(checklists(results), lambda one: one.checklist):
        yield from [f"## {escape(name)}\n", *map(_task, items), ""]


def _task(item: Item) -> str:
    done = "x" if item.answered and not item.author else " "
    files = listed([f"`{file}`" for file in item.source])
    answer = f": {escape(item.answer)} ({files})" if item.answered else ""
    author = f" **To you:** {escape(item.author)}." if item.author else ""
    return f"- [{done}] {escape(f'{item.number} {item.text}')}{answer}{author}"


def marked(name: str, text: str) -> str:
    """Return a text below the digest of itself, as a comment of its kind of file."""
    body = (UNICODE + "\n" if "hwtunechar" in text else "") + text
    mark = f"hw2tune paper, sha256 of what follows: {_digest(body)}"
    return f"<!-- {mark} -->\n{body}" if name.endswith(".md") else f"% {mark}\n{body}"


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def refuse_changed(target: Path) -> None:
    """Raise PathError for texts in `target` that were changed since they were written: they would be lost."""
    changed = [name for name in TEXTS if (target / name).exists() and not _is_as_written(_content(target / name))]
    if changed:
        raise PathError(
            f"--to {target}: {listed(changed)} {'was' if len(changed) == 1 else 'were'} changed since hw2tune wrote "
            f"{'it' if len(changed) == 1 else 'them'}; rename {'it' if len(changed) == 1 else 'them'}, or name "
            "another folder"
        )


def _is_as_written(content: str) -> bool:
    found = _MARK.match(content)
    return found is not None and _digest(content[found.end() :]) == found[1]


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""

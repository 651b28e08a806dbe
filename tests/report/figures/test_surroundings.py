"""A figure is the same picture whatever is around matplotlib, and nothing around it is changed by drawing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.matrix
ROOT = Path(__file__).parents[3]

# Draws one figure into the current folder and prints what a caller would notice.
DRAW = """
import json, logging, os, sys
from pathlib import Path
def around():
    variables = {name: value for name, value in os.environ.items() if name != "MPLCONFIGDIR"}  # set by matplotlib
    return variables, logging.getLogger("matplotlib").level, os.getcwd()
before = around()
import hw2tune.report.write
from hw2tune.report.figures.recipes import save
from hw2tune.report.figures.style import new_figure, style
with style():
    figure = new_figure(height=2)
    figure.subplots().set_title("ÄÖ bold")
    save(figure, Path.cwd(), "drawn")
assert before == around()
assert "matplotlib.pyplot" not in sys.modules
from matplotlib.font_manager import findfont, FontProperties
found = [Path(findfont(FontProperties(family="DejaVu Sans", weight=weight))) for weight in ("normal", "bold")]
assert [path.parts[-4:] for path in found] == [
    ("mpl-data", "fonts", "ttf", f"DejaVuSans{weight}.ttf") for weight in ("", "-Bold")
], found
"""
# Runs it in one process a case, forked where all is imported that takes long and is not matplotlib.
RUN_EACH = """
import json, os, sys, traceback
import fontTools.subset, jinja2, numpy, optuna, pandas, PIL.Image, pydantic, pyparsing, scipy.stats
draw, cases = json.load(sys.stdin)
for number, (folder, variables) in enumerate(cases):
    if number >= os.cpu_count():
        os.wait()
    child = os.fork()
    if not child:
        os.environ.clear()
        os.environ.update(variables)
        os.chdir(folder)
        for stream in (1, 2):
            os.dup2(os.open("said", os.O_CREAT | os.O_WRONLY | os.O_APPEND), stream)
        try:
            exec(draw)
        except BaseException:
            traceback.print_exc()
        os._exit(0)
for _ in range(min(len(cases), os.cpu_count())):
    os.wait()
"""
NO_FONTS = '{"_version": "3.11.0", "ttflist": ['
BAD_KEYS = "no.such.key: 1\nlines.linewidth: thick\nnonsense\nfont.size: 30\n"
FONT_LIST = ".cache/matplotlib/fontlist-v3.11.0.json"

# What is told and what lies in the home folder, which is the current one.
CASES: dict[str, tuple[dict[str, str | None], dict[str, str]]] = {
    "nothing": ({}, {}),
    "a notebook's backend that is not installed": ({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, {}),
    "a backend with windows": ({"MPLBACKEND": "tkagg"}, {}),
    "settings that are not there": ({"MATPLOTLIBRC": "/nowhere"}, {}),
    "settings that are a folder": ({"MATPLOTLIBRC": "/"}, {}),
    "settings of the user's": ({"MATPLOTLIBRC": "settings"}, {"settings": "font.size: 30\naxes.facecolor: pink\n"}),
    "the locale of Turkey": ({"LC_ALL": "tr_TR.UTF-8"}, {}),
    "no locale": ({"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {}),
    "another time zone": ({"TZ": "Pacific/Kiritimati"}, {}),
    "a configuration that cannot be made": ({"MPLCONFIGDIR": "/proc/nowhere"}, {}),
    "a configuration that is a file": ({"MPLCONFIGDIR": __file__}, {}),
    "no home and no temporary folder": ({"HOME": "/proc/nowhere", "TMPDIR": "/proc/nowhere"}, {}),
    "a cache that is a file": ({"HOME": None, "XDG_CACHE_HOME": __file__}, {}),
    "an empty list of fonts": ({}, {FONT_LIST: ""}),
    "a list of fonts that is cut": ({}, {FONT_LIST: NO_FONTS}),
    "settings with bad keys": ({"MATPLOTLIBRC": "settings"}, {"settings": BAD_KEYS}),
    "bad keys in the current folder": ({}, {"matplotlibrc": BAD_KEYS}),
}
# Matplotlib then makes a cache for this process, and removes it at its end.
TEMPORARY = {"a configuration that cannot be made", "a configuration that is a file", "a cache that is a file"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where each case was drawn: home, current folder, `drawn.png`, and `said`, what was written to the terminal."""
    folders = {name: tmp_path_factory.mktemp("case") for name in CASES}
    cases = []
    for name, (told, files) in CASES.items():
        (folders[name] / "tmp").mkdir()
        for path, content in files.items():
            (folders[name] / path).parent.mkdir(parents=True, exist_ok=True)
            (folders[name] / path).write_text(content, errors="surrogateescape")
        here = {"HOME": str(folders[name]), "TMPDIR": str(folders[name] / "tmp"), "PATH": os.environ["PATH"], **told}
        cases.append([str(folders[name]), {key: value for key, value in here.items() if value is not None}])
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-c", RUN_EACH], input=json.dumps([DRAW, cases]), env=environment, check=True, text=True
    )
    return folders


@pytest.mark.parametrize("case", CASES)
def test_a_figure_is_the_same_and_nothing_is_said_or_left(folders: dict[str, Path], case: str) -> None:
    assert (folders[case] / "said").read_text() == ""
    assert case in TEMPORARY or list((folders[case] / "tmp").iterdir()) == []
    for name in ("drawn.png", "drawn.pdf"):
        assert (folders[case] / name).read_bytes() == (folders["nothing"] / name).read_bytes()


# A notebook: a backend of its own is active, pyplot has an open figure, settings differ. argv[1] is a folder.
NOTEBOOK = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
Path(sys.argv[1], "notebook_backend.py").write_text(
    "from matplotlib.backend_bases import FigureManagerBase as FigureManager\\n"
    "from matplotlib.backends.backend_agg import FigureCanvasAgg as FigureCanvas\\n"
)
os.environ["MPLBACKEND"] = "module://notebook_backend"
"""
OPEN_FIGURE = """
import matplotlib as mpl
import matplotlib.pyplot as plt
figure = plt.figure()
mpl.rcParams["font.size"] = 17
mpl.rcParams["date.epoch"] = "2000-01-01T00:00:00"
mpl.rcParams["timezone"] = "Europe/Berlin"
settings, backend, default = dict(mpl.rcParams), mpl.get_backend(), type(figure.canvas)
assert backend == "module://notebook_backend"
"""
REPORT = """
import hw2tune.report.write
from hw2tune.report.figures.recipes import save
from hw2tune.report.figures.style import new_figure, style
with style():
    ours = new_figure(height=2)
    save(ours, Path(sys.argv[1]), "drawn")
"""


def run(folder: Path, *parts: str) -> None:
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(folder)}
    command = [sys.executable, "-c", "".join(parts), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_notebook_keeps_its_backend_its_settings_and_its_open_figures(tmp_path: Path) -> None:
    after = """
assert dict(mpl.rcParams) == settings and mpl.get_backend() == backend
assert plt.get_fignums() == [1] and plt.gcf() is figure and type(figure.canvas) is default
assert type(plt.figure().canvas) is default
"""
    run(tmp_path, NOTEBOOK, OPEN_FIGURE, REPORT, after)


def test_pyplot_imported_after_us_has_the_notebooks_backend_and_the_users_settings(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("font.size: 23\n")
    after = """
import matplotlib as mpl
import matplotlib.pyplot as plt
assert mpl.get_backend() == "module://notebook_backend" and plt.figure().canvas is not None
assert mpl.rcParams["font.size"] == mpl.rcParamsOrig["font.size"] == 23
"""
    run(tmp_path, NOTEBOOK, REPORT, after)

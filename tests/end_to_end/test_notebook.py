"""README's script, as the cell of a notebook."""

import re
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.matrix, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
README = Path(__file__).parents[2] / "README.md"


def test_the_readmes_script_runs_in_a_notebook(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.chdir(tmp_path)
    script = re.search(r"```python\n(import hw2tune\n.*?)```", README.read_text(), re.DOTALL)[1]
    cells = [nbformat.v4.new_code_cell(source) for source in (script, "study", "len(result.trials)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    script_cell, study, trials = notebook.cells
    assert not [out for out in script_cell.outputs if out.output_type == "error"]
    assert "StudyResult quickstart: complete, 6 trials finished" in study.outputs[0].data["text/html"]
    assert trials.outputs[0].data["text/plain"] == "6"
    assert (tmp_path / "accuracy.png").stat().st_size > 10_000

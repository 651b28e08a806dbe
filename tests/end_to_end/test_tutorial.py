"""docs/tutorial.ipynb, as a newcomer runs it, and as it is stored."""

from pathlib import Path

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs/tutorial.ipynb"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def read():
    import nbformat

    return nbformat.read(TUTORIAL, as_version=4)


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(notebook) -> list[list[tuple[str, list[str]]]]:
    """What each cell puts out: the type of each output and the forms that it comes in."""
    return [
        [(output.output_type, sorted(output.get("data", {}))) for output in cell.outputs]
        for cell in code_cells(notebook)
    ]


def test_it_is_stored_with_what_a_real_run_showed_and_nothing_of_the_machine():
    notebook = read()
    assert TUTORIAL.stat().st_size < 300_000
    assert all(cell.execution_count == number for number, cell in enumerate(code_cells(notebook), 1))
    assert not any(output.output_type == "error" for cell in code_cells(notebook) for output in cell.outputs)
    stored = TUTORIAL.read_text()
    assert not any(of_here in stored for of_here in ("/work", "/tmp", "/root", "/home", "site-packages"))
    first = code_cells(notebook)[0].outputs[0].data["text/plain"]
    assert "quickstart: complete, 8 of 8 trials finished" in first


@pytest.mark.ray
@pytest.mark.matrix
def test_it_runs_and_shows_the_same_kinds_of_things(tmp_path):
    from nbclient import NotebookClient

    notebook, stored = read(), read()
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert kinds(notebook) == kinds(stored)
    study, table, *_ = code_cells(notebook)
    assert [output.output_type for output in study.outputs] == ["display_data"]  # one, which was updated
    assert "quickstart: complete, 8 of 8 trials finished" in study.outputs[0].data["text/plain"]
    assert "baseline" in table.outputs[0].data["text/html"]
    claim = next(cell for cell in code_cells(notebook) if "replicate_study" in cell.source)
    assert claim.outputs[0].data["text/plain"].strip().endswith("trainings finished")
    assert "verdict" in claim.outputs[1].data["text/html"]
    assert "mine: complete, 5 trials finished" in code_cells(notebook)[-1].outputs[-1].data["text/html"]
    assert (tmp_path / "ray_results/quickstart/report/index.html").stat().st_size > 100_000

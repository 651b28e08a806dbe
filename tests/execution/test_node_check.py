"""A node whose Python lacks what a trial needs."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.matrix]

# A process of its own: Ray leaves files open in the one that starts it.
CHECKED = """
import logging
import ray
from hw2tune.errors import ResourceError
from hw2tune.execution.nodes import unsuitable_nodes
from hw2tune.execution.scratch import scratch

with scratch() as folder:
    ray.init("local", num_cpus=1, _temp_dir=str(folder), include_dashboard=False, log_to_driver=False,
             logging_level=logging.CRITICAL)
    try:
        unsuitable_nodes(ray.nodes())
    except ResourceError as refused:
        print(str(refused).replace(ray.nodes()[0]["NodeManagerAddress"], "ADDRESS"))
    finally:
        ray.shutdown()
"""


def test_workers_without_torch_are_refused_with_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None  # not found\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    shown = subprocess.run([sys.executable, "-c", CHECKED], capture_output=True, text=True, check=True)
    assert shown.stdout == (
        "no node of the cluster can run a trial (ADDRESS: its Python has no torch); install hw2tune's packages on "
        "the nodes: a checkout or a wheel, in the environment that `ray start` runs in\n"
    )

"""A node whose Python lacks what a trial needs."""

import logging

import pytest

from hw2tune.errors import ResourceError
from hw2tune.execution.node_check import unsuitable_nodes
from hw2tune.execution.scratch import scratch

pytestmark = pytest.mark.ray


def test_workers_without_torch_are_refused_with_what_to_install(tmp_path, monkeypatch):
    import ray

    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['torch'] = None  # not found\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.CRITICAL}
    with scratch() as folder:
        ray.init("local", num_cpus=1, _temp_dir=str(folder), **quiet)
        try:
            with pytest.raises(ResourceError) as refused:
                unsuitable_nodes(ray.nodes())
            address = ray.nodes()[0]["NodeManagerAddress"]
        finally:
            ray.shutdown()
    assert str(refused.value) == (
        f"no node of the cluster can run a trial ({address}: its Python has no torch); install hw2tune's packages on "
        "the nodes: `pip install hw2tune` in the environment that `ray start` runs in"
    )

"""Each workaround for PyTorch is still needed: where one of these fails, take its entry out."""

import subprocess
import sys

import pytest

ONE_STEP = """
import sys, torch
layer = torch.nn.Linear(2, 2)
optimizer = torch.optim.Adam(layer.parameters(), fused=True)
layer(torch.ones(1, 2)).sum().backward()
optimizer.step()
print("torch._dynamo" in sys.modules)
"""


@pytest.mark.matrix
def test_pytorchs_optimizers_import_its_compiler():
    shown = subprocess.run([sys.executable, "-c", ONE_STEP], capture_output=True, text=True, check=True)
    assert shown.stdout == "True\n"

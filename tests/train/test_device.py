"""The device of a process that trains."""

import torch

from hw2tune.train.device import prepare_process


def test_no_reduced_precision_is_used_and_no_gpu_that_was_not_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert prepare_process(1, gpu=False).type == "cpu"
    assert prepare_process(1, gpu=True).type == "cuda"
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.get_num_threads() == 1

from __future__ import annotations

import torch

from isl.inference.scratch import Scratch


def test_a_room_is_used_again_and_grows():
    scratch = Scratch()
    small = scratch.take("a", (2, 3), torch.zeros(1))
    assert small.shape == (2, 3)
    assert small.dtype == torch.float32
    assert scratch.take("a", (5, 1), torch.zeros(1)).data_ptr() == small.data_ptr()
    assert scratch.take("a", (100, 100), torch.zeros(1)).shape == (100, 100)


def test_rooms_are_apart():
    scratch = Scratch()
    first = scratch.take("a", (4,), torch.zeros(1)).fill_(1.0)
    scratch.take("b", (4,), torch.zeros(1)).fill_(2.0)
    assert first.tolist() == [1.0] * 4


def test_another_dtype_is_another_room():
    scratch = Scratch()
    scratch.take("a", (4,), torch.zeros(1))
    assert scratch.take("a", (4,), torch.zeros(1, dtype=torch.bfloat16)).dtype == torch.bfloat16

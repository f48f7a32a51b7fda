"""Every backend gives the numbers of torch in float32, for any size, and the same each time."""

import pytest
import torch
from backend_networks import KINDS, eager, image, run_backend, stages_of

from isl.inference.backends.choose import available_backends, make_backend

ON_CPU = [name for name in ("torch", "onnxruntime", "openvino") if name in available_backends()]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ON_CPU)
@pytest.mark.parametrize("size", [(16, 16), (48, 80), (16, 144)])
def test_agrees_with_eager_float32(name, kind, size):
    stages, source = stages_of(kind), image(*size)
    expected = eager(stages, source)
    assert expected.std() > 0.1
    found = run_backend(make_backend(name, threads=1), stages, source)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.std().item())

"""Every backend gives the numbers of torch in float32, for any size, and the same each time."""

import pytest
import torch
from backend_networks import KINDS, eager, image, run_backend, stages_of

from isl.inference.backends.choose import available_backends, make_backend
from isl.inference.backends.measure import HALF_TOLERANCE, TOLERANCE

ON_CPU = [name for name in ("torch", "onnxruntime", "openvino") if name in available_backends()]
ON_GPU = ["cuda", "cuda-bf16", "cuda-fp16"]


def check(name, kind, size, tolerance=TOLERANCE):
    stages, source = stages_of(kind), image(*size)
    expected = eager(stages, source)
    assert 0.1 < expected.std() < 10
    found = run_backend(make_backend(name, threads=1), stages, source)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * expected.std().item())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ON_CPU)
@pytest.mark.parametrize("size", [(16, 16), (48, 80), (16, 144)])
def test_agrees_with_eager_float32(name, kind, size):
    check(name, kind, size)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the compiler's own imports
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.skipif("compile" not in available_backends(), reason="needs a C++ compiler")
def test_torch_compile_agrees(kind):
    check("compile", kind, (48, 80))


@pytest.mark.skipif("torch-bf16" not in available_backends(), reason="needs a CPU with AMX")
def test_half_precision_on_the_processor_agrees_within_its_own_tolerance():
    check("torch-bf16", "default", (48, 80), HALF_TOLERANCE)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ON_GPU)
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")
def test_cuda_agrees(name, kind):
    check(name, kind, (48, 80), TOLERANCE if name == "cuda" else HALF_TOLERANCE)


@pytest.mark.gpu
@pytest.mark.skipif("mps" not in available_backends(), reason="needs a GPU of Apple")
def test_mps_agrees():
    check("mps", "default", (48, 80))


@pytest.mark.parametrize("name", ON_CPU)
def test_a_single_plane_will_do(name):
    stages, source = stages_of("default", planes=1), image(32, 48, planes=1)
    found = run_backend(make_backend(name, threads=1), stages, source)
    torch.testing.assert_close(found, eager(stages, source), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ON_CPU)
def test_the_same_pixels_give_the_same_bytes_from_call_to_call_and_for_any_threads(name):
    stages, source = stages_of("default"), image(48, 80)
    first = run_backend(make_backend(name, threads=1), stages, source)
    again = run_backend(make_backend(name, threads=1), stages, source)
    more = run_backend(make_backend(name, threads=2), stages, source)
    assert torch.equal(first, again)
    assert torch.equal(first, more)


@pytest.mark.parametrize("name", ON_CPU)
def test_what_a_run_gave_stays_when_it_runs_again(name):
    stage = stages_of("default")[0]
    run = make_backend(name, threads=1).compile(stage, [image(16, 16)])
    first = run(image(32, 32))
    kept = first.clone()
    run(image(32, 32) + 1)
    assert torch.equal(first, kept)


@pytest.mark.parametrize("name", ON_CPU)
def test_inputs_need_not_be_contiguous_and_are_not_changed(name):
    stage, whole = stages_of("default")[0], image(48, 64)
    run = make_backend(name, threads=1).compile(stage, [image(16, 16)])
    part, before = whole[:, :, 16:32], whole.clone()
    assert torch.equal(run(part), run(part.clone()))
    assert torch.equal(whole, before)


@pytest.mark.parametrize("name", ON_CPU)
def test_the_stage_is_not_changed(name):
    stage = stages_of("default")[0]
    before, modes = str(stage.module), [module.training for module in stage.module.modules()]
    weights = [weight.clone() for weight in stage.module.parameters()]
    make_backend(name, threads=1).compile(stage, [image(16, 16)])
    assert str(stage.module) == before
    assert [module.training for module in stage.module.modules()] == modes
    assert all(map(torch.equal, weights, stage.module.parameters()))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")
def test_replayed_graphs_give_what_plain_calls_give():
    stage = stages_of("default")[0]
    run = make_backend("cuda").compile(stage, [image(16, 16)])
    for rows in (16, 32, 48, 64, 80, 96):
        plain, replayed, again = (run(image(rows, 32)).clone() for _ in range(3))
        torch.testing.assert_close(plain, replayed, rtol=0, atol=1e-4)
        assert torch.equal(replayed, again)

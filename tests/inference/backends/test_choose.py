"""Backends by name, and the one chosen by measuring."""

import logging
import re

import pytest
import torch
from backend_networks import stages_of

from isl.core.errors import ConfigError, MissingExtraError
from isl.inference.backends import choose, measure
from isl.inference.backends.choose import available_backends, choose_backend, make_backend
from isl.inference.backends.measure import check_agreement, measure_backends
from isl.inference.backends.remembered import cache_file


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ISL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def speeds(monkeypatch):
    """Speeds that are found instead of measured, and how often that happens."""
    found = {"onnxruntime": 1.0, "torch": 0.5}
    calls = []

    def measured(make, stages, source_channels):
        calls.append(source_channels)
        return dict(found)

    monkeypatch.setattr(choose, "measure_backends", measured)
    monkeypatch.setattr(choose, "available_backends", lambda: ("onnxruntime", "torch"))
    return found, calls


def test_torch_is_always_there_and_named_backends_carry_their_name():
    assert "torch" in available_backends()
    for name in available_backends():
        assert make_backend(name, threads=1).name == name


def test_an_unknown_name_lists_those_available():
    with pytest.raises(ConfigError, match=r"no backend 'tensorrt'; available here: .*torch"):
        make_backend("tensorrt")


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_are_at_least_one(threads):
    with pytest.raises(ConfigError, match="at least 1 thread"):
        make_backend("torch", threads)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("openvino", r"pip install 'in-silico-labeling\[openvino\]'"),
        ("onnxruntime", "pip install onnxruntime"),
    ],
)
def test_a_missing_package_names_what_to_install(name, remedy, monkeypatch):
    monkeypatch.setattr(choose, "find_spec", lambda package: None)
    assert name not in available_backends()
    with pytest.raises(MissingExtraError, match=remedy):
        make_backend(name)


@pytest.mark.parametrize("name", ["cuda", "cuda-bf16", "cuda-fp16", "mps"])
def test_a_missing_device_is_an_error_that_says_so(name):
    if name in available_backends():
        pytest.skip("this computer has one")
    with pytest.raises(ConfigError, match=rf"{name} cannot run here: torch finds no GPU"):
        make_backend(name)


def test_compiling_needs_a_compiler(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ConfigError, match=r"needs a C\+\+ compiler"):
        make_backend("compile")


def test_bf16_is_refused_on_processors_without_matrix_units(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert "torch-bf16" not in available_backends()
    with pytest.raises(ConfigError, match="AMX"):
        make_backend("torch-bf16")


def test_the_choice_is_measured_once_and_says_why():
    choice = choose_backend(stages_of("default"), 3, threads=1)
    assert choice.reason.startswith(choice.backend.name)
    assert re.search(r"\(\d+\.\d\d megapixels/s; .*\), measured on \d{4}-\d\d-\d\d$", choice.reason)
    assert all(speed > 0 for speed in choice.measured.values())
    assert set(choice.measured) >= {"torch", choice.backend.name}
    assert choose_backend(stages_of("default"), 3, threads=1).measured == choice.measured


@pytest.mark.parametrize(
    ("other", "winner"), [(0.5, "onnxruntime"), (1.04, "onnxruntime"), (1.06, "torch")]
)
def test_only_a_clearly_faster_one_replaces_the_usual(speeds, other, winner):
    speeds[0]["torch"] = other
    choice = choose_backend(stages_of("default"), 3, threads=1)
    assert choice.backend.name == winner
    assert choice.reason.startswith(winner)


def test_each_architecture_and_number_of_threads_is_measured_but_not_each_training(speeds):
    stages = stages_of("default")
    choose_backend(stages, 3, threads=1)
    for weight in stages[0].module.parameters():
        weight.data.zero_()
    choose_backend(stages, 3, threads=1)
    assert len(speeds[1]) == 1
    choose_backend(stages, 3, threads=2)
    choose_backend(stages_of("unet"), 3, threads=1)
    assert len(speeds[1]) == 3


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"day": 3}', b"\xff\xfe"])
def test_a_damaged_cache_is_measured_again_and_mended(speeds, damage):
    path = cache_file(stages_of("default"), 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(damage)
    for _ in range(2):
        assert choose_backend(stages_of("default"), 3, threads=1).backend.name == "onnxruntime"
    assert len(speeds[1]) == 1


def test_a_cache_that_cannot_be_written_is_no_obstacle(speeds, cache):
    cache.write_text("a file where the folder should be")
    for _ in range(2):
        assert choose_backend(stages_of("default"), 3, threads=1).backend.name == "onnxruntime"
    assert len(speeds[1]) == 2


def test_a_remembered_backend_that_is_gone_is_measured_again(speeds):
    speeds[0]["openvino"] = 9.0
    choose_backend(stages_of("default"), 3, threads=1)
    del speeds[0]["openvino"]
    assert choose_backend(stages_of("default"), 3, threads=1).backend.name == "onnxruntime"
    assert len(speeds[1]) == 2


def test_a_single_backend_needs_no_measurement(speeds, monkeypatch):
    monkeypatch.setattr(choose, "available_backends", lambda: ("torch",))
    choice = choose_backend(stages_of("default"), 3, threads=1)
    assert (choice.backend.name, choice.reason) == ("torch", "torch, the only one here")
    assert not speeds[1]


class Wrong:
    """A backend that is off by a little, or fails."""

    name, device, dtype = "wrong", torch.device("cpu"), torch.float32

    def __init__(self, error):
        self.error = error

    def compile(self, stage, inputs):
        def run(*tensors):
            if self.error is None:
                raise RuntimeError("out of order")
            return stage.module(*tensors) + self.error

        return run


@pytest.mark.parametrize("error", [0.1, float("nan"), None])
def test_a_backend_that_is_wrong_or_fails_is_dropped_with_a_warning(error, caplog):
    make = {"wrong": lambda: Wrong(error), "torch": lambda: make_backend("torch", 1)}
    with caplog.at_level(logging.WARNING):
        found = measure_backends(make, stages_of("default"), 3)
    assert list(found) == ["torch"]
    assert "wrong is left out" in caplog.text


def test_agreement_is_in_units_of_the_target_and_at_least_of_one():
    small, large = torch.randn(1, 1, 9, 9) / 100, torch.randn(1, 1, 9, 9) * 100
    check_agreement(small + 0.9e-4, small, torch.float32)
    check_agreement(large + 5e-3, large, torch.float32)
    check_agreement(small + 0.02, small, torch.float16)
    with pytest.raises(ArithmeticError, match="differs"):
        check_agreement(small + 1.1e-4, small, torch.float32)
    with pytest.raises(ArithmeticError, match="gives"):
        check_agreement(small[..., :3], small, torch.float32)


def test_speeds_count_the_pixels_of_the_image(monkeypatch):
    seconds = iter(range(1000))
    monkeypatch.setattr(measure.time, "perf_counter", lambda: float(next(seconds)))
    found = measure_backends({"torch": lambda: make_backend("torch", 1)}, stages_of("default"), 3)
    assert found["torch"] == pytest.approx(64 * 64 / 1e6)


def test_measuring_leaves_the_threads_of_torch_as_they_were():
    before = torch.get_num_threads()
    measure_backends({"torch": lambda: make_backend("torch", before + 1)}, stages_of("default"), 3)
    assert torch.get_num_threads() == before

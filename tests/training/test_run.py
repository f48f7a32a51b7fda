import csv
import signal

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from training_scene import TINY, field

from isl.core.axes import VoxelSize
from isl.core.config import TrainConfig
from isl.core.errors import ChannelError, ConfigError, OutputError, VoxelSizeError
from isl.inference.model_file import load_model
from isl.io.arrays import fov_from_arrays
from isl.training.run import train
from isl.training.run_folder import RunFolder


def weights(model):
    return list(model.network.state_dict().values())


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


def test_a_run_leaves_model_logs_previews_and_settings(tmp_path):
    plans, reports = [], []
    model = train(
        [field()],
        TrainConfig(**TINY),
        tmp_path / "m.isl",
        announce=plans.append,
        progress=reports.append,
    )
    loaded = load_model(tmp_path / "m.isl")
    assert same(model, loaded)
    assert loaded.card.target_names == ("DAPI", "MAP2")
    assert loaded.card.holdout == "columns:64-95"
    assert set(loaded.card.scores) == {"DAPI", "MAP2"}
    assert loaded.card.provenance.steps == 8
    low, high = loaded.card.targets[0].window
    assert 100 < low < high < 350
    folder = RunFolder.of(tmp_path / "m.isl")
    assert len(list(folder.previews.glob("step_*.png"))) >= 2
    assert list(folder.path.glob("tensorboard/*/events*"))
    with next(folder.path.glob("csv/*/metrics.csv")).open() as file:
        rows = list(csv.DictReader(file))
    assert any(row["heldout/r/DAPI"] for row in rows)
    plan = plans[0]
    assert plan.train_pixels == 48 * 56
    assert plan.heldout_pixels == 48 * 32
    assert plan.steps == 8
    text = "\n".join(plan.lines())
    for words in (
        "phase, 3 planes",
        "DAPI, MAP2",
        "columns:64-95",
        "8 steps",
        "million parameters",
    ):
        assert words in text
    steps = [r for r in reports if r.unit == "budget"]
    assert [round(r.done * 8) for r in steps] == list(range(1, 9))


def test_training_learns_a_simple_relation(tmp_path):
    config = TrainConfig(**(TINY | {"max_steps": 120, "learning_rate": 1e-2, "average_decay": 0.9}))
    model = train([field()], config, tmp_path / "m.isl")
    assert model.card.scores["DAPI"] > 0.7


@pytest.mark.concurrent
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_resuming_after_a_signal_gives_the_same_weights(tmp_path, number):
    config = TrainConfig(**TINY)
    undisturbed = train([field()], config, tmp_path / "a.isl")

    class Ended(BaseException):
        pass

    def end(*_):
        raise KeyboardInterrupt if number == signal.SIGINT else Ended

    def interrupt(report):
        if report.unit == "budget" and round(report.done * 8) == 5:
            signal.raise_signal(number)

    before = signal.signal(number, end)
    try:
        with pytest.raises((KeyboardInterrupt, Ended)):
            train([field()], config, tmp_path / "b.isl", progress=interrupt)
        assert signal.getsignal(number) is end
    finally:
        signal.signal(number, before)
    assert not (tmp_path / "b.isl").exists()
    reports = []
    resumed = train([field()], config, tmp_path / "b.isl", resume=True, progress=reports.append)
    assert [round(r.done * 8) for r in reports if r.unit == "budget"] == [6, 7, 8]
    assert same(undisturbed, resumed)


def test_resuming_after_a_crash_goes_on_from_the_last_checkpoint(tmp_path):
    config = TrainConfig(**TINY)
    undisturbed = train([field()], config, tmp_path / "a.isl")

    def crash(report):
        if report.unit == "budget" and round(report.done * 8) == 5:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        train([field()], config, tmp_path / "b.isl", progress=crash)
    assert same(undisturbed, train([field()], config, tmp_path / "b.isl", resume=True))


def test_a_target_missing_in_some_fields_still_trains(tmp_path):
    fovs = [field("a"), field("bb", without=("MAP2",)), field("ccc", without=("DAPI",))]
    plans = []
    config = TrainConfig(**(TINY | {"holdout": "fovs:a"}))
    with pytest.raises(ConfigError, match="cannot hold out fovs zz; there are: a, bb, ccc"):
        train(fovs, config.model_copy(update={"holdout": "fovs:zz"}), tmp_path / "m.isl")
    model = train(fovs, config, tmp_path / "m.isl", announce=plans.append)
    assert model.network.config.z_slots == 3
    assert plans[0].fields_with_target == (2, 2)
    assert "DAPI (2 of 3 fields)" in "\n".join(plans[0].lines())
    assert all(torch.isfinite(w).all() for w in weights(model) if w.is_floating_point())


def test_patches_of_any_angle_and_magnification(tmp_path):
    turned = {"free_rotation_degrees": 45, "scaling": 0.2, "max_steps": 2}
    model = train([field()], TrainConfig(**(TINY | turned)), tmp_path / "m.isl")
    assert all(torch.isfinite(w).all() for w in weights(model) if w.is_floating_point())


def test_without_holdout_there_are_no_scores(tmp_path):
    model = train([field()], TrainConfig(**(TINY | {"holdout": "none"})), tmp_path / "m.isl")
    assert model.card.scores is None


def test_existing_output_is_refused_before_any_work(tmp_path):
    config = TrainConfig(**TINY)
    (tmp_path / "m.isl").touch()
    with pytest.raises(OutputError, match="--overwrite"):
        train([field()], config, tmp_path / "m.isl")
    with pytest.raises(OutputError, match="nothing to resume"):
        train([field()], config, tmp_path / "new.isl", resume=True)
    with pytest.raises(OutputError, match=r"something\.isl"):
        train([field()], config, tmp_path / "m.pt")
    with pytest.raises(OutputError, match="does not exist"):
        train([field()], config, tmp_path / "no" / "m.isl")
    train([field()], config, tmp_path / "m.isl", overwrite=True)
    assert load_model(tmp_path / "m.isl").card.provenance.steps == 8


def test_resuming_with_other_settings_is_refused(tmp_path):
    train([field()], TrainConfig(**TINY), tmp_path / "m.isl")
    other = TrainConfig(**(TINY | {"learning_rate": 0.5}))
    with pytest.raises(ConfigError, match=r"learning_rate 0.0015 \(now 0.5\)"):
        train([field()], other, tmp_path / "m.isl", resume=True)


def test_fields_of_another_magnification_are_resampled(tmp_path):
    fovs = [field(n, voxel_size=VoxelSize(1, 0.3, 0.3)) for n in ("a", "bb")]
    fovs.append(field("ccc", voxel_size=VoxelSize(1, 0.6, 0.6)))
    plans = []
    settings = TINY | {"holdout": "fovs:bb", "max_steps": 2}
    model = train(fovs, TrainConfig(**settings), tmp_path / "m.isl", announce=plans.append)
    assert model.card.voxel_size == VoxelSize(1, 0.3, 0.3)
    assert plans[0].train_pixels == 48 * 96 + 96 * 192
    assert "1 field is resampled to z 1, y 0.3, x 0.3 um" in "\n".join(plans[0].lines())
    asked = settings | {"voxel_size": (None, 0.6, 0.6)}
    model = train(fovs, TrainConfig(**asked), tmp_path / "n.isl", announce=plans.append)
    assert model.card.voxel_size == VoxelSize(1, 0.6, 0.6)
    assert plans[1].train_pixels == 24 * 48 + 48 * 96


def test_fields_of_quite_another_magnification_are_refused(tmp_path):
    fovs = [
        field("a", voxel_size=VoxelSize(1, 0.3, 0.3)),
        field("bb", voxel_size=VoxelSize(1, 6, 6)),
    ]
    with pytest.raises(VoxelSizeError, match="field bb has voxels of"):
        train(fovs, TrainConfig(**TINY), tmp_path / "m.isl")


def test_resuming_after_the_last_step_changes_nothing(tmp_path):
    settings = TrainConfig(**(TINY | {"max_steps": 4, "validate_steps": 2}))
    first = train([field()], settings, tmp_path / "m.isl")
    (tmp_path / "m.isl").unlink()
    again = train([field()], settings, tmp_path / "m.isl", resume=True)
    assert same(first, again)
    assert again.card.provenance.steps == 4


def test_published_crops_are_no_larger_than_the_field(tmp_path):
    settings = {
        "network": {"name": "isl2018", "base_depth": 8, "planes": 2, "classes": 4},
        **{"batch_size": 2, "max_steps": 3, "validate_steps": 3, "source": "phase"},
        **{"patch_px": 250, "holdout": "none"},
    }
    rng = np.random.default_rng(0)
    phase = gaussian_filter(rng.normal(100, 50, (3, 300, 320)), (0, 3, 3)).astype(np.float32)
    fov = fov_from_arrays({"phase": phase, "DAPI": phase[1]}, name="a")
    model = train([fov], TrainConfig(**settings), tmp_path / "m.isl")
    assert model.card.training["crop_px"] == 300
    assert all(weight.isfinite().all() for weight in weights(model))


def test_depth_of_the_stacks_is_kept_with_the_model(tmp_path):
    fov = field(voxel_size=VoxelSize(1.5, 0.3, 0.3))
    model = train([fov], TrainConfig(**(TINY | {"max_steps": 1})), tmp_path / "m.isl")
    assert model.card.source.depth_um == 3.0


def test_no_target_is_an_error(tmp_path):
    with pytest.raises(ChannelError):
        train([field(without=("DAPI", "MAP2"))], TrainConfig(**TINY), tmp_path / "m.isl")


def test_a_diverging_run_says_so(tmp_path):
    fov = field()
    huge = TrainConfig(**(TINY | {"learning_rate": 1e30, "max_steps": 40}))
    with pytest.raises(ConfigError, match="learning rate"):
        train([fov], huge, tmp_path / "m.isl")


def test_a_bad_held_out_field_is_replaced_by_a_good_one(tmp_path):
    fovs = [field(name) for name in ("a", "bb", "ccc")]
    blank = np.zeros((3, 48, 96))
    fovs.append(fov_from_arrays({"phase": blank, "DAPI": blank, "MAP2": blank}, name="dddd"))
    plans, bad = [], []
    config = TrainConfig(**(TINY | {"holdout": None, "max_steps": 2}))
    model = train(
        fovs,
        config,
        tmp_path / "m.isl",
        announce=plans.append,
        on_bad=lambda name, error: bad.append(name),
    )
    assert bad == ["dddd"]
    assert model.card.holdout == "fovs:ccc"
    assert set(model.card.scores) == {"DAPI", "MAP2"}
    assert plans[0].heldout_pixels == 48 * 96


def test_a_bad_field_that_was_to_be_held_out_is_announced(tmp_path):
    blank = np.zeros((3, 48, 96))
    fovs = [field(), fov_from_arrays({"phase": blank, "DAPI": blank, "MAP2": blank}, name="bb")]
    plans = []
    config = TrainConfig(**(TINY | {"holdout": "fovs:bb", "max_steps": 2}))
    model = train(
        fovs, config, tmp_path / "m.isl", announce=plans.append, on_bad=lambda *problem: None
    )
    assert "fovs:bb (as asked), no pixels: there will be no scores" in "\n".join(plans[0].lines())
    assert model.card.scores is None


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"accelerator": "tpu"}, "accelerator tpu.*--accelerator auto"),
        ({"devices": 3}, "batch_size 2 cannot be divided evenly among 3 devices; .* such as 3"),
        (
            {"devices": 2, "nodes": 2, "batch_size": 6},
            "among 2 devices on each of 2 nodes; make it a multiple of 4, such as 8",
        ),
    ],
)
def test_hardware_that_cannot_be_used(tmp_path, setting, message):
    config = TrainConfig(**(TINY | setting))
    with pytest.raises(ConfigError, match=message):
        train([field()], config, tmp_path / "m.isl")
    assert list(tmp_path.iterdir()) == []


def test_an_early_end_leaves_nothing(tmp_path):
    def interrupt(plan):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train([field()], TrainConfig(**TINY), tmp_path / "m.isl", announce=interrupt)
    assert list(tmp_path.iterdir()) == []

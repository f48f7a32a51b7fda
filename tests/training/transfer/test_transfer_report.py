"""What became of the targets of the model that a run started from."""

import json

import numpy as np
import pytest
import torch
from training_scene import TINY, field

from isl.core.config import TrainConfig
from isl.data.normalization import measure_source_array
from isl.data.samples import Sample
from isl.data.splits import split_fovs
from isl.inference.model import Model
from isl.io.roles import Roles
from isl.training.run import train
from isl.training.transfer.report import read_report, transfer_report


def sample(fov, roles, holdout="columns:64-95"):
    source = fov.read("phase")
    part = split_fovs([fov], holdout, 8).fields[fov.name]
    return Sample(
        fov=fov.name,
        t=0,
        source=source,
        normalizer=measure_source_array(source, "a"),
        targets=tuple(
            fov.read(name)[0] if name in fov.channel_names else None for name in roles.targets
        ),
        train=part.train,
        heldout=part.heldout,
        depths=np.linspace(0, 1, 3, dtype=np.float32),
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    config = TrainConfig(**(TINY | {"max_steps": 2, "loader_threads": 0}))
    before = train([field()], config, folder / "a.isl")
    after = train([field()], config.model_copy(update={"targets": ("MAP2",)}), folder / "b.isl")
    return before, after


def test_the_same_model_agrees_with_itself(models, tmp_path):
    before, _ = models
    roles = Roles("phase", ("MAP2", "DAPI"), "")
    fov = field(without=("DAPI",))
    report = transfer_report(before, before, [sample(fov, roles)], roles)
    assert (report.boxes, report.part, report.given_up) == (1, "held-out", ())
    assert "on 1 box of the held-out part" in report.lines()[0]
    dapi, map2 = report.targets
    assert dapi.agreement == map2.agreement == pytest.approx(1.0)
    assert dapi.difference == map2.difference == 0.0
    assert np.isnan(dapi.r_after)
    assert map2.r_before == map2.r_after
    assert "not acquired here" in report.lines()[1]
    report.write(tmp_path / "transfer.json")
    found = json.loads((tmp_path / "transfer.json").read_text())
    assert found["targets"][0]["r_before"] is None
    assert read_report(tmp_path / "transfer.json").lines() == report.lines()


def test_changes_are_measured_and_targets_that_are_gone_named(models):
    before, after = models
    roles = Roles("phase", ("MAP2",), "")
    whole = sample(field(), roles, "none")
    report = transfer_report(before, after, [whole], roles)
    assert report.part == "training"
    assert report.given_up == ("DAPI",)
    assert [change.target for change in report.targets] == ["MAP2"]
    assert report.targets[0].difference > 0
    assert "given up: DAPI" in report.lines()[-1]


def test_a_shift_is_told_in_standard_deviations(models):
    before, _ = models
    roles = Roles("phase", ("DAPI", "MAP2"), "")
    here = sample(field(), roles)
    spread = before.distribution(here.source).median[0, :, 64:].std(correction=0)
    cards = list(before.card.targets)
    cards[0] = cards[0].model_copy(update={"offset": cards[0].offset + float(spread)})
    moved = Model(before.card.model_copy(update={"targets": tuple(cards)}), before.network)
    change = transfer_report(before, moved, [here], roles).targets[0]
    assert change.difference == pytest.approx(1.0, rel=1e-3)
    assert change.agreement == pytest.approx(1.0, abs=1e-5)
    assert torch.is_tensor(spread)

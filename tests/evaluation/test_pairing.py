"""Pairs of fields and names of channels."""

import numpy as np
import pytest

from isl.core.errors import ChannelError
from isl.evaluation.forecast import interval_channels
from isl.evaluation.pairing import pair_fields, point_channel, predicted_targets


def field(scene, name, *channels):
    return scene.fov(name, {c: np.zeros((1, 8, 8), np.float32) for c in channels})


def test_one_on_each_side_is_a_pair_whatever_the_names(scene):
    pairing = pair_fields([field(scene, "out", "DAPI")], [field(scene, "A4", "DAPI")])
    assert [pair.name for pair in pairing.pairs] == ["A4"]
    assert pairing.notes == ()


def test_pairs_follow_the_truth(scene):
    truths = [field(scene, n, "DAPI") for n in "abc"]
    pairing = pair_fields([field(scene, n, "DAPI") for n in "xca"], truths)
    assert [p.name for p in pairing.pairs] == ["a", "c"]
    assert [p.prediction.name for p in pairing.pairs] == ["a", "c"]
    assert len(pairing.notes) == 2


def test_statistics_belong_to_their_target(scene):
    fov = field(scene, "a", "DAPI", "DAPI mean", "Cy5 std", "DAPI q0.025", "Alpha mean q", "NFH")
    assert predicted_targets(fov) == ("DAPI", "Cy5", "Alpha mean q", "NFH")
    assert point_channel(fov, "DAPI") == "DAPI"
    with pytest.raises(ChannelError, match="no prediction of 'Cy5'"):
        point_channel(fov, "Cy5")


@pytest.mark.parametrize(
    ("level", "names"),
    [(50, "x q0.25,x q0.75"), (80, "x q0.1,x q0.9"), (95, "x q0.025,x q0.975")],
)
def test_bounds_are_named_as_they_are_predicted(level, names):
    assert ",".join(interval_channels("x", level)) == names

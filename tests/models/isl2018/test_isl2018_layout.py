"""Every number of the published table follows from the rules."""

import csv
from pathlib import Path

import pytest

from isl.core.networks import Isl2018Config
from isl.models.isl2018.blocks import ScaleModule
from isl.models.isl2018.layout import lay_out
from isl.models.isl2018.network import Isl2018, head_names

with open(Path(__file__).with_name("published_modules.csv")) as _file:
    PUBLISHED = {
        row.pop("module"): {k: int(v) for k, v in row.items()} for row in csv.DictReader(_file)
    }
LAYOUT = {module.name: module for module in lay_out(Isl2018Config()).modules}


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_all_modules_are_there_in_order():
    assert list(LAYOUT) == list(PUBLISHED)
    assert len(LAYOUT) == 104


@pytest.mark.parametrize("name", PUBLISHED)
def test_module_has_the_published_sides_depths_and_parameters(name):
    module, row = LAYOUT[name], PUBLISHED[name]
    # The table gives the side of an up-scale module before it is cropped by two pixels a side.
    cropped = 4 if module.kind == "up" else 0
    assert (module.in_side, module.out_side + cropped) == (row["in_side"], row["out_side"])
    assert (module.in_depth, module.expand_depth) == (row["in_depth"], row["expand_depth"])
    assert module.pooled_depth == row["depth_after_expansion"]
    assert module.out_depth == row["out_depth"]
    assert count(ScaleModule(module)) == row["parameters"]


@pytest.mark.parametrize(
    ("config", "targets", "core", "total"),
    [
        (Isl2018Config(), 9, 8_113_388, 9_273_708),
        (Isl2018Config(planes=13), 9, 8_112_972, 8_842_316),
        (Isl2018Config(reconstruction=False), 9, 8_113_388, 8_411_756),
        (Isl2018Config(planes=13, projection=0, reconstruction=False), 0, 9_409_188, 9_409_188),
        (Isl2018Config(base_depth=50), 9, None, 1_209_760),
        (Isl2018Config(base_depth=100), 9, None, 1_839_376),
    ],
)
def test_parameters_are_as_published(config, targets, core, total):
    network = Isl2018(config, head_names(config, [str(i) for i in range(targets)]))
    assert count(network) == total
    if core is not None:
        assert count(network.core) == core


def test_parts_have_the_published_parameters():
    core = Isl2018(Isl2018Config(), ()).core
    towers = [276_984, 456_200, 835_560, 1_533_000, 2_605_436]
    assert [count(tower) for tower in core.towers] == towers
    assert (count(core.projection), count(core.upper)) == (848, 2_405_360)
    (head,) = Isl2018(Isl2018Config(), ["head/MAXPROJECT/A"]).heads
    assert count(head) == 33_152

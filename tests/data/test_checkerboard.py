from dataclasses import replace

import numpy as np
import pytest

from isl.core.axes import Box
from isl.data.checkerboard import make_checkerboard
from isl.data.depths import plane_depths
from isl.data.normalization import SourceNormalizer, TargetNormalizer
from isl.data.patches import PatchSampler
from isl.data.samples import Sample

RNG = np.random.default_rng(0)


def sample(dataset, planes, targets, heldout=()):
    images = tuple(RNG.normal(size=(100, 100)) if there else None for there in targets)
    return Sample(
        fov=f"{dataset}:{planes}",
        t=0,
        source=RNG.normal(size=(planes, 100, 100)),
        normalizer=SourceNormalizer(0, 1),
        targets=images,
        train=(Box(0, 100, 0, 80),),
        heldout=heldout,
        depths=plane_depths(planes),
        dataset=dataset,
        target_normalizers=(TargetNormalizer(0, 1),) * 2,
    )


def board(samples):
    sampler = PatchSampler(samples, patch_px=16, batch_size=4, content_share=0, seed=0)
    return make_checkerboard(samples, ("DNA", "MAP2"), sampler, (1.0, 2.5))


def test_counts_what_each_dataset_brings():
    missing = sample("b", 1, (True, False))
    missing.targets[0][:50] = np.nan
    found = board([sample("a", 13, (True, True), (Box(0, 100, 90, 100),)), missing])
    assert [row.name for row in found.rows] == ["a", "b"]
    assert found.rows[0].acquired.tolist() == [8000, 8000]
    assert found.rows[1].acquired.tolist() == [4000, 0]
    assert (found.rows[0].train_pixels, found.rows[0].heldout_pixels) == (8000, 1000)
    assert sum(row.share for row in found.rows) == pytest.approx(1)


def test_shows_gaps_as_dashes():
    lines = board([sample("a", 13, (True, True)), sample("b", 1, (True, False))]).lines()
    assert lines[0].split() == [
        *("data", "set", "fields", "planes", "train", "held", "out", "drawn", "DNA", "MAP2")
    ]
    assert lines[1].endswith("0.008 Mpx  0.008 Mpx")
    assert lines[2].endswith("0.008 Mpx  -")
    assert lines[3].endswith("0.016 Mpx  0.008 Mpx")
    assert lines[4].split() == ["weight", "in", "the", "loss", "1.00", "2.50"]
    assert len({line.index("DNA") for line in lines[:1]}) == 1


def test_fields_of_different_depth_and_datasets_without_pixels():
    rows = board([sample("a", 13, (True, True)), replace(sample("a", 5, (True, True)), train=())])
    assert rows.rows[0].planes == (5, 13)
    assert rows.rows[0].fields == 2
    empty = replace(sample("b", 3, (True, True)), train=())
    assert board([sample("a", 13, (True, True)), empty]).rows[1].acquired.tolist() == [0, 0]

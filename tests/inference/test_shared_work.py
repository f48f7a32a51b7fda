"""Tasks done by other processes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import tifffile
from inference_scene import make_model
from test_resume import tree

from isl.inference.predict import predict_fovs
from isl.io.open import open_fovs

pytest.importorskip("distributed")


@pytest.fixture
def fovs(rng, tmp_path):
    """Three fields in TIFF files, the second of them constant."""
    folder = tmp_path / "wells"
    folder.mkdir()
    for name in "abc":
        stack = rng.integers(0, 4000, (3, 70, 90), dtype=np.uint16) * (name != "b")
        path = folder / f"{name}.tif"
        tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZYX"})
    return open_fovs(folder)


@pytest.mark.slow
def test_processes_write_the_same_bytes(fovs, tmp_path):
    model, bad = make_model(), []
    alone = predict_fovs(
        model, fovs, tmp_path / "alone.zarr", on_bad=lambda name, _: bad.append(name)
    )
    seen = []
    shared = predict_fovs(
        model,
        fovs,
        tmp_path / "shared.zarr",
        cluster="local:2",
        progress=seen.append,
        on_bad=lambda name, _: bad.append(name),
    )
    assert tree(alone.path) == tree(shared.path)
    assert shared.fields == alone.fields
    assert bad == [fovs[1].name] * 2
    assert seen[-1].done == seen[-1].total == 3


def test_a_model_is_sent_without_what_was_compiled(fovs):
    model = make_model()
    before = len(pickle.dumps(model))
    model.predict(fovs[0].read(fovs[0].channel_names[0]))
    assert len(pickle.dumps(model)) == before
    again = pickle.loads(pickle.dumps((model, fovs)))
    zyx = again[1][0].read(fovs[0].channel_names[0])
    np.testing.assert_array_equal(again[0].predict(zyx).image, model.predict(zyx).image)

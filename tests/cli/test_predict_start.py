"""What ``isl predict`` loads before its first tile: nothing that it can do without."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import tifffile

import isl

NEVER = ("lightning", "pandas", "matplotlib", "tensorboard", "skimage", "scipy")
AT_FIRST = (*NEVER, "onnxscript", "torch._dynamo", "pyarrow", "dask", "fsspec")
MODULES = (
    "isl.cli.app",
    "isl.cli.predict",
    "isl.api",
    "isl.inference.model_file",
    "isl.inference.predict",
    "isl.io.tiff",
    "isl.io.plane_fields",
    "isl.io.omezarr",
    "isl.io.output",
)


def loaded_by(code, names):
    """Which modules a fresh process has loaded after some code."""
    code = f"import sys\n{code}\nprint(*[name for name in {names!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.splitlines()[-1]


def test_predict_waits_for_no_import_that_it_can_do_without():
    assert loaded_by(f"import {', '.join(MODULES)}", AT_FIRST) == ""


def test_a_prediction_needs_neither_training_nor_reports(tmp_path):
    stack = np.random.default_rng(0).normal(3000, 200, (13, 32, 32)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "phase.ome.tif", stack, metadata={"axes": "ZYX"})
    model = isl.__path__[0] + "/weights/demo-scene.isl"
    words = ["predict", model, str(tmp_path / "phase.ome.tif"), "-o", str(tmp_path / "o.zarr")]
    code = f"from isl.cli.app import run\nassert run({[*words, '--ignore-voxel-size']!r}) == 0"
    assert loaded_by(code, NEVER) == ""

"""Commands that are given a file of data sets in place of images."""

import numpy as np
import pytest
import yaml

import isl
from isl.cli.app import run
from isl.core.errors import ConfigError
from isl.inference.model_file import load_model
from isl.simulate.files import write_scene
from isl.simulate.scene import simulate_scene

TINY = [
    *("--max-steps", "2", "--batch-size", "2", "--patch-px", "32"),
    *("--network.widths", "8,8", "--network.blocks", "1,1"),
]


@pytest.fixture
def datasets(scene_dir, tmp_path):
    """Two data sets that differ in planes, fields and targets."""
    write_scene(simulate_scene(seed=2, size_yx=(64, 96), planes=5, cells=5), tmp_path / "other")
    listed = {
        "one": {"data": "scene", "holdout": "columns:72-95"},
        "other": {"data": "other", "targets": {"NUCLEI": "DNA"}, "holdout": "rows:48-63"},
    }
    given = {
        "datasets": listed,
        "aliases": {"NUCLEI": ["DNA"]},
        "training": {"max_minutes": 9, "holdout_margin_px": 4, "seed": 3},
    }
    path = tmp_path / "datasets.yaml"
    path.write_text(yaml.safe_dump(given, sort_keys=False))
    return path


def test_data_sets_are_listed_trained_on_predicted_and_evaluated(datasets, tmp_path, capsys):
    assert run(["info", str(datasets)]) == 0
    assert "one:S1" in capsys.readouterr().out
    model = tmp_path / "model.isl"
    assert run(["train", str(datasets), "-o", str(model), *TINY]) == 0
    shown = capsys.readouterr().out
    table = [line.split() for line in shown.splitlines()[:4]]
    assert table[0][-2:] == ["CYTOPLASM", "NUCLEI"]
    assert [row[0] for row in table[1:]] == ["one", "other", "all"]
    assert "-" in table[2]
    card = load_model(model).card
    assert card.holdout == "one[columns:72-95]; other[rows:48-63]"
    assert card.training["seed"] == 3
    assert card.training["max_minutes"] is None
    predictions = tmp_path / "predictions.zarr"
    assert run(["predict", str(model), str(datasets), "-o", str(predictions)]) == 0
    assert {fov.name for fov in isl.open_fovs(predictions)} == {"one:S1", "other:S2"}
    assert run(["evaluate", str(model), str(datasets), "-o", str(tmp_path / "r.html")]) == 0
    shown = capsys.readouterr().out
    assert "columns:72-95" in shown
    assert "rows:48-63" in shown


def test_the_same_in_python(datasets, tmp_path):
    model = isl.train(
        datasets,
        tmp_path / "m.isl",
        max_steps=1,
        batch_size=1,
        patch_px=32,
        network={"widths": (8,), "blocks": (1,)},
    )
    assert model.card.target_names == ("CYTOPLASM", "NUCLEI")
    evaluation = isl.evaluate(model, datasets)
    assert np.isfinite(evaluation.score("NUCLEI", "pearson_r").value)


def test_two_files_of_data_sets_are_refused(datasets, tmp_path):
    (tmp_path / "more.yaml").write_text(datasets.read_text())
    with pytest.raises(ConfigError, match="both list data sets"):
        isl.train([datasets, tmp_path / "more.yaml"], tmp_path / "m.isl")

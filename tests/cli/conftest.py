"""A scene, and an untrained model that accepts it."""

from __future__ import annotations

import pytest
import torch

import isl
from isl.core.axes import VoxelSize
from isl.core.networks import NetworkConfig
from isl.inference.model import Model
from isl.inference.model_card import (
    ModelCard,
    Provenance,
    SourceCard,
    TargetCard,
    TrainedField,
)
from isl.inference.model_file import save_model
from isl.models.network import build_network
from isl.simulate.files import write_scene
from isl.simulate.scene import simulate_scene

NETWORK = NetworkConfig(widths=(8,), blocks=(1,), z_slots=3, dropout=0.0)


@pytest.fixture(scope="session")
def scene():
    return simulate_scene(seed=1, size_yx=(80, 96), planes=3, cells=5)


@pytest.fixture
def scene_dir(scene, tmp_path):
    """Folder of one field, S1."""
    write_scene(scene, tmp_path / "scene")
    return tmp_path / "scene"


@pytest.fixture
def two_fields(scene, scene_dir):
    """Folder of two fields, S1 and S2."""
    for file in scene_dir.glob("*.png"):
        copy = scene_dir / file.name.replace("well-S1", "well-S2")
        copy.write_bytes(file.read_bytes())
    return scene_dir


@pytest.fixture(scope="session")
def model():
    torch.manual_seed(0)
    targets = [TargetCard(name=n, offset=500.0, scale=800.0) for n in ("NUCLEI", "CYTOPLASM")]
    card = ModelCard(
        targets=tuple(targets),
        source=SourceCard(name="BRIGHTFIELD", modality="brightfield", planes=3),
        voxel_size=VoxelSize(1.5, 0.5, 0.5),
        network=NETWORK,
        training={"seed": 11, "network": NETWORK.model_dump()},
        holdout="columns:48-95",
        trained_on=tuple(TrainedField(name=f"F{i}", path=f"wells/F{i}") for i in range(25)),
        scores={"NUCLEI": 0.8125, "CYTOPLASM": 0.75},
        provenance=Provenance(
            version=isl.__version__, date="2026-01-02", torch="2", steps=7, minutes=3.0, seed=11
        ),
    )
    return Model(card, build_network(NETWORK, targets=2).eval())


@pytest.fixture
def model_path(model, tmp_path):
    save_model(model, tmp_path / "model.isl")
    return tmp_path / "model.isl"

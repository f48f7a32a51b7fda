import pytest
from pydantic import ValidationError

from isl.core.config import TrainConfig
from isl.core.networks import NetworkConfig


def test_every_setting_is_documented():
    for model in (TrainConfig, NetworkConfig):
        undocumented = [n for n, f in model.model_fields.items() if not f.description]
        assert undocumented == []


def test_settings_survive_json():
    config = TrainConfig(
        targets=("DAPI",), max_steps=3, network=NetworkConfig(widths=(8,), blocks=(1,))
    )
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_minutes": 1, "max_steps": 2}, "one budget"),
        ({"patch_px": 100}, "multiple of the network's stride"),
        ({"nonsense": 1}, "nonsense"),
        ({"learning_rate": -1}, "learning_rate"),
        ({"network": {"widths": (8, 8), "blocks": (1,)}}, "one number per level"),
    ],
)
def test_senseless_settings_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        TrainConfig.model_validate(settings)


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        TrainConfig().seed = 3

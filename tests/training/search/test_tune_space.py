import optuna
import pytest

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError
from isl.core.networks import NetworkConfig
from isl.training.search.space import (
    DEFAULT_SEARCH,
    FIXED,
    SearchRange,
    search_space,
    with_settings,
)

ANY = TrainConfig()


def trial(**params):
    return optuna.trial.FixedTrial(params)


def test_all_of_the_default_search_is_accepted():
    space = search_space(None, ANY)
    assert list(space.ranges) == list(DEFAULT_SEARCH)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    for _ in range(30):
        assert isinstance(with_settings(ANY, space.suggest(study.ask())), TrainConfig)


def test_the_default_settings_are_in_the_default_search():
    space = search_space(None, ANY)
    start = space.start(ANY)
    assert set(start) == set(space.ranges)
    assert with_settings(ANY, space.suggest(trial(**start))) == ANY


@pytest.mark.parametrize("given", [{"network": "unet"}, {"start_from": "demo-neurons"}])
def test_sizes_of_another_network_are_left_out(given):
    names = search_space(None, TrainConfig(**given)).ranges
    assert "learning_rate" in names
    assert not any(name.startswith("network.") for name in names)


def test_nested_and_dotted_names_are_one():
    span = {"choices": [[8, 8], [16, 16]]}
    config = TrainConfig(network=NetworkConfig(widths=(8, 8), blocks=(1, 1)))
    nested = search_space({"network": {"widths": span}}, config)
    assert nested == search_space({"network.widths": span}, config)
    values = nested.suggest(trial(**{"network.widths": "[16, 16]"}))
    assert values == {"network.widths": [16, 16]}
    assert with_settings(config, values).network == NetworkConfig(widths=(16, 16), blocks=(1, 1))
    assert nested.values({"network.widths": "[16, 16]"}) == values


def test_whole_networks_may_be_chosen():
    other = {"name": "unet", "widths": [8, 16]}
    space = search_space({"network": {"choices": [{"widths": [8], "blocks": [1]}, other]}}, ANY)
    found = {with_settings(ANY, {"network": c}).network.name for c in space.ranges["network"].ends}
    assert found == {"default", "unet"}


def test_numbers_are_of_the_type_of_the_setting():
    space = search_space(
        {"noise_std": {"low": 0, "high": 1}, "batch_size": {"low": 2.0, "high": 4}}, ANY
    )
    assert space.suggest(trial(noise_std=0.25, batch_size=3)) == {
        "noise_std": 0.25,
        "batch_size": 3,
    }
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    values = [space.suggest(study.ask()) for _ in range(20)]
    assert {v["batch_size"] for v in values} == {2, 3, 4}
    assert len({v["noise_std"] for v in values}) == 20


def test_text_numbers_of_yaml_are_numbers():
    span = search_space({"learning_rate": {"low": "1e-4", "high": "1e-2", "log": True}}, ANY)
    assert span.ranges["learning_rate"].low == 1e-4


def test_the_start_leaves_out_what_the_ranges_do_not_hold():
    search = {
        "learning_rate": {"low": 1e-5, "high": 1e-4},
        "patch_px": {"low": 64, "high": 512, "step": 64},
        "crop_px": {"choices": [None]},
    }
    assert search_space(search, ANY).start(ANY) == {"patch_px": 256, "crop_px": None}
    assert not SearchRange(low=0.0, high=1.0, step=0.25).holds(0.3)
    assert SearchRange(low=0.1, high=0.5, step=0.1).holds(0.3)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"learning_rat": {"low": 1, "high": 2}}, "did you mean learning_rate"),
        ({"network.width": {"choices": [[8]]}}, "did you mean network.widths"),
        ({"network": {"droput": {"low": 0, "high": 0.1}}}, "did you mean network.dropout"),
        ({"zzz": {"choices": [1]}}, "zzz is not a setting; the settings are: source"),
        ({}, "no settings"),
        ({"learning_rate": 3}, "learning_rate"),
        ({"learning_rate": {}}, "give low and high, or choices"),
        ({"learning_rate": {"low": 0.1}}, "give low and high"),
        ({"learning_rate": {"low": 0.1, "high": 0.01}}, "must be less than high"),
        ({"learning_rate": {"low": 0, "high": 0.01, "log": True}}, "above 0 for a logarithmic"),
        ({"learning_rate": {"low": -1, "high": 0.01}}, "learning_rate -1.* greater than 0"),
        ({"learning_rate": {"low": "a", "high": 0.01}}, r"search: learning_rate\.low"),
        ({"learning_rate": {"low": 0.1, "high": 1, "lgo": True}}, r"learning_rate\.lgo"),
        ({"noise_std": {"low": 0.1, "high": 1, "step": 0}}, "greater than 0"),
        ({"noise_std": {"low": 0.1, "high": 1, "step": 0.1, "log": True}}, "leave out step"),
        ({"batch_size": {"choices": []}}, "batch_size.choices"),
        ({"batch_size": {"choices": [2, 2]}}, "given twice"),
        ({"batch_size": {"choices": [2], "low": 1}}, "either choices, or low and high"),
        ({"batch_size": {"low": 1, "high": 4, "step": 1.5}}, "whole numbers"),
        ({"batch_size": {"low": 1.5, "high": 4}}, "batch_size 1.5 makes no sense"),
        ({"flips": {"low": 0, "high": 1}}, "flips is no number"),
        ({"network.widths": {"low": 8, "high": 16}}, "network.widths 8 makes no sense"),
        ({"network.stem_stride": {"low": 1, "high": 8}}, "stem_stride 3 makes no sense"),
        ({"patch_px": {"choices": [256, 250]}}, "patch_px 250 .*multiple of"),
        ({"network.widths": {"choices": [[8, 8]]}}, "2 levels and blocks has 3"),
        (
            {"patch_px": {"choices": [144]}, "network.stem_stride": {"choices": [4, 8]}},
            "patch_px 144 with network.stem_stride 8 makes no sense",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(search, message):
    with pytest.raises(ConfigError, match=message):
        search_space(search, ANY)


@pytest.mark.parametrize("name", sorted(FIXED))
def test_what_would_make_scores_incomparable_is_not_searched(name):
    with pytest.raises(ConfigError, match=f"{name} cannot be searched, because"):
        search_space({name: {"choices": [1]}}, ANY)
    assert name in TrainConfig.model_fields

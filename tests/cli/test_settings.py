from __future__ import annotations

import pytest

from isl.cli.settings import read_settings
from isl.core.config import TrainConfig
from isl.core.errors import ConfigError


@pytest.fixture
def yaml_file(tmp_path):
    def write(text):
        (tmp_path / "settings.yaml").write_text(text)
        return tmp_path / "settings.yaml"

    return write


def test_nothing_given_means_the_defaults():
    assert read_settings(None, None) == TrainConfig()


def test_flags_win_over_the_file(yaml_file):
    path = yaml_file("batch_size: 4\nseed: 3\nnetwork: {dropout: 0.3, z_slots: 5}\n")
    settings = read_settings(path, {"seed": 7, "network": {"dropout": 0.2}})
    assert (settings.batch_size, settings.seed) == (4, 7)
    assert (settings.network.dropout, settings.network.z_slots) == (0.2, 5)


def test_a_budget_given_by_flag_replaces_that_of_the_file(yaml_file):
    settings = read_settings(yaml_file("max_minutes: 60"), {"max_steps": 10})
    assert (settings.max_minutes, settings.max_steps) == (None, 10)


def test_names_may_be_separated_by_commas():
    settings = read_settings(None, {"targets": ["A,B", "C"], "network": {"widths": ["8,16,32"]}})
    assert settings.targets == ("A", "B", "C")
    assert settings.network.widths == (8, 16, 32)


def test_an_empty_file_is_no_settings(yaml_file):
    assert read_settings(yaml_file("# nothing yet\n")) == TrainConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_minuts: 3", r"settings.yaml: max_minuts is not a setting; did you mean max_minutes"),
        ("network: {dropot: 0.1}", r"network.dropot is not .* did you mean network.dropout"),
        ("colour_scheme_of_the_day: 3", r"the settings are: source, targets"),
        ("batch_size: many", r"settings.yaml: batch_size: .* valid integer.*not 'many'"),
        ("batch_size: -1", r"batch_size: .* greater than 0, not -1"),
        ("max_minutes: 1\nmax_steps: 2", r"settings.yaml: give one budget"),
        ("- 1", r"must hold lines such as"),
        ("a: [", r"is not YAML"),
    ],
)
def test_bad_files_name_the_file_and_the_key(yaml_file, text, message):
    with pytest.raises(ConfigError, match=message):
        read_settings(yaml_file(text))


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent.yaml cannot be read"):
        read_settings(tmp_path / "absent.yaml")


def test_a_bad_flag_is_named_as_a_flag(yaml_file):
    with pytest.raises(ConfigError, match=r"--learning-rate: .* greater than 0"):
        read_settings(yaml_file("seed: 1"), {"learning_rate": -1.0})

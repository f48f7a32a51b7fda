"""What a search may choose: ranges of settings, checked against the settings before any work."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations
from math import isclose
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from isl.core.config import TrainConfig
from isl.core.errors import ConfigError
from isl.core.networks import NetworkConfig
from isl.core.settings import Config

if TYPE_CHECKING:
    import optuna

DEFAULT_SEARCH: dict[str, Any] = {
    "learning_rate": {"low": 3e-4, "high": 5e-3, "log": True},
    "final_learning_rate": {"low": 0.01, "high": 1.0, "log": True},
    "weight_decay": {"low": 1e-3, "high": 0.3, "log": True},
    "average_decay": {"choices": [0.99, 0.995, 0.998, 0.999]},
    "batch_size": {"choices": [2, 4, 8]},
    "patch_px": {"choices": [128, 192, 256]},
    "noise_std": {"low": 0.0, "high": 0.4},
    "blur_share": {"low": 0.0, "high": 0.5},
    "scaling": {"low": 0.0, "high": 0.3},
    "squared_error_weight": {"low": 0.0, "high": 1.0},
    "difficulty_power": {"low": 0.0, "high": 3.0},
    "network.widths": {"choices": [[64, 96, 160], [96, 160, 256], [128, 192, 320]]},
    "network.blocks": {"choices": [[1, 1, 1], [2, 2, 2], [2, 3, 4]]},
    "network.dropout": {"low": 0.0, "high": 0.3},
}
"""What is searched where nothing else is asked for: settings of the default network."""

FIXED = {
    "source": "it decides what is learned",
    "targets": "it decides what is learned",
    "mean_targets": "it decides what is learned",
    "keep_targets": "it decides what is learned",
    "target_projection": "it changes the truth",
    "voxel_size": "it changes the truth",
    "holdout": "scores are comparable on one held-out part alone",
    "holdout_margin_px": "scores are comparable on one held-out part alone",
    "check_leaks": "it guards the held-out part",
    "max_minutes": "trials need equal budgets",
    "max_steps": "trials need equal budgets",
    "max_epochs": "trials need equal budgets",
    "validate_minutes": "trials are compared at the same points",
    "validate_steps": "trials are compared at the same points",
    "seed": "a lucky seed is no better recipe",
    "accelerator": "it changes no result",
    "devices": "it changes no result",
    "nodes": "it changes no result",
    "cache_gb": "it changes no result",
    "loader_threads": "it changes no result",
}
"""Settings that cannot be searched, and why."""

_RANGE_KEYS = {"low", "high", "log", "step", "choices"}
_MOST_PROBES = 64
_Number = int | float


class SearchRange(Config):
    """Values that one setting may take: an interval of numbers, or choices."""

    low: _Number | None = None
    """Smallest number."""
    high: _Number | None = None
    """Largest number."""
    log: bool = False
    """Try numbers evenly on a logarithmic scale."""
    step: Annotated[_Number, Field(gt=0)] | None = None
    """Distance of the numbers that are tried."""
    choices: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None
    """Values to choose from, in place of an interval."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.choices is not None:
            if {"low", "high", "log", "step"} & self.model_fields_set:
                raise ValueError("give either choices, or low and high")
            if len({label(c) for c in self.choices}) < len(self.choices):
                raise ValueError("a choice is given twice")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"low ({self.low}) must be less than high ({self.high})")
        if self.log and self.low <= 0:
            raise ValueError(f"low must be above 0 for a logarithmic scale, not {self.low}")
        if self.log and self.step is not None:
            raise ValueError("leave out step for a logarithmic scale")
        return self

    @property
    def ends(self) -> tuple[Any, ...]:
        """All choices, or both ends of the interval."""
        return (self.low, self.high) if self.choices is None else self.choices

    def probes(self) -> tuple[Any, ...]:
        """Values to check beforehand: all choices; of an interval both ends, and whole numbers."""
        if self.choices is not None:
            return self.choices
        low, high = self.low, self.high
        if isinstance(low, int) and isinstance(high, int):
            step = int(self.step or 1)
            return (*range(low, high, step * max(1, (high - low) // step // _MOST_PROBES)), high)
        return (low, high)

    def holds(self, value: Any) -> bool:
        """Whether a value may be tried."""
        if self.choices is not None:
            return label(value) in {label(choice) for choice in self.choices}
        assert self.low is not None
        assert self.high is not None
        if not isinstance(value, _Number) or not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return isclose(steps, round(steps), abs_tol=1e-9)


@dataclass(frozen=True)
class SearchSpace:
    """Ranges by the name of the setting (``network.dropout``), all of which the settings accept."""

    ranges: Mapping[str, SearchRange]

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Let a trial choose a value for each setting."""
        return {name: _suggest(trial, name, span) for name, span in self.ranges.items()}

    def values(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Values of settings from what a trial has stored."""
        return {name: _decoded(self.ranges[name], stored) for name, stored in params.items()}

    def start(self, config: TrainConfig) -> dict[str, Any]:
        """The settings as they are, in the form that a trial stores, where the ranges hold them."""
        found = {name: _plain(setting_of(config, name)) for name in self.ranges}
        return {
            name: label(value) if self.ranges[name].choices is not None else value
            for name, value in found.items()
            if self.ranges[name].holds(value)
        }

    def as_mapping(self) -> dict[str, Any]:
        """The ranges as YAML would hold them."""
        return {
            name: span.model_dump(mode="json", exclude_unset=True)
            for name, span in self.ranges.items()
        }


def search_space(given: Mapping[str, Any] | None, config: TrainConfig) -> SearchSpace:
    """Check ranges against the settings that they change.

    Parameters
    ----------
    given
        By setting ``{"low": ..., "high": ..., "log": ...}`` or ``{"choices": [...]}``; settings of
        the network as ``network.widths`` or nested.  By default those of `DEFAULT_SEARCH` that the
        network has.
    config
        Settings that hold for all trials.

    Raises
    ------
    ConfigError
        Where a setting is unknown or cannot be searched, or a range holds what makes no sense.

    Examples
    --------
    >>> space = search_space({"batch_size": {"choices": [2, 4]}}, TrainConfig())
    >>> list(space.ranges)
    ['batch_size']
    """
    chosen = _default_for(config) if given is None else dict(_flattened(given))
    if not chosen:
        raise ConfigError("the search has no settings; name at least one with its range")
    ranges = {name: _range(name, entry, config) for name, entry in chosen.items()}
    ranges = {name: _checked_alone(name, span, config) for name, span in ranges.items()}
    for (one, first), (other, second) in combinations(ranges.items(), 2):
        for a in first.ends:
            for b in second.ends:
                with_settings(config, {one: a, other: b})
    return SearchSpace(ranges)


def with_settings(config: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """Settings in which some have other values.

    Raises
    ------
    ConfigError
        Where they make no sense together.
    """
    settings = config.model_dump(exclude_unset=True)
    if "network" in settings:
        settings["network"] = {**settings["network"], "name": config.network.name}
    for name in sorted(values, key=lambda name: "." in name):
        group, _, rest = name.partition(".")
        if rest:
            below = settings.get(group, {})
            below = {"name": below} if isinstance(below, str) else below
            settings[group] = {**below, rest: values[name]}
        else:
            settings[name] = values[name]
    try:
        return TrainConfig.model_validate(settings)
    except ValidationError as error:
        reasons = "; ".join(str(e["msg"]).removeprefix("Value error, ") for e in error.errors())
        raise ConfigError(
            f"{' with '.join(f'{n} {_text(v)}' for n, v in values.items())} makes no sense: "
            f"{reasons}; change the search"
        ) from error


def setting_of(config: TrainConfig, name: str) -> Any:
    """Value of a setting, such as ``network.dropout``."""
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def label(choice: Any) -> str | bool | int | float | None:
    """A choice as a trial stores it: lists and groups of settings as JSON."""
    plain = _plain(choice)
    return json.dumps(plain) if isinstance(plain, (list, dict)) else plain


def _default_for(config: TrainConfig) -> dict[str, Any]:
    """The default search; without sizes of another network, or of one that is taken over."""
    own = isinstance(config.network, NetworkConfig) and config.start_from is None
    return {n: entry for n, entry in DEFAULT_SEARCH.items() if own or not n.startswith("network.")}


def _flattened(given: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Ranges by dotted name."""
    for name, entry in given.items():
        if isinstance(entry, Mapping) and entry and not _RANGE_KEYS & set(entry):
            yield from _flattened(entry, f"{above}{name}.")
        else:
            yield f"{above}{name}", entry


def _range(name: str, entry: Any, config: TrainConfig) -> SearchRange:
    """One range of a setting that there is."""
    names = [*TrainConfig.model_fields]
    names += [f"network.{part}" for part in type(config.network).model_fields]
    if name not in names:
        close = get_close_matches(name.replace("-", "_"), names, n=1, cutoff=0.6)
        hint = f"did you mean {close[0]}?" if close else f"the settings are: {', '.join(names)}"
        raise ConfigError(f"search: {name} is not a setting; {hint}")
    if name in FIXED:
        raise ConfigError(f"search: {name} cannot be searched, because {FIXED[name]}; leave it out")
    try:
        return SearchRange.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (name, *first["loc"])))
        reason = str(first["msg"]).removeprefix("Value error, ")
        raise ConfigError(
            f"search: {where}: {reason}; write for example {{low: 1.0e-4, high: 1.0e-2, log: true}}"
            " or {choices: [2, 4]}"
        ) from error


def _checked_alone(name: str, span: SearchRange, config: TrainConfig) -> SearchRange:
    """A range all of whose values the settings accept, with numbers of the setting's type."""
    if span.choices is None:
        kind = type(setting_of(with_settings(config, {name: span.low}), name))
        if kind not in (int, float):
            raise ConfigError(f"search: {name} is no number; give choices in place of low and high")
        if kind is int and span.step is not None and span.step != int(span.step):
            raise ConfigError(f"search: {name} takes whole numbers; make step one, not {span.step}")
        numbers = {
            end: kind(getattr(span, end))
            for end in ("low", "high", "step")
            if getattr(span, end) is not None
        }
        span = span.model_copy(update=numbers)
    for value in span.probes():
        with_settings(config, {name: value})
    return span


def _suggest(trial: optuna.Trial, name: str, span: SearchRange) -> Any:
    """Value of one setting."""
    if span.choices is not None:
        labels = [label(choice) for choice in span.choices]
        return _decoded(span, trial.suggest_categorical(name, labels))
    assert span.low is not None
    assert span.high is not None
    if isinstance(span.low, int) and isinstance(span.high, int):
        step = int(span.step or 1)
        return trial.suggest_int(name, span.low, span.high, step=step, log=span.log)
    return trial.suggest_float(name, span.low, span.high, step=span.step, log=span.log)


def _decoded(span: SearchRange, stored: Any) -> Any:
    """Value that a trial has stored."""
    by_label = {label(choice): choice for choice in span.choices or ()}
    return by_label.get(stored, stored)


def _plain(value: Any) -> Any:
    """Tuples as lists, and groups of settings as mappings."""
    if isinstance(value, Config):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return list(value)
    return value


def _text(value: Any) -> str:
    return str(_plain(value))

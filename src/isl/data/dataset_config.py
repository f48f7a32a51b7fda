"""The file that lists data sets to learn from together.

::

    datasets:
      neurons:
        data: wells/
        modality: phase
        targets: {DAPI_CONFOCAL: DAPI, MAP2_CONFOCAL: MAP2}
        holdout: columns:576-767
      suspension:
        data: [Experiment_1, Experiment_2]
        source: Ch3
        targets: {Ch4: DNA}
        voxel_size: [null, 0.33, 0.33]
        masks: {saturated: true}
        weight: 2
    aliases:
      DNA: [DAPI, HOECHST]
    training:
      max_minutes: 60
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from isl.core.errors import ConfigError
from isl.core.settings import Config
from isl.io.fov import Modality

Length = Annotated[float, Field(gt=0)] | None

SUFFIXES = (".yaml", ".yml")
"""Endings of files that list data sets."""


class MaskConfig(Config):
    """Pixels of targets that do not count as acquired."""

    targets: tuple[str, ...] = ()
    """Targets that this is about, by the name they are learned under; all where not given."""
    saturated: bool | float = False
    """Pixels at the largest value of the image's type, or at this value and above."""
    zeros: Literal["none", "rectangles", "all"] = "none"
    """Pixels of value 0: all of them, or those that fill a rectangle of at least 8 x 8 pixels."""
    channel: str | None = None
    """Channel, a mask or labels, that is 0 where the targets were not acquired."""


class DatasetConfig(Config):
    """One data set."""

    data: str | tuple[str, ...]
    """Image files, folders, plates or tables, relative to this file."""
    pattern: str | None = None
    """How file names are built, where this cannot be told."""
    source: str | None = None
    """Channel of transmitted light; guessed where not given."""
    targets: tuple[str, ...] | dict[str, str] | None = None
    """Fluorescence channels, or for each channel the target that it shows; guessed where not given.
    Targets of the same name are one target, in whatever data set."""
    modality: Modality | None = None
    """How the source was imaged, where neither file nor name says."""
    voxel_size: tuple[Length, Length, Length] | None = None
    """Size of a voxel in z, y, x in micrometres, where the files do not say or are wrong."""
    condition: str | None = None
    """Experimental condition of all fields, where the files do not say."""
    donor: str | None = None
    """Donor of the cells of all fields, where the files do not say."""
    shift_px: dict[str, tuple[int, int]] = Field(default_factory=dict)
    """Rows and columns by which the image of a target is moved to lie on the source."""
    masks: tuple[MaskConfig, ...] = ()
    """Pixels that do not count as acquired."""
    holdout: str | None = None
    """What is kept back from training, as the setting of this name; chosen where not given."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """How often patches of this data set are drawn, relative to the others."""

    @field_validator("data", mode="before")
    @classmethod
    def _one_or_several(cls, data: Any) -> Any:
        return (data,) if isinstance(data, str) else data

    @field_validator("targets", mode="before")
    @classmethod
    def _one_target_or_several(cls, targets: Any) -> Any:
        return (targets,) if isinstance(targets, str) else targets

    @field_validator("masks", mode="before")
    @classmethod
    def _one_mask_or_several(cls, masks: Any) -> Any:
        return (masks,) if isinstance(masks, dict) else masks

    @property
    def names(self) -> dict[str, str]:
        """Target that each channel shows, where they are given."""
        if isinstance(self.targets, dict):
            return self.targets
        return {name: name for name in self.targets or ()}


class DatasetsConfig(Config):
    """Data sets to learn from together."""

    datasets: Annotated[dict[str, DatasetConfig], Field(min_length=1)]
    """The data sets by name."""
    aliases: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """For each target the further names that it goes by."""
    training: dict[str, Any] = Field(default_factory=dict)
    """Settings of the training run; flags and the file given by --config win over them."""

    @field_validator("aliases", mode="before")
    @classmethod
    def _one_alias_or_several(cls, aliases: Any) -> Any:
        if not isinstance(aliases, dict):
            return aliases
        return {k: (v,) if isinstance(v, str) else v for k, v in aliases.items()}

    @model_validator(mode="after")
    def _names_are_plain(self) -> Self:
        for name in self.datasets:
            if not name or set(name) & set("[];:=,"):
                raise ValueError(f"'{name}' is no name for a data set: leave out [ ] ; : = and ,")
        owners: dict[str, str] = {}
        for target, others in self.aliases.items():
            for other in others:
                if other != target and other in self.aliases:
                    raise ValueError(
                        f"'{other}' is an alias of {target} and has aliases itself; write all "
                        f"names below {target}"
                    )
                if owners.setdefault(other, target) != target:
                    raise ValueError(
                        f"'{other}' is an alias of {owners[other]} and of {target}; keep one"
                    )
        return self

    def target_of(self, name: str) -> str:
        """Name under which a target is learned."""
        return next((target for target, names in self.aliases.items() if name in names), name)

    def settings(self) -> dict[str, Any]:
        """Settings of a training run that follow from the file."""
        rules = [f"{n}[{d.holdout}]" for n, d in self.datasets.items() if d.holdout is not None]
        weights = [f"{n}={d.weight:g}" for n, d in self.datasets.items() if d.weight != 1.0]
        given: dict[str, Any] = {"holdout": "; ".join(rules)} if rules else {}
        if weights:
            given["dataset_weights"] = weights
        return given | self.training


def is_datasets_file(path: Path) -> bool:
    """Whether a path is named as a file that lists data sets."""
    return path.suffix.lower() in SUFFIXES


def read_datasets(path: Path) -> DatasetsConfig:
    """Read a file that lists data sets.

    Raises
    ------
    ConfigError
        Where it cannot be read, or an entry is unknown or makes no sense.
    """
    try:
        found = yaml.load(path.read_text("utf-8"), _OnceLoader)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; check the path") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(found, dict) or "datasets" not in found:
        raise ConfigError(
            f"{path} lists no data sets; write 'datasets:' and below it a name for each, with "
            "'data:' and what is known about it"
        )
    try:
        return DatasetsConfig.model_validate(found)
    except ValidationError as error:
        problems = "; ".join(_explain(dict(each)) for each in error.errors())
        raise ConfigError(f"{path}: {problems}") from error


class _OnceLoader(yaml.SafeLoader):
    """Refuses a name that a mapping holds twice, of which YAML would keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Make a mapping."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ConfigError(
                f"'{double[0]}' stands twice in what begins in line {node.start_mark.line + 1}; "
                "give each its own name"
            )
        return super().construct_mapping(node, deep)


_IN_WORDS = {
    "missing": "is missing",
    "dict_type": "write 'name: value' lines below it",
    "model_type": "write 'name: value' lines below it",
    "tuple_type": "write a list, such as [A, B]",
    "string_type": "write text, in quotes where it is a number",
}
"""What to do about a kind of mistake, where pydantic would speak of Python's types."""


def _explain(problem: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = MaskConfig if "masks" in problem["loc"] else DatasetConfig
        known_names = known if len(problem["loc"]) > 1 else DatasetsConfig
        return f"{where} is not known here; known are {', '.join(known_names.model_fields)}"
    message = _IN_WORDS.get(problem["type"], str(problem["msg"]).removeprefix("Value error, "))
    return f"{where}: {message[:1].lower()}{message[1:]}" if where else message

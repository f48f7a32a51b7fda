"""Settings: checked before any work, stored with the result.

Each field's docstring is its help on the command line and its description in YAML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from isl.core.networks import (
    PUBLISHED_INPUT_PX,
    PUBLISHED_OUTPUT_PX,
    AnyNetwork,
    Isl2018Config,
    NetworkConfig,
)
from isl.core.settings import Config, Fraction, NonNegative, Positive

Stitching = Literal["patches", "dense", "single-pass"]
"""How the published network covers an image; see `isl.models.isl2018.stitching`."""


Normalization = Literal["standard", "published", "full-range"]
"""How images are brought to a network's range; see `isl.data.normalization`."""
Border = Literal["reflect", "valid"]
"""What stands at the border of a prediction; see `isl.inference.tiles`."""


BUDGETS = ("max_minutes", "max_steps", "max_epochs")
"""Settings that say when a run ends; at most one of them is given."""

VoxelLength = Annotated[float, Field(gt=0)] | None
"""Side of a voxel in micrometres; None where it does not matter."""

PUBLISHED_TRAINING: dict[str, Any] = {
    "normalization": "published",
    "batch_size": 16,
    "patch_px": 250,
    "crop_px": 520,
    "free_rotation_degrees": 0.0,
    "scaling": 0.0,
    "gain_std": 0.0,
    "offset_std": 0.0,
    "noise_std": 0.0,
    "blur_share": 0.0,
    "plane_dropout": 0.0,
    "learning_rate": 1e-4,
    "final_learning_rate": 1.0,
    "warmup_steps": 1,
    "weight_decay": 0.0,
    "second_moment_decay": 0.999,
    "gradient_clip": 0.0,
    "average_decay": 0.0,
    "validate_minutes": 10.0,
}
"""What was published about training the network of 2018: its defaults."""


class TrainConfig(Config):
    """Everything that decides what a training run does."""

    source: str | tuple[str, ...] | None = None
    """Name of the transmitted-light channel; guessed with a printed reason where not given. Several
    names where fields call it differently and each has one of them."""
    targets: tuple[str, ...] | None = None
    """Names of the fluorescence channels to learn; guessed where not given."""
    mean_targets: tuple[str, ...] = ()
    """Targets that are the mean of channels, such as
    NEURITE_CONFOCAL=MAP2_CONFOCAL+NFH_CONFOCAL; absent where one of the channels is."""
    target_projection: Literal["max", "mean", "middle"] = "max"
    """How a target with several planes becomes one image."""
    voxel_size: tuple[VoxelLength, VoxelLength, VoxelLength] | None = None
    """Size of a voxel in z, y, x in micrometres that all images are brought to; by default that of
    most fields. Images whose size is not known stay as they are."""
    dataset_weights: tuple[str, ...] = ()
    """Weights with which datasets are drawn, such as neurons=2; 1 for those that are not named."""
    target_balance: Fraction = 1.0
    """How far rare targets are made up for: 1 draws each target of a dataset equally often and
    weighs it in the loss by how seldom it is drawn; 0 draws pixels as they are."""

    holdout: str | None = None
    """What is kept back from training: columns:576-767, rows:0-99, share:0.2, none, names after
    wells: fovs: plates: conditions: donors: or datasets:, or a rule for each data set, such as
    neurons[columns:576-767]; flow[wells:B/03]. By default one in five wells or fields, or the last
    quarter of a single field."""
    holdout_margin_px: Annotated[int, Field(ge=0)] = 64
    """Pixels on either side of a held-out region that are not trained on either."""
    check_leaks: bool = True
    """Refuse to train where a field, a shifted or cropped copy of it, or an overlapping neighbour
    is on both sides."""

    max_minutes: Annotated[float, Field(gt=0)] | None = None
    """Budget in minutes; 20 where no budget is given."""
    max_steps: Positive | None = None
    """Budget in optimiser steps."""
    max_epochs: Annotated[float, Field(gt=0)] | None = None
    """Budget in epochs; one epoch draws as many pixels as the training data holds."""

    normalization: Normalization = "standard"
    """How images are brought to the network's range: standard (mean 0, standard deviation 1),
    published (to 0..1 with the mean and spread of the published images) or full-range (divided by
    the largest value of their type, for images that have been through this)."""
    batch_size: Positive = 4
    """Patches in a batch."""
    patch_px: Positive = 256
    """Side of a patch of the source; a smaller image is padded and its missing pixels do not count.
    The network isl2018 predicts the inner patch_px - 242 pixels, 8 plus a multiple of 16."""
    crop_px: Positive | None = None
    """Side of crops that are each cut into several patches, 6 pixels apart; by default each patch
    is drawn by itself. No larger than the smallest area. For the network isl2018 alone."""
    content_share: Fraction = 0.0
    """Share of patches drawn where the targets have content; the rest is drawn evenly."""

    flips: bool = True
    """Mirror patches at random."""
    rotations: bool = True
    """Turn patches by multiples of 90 degrees at random."""
    free_rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 45.0
    """Largest additional rotation by an arbitrary angle."""
    scaling: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Largest relative change of magnification, 0.2 for 80 to 125 %."""
    elastic_px: NonNegative = 0.0
    """Spread of a random smooth deformation, in pixels."""
    gain_std: NonNegative = 0.1
    """Spread of the random source gain (log-normal), half of it shared by all planes."""
    offset_std: NonNegative = 0.1
    """Spread of the random source offset, in standard deviations of the source, half of it shared
    by all planes."""
    noise_std: NonNegative = 0.2
    """Largest standard deviation of added noise, in standard deviations of the source."""
    blur_sigma_px: NonNegative = 1.0
    """Largest standard deviation of the random Gaussian blur of the source."""
    blur_share: Fraction = 0.2
    """Share of patches that are blurred."""
    plane_dropout: Fraction = 0.25
    """Share of patches of which planes are left out at random, so that the model knows stacks of
    fewer planes, down to one. The network isl2018 is trained without."""

    learning_rate: Annotated[float, Field(gt=0)] = 1.5e-3
    """Peak learning rate of AdamW; warmed up, then lowered along a cosine."""
    final_learning_rate: Fraction = 0.3
    """Share of the peak learning rate at the end of the budget."""
    warmup_steps: Positive = 50
    """Steps in which the learning rate rises to its peak."""
    weight_decay: NonNegative = 0.05
    """Weight decay of AdamW; with 0 it is Adam."""
    second_moment_decay: Annotated[float, Field(gt=0, lt=1)] = 0.99
    """Decay of AdamW's average of squared gradients."""
    gradient_clip: NonNegative = 1.0
    """Largest norm of the gradient; 0 for no limit."""
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    """Decay of the moving average of the weights; the average is the model that is kept."""
    target_weights: tuple[str, ...] = ()
    """Weights of targets in the loss, such as NFH_CONFOCAL=4; 1 for those that are not named. More
    for one that is hard to learn keeps the others from being learned by heart meanwhile."""
    difficulty_power: NonNegative = 2.0
    """Targets weigh in the loss by their own scores to this power, so that the one predicted worst
    is learned most; 0 treats all alike."""
    batch_norm_batches: Annotated[int, Field(ge=0)] = 0
    """Batches on which the statistics of batch norm are measured anew before each scoring and at
    the end; 0 keeps the running ones, which lag behind weights that still change fast."""
    squared_error_weight: NonNegative = 0.5
    """Weight of the squared error of the mean beside the continuous ranked probability score."""
    log_score_weight: NonNegative = 0.0
    """Weight of the log score beside the continuous ranked probability score."""

    network: Annotated[AnyNetwork, Field(discriminator="name")] = NetworkConfig()
    """Kind and size of the network."""

    start_from: Annotated[str | None, Field(json_schema_extra={"flag": "--from"})] = None
    """Model file whose weights training starts from; its network, where none is given."""
    restore_inputs: bool = True
    """Take over the first layer of that model too, where it fits."""
    restore_heads: bool = True
    """Take over the heads of that model too, for targets of the same name."""
    keep_targets: bool = True
    """Go on predicting the targets of that model, those too that the new data lack."""
    retain_weight: NonNegative = 1.0
    """Weight in the loss of what that model predicts where a target of it was not acquired, so that
    it is not forgotten."""
    freeze: tuple[Literal["inputs", "shared", "heads"], ...] = ()
    """Parts of that model that stay as they are: inputs (the first layer), shared (all between) and
    heads (of its targets), separated by commas."""
    shared_learning_rate: Fraction = 1.0
    """Share of the learning rate for what is taken over from that model."""

    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of weights, patches, augmentation and dropout."""
    accelerator: str = "auto"
    """Lightning accelerator: auto, cpu, gpu, mps."""
    devices: Positive = 1
    """Number of devices of each node; batches are divided among them, so that the result is that
    of one device. Each reads the images for itself."""
    nodes: Positive = 1
    """Number of nodes."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Lightning precision; bf16-mixed is slow on most processors and fast on recent GPUs."""
    validate_minutes: Annotated[float, Field(gt=0)] = 2.0
    """Minutes between scores, previews and checkpoints where the budget is in minutes."""
    validate_steps: Positive = 100
    """Steps between scores, previews and checkpoints where the budget is in steps or epochs."""
    cache_gb: Annotated[float, Field(gt=0)] = 4.0
    """Training images beyond this many gigabytes are kept on disk, memory-mapped."""
    loader_threads: Annotated[int, Field(ge=0)] = 2
    """Threads that make patches ready ahead of the network; 0 to make them when they are asked
    for."""

    @model_validator(mode="after")
    def _at_most_one_budget(self) -> Self:
        given = [name for name in BUDGETS if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"give one budget, not {' and '.join(given)}")
        return self

    @field_validator("source")
    @classmethod
    def _one_name_is_no_list(cls, source: str | tuple[str, ...] | None) -> Any:
        return source[0] if isinstance(source, tuple) and len(source) == 1 else source

    @model_validator(mode="after")
    def _means_have_parts(self) -> Self:
        for text in self.mean_targets:
            name, _, parts = text.partition("=")
            if not name or len([part for part in parts.split("+") if part]) < 2:
                raise ValueError(f"mean_targets: '{text}' is not of the form NAME=CHANNEL+CHANNEL")
        return self

    @field_validator("target_weights", "dataset_weights")
    @classmethod
    def _weights_are_numbers(cls, weights: tuple[str, ...]) -> tuple[str, ...]:
        for text in weights:
            name, _, weight = text.rpartition("=")
            if not name or not re.fullmatch(r"\d+(\.\d*)?|\.\d+", weight) or float(weight) <= 0:
                raise ValueError(f"'{text}' is not of the form NAME=NUMBER above 0")
        return weights

    def weights_of(self, targets: Sequence[str]) -> tuple[float, ...]:
        """Weight of each target in the loss."""
        return _numbers(self.target_weights, targets)

    def weights_of_datasets(self, datasets: Sequence[str]) -> tuple[float, ...]:
        """Weight with which each dataset is drawn."""
        return _numbers(self.dataset_weights, datasets)

    @property
    def means(self) -> dict[str, tuple[str, ...]]:
        """Channels whose mean each of the `mean_targets` is."""
        parts = (text.partition("=") for text in self.mean_targets)
        return {name: tuple(channels.split("+")) for name, _, channels in parts}

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_network(cls, given: Any) -> Any:
        """A network may be given by its name alone; that of 2018 brings its published training."""
        if not isinstance(given, dict) or "network" not in given:
            return given
        network = given["network"]
        if isinstance(network, str):
            network = {"name": network}
        if isinstance(network, dict):
            network = {"name": "default", **network}
        name = network["name"] if isinstance(network, dict) else network.name
        defaults = PUBLISHED_TRAINING if name == "isl2018" else {}
        return {**defaults, **given, "network": network}

    @property
    def output_px(self) -> int:
        """Side of what the network predicts of a patch."""
        if isinstance(self.network, Isl2018Config):
            return self.patch_px - PUBLISHED_INPUT_PX + PUBLISHED_OUTPUT_PX
        return self.patch_px

    @model_validator(mode="after")
    def _patch_fits_the_network(self) -> Self:
        if self.start_from is not None and "network" not in self.model_fields_set:
            return self  # checked when the network of that model is known
        if isinstance(self.network, Isl2018Config):
            return self._checked_for_isl2018()
        if self.crop_px is not None:
            raise ValueError("crop_px is for the network isl2018; leave it out")
        stride = self.network.stride
        if self.patch_px % stride:
            raise ValueError(
                f"patch_px is {self.patch_px} but must be a multiple of the network's stride, "
                f"{stride}; try {max(stride, self.patch_px // stride * stride)}"
            )
        return self

    def _checked_for_isl2018(self) -> Self:
        period = 2 * PUBLISHED_OUTPUT_PX
        more = self.patch_px - PUBLISHED_INPUT_PX
        if more < 0 or more % period:
            nearest = PUBLISHED_INPUT_PX + max(0, more // period * period)
            raise ValueError(
                f"patch_px is {self.patch_px} but must be 250 plus a multiple of 16 for the "
                f"network isl2018; try {nearest}"
            )
        if self.crop_px is not None and self.crop_px < self.patch_px:
            raise ValueError(
                f"crop_px is {self.crop_px}, less than patch_px {self.patch_px}; make it larger"
            )
        return self


def merge_settings(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of several origins in one.

    Parameters
    ----------
    *layers
        Names and values, perhaps nested; a later one wins, and one budget replaces another.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        if any(budget in layer for budget in BUDGETS):
            merged = {name: value for name, value in merged.items() if name not in BUDGETS}
        for name, value in layer.items():
            nested = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
            merged[name] = merge_settings(merged[name], value) if nested else value
    return merged


def _numbers(texts: Sequence[str], names: Sequence[str]) -> tuple[float, ...]:
    """Number of each name in texts such as NAME=2; 1 for those that are not there."""
    parts = (text.rpartition("=") for text in texts)
    numbers = {name: float(number) for name, _, number in parts}
    return tuple(numbers.get(name, 1.0) for name in names)

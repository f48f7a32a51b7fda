"""Neurons: bodies, dendrites and axons, and their centre lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isl.simulate.scenes.columns import Floats
from isl.simulate.scenes.config import NeuriteConfig, NeuronConfig
from isl.simulate.scenes.growth import Path, Trails, grow
from isl.simulate.scenes.items import Item, Part
from isl.simulate.scenes.relief import Ground
from isl.simulate.scenes.shapes import Strand
from isl.simulate.volume import Line

BODY_STAINS: Mapping[str, float] = {"CYTOPLASM": 1.0, "DENDRITES": 0.8, "AXONS": 0.12}
HIGHEST_UM = 2.5
"""Neurites pass over each other up to this height; where more meet, they share room."""
MARGIN_UM = 60.0
"""Neurons stand up to this far outside the field and send their processes into it."""
KINDS = {"dendrite": "DENDRITES", "axon": "AXONS"}
"""Marker of each kind of neurite."""


@dataclass(frozen=True)
class Arbor:
    """All neurites of one kind of one cell, seen from above."""

    cell: int
    kind: str
    paths: tuple[Path, ...]


def grow_arbors(
    config: NeuronConfig,
    cells: Sequence[tuple[int, tuple[float, float]]],
    size_um: tuple[float, float],
    seed: tuple[int, ...],
) -> list[Arbor]:
    """Let the neurites of all cells grow, one cell after the other, dendrites first.

    Parameters
    ----------
    config
        Both kinds of neurites.
    cells
        Label and centre of each cell.
    size_um
        Extent of the field along y and x.
    seed
        Words of the seed.
    """
    arbors = []
    for word, kind in enumerate(KINDS):
        neurites: NeuriteConfig = config.dendrites if kind == "dendrite" else config.axons
        trails = Trails.none(size_um, MARGIN_UM)
        for label, centre in cells:
            random = np.random.default_rng([*seed, label, word])
            paths = grow(neurites, centre, config.radius_um, trails, random)
            for path in paths:
                trails.add(path.yx_um)
            if paths:
                arbors.append(Arbor(label, kind, tuple(paths)))
    return arbors


def lay(
    arbors: Sequence[Arbor], config: NeuronConfig, size_um: tuple[float, float]
) -> tuple[list[Item], list[Line]]:
    """Lay neurites on the glass and over each other.

    Parameters
    ----------
    arbors
        In the order in which they are laid.
    config
        Index and stain of both kinds, and whether neurites are labelled.
    size_um
        Extent of the field along y and x.

    Returns
    -------
    list of Item, list of Line
        An item for each arbor, and a centre line for each path in the field.
    """
    ground = Ground.flat(size_um, 2.0, 0.5)
    items, lines = [], []
    for arbor in arbors:
        neurites = config.dendrites if arbor.kind == "dendrite" else config.axons
        traces = [_raised(path, ground) for path in arbor.paths]
        strand = _strand(traces, arbor.paths)
        ground.put(strand)
        stains = {KINDS[arbor.kind]: neurites.stain, "CYTOPLASM": 0.5}
        label = arbor.cell if config.label_neurites else 0
        items.append(Item(label, (Part(strand, neurites.index, stains),)))
        lines += [
            Line(trace.astype(np.float32), arbor.kind, arbor.cell)
            for trace in traces
            if _enters(trace, size_um)
        ]
    return items, lines


def _raised(path: Path, ground: Ground) -> Floats:
    """Points (N, 3) z, y, x of a path on what lies there already."""
    under = ground.along(path.yx_um, float(path.radii_um.max()), HIGHEST_UM)
    return np.concatenate([(under + path.radii_um)[:, None], path.yx_um], axis=1)


def _strand(traces: list[Floats], paths: tuple[Path, ...]) -> Strand:
    """Capsules from point to point of all paths."""
    return Strand(
        np.concatenate([t[:-1] for t in traces]),
        np.concatenate([t[1:] for t in traces]),
        np.concatenate([p.radii_um[:-1] for p in paths]),
        np.concatenate([p.radii_um[1:] for p in paths]),
    )


def _enters(trace: Floats, size_um: tuple[float, float]) -> bool:
    """Whether any point of a line lies in the field."""
    yx = trace[:, 1:]
    return bool(((yx >= 0) & (yx < size_um)).all(axis=1).any())

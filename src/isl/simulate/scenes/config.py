"""What may be in a scene: kinds, densities, sizes, refractive index, and how it lives.

Refractive index is given above that of the medium (about 1.337 for culture medium).
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from isl.core.settings import Config, Fraction, NonNegative

Length = Annotated[float, Field(gt=0, le=1000)]
Density = Annotated[float, Field(ge=0, le=1e6)]
Spread = Annotated[float, Field(ge=0, le=0.5)]
Contrast = Annotated[float, Field(ge=-0.3, le=0.3)]
Count = Annotated[int, Field(ge=0, le=1000)]


class IndexConfig(Config):
    """Refractive index of each compartment above that of the medium.

    References
    ----------
    Cytoplasm 1.36 to 1.37: Liu et al., Lab Chip 16, 634 (2016), a review. Nuclei are a little
    less dense than the cytoplasm: Schürmann et al., J. Biophotonics 9, 1068 (2016). Nucleoli are
    the densest part of nuclei: Kim and Guck, Biophys. J. 119, 1946 (2020). Lipid about 1.46:
    Beuthan et al., Phys. Med. Biol. 41, 369 (1996).
    """

    cytoplasm: Contrast = 0.025
    """Cytoplasm."""
    nucleus: Contrast = 0.020
    """Nucleus without nucleoli."""
    nucleolus: Contrast = 0.038
    """Nucleoli."""
    chromosomes: Contrast = 0.045
    """Condensed chromosomes of a dividing cell."""
    lipid: Contrast = 0.10
    """Lipid droplets."""
    membrane: Contrast = 0.045
    """Outermost layer of the cell, `membrane_um` thick."""
    dead: Contrast = 0.055
    """A shrunken dead cell; its condensed DNA is denser by 0.02."""


class LifeConfig(Config):
    """How cells move, divide and die."""

    speed_um_per_h: Annotated[float, Field(ge=0, le=1000)] = 12.0
    """Root mean square speed of the persistent random walk."""
    persistence_h: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Time after which a cell has forgotten its direction."""
    cycle_h: Annotated[float, Field(gt=0)] | None = 20.0
    """Mean time from division to division; null for cells that do not divide."""
    mitosis_h: NonNegative = 1.0
    """How long a cell is round before it divides, and its daughters until they have spread."""
    death_per_h: NonNegative = 0.002
    """Rate of death."""


class CellConfig(Config):
    """Cells with a nucleus."""

    density_per_mm2: Density = 600.0
    """Cells per square millimetre."""
    radius_um: Length = 15.0
    """Mean radius seen from above."""
    height_um: Length = 5.0
    """Height over the nucleus."""
    size_spread: Spread = 0.12
    """Relative spread of sizes from cell to cell (log-normal)."""
    irregularity: Spread = 0.12
    """How far outlines deviate from an ellipse."""
    elongation: Annotated[float, Field(ge=1, le=5)] = 1.4
    """Mean length divided by width."""
    spreading: Fraction = 1.0
    """1 for cells that lie flat on the glass, 0 for ellipsoids."""
    clearance_um: NonNegative = 0.0
    """Largest distance from the glass; each cell has its own."""
    nucleus_radius_um: Length = 6.5
    """Mean radius of the nucleus."""
    nucleoli: Count = 3
    """Largest number of nucleoli; at least one where this is not 0."""
    nucleolus_radius_um: Length = 1.1
    """Mean radius of nucleoli."""
    droplets: Count = 14
    """Mean number of lipid droplets or granules."""
    droplet_radius_um: Length = 0.4
    """Mean radius of lipid droplets."""
    granularity: Spread = 0.12
    """Relative spread of index and stain within the cytoplasm and the nucleus."""
    membrane_um: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Thickness of the outermost layer."""
    overlap: Fraction = 0.25
    """0 keeps cells apart, 1 lets them lie on each other as they fall."""
    index: IndexConfig = IndexConfig()
    """Refractive index of the compartments above that of the medium."""
    life: LifeConfig = LifeConfig()
    """Movement, division and death."""

    @model_validator(mode="after")
    def _nucleus_fits(self) -> Self:
        if self.nucleus_radius_um >= self.radius_um:
            raise ValueError(
                f"nucleus_radius_um is {self.nucleus_radius_um} but the cell's radius_um is only "
                f"{self.radius_um}; make the nucleus smaller"
            )
        return self

    @property
    def round_radius_um(self) -> float:
        """Radius of the cell when it is round, with the volume that it has when spread."""
        spread_volume = self.spreading * 1.35 * self.radius_um**2 * self.height_um
        round_volume = (1 - self.spreading) * 2.09 * self.radius_um**2 * self.height_um
        return float(((spread_volume + round_volume) / 4.19) ** (1 / 3))

    @property
    def tallest_um(self) -> float:
        """Height of a usual cell at its tallest."""
        divides = self.life.cycle_h is not None
        return self.clearance_um + max(self.height_um, 2 * self.round_radius_um * divides)


class AdherentConfig(CellConfig):
    """Flat cells on the glass."""


class DividingConfig(CellConfig):
    """Adherent cells that are dividing at time 0."""

    density_per_mm2: Density = 300.0
    """Cells per square millimetre."""
    life: LifeConfig = LifeConfig(mitosis_h=1.5)
    """Movement, division and death."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.life.cycle_h is None or self.life.mitosis_h == 0:
            raise ValueError("dividing cells need a life.cycle_h and a life.mitosis_h above 0")
        return self


class SuspensionConfig(CellConfig):
    """Round cells near the glass."""

    density_per_mm2: Density = 800.0
    """Cells per square millimetre."""
    radius_um: Length = 6.0
    """Mean radius seen from above."""
    height_um: Length = 11.5
    """Height of the cell."""
    size_spread: Spread = 0.08
    """Relative spread of sizes from cell to cell (log-normal)."""
    irregularity: Spread = 0.03
    """How far outlines deviate from an ellipse."""
    elongation: Annotated[float, Field(ge=1, le=5)] = 1.05
    """Mean length divided by width."""
    spreading: Fraction = 0.0
    """1 for cells that lie flat on the glass, 0 for ellipsoids."""
    clearance_um: NonNegative = 1.0
    """Largest distance from the glass; each cell has its own."""
    nucleus_radius_um: Length = 4.3
    """Mean radius of the nucleus."""
    droplets: Count = 8
    """Mean number of lipid droplets or granules."""
    overlap: Fraction = 0.0
    """0 keeps cells apart, 1 lets them lie on each other as they fall."""
    life: LifeConfig = LifeConfig(speed_um_per_h=20.0, persistence_h=0.2)
    """Movement, division and death."""


class NeuriteConfig(Config):
    """Branching processes of one kind."""

    number: Count = 3
    """Mean number at each cell; every cell has at least one where this is not 0."""
    length_um: Length = 50.0
    """Mean length to the tip of the longest branch."""
    radius_um: Annotated[float, Field(gt=0, le=10)] = 0.9
    """Radius at the cell."""
    tip_radius_um: Annotated[float, Field(gt=0, le=10)] = 0.3
    """Radius at the tip; it tapers from the one to the other."""
    persistence_um: Length = 60.0
    """Length after which a process has forgotten its direction."""
    branches_per_mm: Annotated[float, Field(ge=0, le=200)] = 15.0
    """Branches per millimetre of length."""
    bundling: Fraction = 0.0
    """How strongly processes follow others of their kind that grew before."""
    index: Contrast = 0.025
    """Refractive index above that of the medium."""
    stain: NonNegative = 1.0
    """Concentration of the marker of this kind."""

    @model_validator(mode="after")
    def _tapers(self) -> Self:
        if self.tip_radius_um > self.radius_um:
            raise ValueError(
                f"tip_radius_um {self.tip_radius_um} is above radius_um {self.radius_um}; "
                "processes become thinner towards the tip"
            )
        return self


class NeuronConfig(CellConfig):
    """Neurons: bodies with dendrites and an axon."""

    density_per_mm2: Density = 700.0
    """Cells per square millimetre."""
    radius_um: Length = 5.5
    """Mean radius of the body seen from above."""
    height_um: Length = 8.0
    """Height of the body."""
    elongation: Annotated[float, Field(ge=1, le=5)] = 1.3
    """Mean length divided by width."""
    spreading: Fraction = 0.4
    """1 for cells that lie flat on the glass, 0 for ellipsoids."""
    nucleus_radius_um: Length = 3.6
    """Mean radius of the nucleus."""
    nucleoli: Count = 2
    """Largest number of nucleoli; at least one where this is not 0."""
    nucleolus_radius_um: Length = 0.8
    """Mean radius of nucleoli."""
    droplets: Count = 6
    """Mean number of lipid droplets or granules."""
    overlap: Fraction = 0.4
    """0 keeps cells apart, 1 lets them lie on each other as they fall."""
    clustering: Fraction = 0.7
    """Share of cells that stand in groups."""
    cluster_cells: Annotated[float, Field(ge=1, le=1000)] = 12.0
    """Mean number of cells in a group."""
    cluster_um: Length = 14.0
    """Spread of the cells of a group around its middle."""
    dendrites: NeuriteConfig = NeuriteConfig()
    """Thick, tapering processes near the body; channel DENDRITES."""
    axons: NeuriteConfig = NeuriteConfig(
        number=1,
        length_um=500.0,
        radius_um=0.45,
        tip_radius_um=0.3,
        persistence_um=600.0,
        branches_per_mm=4.0,
        bundling=0.6,
    )
    """Thin, long processes that cross each other; channel AXONS."""
    label_neurites: bool = True
    """Whether the label of a cell covers its processes too, or its body alone."""
    life: LifeConfig = LifeConfig(speed_um_per_h=0.0, cycle_h=None, death_per_h=0.0)
    """Death; neurons stay in their place, do not divide and lose their processes when they die."""

    @model_validator(mode="after")
    def _stays(self) -> Self:
        if self.life.cycle_h is not None or self.life.speed_um_per_h:
            raise ValueError("neurons stay: set life.cycle_h to null and life.speed_um_per_h to 0")
        return self


class DeadConfig(Config):
    """Round, shrunken, dense dead cells."""

    density_per_mm2: Density = 150.0
    """Cells per square millimetre."""
    radius_um: Length = 3.6
    """Mean radius."""
    size_spread: Spread = 0.2
    """Relative spread of sizes (log-normal)."""
    dna_share: Fraction = 0.7
    """Share of dead cells that still hold DNA."""
    clearance_um: NonNegative = 2.0
    """Largest distance from the glass; each has its own."""
    index: IndexConfig = IndexConfig()
    """Refractive index above that of the medium; `dead` counts."""


class DebrisConfig(Config):
    """Small dense things without a label."""

    density_per_mm2: Density = 800.0
    """Pieces per square millimetre."""
    radius_um: Length = 0.8
    """Mean radius."""
    size_spread: Spread = 0.4
    """Relative spread of sizes (log-normal)."""
    dna_share: Fraction = 0.1
    """Share of pieces that hold DNA."""
    clearance_um: NonNegative = 2.0
    """Largest distance from the glass; each has its own."""
    index: Contrast = 0.045
    """Refractive index above that of the medium."""


class BacteriaConfig(Config):
    """Rods, or cocci where the length equals the width.

    References
    ----------
    Refractive index 1.38 to 1.40: Bateman, Wagman and Carstensen, Kolloid-Z. 208, 44 (1966).
    """

    density_per_mm2: Density = 8000.0
    """Bacteria per square millimetre at time 0."""
    width_um: Annotated[float, Field(gt=0, le=20)] = 0.9
    """Diameter."""
    length_um: Annotated[float, Field(gt=0, le=200)] = 3.0
    """Mean length from end to end; at least the width."""
    size_spread: Spread = 0.1
    """Relative spread of sizes (log-normal)."""
    bend_rad: Annotated[float, Field(ge=0, le=1.5)] = 0.15
    """Spread of the angle by which a bacterium is bent."""
    chain: Annotated[float, Field(ge=1, le=100)] = 1.5
    """Mean number of bacteria in a chain."""
    clearance_um: NonNegative = 0.2
    """Largest distance from the glass; each chain has its own."""
    index: Contrast = 0.045
    """Refractive index above that of the medium."""
    life: LifeConfig = LifeConfig(
        speed_um_per_h=1.0, persistence_h=0.2, cycle_h=None, mitosis_h=0.0, death_per_h=0.0
    )
    """Movement, division (in place, along the chain) and death."""

    @model_validator(mode="after")
    def _not_wider_than_long(self) -> Self:
        if self.length_um < self.width_um:
            raise ValueError(
                f"length_um {self.length_um} is below width_um {self.width_um}; a coccus is as "
                "long as it is wide"
            )
        return self


class CocciConfig(BacteriaConfig):
    """Round bacteria, often in pairs."""

    width_um: Annotated[float, Field(gt=0, le=20)] = 1.0
    """Diameter."""
    length_um: Annotated[float, Field(gt=0, le=200)] = 1.0
    """Mean length from end to end; at least the width."""
    bend_rad: Annotated[float, Field(ge=0, le=1.5)] = 0.8
    """Spread of the angle between neighbours of a chain."""
    chain: Annotated[float, Field(ge=1, le=100)] = 2.2
    """Mean number of bacteria in a chain."""


class SceneConfig(Config):
    """Everything that decides what is in the dish; a kind that is not given is absent."""

    size_um: tuple[Length, Length] = (150.0, 150.0)
    """Extent of the field along y and x."""
    height_um: Annotated[float, Field(gt=0, le=200)] = 20.0
    """Extent along z, from the glass upwards."""
    medium_index: Annotated[float, Field(ge=1, le=2)] = 1.337
    """Refractive index of the medium."""
    adherent: AdherentConfig | None = None
    """Flat cells on the glass."""
    dividing: DividingConfig | None = None
    """Adherent cells in division."""
    neurons: NeuronConfig | None = None
    """Neurons with dendrites and axons."""
    suspension: SuspensionConfig | None = None
    """Round cells near the glass."""
    dead: DeadConfig | None = None
    """Dead cells."""
    debris: DebrisConfig | None = None
    """Debris."""
    rods: BacteriaConfig | None = None
    """Rod-shaped bacteria."""
    cocci: CocciConfig | None = None
    """Round bacteria."""

    @model_validator(mode="after")
    def _high_enough(self) -> Self:
        for kind in ("adherent", "dividing", "neurons", "suspension"):
            cells: CellConfig | None = getattr(self, kind)
            if cells is not None and cells.tallest_um > self.height_um:
                raise ValueError(
                    f"height_um is {self.height_um} but {kind} cells become "
                    f"{cells.tallest_um:.1f} um tall; raise height_um or make the cells smaller"
                )
        return self

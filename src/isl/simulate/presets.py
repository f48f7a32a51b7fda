"""Presets: settings of whole simulations by name."""

from __future__ import annotations

from collections.abc import Mapping

from isl.core.errors import ConfigError
from isl.simulate.imaging.camera import Camera
from isl.simulate.imaging.microscope import Confocal, WideField
from isl.simulate.optics.light import BrightField, Dic, PhaseContrast
from isl.simulate.scenes.config import (
    AdherentConfig,
    CocciConfig,
    DeadConfig,
    DebrisConfig,
    DividingConfig,
    IndexConfig,
    LifeConfig,
    NeuriteConfig,
    NeuronConfig,
    SceneConfig,
    SuspensionConfig,
)
from isl.simulate.settings import Grid, SimulationConfig, Stain

_SMALL = (160.0, 160.0)
_RELIEF_DEG = -70.0
"""Direction in which the published images of condition B are lit: by regression of them on the
gradient of their fluorescence."""


def _wide_field(name: str, dye: str, emission_um: float) -> Stain:
    """A dye seen through a dry objective of 20 x."""
    microscope = WideField(na=0.45, emission_um=emission_um)
    return Stain(name=name, dyes={dye: 1.0}, microscope=microscope)


def _immersed(name: str, dye: str, emission_um: float) -> Stain:
    """A dye seen through an oil objective of 100 x."""
    microscope = WideField(na=1.25, immersion_index=1.515, emission_um=emission_um)
    return Stain(name=name, dyes={dye: 1.0}, microscope=microscope)


def _confocal(name: str, dyes: dict[str, float], excitation_um: float, emission_um: float) -> Stain:
    microscope = Confocal(
        na=0.35, excitation_um=excitation_um, emission_um=emission_um, pinhole_airy=2.0
    )
    camera = Camera(photons_per_unit=600.0, gain=0.2, offset=1000.0, read_noise_e=1.0)
    return Stain(name=name, dyes=dyes, microscope=microscope, camera=camera)


_NUCLEI = _wide_field("NUCLEI", "NUCLEI", 0.46)
_CYTOPLASM = _wide_field("CYTOPLASM", "CYTOPLASM", 0.52)
_MEMBRANE = _wide_field("MEMBRANE", "MEMBRANE", 0.6)
_DEAD = _wide_field("DEAD", "DEAD", 0.62)

PRESETS: Mapping[str, SimulationConfig] = {
    "adherent": SimulationConfig(
        scene=SceneConfig(
            size_um=_SMALL, adherent=AdherentConfig(), debris=DebrisConfig(density_per_mm2=300.0)
        ),
        stains=(_NUCLEI, _CYTOPLASM),
    ),
    # The published images called PHASE_CONTRAST show everything in relief, as oblique light and DIC
    # do and centred phase contrast does not.
    "neurons": SimulationConfig(
        scene=SceneConfig(
            size_um=(125.0, 125.0),
            neurons=NeuronConfig(
                density_per_mm2=840.0,
                nucleus_radius_um=4.0,
                clustering=0.9,
                cluster_cells=16.0,
                dendrites=NeuriteConfig(number=2, length_um=40.0, index=0.015, stain=0.3),
                axons=NeuriteConfig(
                    number=1,
                    length_um=350.0,
                    radius_um=0.6,
                    tip_radius_um=0.35,
                    persistence_um=250.0,
                    branches_per_mm=4.0,
                    bundling=0.6,
                    index=0.010,
                ),
            ),
            dead=DeadConfig(density_per_mm2=120.0, index=IndexConfig(dead=0.04)),
            debris=DebrisConfig(
                density_per_mm2=10000.0, radius_um=0.7, size_spread=0.5, index=0.01, dna_share=0.005
            ),
        ),
        light=Dic(objective_na=0.35, condenser_na=0.15, shear_um=0.4, shear_angle_deg=_RELIEF_DEG),
        source="PHASE_CONTRAST",
        camera=Camera(photons_per_unit=1300.0),
        stains=(
            _confocal("DAPI_CONFOCAL", {"NUCLEI": 1.0}, 0.405, 0.45),
            _confocal("MAP2_CONFOCAL", {"DENDRITES": 1.0}, 0.488, 0.52),
            _confocal("NFH_CONFOCAL", {"AXONS": 1.0}, 0.561, 0.6),
        ),
        bleed_through={"NFH_CONFOCAL": {"MAP2_CONFOCAL": 0.05}},
        grid=Grid(pixel_um=0.325),
    ),
    "dead": SimulationConfig(
        scene=SceneConfig(
            size_um=_SMALL,
            adherent=AdherentConfig(density_per_mm2=400.0, life=LifeConfig(death_per_h=0.02)),
            dead=DeadConfig(density_per_mm2=400.0),
            debris=DebrisConfig(),
        ),
        stains=(_NUCLEI, _DEAD),
    ),
    "dividing": SimulationConfig(
        scene=SceneConfig(
            size_um=_SMALL,
            height_um=24.0,
            adherent=AdherentConfig(density_per_mm2=400.0),
            dividing=DividingConfig(),
        ),
        light=Dic(),
        stains=(_NUCLEI, _MEMBRANE),
    ),
    "suspension": SimulationConfig(
        scene=SceneConfig(
            size_um=(128.0, 128.0),
            suspension=SuspensionConfig(
                density_per_mm2=2600.0,
                radius_um=5.3,
                height_um=10.6,
                nucleus_radius_um=4.2,
                index=IndexConfig(cytoplasm=0.026, nucleus=0.023, membrane=0.03),
                life=LifeConfig(speed_um_per_h=20.0, persistence_h=0.2),
            ),
        ),
        light=BrightField(objective_na=0.3, condenser_na=0.25),
        camera=Camera(photons_per_unit=20000.0, full_well_e=60000.0),
        stains=(_NUCLEI, _MEMBRANE),
        grid=Grid(focus_um=0.0),
    ),
    "bacteria": SimulationConfig(
        scene=SceneConfig(
            size_um=(20.0, 20.0),
            height_um=3.0,
            cocci=CocciConfig(density_per_mm2=130000.0, chain=4.0, index=0.035),
        ),
        light=PhaseContrast(
            objective_na=1.25,
            immersion_index=1.515,
            annulus_inner_na=0.40,
            annulus_outer_na=0.60,
            ring_transmission=0.15,
        ),
        camera=Camera(photons_per_unit=9000.0),
        stains=(_immersed("DNA", "NUCLEI", 0.46), _immersed("MEMBRANE", "MEMBRANE", 0.62)),
        grid=Grid(pixel_um=0.05, planes=5, plane_um=0.3, focus_um=0.6, slice_um=0.2, margin_um=1.0),
    ),
    "mixed": SimulationConfig(
        scene=SceneConfig(
            size_um=_SMALL,
            adherent=AdherentConfig(density_per_mm2=400.0),
            suspension=SuspensionConfig(density_per_mm2=150.0),
            dead=DeadConfig(),
            debris=DebrisConfig(),
        ),
        stains=(_NUCLEI, _CYTOPLASM, _DEAD),
    ),
}
"""Presets by name."""


def preset(name: str) -> SimulationConfig:
    """Settings by name.

    Raises
    ------
    ConfigError
        Where there is no such preset; the message lists them.

    Examples
    --------
    >>> preset("neurons").source_name
    'PHASE_CONTRAST'
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no preset '{name}'; there are: {', '.join(PRESETS)}")
    return PRESETS[name]

"""Light through a volume: phase, energy, directions."""

import numpy as np
import pytest
import torch

from isl.core.errors import ConfigError
from isl.simulate.optics.multislice import Grid, directions, propagator
from isl.simulate.optics.transmitted import transmitted_field

WAVELENGTH, MEDIUM = 0.55, 1.34
VOXEL = (0.5, 0.3, 0.25)
TILTS = [(0.0, 0.0), (0.2, -0.11)]


def grid(shape=(32, 24), voxel=VOXEL):
    return Grid(shape, voxel, WAVELENGTH, MEDIUM, torch.device("cpu"))


def cell(shape=(12, 64, 64), voxel=(0.5, 0.2, 0.2), contrast=0.03):
    """A smooth ball in the middle."""
    axes = [(np.arange(n) + 0.5 - n / 2) * step for n, step in zip(shape, voxel, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return contrast * np.exp(-(z**2 / 2 + y**2 / 2 + x**2 / 2))


@pytest.mark.parametrize("tilt", TILTS)
def test_propagation_is_unitary_where_light_propagates(tilt):
    lit = directions(grid(), tilt)
    factor = propagator(lit, 3.7, MEDIUM / WAVELENGTH).numpy()
    propagates = lit.squared.numpy() <= (MEDIUM / WAVELENGTH) ** 2
    np.testing.assert_allclose(np.abs(factor)[propagates], 1, atol=1e-6)


def test_evanescent_light_decays_and_does_not_grow_on_the_way_back():
    lit = directions(grid(voxel=(0.5, 0.1, 0.1)), (0.0, 0.0))
    evanescent = lit.squared.numpy() > 1.1 * (MEDIUM / WAVELENGTH) ** 2
    assert evanescent.any()
    for distance in (1.0, -1.0):
        factor = propagator(lit, distance, MEDIUM / WAVELENGTH).numpy()
        assert np.abs(factor)[evanescent].max() < 0.02


@pytest.mark.parametrize("tilt", TILTS)
def test_propagation_follows_the_dispersion_of_plane_waves(tilt):
    lit = directions(grid(), tilt)
    factor = propagator(lit, 2.0, MEDIUM / WAVELENGTH).numpy()
    y = np.fft.fftfreq(32, VOXEL[1])[:, None] + tilt[0] / WAVELENGTH
    x = np.fft.fftfreq(24, VOXEL[2])[None] + tilt[1] / WAVELENGTH
    inside = (np.abs(y) < 0.5 / VOXEL[1]) & (np.abs(x) < 0.5 / VOXEL[2])
    axial = np.sqrt((MEDIUM / WAVELENGTH) ** 2 - y**2 - x**2 + 0j)
    along = np.sqrt((MEDIUM / WAVELENGTH) ** 2 - (np.hypot(*tilt) / WAVELENGTH) ** 2)
    expected = np.exp(2j * np.pi * 2.0 * (axial - along))
    np.testing.assert_allclose(factor[inside], expected[inside], atol=2e-5)


def test_a_slab_delays_a_plane_wave_by_its_optical_path():
    contrast, thickness_um = 0.02, 8 * VOXEL[0]
    index = np.full((8, 16, 16), contrast)
    field = transmitted_field(index, VOXEL, MEDIUM, WAVELENGTH)
    expected = np.exp(2j * np.pi / WAVELENGTH * contrast * thickness_um)
    np.testing.assert_allclose(field, expected, atol=1e-5)


def test_a_slab_delays_a_tilted_wave_by_its_longer_path():
    contrast, thickness_um, na = 0.005, 8 * VOXEL[0], 0.5
    index = np.full((8, 16, 16), contrast)
    field = transmitted_field(index, VOXEL, MEDIUM, WAVELENGTH, (0.3, 0.4))
    inside, outside = (np.sqrt(n**2 - na**2) for n in (MEDIUM + contrast, MEDIUM))
    expected = 2 * np.pi / WAVELENGTH * (inside - outside) * thickness_um
    np.testing.assert_allclose(np.angle(field), expected, rtol=2e-3)


def test_absorption_follows_beer_and_lambert():
    absorption = np.full((6, 8, 8), 0.2)
    field = transmitted_field(np.zeros((6, 8, 8)), VOXEL, MEDIUM, WAVELENGTH, absorption=absorption)
    np.testing.assert_allclose(np.abs(field) ** 2, np.exp(-0.2 * 6 * VOXEL[0]), rtol=1e-5)


@pytest.mark.parametrize("tilt", TILTS)
def test_energy_is_conserved_without_absorption(tilt):
    field = transmitted_field(cell(), (0.5, 0.2, 0.2), MEDIUM, WAVELENGTH, tilt)
    assert np.abs(field - 1).max() > 0.3
    assert np.mean(np.abs(field) ** 2) == pytest.approx(1, abs=1e-5)


def test_thinner_slices_converge_to_second_order():
    fields = []
    for factor in (1, 2, 4, 8):
        voxel = (4.0 / factor, 0.25, 0.25)
        index = cell((3 * factor, 48, 48), voxel, contrast=0.05)
        fields.append(transmitted_field(index, voxel, MEDIUM, WAVELENGTH, (0.1, 0.0)))
    steps = [np.abs(a - b).max() for a, b in zip(fields[1:], fields, strict=False)]
    assert steps[2] < steps[1] / 3 < steps[0] / 9


def test_a_tilted_wave_need_not_fit_the_grid():
    """The same object on a larger field, where other tilts are multiples of a frequency step."""
    voxel, tilt = (0.5, 0.2, 0.2), (0.137, -0.059)
    small = transmitted_field(cell((8, 64, 64), voxel), voxel, MEDIUM, WAVELENGTH, tilt)
    large = transmitted_field(cell((8, 90, 90), voxel), voxel, MEDIUM, WAVELENGTH, tilt)
    np.testing.assert_allclose(small[16:48, 16:48], large[29:61, 29:61], atol=5e-3)


def test_light_that_does_not_enter_the_medium_is_refused():
    with pytest.raises(ConfigError, match="does not enter a medium"):
        transmitted_field(np.zeros((1, 8, 8)), VOXEL, MEDIUM, WAVELENGTH, (1.4, 0.0))

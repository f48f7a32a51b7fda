"""Weak thin objects against the analytic partially coherent transfer function.

Streibl (1985): with the pupil P, defocus included, and the source points k,
I(f) = i [C(f) - conj C(-f)] phi(f) - [C(f) + conj C(-f)] mu(f) and
C(f) = sum P(k + f) conj P(k) / sum |P(k)|^2, for t = exp(i phi - mu).
"""

import numpy as np
import pytest

from isl.simulate.optics.condenser import condenser_points
from isl.simulate.optics.transmitted import BrightField, PhaseContrast, image_stack

WAVELENGTH, MEDIUM = 0.55, 1.34
PIXELS, VOXEL = 48, (0.4, 0.3, 0.3)
MIDDLE_UM = VOXEL[0] / 2
STRENGTH = 2e-4
TOLERANCE = 0.03
USED = np.ones((PIXELS, PIXELS), bool)
USED[PIXELS // 2] = USED[:, PIXELS // 2] = USED[0, 0] = False


def pupil_of(light, defocus_um):
    """Amplitude of the pupil at frequencies y, x (cycles per micrometre), for focus that far above
    the object: through the medium below it, and less immersion as the objective comes nearer."""

    def axial(index, squared):
        return np.sqrt(np.maximum((index / WAVELENGTH) ** 2 - squared, 0))

    def pupil(y, x):
        squared = y**2 + x**2
        na = WAVELENGTH * np.sqrt(squared)
        nearer_um = (MIDDLE_UM + defocus_um) * light.immersion_index / MEDIUM
        waves = MIDDLE_UM * axial(MEDIUM, squared) - nearer_um * axial(
            light.immersion_index, squared
        )
        passed = (na <= light.objective_na) * np.exp(2j * np.pi * waves)
        if isinstance(light, PhaseContrast):
            ring = np.sqrt(light.ring_transmission) * np.exp(1j * light.ring_phase_rad)
            within = (na >= light.annulus_inner_na) & (na <= light.annulus_outer_na)
            passed = np.where(within, passed * ring, passed)
        return passed

    return pupil


def transfer(light, defocus_um, points_na, weight=None):
    """Analytic transfer (phase, absorption) at the frequencies of the grid.

    For the points of the simulator, tilted light has the longer path through the object that it
    has there; with weights, for the continuous condenser, it is as thin as in the theory.
    """
    frequency = np.fft.fftfreq(PIXELS, VOXEL[1])
    y, x = frequency[:, None], frequency[None]
    pupil = pupil_of(light, defocus_um)
    forward = backward = total = 0
    weights = np.ones(len(points_na)) if weight is None else weight
    for (na_y, na_x), share in zip(points_na, weights, strict=True):
        ky, kx = na_y / WAVELENGTH, na_x / WAVELENGTH
        direct = pupil(ky, kx)
        cosine = np.sqrt(1 - (na_y**2 + na_x**2) / MEDIUM**2) if weight is None else 1.0
        forward = forward + share * pupil(y + ky, x + kx) * np.conj(direct) / cosine
        backward = backward + share * np.conj(pupil(ky - y, kx - x)) * direct / cosine
        total += share * np.abs(direct) ** 2
    return 1j * (forward - backward) / total, -(forward + backward) / total


def continuous_points(light, rings=24, around=48):
    """Fine polar sampling of the condenser (midpoints), with weights: unlike the simulator's."""
    inner, outer = light.illumination_na
    radius = inner + (np.arange(rings) + 0.5) * (outer - inner) / rings
    angle = 2 * np.pi * (np.arange(around) + 0.25) / around
    points = np.stack(
        [np.outer(radius, np.sin(angle)).ravel(), np.outer(radius, np.cos(angle)).ravel()], axis=1
    )
    return points, np.repeat(radius, around)


def noise():
    """Object with all frequencies in equal parts, but those of Nyquist, which have no sign."""
    spectrum = np.fft.fft2(np.random.default_rng(3).normal(size=(PIXELS, PIXELS)))
    values = np.fft.ifft2(np.where(USED, spectrum / np.abs(spectrum), 0)).real
    return STRENGTH * values / values.std()


def measured(light, defocus_um, kind):
    """Transfer of the simulator: spectrum of the image over that of the object."""
    values = noise()
    scale = WAVELENGTH / (2 * np.pi * VOXEL[0]) if kind == "phase" else 2 / VOXEL[0]
    empty = np.zeros_like(values)
    index, loss = (values, empty) if kind == "phase" else (empty, values - values.min())
    image = image_stack(
        index[None] * scale,
        VOXEL,
        MEDIUM,
        [MIDDLE_UM + defocus_um],
        light,
        absorption=loss[None] * scale,
    )[0]
    image = image.astype(np.float64)
    # Uniform absorption that keeps the rest positive only darkens the whole image.
    image /= image.mean()
    spectrum = np.where(USED, np.fft.fft2(values), 1)
    return np.fft.fft2(image) / spectrum


def deviation(found, expected):
    """Deviation at each frequency, relative to the largest transfer."""
    return np.abs(found - expected)[USED] / np.abs(expected).max()


# Apertures whose sum the grid still holds, so that no frequency of the image folds back.
LIGHTS = {
    "coherent": BrightField(objective_na=0.6, condenser_na=0, immersion_index=MEDIUM),
    "partial": BrightField(objective_na=0.6, condenser_na=0.3, immersion_index=MEDIUM),
    "full": BrightField(objective_na=0.45, condenser_na=0.45, immersion_index=MEDIUM),
    "dry": BrightField(objective_na=0.6, condenser_na=0.3),
    "ring": PhaseContrast(objective_na=0.6, immersion_index=MEDIUM),
}


@pytest.mark.parametrize("defocus_um", [-4.0, -1.0, 0.5, 2.0])
@pytest.mark.parametrize("name", LIGHTS)
def test_phase_transfer_matches_theory(name, defocus_um):
    light = LIGHTS[name]
    points = condenser_points(*light.illumination_na, light.source_points)
    expected, _ = transfer(light, defocus_um, points)
    assert np.abs(expected).max() > 0.05
    assert deviation(measured(light, defocus_um, "phase"), expected).max() < TOLERANCE


@pytest.mark.parametrize("name", ["partial", "ring"])
@pytest.mark.parametrize("defocus_um", [0.0, 2.0])
def test_absorption_transfer_matches_theory(name, defocus_um):
    light = LIGHTS[name]
    points = condenser_points(*light.illumination_na, light.source_points)
    _, expected = transfer(light, defocus_um, points)
    assert deviation(measured(light, defocus_um, "absorption"), expected).max() < TOLERANCE


def test_phase_transfer_in_focus_is_that_of_the_ring_alone():
    light = LIGHTS["ring"]
    points = condenser_points(*light.illumination_na, light.source_points)
    expected, _ = transfer(light, 0.0, points)
    assert deviation(measured(light, 0.0, "phase"), expected).max() < TOLERANCE
    assert np.abs(measured(LIGHTS["partial"], 0.0, "phase")[1:10, 1:10]).max() < 0.01


@pytest.mark.parametrize(("name", "many"), [("partial", 200), ("ring", 120)])
def test_more_source_points_approach_the_continuous_condenser(name, many):
    """The mean deviation falls with the points; the reference knows nothing of the simulator's
    points, nor of the slightly longer path of tilted light in the object."""
    defocus_um = 1.0
    few = LIGHTS[name]
    expected, _ = transfer(few, defocus_um, *continuous_points(few))
    found = []
    for points in (few.source_points, many):
        light = few.model_copy(update={"source_points": points})
        differs = deviation(measured(light, defocus_um, "phase"), expected)
        found.append(np.sqrt((differs**2).mean()))
    assert found[1] < TOLERANCE
    assert found[1] < 0.6 * found[0]


def test_matched_apertures_give_the_closed_form_of_absorption():
    """Condenser as wide as the objective: the autocorrelation of a disc (incoherent imaging)."""
    light = BrightField(
        objective_na=0.3, condenser_na=0.3, immersion_index=MEDIUM, source_points=200
    )
    found = measured(light, 0.0, "absorption")[0, 1 : PIXELS // 2]
    frequency = np.fft.fftfreq(PIXELS, VOXEL[1])[1 : PIXELS // 2]
    share = np.minimum(frequency * WAVELENGTH / (2 * light.objective_na), 1)
    expected = -2 * 2 / np.pi * (np.arccos(share) - share * np.sqrt(1 - share**2))
    assert np.abs(found - expected).max() / 2 < TOLERANCE

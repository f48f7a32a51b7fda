"""Simulated beside real fields: a figure, and how far apart they are.

    python benchmarks/simulated_beside_real.py ../shared/data [figure.png]

Real images are read and measured, but not shown: the figure holds simulated images, and histograms
and power spectra of both.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from matplotlib import pyplot as plt
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from isl.io.open import open_fovs
from isl.simulate.acquisition import acquire
from isl.simulate.presets import preset

CROP_PX = 256
SEED = 1
BANDS = np.linspace(0.01, 0.45, 24)
"""Edges of the bands of spatial frequency, in cycles per pixel."""

Images = list[NDArray[np.float64]]


@dataclass(frozen=True)
class Case:
    """One preset and the real images beside it.

    Attributes
    ----------
    preset
        Name.
    real
        Reads (Y, X) images of transmitted light below the folder of real data.
    plane
        Plane of the simulated stack.
    """

    preset: str
    real: Callable[[Path], Images]
    plane: int


def neurons(data: Path) -> Images:
    """Middle plane of the part of condition B that is for training."""
    (fov,) = open_fovs(data / "isl2018" / "condition_B_well_A4")
    return [fov.read("PHASE_CONTRAST", z=[6])[0, :, :512].astype(float)]


def flow(data: Path) -> Images:
    """Bright field of imaging flow cytometry."""
    folder = data / "imaging_flow_cytometry" / "Experiment_1" / "G1"
    return [tifffile.imread(folder / "Ch3_CP0008.tif").astype(float)]


def bacteria(data: Path) -> Images:
    """Phase contrast of Staphylococcus aureus."""
    return [tifffile.imread(data / "saureus_phase" / "test_phase.tif").astype(float)]


CASES = (Case("neurons", neurons, 6), Case("suspension", flow, 6), Case("bacteria", bacteria, 2))


def crops(images: Images) -> Images:
    """Squares of `CROP_PX` that cover the images without overlap."""
    return [
        image[y : y + CROP_PX, x : x + CROP_PX]
        for image in images
        for y in range(0, image.shape[0] - CROP_PX + 1, CROP_PX)
        for x in range(0, image.shape[1] - CROP_PX + 1, CROP_PX)
    ]


def standardized(images: Images) -> Images:
    """All images together at mean 0 and standard deviation 1."""
    values = np.concatenate([image.ravel() for image in images])
    return [(image - values.mean()) / values.std() for image in images]


def spectrum(images: Images) -> NDArray[np.float64]:
    """log10 of the power at each band of frequency, averaged over direction and images."""
    window = np.hanning(CROP_PX)[:, None] * np.hanning(CROP_PX)
    power = np.mean([np.abs(np.fft.fft2(i * window)) ** 2 for i in images], axis=0)
    f = np.hypot(np.fft.fftfreq(CROP_PX)[:, None], np.fft.fftfreq(CROP_PX))
    band = np.digitize(f, BANDS)
    means = [power[band == k].mean() / (window**2).sum() for k in range(1, len(BANDS))]
    return np.log10(means)


def measure(case: Case, data: Path) -> tuple[Images, Images, dict[str, float]]:
    """Simulated and real crops, standardised, and their distances."""
    config = preset(case.preset).resized((CROP_PX, CROP_PX))
    simulated = [acquire(config, s).source[case.plane].astype(float) for s in (SEED, SEED + 1)]
    real = crops(case.real(data))
    contrast = [float(np.std(i) / np.mean(i)) for i in (simulated, real)]
    simulated, real = standardized(simulated), standardized(real)
    values = [np.concatenate([i.ravel() for i in images]) for images in (simulated, real)]
    apart = np.abs(spectrum(simulated) - spectrum(real))
    return (
        simulated,
        real,
        {
            "contrast simulated": contrast[0],
            "contrast real": contrast[1],
            "histogram distance": float(wasserstein_distance(*values)),
            "spectrum distance": float(apart.mean()),
        },
    )


def draw(axes: Sequence[plt.Axes], case: Case, simulated: Images, real: Images) -> None:
    """One row of the figure."""
    image, histogram, power = axes
    low, high = np.percentile(simulated[0], (0.5, 99.5))
    image.imshow(simulated[0], cmap="gray", vmin=low, vmax=high)
    image.set_title(f"{case.preset}, simulated")
    image.axis("off")
    middles = (BANDS[1:] + BANDS[:-1]) / 2
    for images, name in ((simulated, "simulated"), (real, "real")):
        values = np.concatenate([i.ravel() for i in images])
        histogram.hist(
            values, bins=np.linspace(-5, 5, 101), density=True, histtype="step", label=name
        )
        power.plot(middles, spectrum(images), label=name)
    histogram.set(xlabel="standard deviations from the mean", ylabel="share", yscale="log")
    power.set(xlabel="cycles per pixel", ylabel="log10 power")
    histogram.legend()


def main(data: Path, figure_path: Path | None) -> None:
    """Print the distances, and write the figure where a path is given."""
    figure, axes = plt.subplots(len(CASES), 3, figsize=(10, 3.1 * len(CASES)))
    for row, case in zip(axes, CASES, strict=True):
        simulated, real, distances = measure(case, data)
        draw(row, case, simulated, real)
        print(case.preset, *(f"{name} {value:.3f}" for name, value in distances.items()), sep=", ")
    if figure_path is not None:
        figure.tight_layout()
        figure_path.parent.mkdir(parents=True, exist_ok=True)
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
        figure_path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels), level=9))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)

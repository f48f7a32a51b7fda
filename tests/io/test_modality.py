from __future__ import annotations

import pytest

from isl.io.modality import guess_modality, modality_of_metadata, modality_of_name

NAMES = {
    "brightfield": ["BRIGHTFIELD", "BF with Disk", "Bright Field", "bf", "TL Brightfield", "Trans"],
    "phase": ["PHASE_CONTRAST", "Phase", "phase2", "Ph3", "channel1_phase", "PhaseContrast"],
    "dic": ["DIC", "dic_z", "TRANS 488 DIC", "Nomarski"],
    "qpi": ["QPI", "Quantitative Phase"],
    "fluorescence": [
        *("DAPI_CONFOCAL", "CELLMASK_CONFOCAL", "TUJ1_WIDEFIELD", "NFH_CONFOCAL", "MAP2_CONFOCAL"),
        *("ISLET_WIDEFIELD", "DEAD_CONFOCAL", "FITC BP", "TRITC BP", "C488", "Alexa 647", "Cy5"),
        *("mCherry", "Hoechst 33342", "membrane", "dna", "EGFP", "488", "561nm"),
    ],
    "labels": ["mask1", "DAPI mask", "labels", "nuclei_segmentation"],
    None: ["Mono", "channel2_cdc", "Ch3", "image", "C1", "channel 1", "map_01", "cp0008"],
}


@pytest.mark.parametrize(
    ("modality", "name"), [(m, n) for m, names in NAMES.items() for n in names]
)
def test_by_name(modality, name):
    assert modality_of_name(name) == modality


def test_the_name_wins_over_the_file():
    assert guess_modality("DIC", "fluorescence") == "dic"
    assert guess_modality("Mono", "fluorescence") == "fluorescence"
    assert guess_modality("Mono") is None


@pytest.mark.parametrize(
    ("contrast", "illumination", "emission", "others", "modality"),
    [
        ("Fluorescence", "Epifluorescence", None, True, "brightfield"),
        ("Phase", "Transmitted", None, True, "phase"),
        ("DIC", None, None, False, "dic"),
        (None, "Transmitted", None, False, "brightfield"),
        ("Fluorescence", None, None, False, "fluorescence"),
        (None, None, 520.0, False, "fluorescence"),
        (None, None, None, False, None),
    ],
)
def test_by_metadata(contrast, illumination, emission, others, modality):
    found = modality_of_metadata(
        contrast=contrast,
        illumination=illumination,
        emission_nm=emission,
        excitation_nm=None,
        others_emit=others,
    )
    assert found == modality

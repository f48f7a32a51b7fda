"""Guess how a channel was imaged: its name first, then what the file says.

The name wins because acquisition software often flags every camera channel as fluorescence.
"""

from __future__ import annotations

import re
from itertools import pairwise

from isl.io.fov import Modality

TRANSMITTED: frozenset[Modality] = frozenset({"brightfield", "phase", "dic", "qpi"})
"""Modalities that can be a source."""

_LABELS = {"mask", "masks", "label", "labels", "segmentation", "instances", "is_mask"}
_QPI = {"qpi", "qpm", "dhm", "opd", "opl", "quantitative", "quantitativephase", "holography"}
_PHASE = {"phase", "ph", "phc", "phasecontrast", "zernike"}
_DIC = {"dic", "nomarski"}
_BRIGHTFIELD = {
    *("brightfield", "bright", "bf", "trans", "transmitted", "transmission", "transmittedlight"),
    *("tl", "tpmt", "halogen"),
}
_FLUORESCENCE = {
    *("dapi", "hoechst", "draq", "sytox", "syto", "sybr", "pi", "propidium", "dna", "nuclei"),
    *("gfp", "egfp", "yfp", "eyfp", "cfp", "ecfp", "rfp", "bfp", "venus", "citrine", "cerulean"),
    *("mcherry", "cherry", "tdtomato", "tomato", "dsred", "mscarlet", "mneongreen", "neongreen"),
    *("mkate", "mruby", "mtagbfp", "irfp", "halotag", "snaptag", "gcamp", "fucci"),
    *("fitc", "tritc", "cy", "texasred", "txred", "alexa", "af", "atto", "bodipy", "rhodamine"),
    *("calcein", "phalloidin", "actin", "tubulin", "lamin", "membrane", "cellmask", "wga"),
    *("mitotracker", "lysotracker", "tmrm", "tmre", "nilered", "cona", "annexin"),
    *("map2", "nfh", "tuj", "islet", "isl1", "dead", "neurite", "fluorescence", "fluor", "fluo"),
    *("confocal", "widefield", "epi", "epifluorescence", "mito", "golgi", "lysosome"),
}
_BY_WORD: tuple[tuple[set[str], Modality], ...] = (
    (_LABELS, "labels"),
    (_QPI, "qpi"),
    (_DIC, "dic"),
    (_PHASE, "phase"),
    (_BRIGHTFIELD, "brightfield"),
    (_FLUORESCENCE, "fluorescence"),
)
_WAVELENGTH = re.compile(r"(?:c|ex|em|laser|led|a|af|alexa|atto|cy|w|dio|dii)?([3-8]\d\d)(?:nm)?")


def modality_of_name(name: str) -> Modality | None:
    """Say how a channel was imaged by the words in its name.

    Parameters
    ----------
    name
        Name of a channel.

    Returns
    -------
    str or None
        None where no word is known. Words for masks win over those for transmitted light, and
        these over those for fluorescence ("TRANS 488" is the transmitted light of a laser).

    Examples
    --------
    >>> modality_of_name("PHASE_CONTRAST"), modality_of_name("Alexa 488"), modality_of_name("Mono")
    ('phase', 'fluorescence', None)
    """
    tokens = [t for t in re.split(r"[^0-9a-z]+", name.lower()) if t]
    words = {t.rstrip("0123456789") for t in tokens} | set(tokens)
    joined = {"".join(tokens)} | {a + b for a, b in pairwise(tokens)}
    for known, modality in _BY_WORD:
        if known & (words | joined):
            return modality
    return "fluorescence" if any(_WAVELENGTH.fullmatch(t) for t in tokens) else None


def guess_modality(name: str, from_file: Modality | None = None) -> Modality | None:
    """Say how a channel was imaged: by its name, else by the file's metadata.

    Parameters
    ----------
    name
        Name of the channel.
    from_file
        What the metadata of the file says.

    Returns
    -------
    str or None
        None where neither says.
    """
    return modality_of_name(name) or from_file


def modality_of_metadata(
    *,
    contrast: str | None,
    illumination: str | None,
    emission_nm: float | None,
    excitation_nm: float | None,
    others_emit: bool,
) -> Modality | None:
    """Say how a channel was imaged by OME-like metadata.

    Parameters
    ----------
    contrast, illumination
        ``ContrastMethod`` and ``IlluminationType`` of the OME data model.
    emission_nm, excitation_nm
        Wavelengths.
    others_emit
        Another channel of the file has an emission wavelength. A channel without any wavelength
        beside it was not seen through a fluorescence filter, whatever its flag says.

    Returns
    -------
    str or None
        None where the metadata does not say.
    """
    if others_emit and emission_nm is None and excitation_nm is None:
        return modality_of_name(contrast or "") if _is_transmitted(contrast) else "brightfield"
    if emission_nm is not None:
        return "fluorescence"
    found = modality_of_name(contrast or "")
    if found is None and (illumination or "").lower().startswith("trans"):
        return "brightfield"
    return found


def _is_transmitted(contrast: str | None) -> bool:
    return modality_of_name(contrast or "") in TRANSMITTED

"""The page of the models that ship, put together from the registry and from their files."""

from __future__ import annotations

from isl.inference.model_card import ModelCard
from isl.inference.model_file import read_card
from isl.inference.registry import Registry, ShippedModel, shipped_model

_HEAD = """\
# Models that ship

Weights are part of the package (`src/isl/weights`), in half precision. Wherever a command takes a
model file it takes a name too: `isl predict demo-neurons my_images -o predictions.zarr`,
`isl train --from demo-neurons my_images -o mine.isl`, `isl.load_model("demo-neurons")`. A file or
folder of that name wins. `isl models` lists them, `isl models NAME` shows all that is known of one,
and a folder of your own models joins them where the environment variable `ISL_MODELS` names it. How
to make them again: [recipes](../recipes/README.md).

This page is what `isl models --markdown` prints, from `src/isl/weights/registry.yaml` and from the
cards in the files.
"""


def model_page(registry: Registry) -> str:
    """Describe the models that ship, as Markdown.

    Parameters
    ----------
    registry
        The models.

    Returns
    -------
    str
        The page, as in ``docs/models.md``.

    Raises
    ------
    ModelFileError
        Where the file of a model is missing or damaged.
    """
    sections = (_section(name, entry) for name, entry in registry.items())
    return "\n".join((_HEAD, "\n".join(sections)))


def model_facts(entry: ShippedModel, card: ModelCard) -> dict[str, str]:
    """What is worth knowing about a model that ships, in words, by what it is about."""
    return {
        "for": entry.summary,
        "source": source_words(card),
        "targets": ", ".join(card.target_names),
        "data": "; ".join(f"{d.what} ({d.citation}; {d.licence})" for d in entry.data),
        "training": training_words(card),
        "held out": f"{card.holdout or 'nothing'}: Pearson r {score_words(card)}",
        "measured": entry.measured or "",
        "licence": entry.licence,
        "limits": entry.limits,
        "not for": entry.not_for,
        "recipe": entry.recipe,
        "log": entry.log or "not kept",
    }


def source_words(card: ModelCard) -> str:
    """Channel, kind, planes and voxel size of what a model predicts from."""
    source = card.source
    planes = f"{source.planes} plane{'s' * (source.planes > 1)}"
    kind = source.modality or "kind unknown"
    return f"{source.name} ({kind}), {planes}; voxel size {card.voxel_size}"


def score_words(card: ModelCard) -> str:
    """Held-out correlation of each target."""
    scores = card.scores or {}
    shown = (f"{scores[name]:.3f} ({name})" for name in card.target_names if name in scores)
    return ", ".join(shown) or "not known"


def training_words(card: ModelCard) -> str:
    """How long and with which seed a model was trained."""
    made = card.provenance
    return f"{made.steps} steps in {made.minutes:.0f} minutes, seed {made.seed}, {made.date[:10]}"


def _section(name: str, entry: ShippedModel) -> str:
    path = shipped_model(name)
    facts = model_facts(entry, read_card(path))
    facts |= {"size": f"{path.stat().st_size / 1e6:.1f} MB"}
    facts["recipe"] = _link(facts["recipe"])
    facts["log"] = _link(entry.log) if entry.log else facts["log"]
    rows = (f"| {what} | {text} |" for what, text in facts.items() if text)
    return "\n".join((f"## {name}", "", "| | |", "|---|---|", *rows, ""))


def _link(path: str) -> str:
    return f"[{path}](../{path})"

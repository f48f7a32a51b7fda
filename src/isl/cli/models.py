"""``isl models``: the models that go by a name, and all that is known of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from isl.cli.console import BadFields, plain, print_table, say, table
from isl.cli.flags import Switch
from isl.core.errors import IslError

if TYPE_CHECKING:
    from rich.table import Table


def models(name: str | None = None, /, *, markdown: Switch = False) -> int:
    """List the models that ship and those in $ISL_MODELS, or show all that is known of one.

    Parameters
    ----------
    name
        Model to show: what it is for, its data, licences, scores and limits, and its whole card.
    markdown
        Print the page of the models that ship, docs/models.md.
    """
    from isl.inference.model_page import model_page
    from isl.inference.registry import named_models, read_registry

    if markdown:
        say(model_page(read_registry()).rstrip("\n"))
        return 0
    if name is not None:
        show_model(name)
        return 0
    bad = BadFields()
    shown = table("model", "for", "source", "targets", "r held out", "MB")
    for each, path in named_models().items():
        try:
            _add_row(shown, each, path)
        except IslError as error:
            bad(each, error)
    print_table(shown)
    say("all about one: isl models NAME; to use one: isl predict NAME IMAGES -o predictions.zarr")
    return bad.exit_code


def show_model(name: str) -> None:
    """Print what the registry says of a model, where it ships, and then its card."""
    from isl.cli.info import show_card
    from isl.inference.model_file import load_model
    from isl.inference.model_page import model_facts
    from isl.inference.registry import find_model, read_registry, shipped_model

    entry = read_registry().get(name)
    path = find_model(name) if entry is None else shipped_model(name)
    card = load_model(path).card
    if entry is not None:
        say(name)
        for what, text in model_facts(entry, card).items():
            if text:
                say(f"  {what}: {text}")
        say()
    show_card(card, path)


def _add_row(shown: Table, name: str, path: Path) -> None:
    """One line about a model; raises where its file is damaged."""
    from isl.inference.model_file import read_card
    from isl.inference.model_page import source_words
    from isl.inference.registry import read_registry

    card = read_card(path)
    entry = read_registry().get(name)
    scores = card.scores or {}
    shown.add_row(
        name,
        f"your own, {path}" if entry is None else entry.summary,
        source_words(card),
        plain(card.target_names),
        ", ".join(f"{scores[n]:.2f}" if n in scores else "-" for n in card.target_names),
        f"{path.stat().st_size / 1e6:.1f}",
    )

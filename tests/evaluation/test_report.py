"""The page stands alone and says everything; its tables hold the same figures."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from isl.core.errors import OutputError
from isl.evaluation.evaluate import evaluate_model, evaluate_prediction
from isl.evaluation.report import render_report, write_report


class Page(HTMLParser):
    """Tags and references of a page."""

    def __init__(self, text):
        super().__init__()
        self.images, self.references, self.tags, self.words = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        if tag == "img":
            self.images.append(values)
        self.references += [v for k, v in attrs if k in ("src", "href")]

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def evaluation(scene):
    truth = scene.truth()
    return evaluate_prediction(
        [scene.fov("p", scene.prediction(truth))], [scene.fov("A4", truth, path="well_A4")]
    )


def test_page_stands_alone(evaluation):
    text = render_report(evaluation)
    page = Page(text)
    assert page.references
    assert all(r.startswith("data:image/png;base64,") for r in page.references)
    assert "script" not in page.tags
    assert not re.search(r"url\(|@import|https?://", text)
    assert "prefers-color-scheme: dark" in text
    assert len(page.images) == 2 * 5
    assert all(image["alt"].strip() for image in page.images)


def test_page_says_what_was_found(evaluation):
    words = " ".join(" ".join(Page(render_report(evaluation)).words).split())
    row = evaluation.score("DAPI", "pearson_r")
    assert f"DAPI: r = {row.value:.2f} (95 % interval {row.low:.2f} to {row.high:.2f})" in words
    assert "coverage of the 95 % interval" in words
    assert f"{evaluation.score('MAP2', 'ssim').value:.3f}" in words
    assert "plane 2 of 3, negative correlation" in words
    assert "not computed: a file of predicted images does not hold the density" in words
    assert "Otsu threshold" in words
    assert "well_A4" in words
    for what, _ in evaluation.facts:
        assert what in words


def test_names_cannot_inject_markup(scene):
    truth = scene.truth()
    name = "<script>alert(1)</script>"
    evaluation = evaluate_prediction(
        [scene.fov("p", scene.prediction(truth))], [scene.fov(name, truth)]
    )
    assert "script" not in Page(render_report(evaluation)).tags


def test_several_fields_are_all_in_the_table(scene):
    truths = [scene.fov(f"w{i}", scene.truth(i)) for i in range(5)]
    predictions = [scene.fov(f"w{i}", scene.prediction(scene.truth(i))) for i in range(5)]
    page = Page(render_report(evaluate_prediction(predictions, truths)))
    assert page.tags.count("table") == 6
    assert len(page.images) == 3 * 2 * 5
    assert "5 fields together" in page.words


def test_page_of_a_model_has_calibration_curves(scene):
    truth = scene.truth()
    page = Page(render_report(evaluate_model(scene.model(truth), [scene.fov("A4", truth)])))
    assert page.tags.count("circle") == 2 * 10


def test_without_quantiles_and_source(scene):
    truth = {"DAPI": scene.truth()["DAPI"]}
    prediction = {"DAPI": scene.prediction(scene.truth())["DAPI"]}
    evaluation = evaluate_prediction([scene.fov("p", prediction)], [scene.fov("t", truth)])
    page = Page(render_report(evaluation))
    assert len(page.images) == 4
    assert "there is no source image" in " ".join(page.words)
    assert "the prediction holds no quantiles" in " ".join(page.words)


def test_tables_beside_the_page(evaluation, tmp_path):
    write_report(evaluation, tmp_path / "report.html")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "report.csv",
        "report.html",
        "report.parquet",
    ]
    table = pd.read_parquet(tmp_path / "report.parquet")
    assert list(table) == ["field", "target", "metric", "value", "low", "high", "pixels", "note"]
    value = table.set_index(["field", "target", "metric"]).value["A4", "DAPI", "pearson_r"]
    assert value == evaluation.score("DAPI", "pearson_r").value
    text = pd.read_csv(tmp_path / "report.csv", keep_default_na=True)
    np.testing.assert_allclose(text.value, table.value)


def test_existing_output_is_kept(evaluation, tmp_path):
    (tmp_path / "report.csv").write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        write_report(evaluation, tmp_path / "report.html")
    assert [p.name for p in tmp_path.iterdir()] == ["report.csv"]
    write_report(evaluation, tmp_path / "report.html", overwrite=True)
    assert (tmp_path / "report.csv").read_text() != "mine"


def test_page_must_be_a_page(evaluation, tmp_path):
    with pytest.raises(OutputError, match=r"end it in \.html"):
        write_report(evaluation, tmp_path / "report.pdf")
    assert not list(tmp_path.iterdir())

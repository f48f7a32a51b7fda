"""What more data would bring."""

import numpy as np
import pytest

from isl.evaluation.amount import fit_amount, in_words
from isl.evaluation.amount_picture import Line, draw_curve
from isl.evaluation.bootstrap import Interval

AMOUNTS = (1.0, 2.0, 4.0, 8.0)


def figures(law, error=0.02, amounts=AMOUNTS):
    return [Interval(law(n), law(n) - error, law(n) + error) for n in amounts]


def power_law(n):
    return 0.8 - 0.3 * n**-0.6


@pytest.mark.parametrize("unit", [1.0, 0.125, 100.0])
def test_a_law_is_found_whatever_the_unit(unit):
    fit = fit_amount([n * unit for n in AMOUNTS], figures(power_law))
    for n in (16, 32):
        expected = fit.at(n * unit)
        assert expected.value == pytest.approx(power_law(n), abs=0.005)
        assert expected.low < power_law(n) < expected.high
    assert fit.rises


def test_rough_figures_give_wide_estimates():
    near, far = (fit_amount(AMOUNTS, figures(power_law, e)).at(16) for e in (0.01, 0.1))
    assert far.high - far.low > 3 * (near.high - near.low)
    assert far.high <= 1.0


def test_more_data_never_makes_it_worse_and_r_stays_below_one():
    steep = fit_amount(AMOUNTS, figures(lambda n: 0.2 + 0.25 * np.log2(n)))
    falling = fit_amount(AMOUNTS, figures(lambda n: 0.6 - 0.05 * n))
    assert steep.at(1e6).value <= 1.0
    assert falling.at(16).value >= falling.at(8).value - 1e-9
    assert not falling.rises


def test_too_few_amounts_are_not_fitted():
    nan = Interval(np.nan, np.nan, np.nan)
    assert fit_amount(AMOUNTS[:2], figures(power_law, amounts=AMOUNTS[:2])) is None
    assert fit_amount(AMOUNTS, [*figures(power_law)[:2], nan, nan]) is None
    assert fit_amount((1, 1, 1, 1), figures(power_law)) is None


def test_the_estimate_is_put_in_words():
    last = figures(power_law)[-1]
    assert "twice as much would bring about 0.74 (0." in in_words(
        "DAPI", fit_amount(AMOUNTS, figures(power_law)), last
    )
    flat = fit_amount(AMOUNTS, figures(lambda n: 0.5))
    assert "does not clearly rise" in in_words("DAPI", flat, last)
    assert "fewer than 3 amounts" in in_words("DAPI", None, last)
    assert "there is no r" in in_words("DAPI", None, Interval(np.nan, np.nan, np.nan))


def test_a_picture_is_drawn_with_gaps_and_without_a_law(tmp_path):
    nan = Interval(np.nan, np.nan, np.nan)
    fitted = figures(power_law)
    lines = [
        Line("DAPI", AMOUNTS, tuple(fitted), fit_amount(AMOUNTS, fitted), False, 0),
        Line("DAPI (from scratch)", AMOUNTS, (*fitted[:2], nan, nan), None, True, 0),
        Line("MAP2", AMOUNTS, (nan,) * 4, None, False, 1),
    ]
    draw_curve(tmp_path / "curve.png", lines, "fields")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")

"""The verdict on hand-made errors: what is decided, who answers, and in which words."""

from __future__ import annotations

import numpy as np
import pytest

from tsattn import Forecaster, verdict
from tsattn.verdict import Verdict, judge


def judged(
    network: list[float] | None,
    *,
    naive: float = 1.0,
    series: list[int] | None = None,
    windows: int = 4,
    num_rows: int = 100,
    reason: str = "",
    trusted: bool = False,
) -> verdict.Verdict:
    """The verdict on windows where the last value has error `naive` and drift one more; one series unless said otherwise."""
    num = windows if network is None else len(network)
    errors = {"last_value": np.full(num, naive), "drift": np.full(num, naive + 1)}
    if network is not None:
        errors["network"] = np.array(network)
    members = np.zeros(num, np.int64) if series is None else np.array(series)
    origins = np.array([int((members[:i] == member).sum()) for i, member in enumerate(members)])
    return judge(errors, members, origins, num_rows=num_rows, reason=reason, trusted=trusted)


# errors of the network beside 1.0 of the last value, in the windows of one series: mean difference, t interval by hand
DECISIONS = [
    ([0.5, 0.5, 0.5, 0.5], -0.5, "use it", "network"),  # the same in every window: no doubt
    ([1.5, 1.5, 1.5, 1.5], 0.5, "do not use it", "last_value"),
    ([1.0, 1.0, 1.0, 1.0], 0.0, "no clear difference", "last_value"),
    ([-2.0, 0.0, -1.0, -1.0], -2.0, "use it", "network"),  # -2 +- 3.18 * 0.82 / 2 = -3.3 .. -0.7
    ([-2.0, 2.0, -1.0, 1.0], -1.0, "no clear difference", "network"),  # -1 +- 3.18 * 1.83 / 2 = -3.9 .. 1.9
    ([4.0, 0.0, 3.0, 1.0], 1.0, "no clear difference", "last_value"),
    ([4.0, 2.0, 3.0, 3.0], 2.0, "do not use it", "last_value"),
    ([0.5, 0.5, 0.5], -0.5, "use it", "network"),  # three windows are enough
]


@pytest.mark.parametrize(("network", "difference", "decision", "answer"), DECISIONS)
def test_the_decision_is_that_of_the_interval_and_the_smaller_error_answers(network, difference, decision, answer):
    found = judged(network)
    assert (found.decision, found.answer, found.best_baseline) == (decision, answer, "last_value")
    assert found.num_windows == len(network)
    assert found.difference == pytest.approx(difference)
    assert found.mase == pytest.approx({"last_value": 1.0, "drift": 2.0, "network": 1 + difference})
    low, high = found.interval
    assert low <= difference <= high
    assert {"use it": high < 0, "do not use it": low > 0, "no clear difference": low <= 0 <= high}[decision]


@pytest.mark.parametrize(("network", "difference", "decision", "answer"), DECISIONS)
def test_a_trusted_model_answers_unless_it_is_clearly_worse(network, difference, decision, answer):
    found = judged(network, trusted=True)
    assert found.decision == decision
    assert found.answer == ("last_value" if decision == "do not use it" else "network")
    surprising = found.answer != answer
    assert ("; the attention model answers, as on other data it mostly was better. On 4 held-out" in found.text) == surprising


def test_the_interval_is_that_of_students_t_over_the_windows_of_one_series():
    low, high = judged([-2.0, 0.0, -1.0, -1.0]).interval
    assert high - low == pytest.approx(2 * 3.182 * 0.8165 / 2, rel=0.15)


def test_a_worse_or_unscored_naive_forecast_does_not_count():
    errors = {"last_value": [1.0] * 4, "drift": [0.1, 0.1, 0.1, 9.0], "network": [0.9, 0.9, 0.9, np.nan]}
    found = judge({name: np.array(e) for name, e in errors.items()}, np.zeros(4, int), np.arange(4), num_rows=50)
    assert found.num_windows == 3
    assert found.best_baseline == "drift"  # the window in which it fails is not scored for the network
    assert found.mase == pytest.approx({"last_value": 1.0, "drift": 0.1, "network": 0.9})
    assert found.answer == "drift"


@pytest.mark.parametrize("num", [1, 2])
def test_under_three_windows_nothing_is_judged(num):
    found = judged([0.1] * num, num_rows=30)
    assert (found.decision, found.answer, found.num_windows) == ("cannot judge", "damped_mean", num)
    assert (found.difference, found.interval) == (None, None)
    assert f"{num} held-out window{'s' * (num > 1)}, 3 are needed" in found.text
    assert "rests on 30 values: take it as a rough guess" in found.text


@pytest.mark.parametrize(
    ("num_rows", "answer", "words"),
    [(1, "last_value", "1 value:"), (2, "last_value", "2 values:"), (3, "damped_mean", "3 values:")],
)
def test_without_any_window_the_last_value_or_the_damped_mean_answers(num_rows, answer, words):
    found = judge({}, np.zeros(0, int), np.zeros(0, int), num_rows=num_rows, reason="No model was trained. ")
    assert (found.decision, found.answer, found.num_windows) == ("cannot judge", answer, 0)
    assert "0 held-out windows" in found.text
    assert "No model was trained." in found.text
    assert words in found.text


def test_windows_that_nobody_can_score_are_no_windows():
    assert judged([np.nan] * 9).decision == "cannot judge"


def test_without_a_network_the_best_naive_forecast_answers_and_nothing_is_claimed():
    found = judged(None, windows=5, reason="No model was trained. ")
    assert (found.decision, found.answer, found.best_baseline) == ("cannot judge", "last_value", "last_value")
    assert found.text.startswith("No model was trained. The last value answers")
    assert "5 held-out windows" in found.text
    assert "MASE 1.00" in found.text


def test_a_handful_of_series_is_not_a_sample_of_more():
    differing = [0.0] * 4 + [0.8] * 4  # one series gains 1.0, the other 0.2, at every origin
    assert judged(differing, series=[0] * 4 + [1] * 4).interval == pytest.approx((-0.6, -0.6))


def test_many_series_are_a_sample():
    gains = np.tile([0.0, 0.8], 10).repeat(4)  # twenty series, half of them gain 1.0 and half 0.2, at every origin
    low, high = judged(gains.tolist(), series=np.arange(20).repeat(4).tolist()).interval
    assert low < -0.6 < high < 0
    assert high - low == pytest.approx(2 * 2.093 * 0.41 / np.sqrt(20), rel=0.2)  # t of 19 degrees over the series


def test_windows_of_one_date_alone_are_never_enough_to_be_sure():
    found = judged([0.5, 0.6, 0.4] * 10, series=list(range(30)))
    assert (found.decision, found.answer, found.num_windows) == ("no clear difference", "network", 30)
    assert found.interval[1] < 0
    assert "fewer than 3 dates" in found.text


def test_the_sentence_says_what_to_do_and_how_sure_that_is():
    use = judged([0.5] * 4).text
    assert use.startswith("Use the attention model.")
    for words in (
        "4 held-out windows",
        "MASE 0.50",
        "1.00",
        "the last value",
        "difference -0.50",
        "95 % interval -0.50 to -0.50",
        "50 % smaller",
    ):
        assert words in use
    refuse = judged([1.5] * 4).text
    assert refuse.startswith("Do not use the attention model")
    assert "the last value answers instead" in refuse
    unclear = judged([-2.0, 2.0, -1.0, 1.0]).text
    assert unclear.startswith("No clear difference")
    assert "the attention model answers" in unclear


def test_a_perfect_naive_forecast_makes_no_percentage():
    found = judged([0.0] * 3, naive=0.0)
    assert found.decision == "no clear difference"
    assert "nan" not in found.text
    assert "nan" not in judged([-1.0] * 3, naive=0.0).text


def test_coverage_is_the_share_of_the_values_that_were_scored():
    found = verdict.with_coverage(judged([0.5] * 4), np.array([[1.0, 0.0], [1.0, np.nan]]), 0.8)
    assert found.coverage == pytest.approx(2 / 3)
    assert found.interval_level == 0.8
    assert found.text.startswith(judged([0.5] * 4).text)
    assert "67" in found.text[len(judged([0.5] * 4).text) :]
    assert "3 held-out values" in found.text


def test_coverage_of_nothing_says_nothing():
    before = judged([0.5] * 4)
    assert verdict.with_coverage(before, np.full((2, 2), np.nan), 0.8) == before


@pytest.mark.parametrize("network", [[0.5] * 4, [0.5], None])
def test_a_verdict_is_shown_as_its_sentence(network):
    found = judged(network)
    assert str(found) == repr(found) == found.text


@pytest.mark.parametrize(("model", "name"), [("auto", "attention model"), ("lstm", "LSTM"), ("linear", "linear model")])
def test_what_was_not_trained_is_called_by_its_name(model, name):
    found = Forecaster(7, model=model).fit(list(range(9))).verdict_
    assert f"No {name} was trained: the longest of 1 series has 9 rows" in found.text


def test_every_rung_has_a_name_in_words():
    from tsattn.baselines import BASELINES

    assert set(verdict.WORDS) == {"network", "pretrained", *BASELINES}


def test_a_network_without_attention_is_called_by_its_name():
    errors = {"network": np.full(12, 0.5) + np.arange(12) / 100, "last_value": np.ones(12)}
    for name, words in (
        ("lstm", "Use the LSTM."),
        ("linear", "Use the linear model."),
        ("inverted", "Use the attention model."),
    ):
        found = judge(errors, np.zeros(12, int), np.arange(12), num_rows=99, architecture=name)
        assert str(found).startswith(words)
        assert found.decision == "use it"


def test_a_verdict_is_shown_without_what_a_terminal_would_obey():
    forged = Verdict("drift", "cannot judge", "ok\x1b[2J\x07\nerror: forged \u202eevil")
    assert str(forged) == repr(forged) == "ok\\x1b[2J\\x07\\nerror: forged \\u202eevil"

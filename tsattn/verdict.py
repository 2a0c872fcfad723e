"""The verdict: whether to believe a model, from windows that nothing else has read, in words a person understands."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tsattn.bootstrap import paired_block_bootstrap
from tsattn.data.findings import printable
from tsattn.sizing import MIN_VERDICT_WINDOWS

NETWORK = "network"  # the name of the trained rung
PRETRAINED = "pretrained"  # of the network that ships with tsattn; the others are those of baselines.BASELINES
MODELS = (NETWORK, PRETRAINED)
FEW_SERIES = 10
MANY_ORIGINS = 8

WORDS = {
    "network": "the attention model",
    "pretrained": "the pretrained attention model",
    "last_value": "the last value",
    "seasonal_naive": "the seasonal naive forecast",
    "drift": "the drift forecast",
    "damped_mean": "the damped mean",
    "window_mean": "the window mean",
}


def in_words(rung: str, architecture: str | None = None) -> str:
    """What a sentence calls a rung; the trained one by its architecture, where that is no attention model."""
    named = {"lstm": "the LSTM", "linear": "the linear model"}
    return named.get(architecture or "", WORDS[rung]) if rung == NETWORK else WORDS[rung]


@dataclass(frozen=True, repr=False)
class Verdict:
    """Which rung answers and how sure that is. Errors are MASE: 1 is the mean in-sample error of the seasonal naive one."""

    answer: str  # the rung that answers
    decision: str  # use it | no clear difference | do not use it | cannot judge
    text: str
    num_windows: int = 0
    mase: dict[str, float] = field(default_factory=dict)  # per rung, over the verdict windows
    best_baseline: str | None = None
    difference: float | None = None  # MASE of the network minus that of the best baseline
    interval: tuple[float, float] | None = None  # 95 %, of the difference
    coverage: float | None = None  # share of the held-out values inside the outermost interval of the answer
    interval_level: float | None = None  # nominal share of that interval

    def __str__(self) -> str:
        return printable(self.text)  # which may come from a folder of a stranger

    __repr__ = __str__  # the last line of a notebook cell shows the sentence


def judge(
    errors: dict[str, np.ndarray],
    series: np.ndarray,
    origin: np.ndarray,
    *,
    num_rows: int,
    reason: str = "",
    architecture: str | None = None,
    trusted: bool = False,
) -> Verdict:
    """The verdict on per-window scaled errors, {rung: [N]}, NaN where a window cannot be scored.

    The network answers when its mean error is below that of the best baseline; "use it" needs the paired bootstrap interval of
    the difference clear of zero, and three dates or more: at a single one, all series may share the same luck. A model that
    is `trusted`, as it was better on other data, answers unless it is clearly worse: the best of five naive forecasts on a few
    windows owes much to luck (`benchmarks/who_answers.py`). `reason` says why no network was trained, where none was.
    """
    scored = np.all([np.isfinite(e) for e in errors.values()], axis=0) if errors else np.zeros(0, bool)
    num = int(scored.sum())
    mase = {name: float(e[scored].mean()) for name, e in errors.items()} if num else {}
    model = next((name for name in MODELS if name in errors), None)
    best = min((name for name in mase if name != model), key=lambda name: mase[name], default=None)
    if num < MIN_VERDICT_WINDOWS or best is None:
        return _cannot_judge(num, mase, num_rows, reason, model)
    if model is None:
        text = (
            f"{reason}{_upper(WORDS[best])} answers: of the naive forecasts it had the smallest error on {_windows(num)} "
            f"(MASE {mase[best]:.2f})."
        )
        return Verdict(best, "cannot judge", text, num, mase, best)
    difference = mase[model] - mase[best]
    low, high = difference_interval(errors[model][scored] - errors[best][scored], series[scored], origin[scored])
    few_dates = len(np.unique(origin[scored])) < MIN_VERDICT_WINDOWS
    decision = "no clear difference" if few_dates or low <= 0 <= high else "use it" if high < 0 else "do not use it"
    answer = model if difference < 0 or (trusted and decision != "do not use it") else best
    text = _sentence(decision, model, answer, best, mase, num, (low, high), in_words(model, architecture))
    if model == PRETRAINED:
        text = f"{text} {reason}".rstrip()
    if few_dates:
        text += f" All these windows lie at fewer than {MIN_VERDICT_WINDOWS} dates, too few to be sure."
    return Verdict(answer, decision, text, num, mase, best, difference, (low, high))


def difference_interval(
    difference: np.ndarray, series: np.ndarray, origin: np.ndarray, block_length: int | None = None
) -> tuple[float, float]:
    """95 % interval of the mean paired difference [N]: over origins and, for a panel, over series.

    A handful of series is all that its owner has, not a sample of more: there the origins alone are drawn. From eight origins
    on they are drawn two by two (`block_length`), as neighbours resemble each other.
    """
    num_series, num_origins = len(np.unique(series)), len(np.unique(origin))
    if num_series < FEW_SERIES and num_origins >= MIN_VERDICT_WINDOWS:
        series = np.zeros_like(series)
    block_length = max(block_length or 1, 2 if num_origins >= MANY_ORIGINS else 1)
    low, high = paired_block_bootstrap(difference, series=series, origin=origin, block_length=block_length)
    return float(low), float(high)


def _sentence(
    decision: str,
    model: str,
    answer: str,
    best: str,
    mase: dict[str, float],
    num: int,
    interval: tuple[float, float],
    called: str,
) -> str:
    compared = (
        f"On {_windows(num)} the error of {called} was MASE {mase[model]:.2f}, that of {WORDS[best]}, the best "
        f"naive forecast, {mase[best]:.2f} (difference {mase[model] - mase[best]:+.2f}, 95 % interval {interval[0]:+.2f} to "
        f"{interval[1]:+.2f})."
    )
    if decision == "use it":
        share = f" Its error is {100 * (1 - mase[model] / mase[best]):.0f} % smaller." if mase[best] > 0 else ""
        return f"Use {called}. {compared}{share}"
    if decision == "do not use it":
        return f"Do not use {called}: it is worse than a naive forecast, so {WORDS[best]} answers instead. {compared}"
    answers = called if answer == model else WORDS[answer]
    record = ", as on other data it mostly was better" if answer == model and mase[model] >= mase[best] else ""
    return f"No clear difference between {called} and a naive forecast; {answers} answers{record}. {compared}"


def _cannot_judge(num: int, mase: dict[str, float], num_rows: int, reason: str, model: str | None) -> Verdict:
    """Too few windows: the last value under three rows, else the pretrained model where it is asked, else the damped mean."""
    answer = "last_value" if num_rows < 3 else PRETRAINED if model == PRETRAINED else "damped_mean"
    text = (
        f"Cannot judge: {_windows(num)}, {MIN_VERDICT_WINDOWS} are needed. {reason}{_upper(WORDS[answer])} answers, "
        f"with an interval that rests on {num_rows} value{'s' * (num_rows != 1)}: take it as a rough guess."
    )
    return Verdict(answer, "cannot judge", text, num, mase)


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _windows(num: int) -> str:
    return f"{num:,} held-out window{'s' * (num != 1)}"


def with_coverage(verdict: Verdict, inside: np.ndarray, level: float) -> Verdict:
    """The verdict with the share of held-out values that the interval of the answer held (`inside`, NaN = not scored)."""
    scored = np.isfinite(inside)
    if not scored.any() or not level > 0:
        return verdict
    share = float(inside[scored].mean(dtype=np.float64))
    text = (
        f"{verdict.text} The {100 * level:.0f} % interval of the answer held {100 * share:.0f} % of {int(scored.sum()):,} "
        "held-out values."
    )
    return replace(verdict, coverage=share, interval_level=level, text=text)

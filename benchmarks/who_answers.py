"""When should a naive forecast answer in place of the pretrained network? Single series of real panels, as a user has one.

    python benchmarks/who_answers.py --data ../shared/data              some 1,100 series, three minutes on two cores

Every series is a table of its own: the rungs are judged on its held-out windows, as `python -m tsattn.predict` does it, then
forecast its last `horizon` rows. Errors are MASE, averaged over the series of a panel.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import report

from tsattn import metrics
from tsattn.config import FitConfig, ReadConfig
from tsattn.data.frame import Frame, to_frame, to_rows
from tsattn.fitted import model_of
from tsattn.forecaster import Forecaster
from tsattn.verdict import PRETRAINED

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "who_answers.json"
MOST = 60  # series of a panel, drawn at random
FEWEST = 6  # of a panel
WAYS = {
    "naive": "the seasonal naive forecast always",
    "best": "the best naive forecast on the held-out windows, the last value under three of them",
    "smaller": "whichever had the smaller error there",
    "clear": "**what ships**: the pretrained network, unless it was clearly worse there",
    "always": "the pretrained network always",
}


def run(data: Path, name: str) -> dict[str, Any] | None:
    """The mean error of each way on one panel, and how often a naive forecast answers; None for a panel of few series."""
    panel = json.loads((data / "panels.json").read_text())["panels"][name]
    frame = to_frame(to_rows(str(data / panel["path"]), ReadConfig()))
    chosen = np.sort(np.random.default_rng(0).permutation(len(frame.lengths))[:MOST])
    if len(chosen) < FEWEST:
        return None
    found = [one for number in chosen if (one := ask(frame, int(number), panel["horizon"], panel["season_length"]))]
    errors = {way: float(np.mean([one["errors"][way] for one in found])) for way in WAYS}
    naive = {way: float(np.mean([one["answers"][way] != PRETRAINED for one in found])) for way in ("smaller", "clear")}
    windows = float(np.median([one["windows"] for one in found]))
    return {"panel": name, "series": len(found), "windows": windows, "errors": errors, "naive": naive}


def ask(frame: Frame, number: int, horizon: int, season_length: int) -> dict[str, Any] | None:
    """MASE of each way on the last rows of one series, and who answers; None for a series that cannot be scored."""
    end = int(frame.lengths[: number + 1].sum())
    rows = frame.df.iloc[end - int(frame.lengths[number]) : end][["ds", "y"]].reset_index(drop=True)
    past, future = rows[:-horizon], rows["y"].to_numpy(float)[-horizon:]
    unit = (
        float(metrics.seasonal_scale(past["y"].to_numpy(float)[None], season_length)[0]) if len(past) > season_length else 0.0
    )
    if not (unit > 0 and np.isfinite(future).any() and past["y"].notna().sum() >= 3):
        return None
    forecaster = Forecaster(config=FitConfig(horizon=horizon, season_length=season_length), model="pretrained").fit(past)
    fitted, mase = forecaster.fitted_, forecaster.verdict_.mase
    assert model_of(fitted) == PRETRAINED
    best = min((rung for rung in mase if rung != PRETRAINED), key=lambda rung: mase[rung], default="last_value")
    judged = forecaster.verdict_.difference is not None
    answers = {
        "naive": "seasonal_naive",
        "best": best if judged else "last_value",
        "smaller": best if judged and mase[best] <= mase[PRETRAINED] else PRETRAINED,
        "clear": forecaster.verdict_.answer,
        "always": PRETRAINED,
    }
    medians = {rung: answered_by(forecaster, rung) for rung in set(answers.values())}
    errors = {way: float(np.nanmean(np.abs(future - medians[rung])) / unit) for way, rung in answers.items()}
    return {"errors": errors, "answers": answers, "windows": forecaster.verdict_.num_windows}


def answered_by(forecaster: Forecaster, rung: str) -> np.ndarray:
    """The forecast [H] of one rung, whoever the verdict chose."""
    other = Forecaster(**forecaster.get_params())
    vars(other).update(vars(forecaster))
    other.fitted_ = replace(forecaster.fitted_, verdict=replace(forecaster.verdict_, answer=rung))
    return other.predict()["forecast"].to_numpy(float)


def write_table(found: list[dict[str, Any]]) -> str:
    """The Markdown table of all panels, with geometric means over them."""
    ways = list(WAYS)
    lines = [
        f"| panel (series; windows of each) | {' | '.join(ways)} | a naive one answers: smaller, clear |",
        "|---" * (len(ways) + 2) + "|",
    ]
    for one in found:
        cells = " | ".join(f"{one['errors'][way]:.3f}" for way in ways)
        shares = ", ".join(f"{one['naive'][way]:.0%}" for way in ("smaller", "clear"))
        lines.append(f"| {one['panel']} ({one['series']}; {one['windows']:g}) | {cells} | {shares} |")
    means = np.exp(np.log([[one["errors"][way] / one["errors"]["naive"] for way in ways] for one in found]).mean(axis=0))
    lines.append(f"| **geometric mean** | {' | '.join(f'{mean:.3f}' for mean in means)} | |")
    return "\n".join([*lines, "", *(f"`{way}`: {words}." for way, words in WAYS.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with panels.json")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    found = []
    for name in json.loads((arguments.data / "panels.json").read_text())["panels"]:
        one = run(arguments.data, name)
        if one is not None:
            found.append(one)
            print(name, {way: round(error, 3) for way, error in one["errors"].items()}, flush=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    report.put("who_answers", write_table(found))


if __name__ == "__main__":
    main()

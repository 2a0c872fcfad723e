"""Should a network trained on a table and the pretrained one be chosen from, or averaged? Back-tests of many real panels.

    python benchmarks/means.py --data ../shared/data                    all panels below, about an hour on two cores
    python benchmarks/means.py --data ../shared/data --panels classic_monthly --again

Each panel is one fit on the rows before its earliest cut-off, seed 0, and forecasts from every cut-off. Results are kept in
`benchmarks/results/means/` and not computed again unless `--again` is given; the table in `benchmarks/README.md` is made
of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
import warnings
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import report

from tsattn import candidates, evaluation, fitting, tables, zero_shot
from tsattn.config import EncoderConfig, FitConfig, ReadConfig, TrainerConfig
from tsattn.data.frame import to_frame, to_rows
from tsattn.fitted import Fitted, Prediction, Settings, build_network, predict
from tsattn.ladder import score_windows, verdict_of
from tsattn.verdict import NETWORK, PRETRAINED, Verdict

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "means"
PANELS = (
    *("radiology_daily", "phenocam_daily", "store_item_daily", "curiosity_daily", "wikipedia_daily", "blog_daily"),
    *("thefts_daily", "births_daily", "diseases_weekly", "ansett_weekly", "gasoline_weekly", "aus_births_monthly"),
    *("offences_monthly", "arrivals_monthly", "employment_monthly", "prescriptions_monthly", "norway_cars_monthly"),
    *("classic_monthly", "taxi_30min", "freeway_hourly", "tourism_monthly", "m3_quarterly"),
)
WAYS = {
    "trained": "trained from scratch",
    "pretrained": "pretrained, with aids",
    "once": "pretrained, asked once",
    "tuned": "pretrained, tuned",
    "chosen": "of trained, pretrained and tuned the one that validates best",
    "mean": "**what ships**: mean of trained and asked once",
    "three": "mean of trained, asked once and tuned",
}
TUNING = {"max_steps": 300, "learning_rate": 2e-4, "validate_every": 25}


def run(data: Path, name: str) -> dict[str, Any]:
    """One panel by every way; scores as JSON values."""
    panel = json.loads((data / "panels.json").read_text())["panels"][name]
    rows = to_rows(str(data / panel["path"]), ReadConfig())
    config = FitConfig(horizon=panel["horizon"], season_length=panel["season_length"])
    full, started = to_frame(rows, ReadConfig()), time.perf_counter()
    cutoffs = evaluation.cutoff_stamps(full, panel["horizon"], panel["origins"], panel["horizon"])
    fits, losses, verdict, seconds = fit_all(evaluation.cut(rows, cutoffs[0]), config)
    windows = []
    for origin, cutoff in enumerate(cutoffs):
        frame = evaluation.up_to(to_frame(evaluation.cut(rows, cutoff), ReadConfig(), freq=full.freq), cutoff)
        window, _ = evaluation.forecast_window(fits["mean"], frame, full, cutoff, origin)
        for way, fitted in fits.items():
            known, _ = tables.panel_and_steps(frame, fitted, panel["horizon"])
            window.answers[way] = predict(fitted, known, panel["horizon"], PRETRAINED if way == "pretrained" else NETWORK)
        window.answers["chosen"] = window.answers[min(("trained", "pretrained", "tuned"), key=lambda way: losses[way])]
        window.answers["three"] = mean_of([(window.answers[way], losses[way]) for way in ("trained", "once", "tuned")])
        windows.append(window)
    scores = evaluation.score_table(windows, fits["mean"].settings.levels)
    return {
        "panel": name,
        "protocol": panel,
        "losses": losses,
        "share": fits["mean"].settings.share,
        "verdict": str(verdict),
        "scores": {row["model"]: {k: v for k, v in row.items() if k != "model"} for row in scores.to_dict("records")},
        "seconds": {**seconds, "total": time.perf_counter() - started},
        "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version(), **{p: version(p) for p in ("tsattn", "torch", "pandas", "numpy")}},
    }


def fit_all(rows: Any, config: FitConfig) -> tuple[dict[str, Fitted], dict[str, float], Verdict, dict[str, float]]:
    """Every model fitted on these rows, its loss on their validation windows, the verdict on the mean, and seconds."""
    _, prepared = tables.prepare(rows, ReadConfig(), config)
    panel, schema = prepared.panel, prepared.schema
    plan = fitting.make_plan(panel, schema, config, True)
    if plan.reason:
        raise ValueError(plan.reason)
    started = time.perf_counter()
    draft = Fitted(schema, plan.settings, Verdict("last_value", "cannot judge", ""))
    mean = candidates.with_pretrained(candidates.from_scratch(draft, panel, plan, config, None), panel, plan, config)
    verdict = verdict_of(mean, score_windows(mean, panel, plan.parts))
    mean = candidates.refitted(replace(mean, verdict=verdict), panel, plan, config, None)
    trained = time.perf_counter()
    tuned, tuned_loss = tune(mean, panel, plan)
    seconds = {"trained": trained - started, "tuned": time.perf_counter() - trained}
    asked = replace(mean, settings=candidates.asking_pretrained(replace(mean.settings, share=0.0)))
    names = {"from scratch": "trained", "pretrained": "once", "mean": "mean"}
    losses = {names[name]: loss for name, loss in mean.settings.details["averaged"].items()} | {"tuned": tuned_loss}
    losses["pretrained"] = candidates.loss_of(asked, panel, plan, PRETRAINED)
    fits = {"trained": with_share(mean, 0.0), "once": with_share(mean, 1.0), "tuned": tuned, "mean": mean, "pretrained": asked}
    return fits, losses, verdict, seconds


def with_share(fitted: Fitted, share: float) -> Fitted:
    return replace(fitted, settings=replace(fitted.settings, share=share))


def tune(mean: Fitted, panel: Any, plan: candidates.Plan) -> tuple[Fitted, float]:
    """The pretrained network with all its weights trained on, then again on all rows for the number of steps found."""
    shipped = zero_shot.pretrained().network
    model = EncoderConfig(**{**vars(shipped.config), "name": "encoder"})
    length = min(max(mean.settings.context_length, 8 * shipped.config.stride), zero_shot.LONGEST)
    settings: Settings = replace(mean.settings, model=model, context_length=length, share=0.0)
    schema = replace(mean.schema, features=())
    config = FitConfig(trainer=TrainerConfig(**TUNING))
    network = build_network(settings, 0)
    network.load_state_dict(shipped.state_dict())
    found, loss = candidates.learned(Fitted(schema, settings, mean.verdict, network), panel, plan, config, "tuned", None)
    again = build_network(settings, 0)
    again.load_state_dict(shipped.state_dict())
    return candidates.trained_on_all(replace(found, network=again), found.network, panel, plan, config, None), loss


def mean_of(answers: list[tuple[Prediction, float]]) -> Prediction:
    """With the weights of least variance for errors of these sizes, each pair with the correlation that tsattn takes."""
    sizes = np.array([loss for _, loss in answers])
    together = np.outer(sizes, sizes) * np.where(np.eye(len(sizes)) == 1, 1.0, candidates.CORRELATION)
    weights = np.clip(np.linalg.solve(together, np.ones(len(sizes))), 0.0, None)
    weights /= weights.sum()
    pairs = zip(*(answer for answer, _ in answers), strict=True)
    return Prediction(*(sum(w * part for w, part in zip(weights, parts, strict=True)) for parts in pairs))


def write_table() -> str:
    """The Markdown table from all results that are there."""
    found = [json.loads(path.read_text()) for name in PANELS if (path := RESULTS / f"{name}.json").exists()]
    ways = list(WAYS)
    lines = [
        f"| panel (windows) | seasonal naive | {' | '.join(ways)} | share of the pretrained | 80 % coverage of mean |",
        "|---" * (len(ways) + 4) + "|",
    ]
    for one in found:
        scores = one["scores"]
        cells = " | ".join(f"{scores[way]['MASE']:.3f}" for way in ways)
        lines.append(
            f"| {one['panel']} ({scores['mean']['windows']:,}) | {scores['seasonal_naive']['MASE']:.3f} | {cells} | "
            f"{one['share']:.2f} | {scores['mean']['coverage80']:.2f} |"
        )
    for what, metric in (("MASE", "MASE"), ("pinball loss", "pinball")):
        ratios = [[one["scores"][way][metric] / one["scores"]["seasonal_naive"][metric] for way in ways] for one in found]
        means = np.exp(np.log(ratios).mean(axis=0))
        lines.append(f"| **{what}**, geometric mean | 1 | {' | '.join(f'{value:.3f}' for value in means)} | | |")
    wins = [[one["scores"][way]["MASE"] >= one["scores"]["mean"]["MASE"] for way in ways] for one in found]
    beaten = [f"{int(count)} of {len(found)}" for count in np.sum(wins, axis=0)]
    lines.append(f"| panels on which the mean is as good or better | | {' | '.join(beaten)} | | |")
    seconds = {part: sum(one["seconds"][part] for one in found) / 60 for part in ("trained", "tuned")}
    lines += ["", *(f"`{way}`: {words}." for way, words in WAYS.items())]
    lines += ["", f"Minutes of training in all: {seconds['trained']:.0f} from scratch, {seconds['tuned']:.0f} more for tuning."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with panels.json")
    parser.add_argument("--panels", nargs="+", default=list(PANELS), choices=PANELS)
    parser.add_argument("--again", action="store_true", help="compute again what is there already")
    parser.add_argument("--table", action="store_true", help="only write the table")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", UserWarning)
    for name in [] if arguments.table else arguments.panels:
        path = RESULTS / f"{name}.json"
        if path.exists() and not arguments.again:
            continue
        result = run(arguments.data, name)
        path.write_text(json.dumps(result, indent=1, default=str) + "\n")
        print(name, {way: round(result["scores"][way]["MASE"], 3) for way in WAYS}, result["seconds"], flush=True)
    report.put("means", write_table())


if __name__ == "__main__":
    main()

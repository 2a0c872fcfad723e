"""Model folders of today's format with the forecasts they gave, for the tests of every later version.

    python tests/make_golden.py

Made once per format, and never again once a version with that format is released.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tsattn.config import CovariatesConfig, EncoderConfig, FitConfig, LinearConfig, TrainerConfig
from tsattn.forecaster import Forecaster

GOLDEN = Path(__file__).parent / "golden"
TRAINER = TrainerConfig(accelerator="cpu", max_steps=20, validate_every=10, warmup_steps=5)
NUM_DAYS = 45
AHEAD = 3


def counts() -> pd.DataFrame:
    """Two shops with a week in their sales, and what helps to foresee them, the last `AHEAD` days without sales."""
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=NUM_DAYS + AHEAD)
    parts = []
    for shop, kind, level in (("north", "big", 40), ("south", "small", 15)):
        promo = rng.integers(0, 2, len(days))
        sold = level + level / 2 * np.sin(2 * np.pi * np.arange(len(days)) / 7) + 10 * promo + rng.normal(0, 2, len(days))
        rain = rng.normal(0, 1, len(days)).round(3)
        columns = {"shop": shop, "day": days, "sold": sold.round().astype(int), "promo": promo, "rain": rain, "kind": kind}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def answered_by_network(forecaster: Forecaster) -> Forecaster:
    """A few steps of training seldom beat a naive forecast; here the network answers all the same."""
    forecaster.fitted_ = replace(forecaster.fitted_, verdict=replace(forecaster.fitted_.verdict, answer="network"))
    return forecaster


def cases() -> dict[str, tuple[Any, pd.DataFrame, pd.DataFrame | None]]:
    """{name: (fitted forecaster, table, what is known ahead)}."""
    table = counts()
    ahead = table["day"] >= table["day"].max() - pd.Timedelta(days=AHEAD - 1)
    past, future = table[~ahead], table[ahead]
    plain = past[["shop", "day", "sold"]]
    small = EncoderConfig(head="negative_binomial", d_model=4, num_layers=1, num_heads=1, d_ff=4, patch_length=1)
    encoder = FitConfig(horizon=AHEAD, context_length=7, model=small, trainer=TRAINER)
    declared = CovariatesConfig(known=["promo"], past=["rain"], static=["kind"])
    linear = FitConfig(
        horizon=AHEAD, context_length=7, model=LinearConfig(head="quantile"), trainer=TRAINER, covariates=declared
    )
    return {
        "format2_encoder_counts": (answered_by_network(Forecaster(config=encoder).fit(plain)), plain, None),
        "format2_naive": (Forecaster(AHEAD, quantiles=[0.1, 0.9]).fit_naive(plain), plain, None),
        "format2_linear_covariates": (
            answered_by_network(Forecaster(config=linear).fit(past)),
            past,
            future[["shop", "day", "promo"]],
        ),
    }


def main() -> None:
    """Write GOLDEN/<name>/ (the folder), <name>.csv (the table), <name>_future.csv and <name>_forecast.csv."""
    shutil.rmtree(GOLDEN, ignore_errors=True)
    GOLDEN.mkdir()
    (GOLDEN / ".gitattributes").write_text("* -text\n")  # a changed line end would be a damage
    for name, (forecaster, table, future) in cases().items():
        forecaster.save(GOLDEN / name)
        table.to_csv(GOLDEN / f"{name}.csv", index=False)
        if future is not None:
            future.to_csv(GOLDEN / f"{name}_future.csv", index=False)
        read = Forecaster.load(GOLDEN / name)
        ahead = None if future is None else str(GOLDEN / f"{name}_future.csv")
        forecast = read.predict(str(GOLDEN / f"{name}.csv"), future=ahead)
        forecast.to_csv(GOLDEN / f"{name}_forecast.csv", index=False)


if __name__ == "__main__":
    main()

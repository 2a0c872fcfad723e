"""`python -m tsattn.predict`: the next values of a table, from a trained folder or without training."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from tsattn.cli import given, named_dataset, run, say_origin, table_of
from tsattn.config import PredictConfig
from tsattn.data.findings import printable
from tsattn.files import write_file
from tsattn.output import check_picture_path, check_table_path, show_table, write_table
from tsattn.verdict import PRETRAINED


def main(config: PredictConfig) -> None:
    """Print the forecast and the verdict; write the table and the picture where asked."""
    data = table_of(config)
    check_table_path(config.output, [data, config.future])
    check_picture_path(config.plot, [data, config.future, config.output])
    from tsattn.forecaster import Forecaster, draw, fit_config_of
    from tsattn.tables import forecast_table

    if config.load is not None:
        forecaster = Forecaster.load(config.load)
        for name in ("quantiles", "season_length"):
            if getattr(config, name) is not None:
                raise ValueError(f"{name}= is fixed by training: give it to python -m tsattn.train, or leave load= out")
        forecaster.read_ = replace(forecaster.read_, **{name: getattr(config.read, name) for name in given("read")})
    else:
        if config.future is not None:
            raise ValueError("future= holds covariates for a trained model: give its folder with load=")
        forecaster = Forecaster(model=PRETRAINED, config=fit_config_of(config)).fit(data, read=config.read)
        data = None
    frame, steps = forecaster.frame(data, horizon=config.horizon)
    say_origin(config)
    for finding in forecaster.findings_ if config.load is None else frame.findings:
        print(finding)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        table = forecast_table(forecaster.fitted_, frame, steps, forecaster.future_rows(config.future, frame))
    dataset = named_dataset(config)
    note = "simulated data" if dataset is not None and dataset.simulated else ""
    figure = draw(forecaster.fitted_, frame, table, note=note) if config.plot is not None else None
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"! {printable(message)}", file=sys.stderr)
    print(show_table(table))
    print(f"\n{forecaster.verdict_}")
    if config.output is not None:
        write_table(table, config.output, escape_formulas=config.escape_formulas)
        print(f"table: {printable(config.output)}")
    if figure is not None and config.plot is not None:
        save_picture(figure, Path(config.plot))
        print(f"picture: {printable(config.plot)}")


def save_picture(figure: Any, path: Path) -> None:
    """Draw the figure in memory first: the old picture stays until the new one is complete."""
    from tsattn.plot import picture

    content = picture(figure, path.suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, content)


if __name__ == "__main__":
    run("predict", PredictConfig, main)

"""`python -m tsattn.predict`: the next values of a table, from a trained folder or without training."""

from __future__ import annotations

import sys
import warnings
from dataclasses import asdict, replace
from pathlib import Path

from tsattn.cli import check_table_path, run, show_table, table_of, write_table
from tsattn.config import PredictConfig, ReadConfig

PICTURES = (".png", ".svg", ".pdf")


def main(config: PredictConfig) -> None:
    """Print the forecast and the verdict; write the table and the picture where asked."""
    data = table_of(config)
    if config.plot is not None and Path(config.plot).suffix not in PICTURES:
        raise ValueError(f"plot={config.plot} must end in {', '.join(PICTURES)}")
    check_table_path(config.output)
    from tsattn.forecaster import Forecaster, fit_config_of

    if config.load is not None:
        forecaster = Forecaster.load(config.load)
        if config.quantiles is not None:
            raise ValueError("quantiles= are fixed by training: give them to python -m tsattn.train, or leave load= out")
        given = {name: value for name, value in asdict(config.read).items() if value != getattr(ReadConfig(), name)}
        forecaster.read_ = replace(forecaster.read_, **given)
    else:
        forecaster = Forecaster(config=fit_config_of(config))
        forecaster.fit_naive(data, read=config.read)
        for finding in forecaster.findings_:
            print(finding)
        data = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        table = forecaster.predict(data, horizon=config.horizon)
        figure = forecaster.plot(data, horizon=config.horizon) if config.plot is not None else None
    for message in dict.fromkeys(str(warning.message) for warning in caught):
        print(f"! {message}", file=sys.stderr)
    print(show_table(table))
    print(f"\n{forecaster.verdict_}")
    if config.output is not None:
        write_table(table, config.output)
        print(f"table: {config.output}")
    if figure is not None and config.plot is not None:
        Path(config.plot).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(config.plot)
        print(f"picture: {config.plot}")


if __name__ == "__main__":
    run("predict", PredictConfig, main)

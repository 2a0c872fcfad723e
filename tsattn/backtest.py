"""`python -m tsattn.backtest`: forecasts from earlier cut-offs, scored beside the naive ones."""

from __future__ import annotations

from tsattn.cli import run, say_origin, table_of
from tsattn.config import BacktestConfig
from tsattn.data.findings import printable
from tsattn.output import check_table_path, show_table, write_table


def main(config: BacktestConfig) -> None:
    """Fit on the rows before the cut-offs, print the scores, write the table where asked."""
    data = table_of(config)
    check_table_path(config.output, [data])
    from tsattn.evaluation import backtest
    from tsattn.forecaster import fit_config_of, to_rows
    from tsattn.training.fit import Reporting, make_console
    from tsattn.training.machine import resolve_device

    resolve_device(config.trainer)
    console = make_console()
    rows = to_rows(data, config.read, None, config.covariates)
    say_origin(config)
    result = backtest(
        rows,
        config.read,
        fit_config_of(config),
        windows=config.windows,
        step=config.step,
        refit=config.refit_each,
        reporting=Reporting(None, console),
    )
    for fold in result.folds:
        console.print(f"fitted on rows up to {fold['cutoff']}, weights {(fold['weights_sha256'] or 'none')[:16]}", markup=False)
        console.print(f"  {fold['verdict']['text']}", markup=False)
    console.print(f"\n{show_table(result.scores)}\n\n{result.text}", markup=False)
    if config.output is not None:
        write_table(result.table, config.output, escape_formulas=config.escape_formulas)
        console.print(f"table: {printable(config.output)}", markup=False)


if __name__ == "__main__":
    run("backtest", BacktestConfig, main)

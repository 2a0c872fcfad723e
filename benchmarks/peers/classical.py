"""AutoETS and Theta of statsforecast on the windows of a panel, in an environment of its own (see requirements.txt).

    python benchmarks/peers/classical.py DATA OUT radiology_daily phenocam_daily:3 ...

":3" takes the latest three cut-offs only (AutoETS needs a second per window). ":last" takes the last rows of each series as
they come, whatever times are absent, as `benchmarks/zero_shot.py` does.
Writes OUT/<panel>_classical.parquet: unique_id, cutoff (last stamp seen), step, AutoETS, Theta. Histories are cut to their last
1,000 rows, gaps interpolated (neither method takes them), a forecast that is not finite is replaced by the seasonal naive one.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from statsforecast.models import AutoETS, Theta


def forecasts(y: np.ndarray, season: int, horizon: int) -> dict[str, np.ndarray]:
    filled = pd.Series(y).interpolate(limit_direction="both").to_numpy()[-1000:]
    season = season if len(filled) > 2 * season else 1
    naive = np.resize(filled[-season:], horizon)
    result = {}
    for name, model in {
        "AutoETS": AutoETS(season_length=season if season <= 24 else 1),
        "Theta": Theta(season_length=season),
    }.items():
        try:
            answer = model.forecast(filled, horizon)["mean"]
        except Exception:  # too short or constant for the method
            answer = naive
        result[name] = answer if np.isfinite(answer).all() else naive
    return result


def main() -> None:
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    panels = json.loads((data / "panels.json").read_text())["panels"]
    for argument in sys.argv[3:]:
        name, _, origins = argument.partition(":")
        as_they_come = origins == "last"
        origins = 1 if as_they_come else int(origins or panels[name]["origins"])
        panel, started = panels[name], time.time()
        df = pd.read_parquet(data / panel["path"])
        horizon, rows = panel["horizon"], []
        for unique_id, series in df.groupby("unique_id", sort=False):
            full = series.set_index("ds")["y"].astype(float)
            full = full if as_they_come else full.asfreq(panel["freq"])
            if as_they_come and len(full) < horizon + 3:
                continue
            for back in range(min(origins, panel["origins"]), 0, -1):
                known = full.iloc[: len(full) - back * horizon]
                if len(known) < 1 or known.notna().sum() == 0:
                    continue
                answer = forecasts(known.to_numpy(), panel["season_length"], horizon)
                rows.append(
                    pd.DataFrame({"unique_id": unique_id, "cutoff": known.index[-1], "step": np.arange(horizon), **answer})
                )
        pd.concat(rows).to_parquet(out / f"{name}_classical.parquet", index=False)
        print(name, len(rows), "windows", round(time.time() - started), "s", flush=True)


main()

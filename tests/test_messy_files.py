"""Real untidy files: each gives a right frame, or one error that names the setting with which it then works."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsattn.config import ReadConfig
from tsattn.data.findings import DataError
from tsattn.data.frame import Frame, to_frame, to_rows
from tsattn.forecaster import Forecaster

DATA = Path(__file__).parents[1].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the development data are not here")

# file: readings of it, each with the settings and either what the frame holds (series, rows in all, frequency, missing values,
# first and last time) or what the error says
MESSY = {
    "a10_missing_values": [({}, (1, 100, "MS", 31, "1991-07-01", "1999-10-01"))],
    "aep_hourly_dst": [
        ({}, "4 rows repeat .* 2014-11-02 02:00:00.*read.duplicates=sum, mean or last"),
        ({"tz": "America/New_York"}, "2005-04-03 02:00:00, .*does not exist there"),
        ({"duplicates": "mean"}, (1, 121_296, "h", 27, "2004-10-01 01:00", "2018-08-03")),
    ],
    "agent_key_hold_gaps": [({}, (1, 5338, "5min", 3456, "2014-07-06 20:10", "2014-07-25 08:55"))],
    "air_passengers_cr_line_endings": [({}, (1, 144, "MS", 0, "1949-01-01", "1960-12-01"))],
    "air_quality_decimal_comma_split_columns": [
        ({}, "the rows end at 4 different columns .*out of line"),
        ({"decimal": ","}, "out of line"),
    ],
    "air_quality_mdy_trailing_columns": [({}, (13, 13 * 9357, "h", 0, "2004-03-10 18:00", "2005-04-04 14:00"))],
    "air_quality_semicolon_decimal_comma": [({}, (13, 13 * 9357, "h", 0, "2004-03-10 18:00", "2005-04-04 14:00"))],
    "ambient_temperature_gaps": [({}, (1, 7888, "h", 621, "2013-07-04", "2014-05-28 15:00"))],
    "antiquities_act_two_digit_years_thousands": [
        ({}, "line 46: .*a row has no time"),
        ({"value": "acres_affected"}, r"line 174: '4,193 \(water\)'"),
        ({"count_per": "YS"}, "line 46: .*a row has no time"),
    ],
    "beijing_pm25_split_date_columns": [
        ({}, (7, 7 * 43_824, "h", 2067, "2010-01-01", "2014-12-31 23:00")),
        ({"value": "pm2.5"}, (1, 43_824, "h", 2067, "2010-01-01", "2014-12-31 23:00")),
    ],
    "block_times_epoch_seconds": [
        ({}, "32 rows repeat .* 2016-10-14 14:50:52.*read.count_per=D"),
        ({"count_per": "D"}, (1, 510, "D", 0, "2016-09-10", "2018-02-01")),
    ],
    "canadian_climate_wide_missing": [({}, (26, 26 * 29_221, "D", 53_518, "1940-01-01", "2020-01-01"))],
    "commit_times_mixed_utc_offsets": [
        ({}, "read.count_per=D"),
        ({"count_per": "D"}, (1, 4339, "D", 0, "2014-03-18", "2026-02-01")),
        ({"count_per": "W-MON", "id": "project", "tz": "UTC"}, (3, 1699, "W-MON", 0, "2014-03-24", "2026-01-26")),
    ],
    "ilinet_weekly_gaps": [
        ({}, (11, 11 * 1305, "W-SUN", 1779, "1997-10-12", "2022-10-09")),
        ({"value": "ILITOTAL"}, (1, 1305, "W-SUN", 4, "1997-10-12", "2022-10-09")),
    ],
    "market_arrivals_month_year_names": [
        ({}, "quantity, priceMin, priceMax, priceMod: set read.value= to one of them"),
        ({"value": "quantity"}, (120, 12_434, "MS", 2207, "1996-01-01", "2016-02-01")),
    ],
    "monthly_milk_missing_months": [({}, (1, 168, "MS", 13, "1962-01-01", "1975-12-01"))],
    "night_visitors_quarter_by_month_name": [({}, (8, 8 * 56, "QS-OCT", 0, "1998-01-01", "2011-10-01"))],
    "phenocam_comment_header": [
        ({}, (45, 45 * 1384, "D", 9687, "2010-08-02", "2014-05-16")),
        ({"value": "image_count"}, (1, 1384, "D", 180, "2010-08-02", "2014-05-16")),
    ],
    "sensor_log_ampm_two_columns": [
        ({}, "no regular grid.*2019-10-19 11:51:19.*read.count_per=h"),
        ({"count_per": "h"}, (1, 164, "h", 0, "2019-10-19 12:00", "2019-10-26 07:00")),
        ({"resample": "h"}, (17, 17 * 164, "h", 0, "2019-10-19 12:00", "2019-10-26 07:00")),
    ],
    "supermarket_transactions_unsorted": [
        ({}, "read.id= to one of them or to several .*, or read.count_per=D"),
        ({"count_per": "D"}, (1, 87, "D", 0, "2019-01-02", "2019-03-29")),
        ({"count_per": "D", "time": "Date"}, (1, 89, "D", 0, "2019-01-01", "2019-03-30")),
        (
            {"id": ["Branch", "Gender"], "time": "Date", "value": "Total", "duplicates": "sum"},
            (6, 530, "D", 75, "2019-01-01", "2019-03-30"),
        ),
    ],
    "travel_time_387_irregular": [
        ({}, "no regular grid.*2015-07-10 14:24:00.*read.resample=h"),
        ({"resample": "h"}, (1, 1658, "h", 879, "2015-07-10 15:00", "2015-09-17 16:00")),
        ({"count_per": "h"}, (1, 1658, "h", 0, "2015-07-10 15:00", "2015-09-17 16:00")),
        ({"missing": "skip"}, (1, 2500, "10min", 0, "2015-07-10 14:24", "2015-09-17 17:10")),
    ],
    "travel_time_451_irregular": [
        ({}, "no regular grid.*2015-07-28 11:56:00.*read.resample=h sums .*read.count_per=h"),
        ({"resample": "D"}, (1, 50, "D", 0, "2015-07-29", "2015-09-16")),
        ({"count_per": "D"}, (1, 50, "D", 0, "2015-07-29", "2015-09-16")),
    ],
    "us_gasoline_descending_mdy": [({}, (1, 1578, "W-FRI", 0, "1991-02-08", "2021-04-30"))],
    "wp_log_r_unsorted_missing_days": [({}, (1, 2922, "D", 59, "2008-01-01", "2015-12-31"))],
    "yosemite_temps_5min_nan": [({}, (1, 18_721, "5min", 12, "2017-05-01", "2017-07-05"))],
}
NO_SETTING_HELPS = {"air_quality_decimal_comma_split_columns", "antiquities_act_two_digit_years_thousands"}  # they lost data
READINGS = [(name, settings, result) for name, readings in MESSY.items() for settings, result in readings]
USED = [reading for reading in READINGS if not isinstance(reading[2], str)]
REFUSED = [reading for reading in READINGS if isinstance(reading[2], str)]

# file, (series, rows in all, frequency, missing values)
FRAMES = [
    ("ltsf/ETTh1.csv.gz", (1, 17_420, "h", 0)),
    ("ltsf/ETTm1.csv.gz", (7, 7 * 69_680, "15min", 0)),
    ("ltsf/exchange_rate.csv.gz", (8, 8 * 7588, "D", 0)),
    ("ltsf/national_illness.csv.gz", (7, 7 * 966, "W-TUE", 0)),
    ("ltsf/wind.csv.gz", (1, 48_673, "15min", 0)),
    ("counts/ansett_passengers_weekly.parquet", (30, 7420, "W-MON", 13)),
    ("counts/aus_births_monthly.parquet", (8, 8 * 564, "MS", 0)),
    ("counts/curiosity_photos_daily.parquet", (1, 2610, "D", 329)),
    ("counts/infectious_diseases_weekly.parquet", (69, 19_781, "W-MON", 0)),
    ("counts/nyc_taxi_30min.parquet", (1, 10_320, "30min", 0)),
    ("counts/pbs_prescriptions_monthly.parquet", (336, 67_596, "MS", 0)),
    ("counts/radiology_exams_daily.parquet", (4, 7540, "D", 0)),
    ("sales/car_parts_monthly.parquet", (2674, 136_374, "MS", 6122)),
    ("sales/norway_car_sales_monthly.parquet", (65, 5685, "MS", 1319)),
    ("mcomp/m3_quarterly.parquet", (756, 37_004, "QS-OCT", 0)),
    ("mcomp/m3_other.parquet", (174, 13_325, "1", 0)),
    ("yearly/classic_yearly.parquet", (5, 685, "YS-JAN", 0)),
]


def frame_of(name: str, **settings) -> Frame:
    config = ReadConfig(**settings)
    return to_frame(to_rows(DATA / name, config), config)


def contents(frame: Frame) -> tuple[int, int, str, int]:
    return frame.df["unique_id"].nunique(), len(frame.df), frame.freq, int(frame.df["y"].isna().sum())


def label(reading: tuple[str, dict, object]) -> str:
    return "-".join([reading[0], *(f"{name}={value}" for name, value in reading[1].items())])


def test_every_messy_file_is_in_the_table():
    assert {f"{name}.csv.gz" for name in MESSY} == {path.name for path in (DATA / "messy").iterdir()}


def test_every_refused_file_has_a_setting_with_which_it_is_used():
    assert {name for name, _, _ in REFUSED} - {name for name, _, _ in USED} == NO_SETTING_HELPS


@pytest.mark.parametrize(("name", "settings", "expected"), USED, ids=map(label, USED))
def test_messy_files_give_the_frame_they_hold(name, settings, expected):
    frame = frame_of(f"messy/{name}.csv.gz", **settings)
    ends = [f"{stamp:%Y-%m-%d %H:%M}".removesuffix(" 00:00") for stamp in (frame.df["ds"].min(), frame.df["ds"].max())]
    assert (*contents(frame), *ends) == expected


@pytest.mark.parametrize(("name", "settings", "message"), REFUSED, ids=map(label, REFUSED))
def test_messy_files_in_doubt_give_an_error_that_names_the_way_on(name, settings, message):
    with pytest.raises(DataError, match=message):
        frame_of(f"messy/{name}.csv.gz", **settings)


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings", "expected"), USED, ids=map(label, USED))
def test_messy_files_are_forecast_from_their_last_time_on(name, settings, expected):
    forecaster = Forecaster(horizon=3).fit_naive(DATA / f"messy/{name}.csv.gz", read=settings)
    forecast = forecaster.predict()
    assert len(forecast) == 3 * expected[0]
    assert np.isfinite(forecast.select_dtypes("number").to_numpy()).all()
    times = forecast.select_dtypes(["datetime", "datetimetz"]).iloc[:, 0]
    assert times.max().tz_localize(None) > pd.Timestamp(expected[5])


@pytest.mark.parametrize(("name", "expected"), FRAMES, ids=[name for name, _ in FRAMES])
def test_tidy_files_give_the_frame_they_hold(name, expected):
    assert contents(frame_of(name, **({"value": "OT"} if name == "ltsf/ETTh1.csv.gz" else {}))) == expected


@pytest.mark.parametrize(
    "name",
    [
        "a10_missing_values",
        "monthly_milk_missing_months",
        "us_gasoline_descending_mdy",
        "wp_log_r_unsorted_missing_days",
        "yosemite_temps_5min_nan",
    ],
)
def test_no_value_is_lost_or_added(name):
    with gzip.open(DATA / f"messy/{name}.csv.gz", "rt") as file:
        cells = [row[1] for row in csv.reader(file) if len(row) > 1][1:]
    values = [float(cell) for cell in cells if cell not in ("", "NaN", "NA")]
    observed = frame_of(f"messy/{name}.csv.gz").df["y"].dropna()
    assert len(observed) == len(values)
    assert observed.sum() == pytest.approx(sum(values), rel=1e-12)


def test_counted_events_add_up():
    frame = frame_of("messy/supermarket_transactions_unsorted.csv.gz", count_per="D", time="Date")
    assert frame.df["y"].sum() == 1000
    frame = frame_of("messy/block_times_epoch_seconds.csv.gz", count_per="D")
    assert 78_265 - 2 * 200 < frame.df["y"].sum() < 78_265


def test_the_two_spellings_of_one_file_give_the_same_numbers():
    first = frame_of("messy/air_quality_mdy_trailing_columns.csv.gz")
    second = frame_of("messy/air_quality_semicolon_decimal_comma.csv.gz")
    assert first.df["ds"].equals(second.df["ds"])
    assert (first.df["y"] - second.df["y"]).abs().max() < 1e-9

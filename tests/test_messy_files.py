"""Real untidy files: each gives a right frame, or one error that names the setting with which it then works."""

from __future__ import annotations

from pathlib import Path

import pytest

from tsattn.config import ReadConfig
from tsattn.data.findings import DataError
from tsattn.data.frame import Frame, to_frame, to_rows

DATA = Path(__file__).parents[1].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the development data are not here")

# file, settings, (series, rows in all, frequency, missing values, sum of y of the whole frame or None)
FRAMES = [
    ("messy/a10_missing_values.csv.gz", {}, (1, 100, "MS", 31)),
    ("messy/aep_hourly_dst.csv.gz", {"duplicates": "mean"}, (1, 121_296, "h", 27)),
    ("messy/agent_key_hold_gaps.csv.gz", {}, (1, 5338, "5min", 3456)),
    ("messy/air_passengers_cr_line_endings.csv.gz", {}, (1, 144, "MS", 0)),
    ("messy/air_quality_mdy_trailing_columns.csv.gz", {}, (13, 13 * 9357, "h", 0)),
    ("messy/air_quality_semicolon_decimal_comma.csv.gz", {}, (13, 13 * 9357, "h", 0)),
    ("messy/ambient_temperature_gaps.csv.gz", {}, (1, 7888, "h", 621)),
    ("messy/beijing_pm25_split_date_columns.csv.gz", {"value": "pm2.5"}, (1, 43_824, "h", 2067)),
    ("messy/beijing_pm25_split_date_columns.csv.gz", {}, (7, 7 * 43_824, "h", 2067)),
    ("messy/block_times_epoch_seconds.csv.gz", {"count_per": "D"}, (1, 510, "D", 0)),
    ("messy/canadian_climate_wide_missing.csv.gz", {}, (26, 26 * 29_221, "D", 53_518)),
    ("messy/commit_times_mixed_utc_offsets.csv.gz", {"count_per": "D"}, (1, 4339, "D", 0)),
    (
        "messy/commit_times_mixed_utc_offsets.csv.gz",
        {"count_per": "W-MON", "id": "project", "tz": "UTC"},
        (3, 1699, "W-MON", 0),
    ),
    ("messy/ilinet_weekly_gaps.csv.gz", {"value": "ILITOTAL"}, (1, 1305, "W-SUN", 4)),
    ("messy/market_arrivals_month_year_names.csv.gz", {"value": "quantity"}, (120, 12_434, "MS", 2207)),
    ("messy/monthly_milk_missing_months.csv.gz", {}, (1, 168, "MS", 13)),
    ("messy/night_visitors_quarter_by_month_name.csv.gz", {}, (8, 8 * 56, "QS-OCT", 0)),
    ("messy/phenocam_comment_header.csv.gz", {"value": "image_count"}, (1, 1384, "D", 180)),
    ("messy/sensor_log_ampm_two_columns.csv.gz", {"count_per": "h"}, (1, 164, "h", 0)),
    ("messy/supermarket_transactions_unsorted.csv.gz", {"count_per": "D"}, (1, 87, "D", 0)),
    ("messy/supermarket_transactions_unsorted.csv.gz", {"count_per": "D", "time": "Date"}, (1, 89, "D", 0)),
    ("messy/travel_time_387_irregular.csv.gz", {"count_per": "h"}, (1, 1658, "h", 0)),
    ("messy/travel_time_451_irregular.csv.gz", {"count_per": "D"}, (1, 50, "D", 0)),
    ("messy/us_gasoline_descending_mdy.csv.gz", {}, (1, 1578, "W-FRI", 0)),
    ("messy/wp_log_r_unsorted_missing_days.csv.gz", {}, (1, 2922, "D", 59)),
    ("messy/yosemite_temps_5min_nan.csv.gz", {}, (1, 18_721, "5min", 12)),
    ("ltsf/ETTh1.csv.gz", {"value": "OT"}, (1, 17_420, "h", 0)),
    ("ltsf/ETTm1.csv.gz", {}, (7, 7 * 69_680, "15min", 0)),
    ("ltsf/exchange_rate.csv.gz", {}, (8, 8 * 7588, "D", 0)),
    ("ltsf/national_illness.csv.gz", {}, (7, 7 * 966, "W-TUE", 0)),
    ("ltsf/wind.csv.gz", {}, (1, 48_673, "15min", 0)),
    ("counts/ansett_passengers_weekly.parquet", {}, (30, 7420, "W-MON", 13)),
    ("counts/aus_births_monthly.parquet", {}, (8, 8 * 564, "MS", 0)),
    ("counts/curiosity_photos_daily.parquet", {}, (1, 2610, "D", 329)),
    ("counts/infectious_diseases_weekly.parquet", {}, (69, 19_781, "W-MON", 0)),
    ("counts/nyc_taxi_30min.parquet", {}, (1, 10_320, "30min", 0)),
    ("counts/pbs_prescriptions_monthly.parquet", {}, (336, 67_596, "MS", 0)),
    ("counts/radiology_exams_daily.parquet", {}, (4, 7540, "D", 0)),
    ("sales/car_parts_monthly.parquet", {}, (2674, 136_374, "MS", 6122)),
    ("sales/norway_car_sales_monthly.parquet", {}, (65, 5685, "MS", 1319)),
    ("mcomp/m3_quarterly.parquet", {}, (756, 37_004, "QS-OCT", 0)),
    ("mcomp/m3_other.parquet", {}, (174, 13_325, "1", 0)),
    ("yearly/classic_yearly.parquet", {}, (5, 685, "YS-JAN", 0)),
]

ERRORS = [
    ("messy/aep_hourly_dst.csv.gz", "4 rows repeat .* 2014-11-02 02:00:00.*read.duplicates=sum, mean or last"),
    ("messy/air_quality_decimal_comma_split_columns.csv.gz", "out of line"),
    ("messy/antiquities_act_two_digit_years_thousands.csv.gz", "line 46: '': a row has no time|line 46: ''"),
    ("messy/block_times_epoch_seconds.csv.gz", "read.count_per=D"),
    ("messy/commit_times_mixed_utc_offsets.csv.gz", "read.count_per=D"),
    ("messy/market_arrivals_month_year_names.csv.gz", "set read.value= to one of them"),
    ("messy/sensor_log_ampm_two_columns.csv.gz", "no regular grid.*read.count_per=h"),
    ("messy/supermarket_transactions_unsorted.csv.gz", "read.id= to one of them or to several .*, or read.count_per=D"),
    ("messy/travel_time_387_irregular.csv.gz", "no regular grid.*read.resample=h"),
    ("messy/travel_time_451_irregular.csv.gz", "no regular grid.*read.count_per="),
]


def frame_of(name: str, **settings) -> Frame:
    config = ReadConfig(**settings)
    return to_frame(to_rows(DATA / name, config), config)


@pytest.mark.parametrize(("name", "settings", "expected"), FRAMES)
def test_real_files_give_the_frame_they_hold(name, settings, expected):
    frame = frame_of(name, **settings)
    found = (frame.df["unique_id"].nunique(), len(frame.df), frame.freq, int(frame.df["y"].isna().sum()))
    assert found == expected


@pytest.mark.parametrize(("name", "message"), ERRORS)
def test_real_files_in_doubt_give_an_error_that_names_the_way_on(name, message):
    with pytest.raises(DataError, match=message):
        frame_of(name)


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

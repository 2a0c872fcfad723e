"""The long frame: full grids, gaps, duplicates, counted events, and nothing decided from rows after a cut."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from tsattn.config import CovariatesConfig, ReadConfig
from tsattn.data import calendar, describe
from tsattn.data.findings import DataError
from tsattn.data.frame import Frame, to_frame, to_rows
from tsattn.evaluation import up_to


def frame_of(data, freq: str | None = None, **settings) -> Frame:
    config = ReadConfig(**settings)
    return to_frame(to_rows(data, config), config, freq=freq)


def long(stamps, y=None, name: str = "a") -> pd.DataFrame:
    return pd.DataFrame({"unique_id": name, "ds": stamps, "y": np.arange(1.0, len(stamps) + 1) if y is None else y})


def topics(frame: Frame) -> dict[str, str]:
    return {finding.topic: finding.message for finding in frame.findings}


def days(num: int, first: str = "2024-01-01") -> pd.DatetimeIndex:
    return pd.date_range(first, periods=num)


# ---- grid --------------------------------------------------------------------------------------------------------------


def test_gaps_become_rows_with_nan_and_are_named():
    frame = frame_of(long(days(10)).drop(index=[3, 4]))
    assert frame.df["ds"].tolist() == days(10).tolist()
    assert np.isnan(frame.df["y"]).tolist() == [i in (3, 4) for i in range(10)]
    assert frame.freq == "D"
    assert "2 of 10 times (D) have no row: 2024-01-04, 2024-01-05" in topics(frame)["gaps"]
    assert "read.missing=zero" in topics(frame)["gaps"]
    assert "missing" not in topics(frame)


@pytest.mark.parametrize(
    ("rule", "expected"), [("zero", [np.nan, 1, 0, 0, 4, np.nan]), ("ffill", [np.nan, 1, 1, 1, 4, np.nan])]
)
def test_missing_rows_and_values_are_filled_inside_a_series_only(rule, expected):
    table = long(days(6), [np.nan, 1, np.nan, 9, 4, np.nan]).drop(index=3)
    frame = frame_of(table, missing=rule)
    np.testing.assert_array_equal(frame.df["y"], expected)
    assert "3 of 6 values are missing" in topics(frame)["missing"]
    assert "1 of 6 times" in topics(frame)["gaps"]


def test_filling_does_not_reach_across_series():
    table = pd.concat([long(days(3), [1, 2, np.nan]), long(days(3), [np.nan, 5, 6], "b")])
    np.testing.assert_array_equal(frame_of(table, missing="ffill").df["y"], [1, 2, np.nan, np.nan, 5, 6])


def test_each_series_keeps_its_own_span_and_ids_their_first_order():
    table = pd.concat([long(days(4, "2024-02-01"), name="z"), long(days(3), name="b")]).sample(frac=1, random_state=3)
    frame = frame_of(table)
    first = table["unique_id"].iloc[0]
    assert frame.df["unique_id"].unique().tolist() == [first, "b" if first == "z" else "z"]
    assert frame.df[frame.df["unique_id"] == "z"]["ds"].tolist() == days(4, "2024-02-01").tolist()
    assert "order" in topics(frame)


def test_trailing_rows_without_a_value_stay():
    frame = frame_of(long(days(5), [1, 2, 3, np.nan, np.nan]))
    assert frame.df["ds"].iloc[-1] == pd.Timestamp("2024-01-05")
    assert "the last 2 rows hold no value, and forecasts begin after them" in topics(frame)["partial"]


def test_series_that_end_with_a_value_or_have_none_are_not_said_to_be_open():
    table = pd.DataFrame({"id": ["a", "a", "b", "b", "c", "c"], "ds": [*days(2)] * 3, "y": [1, 2, np.nan, np.nan, 3, np.nan]})
    partial = topics(frame_of(table))["partial"]
    assert partial.startswith("the last row holds no value, and forecasts begin after it")
    assert partial.endswith("1 of 3 series (c)")
    assert "partial" not in topics(frame_of(table[table["id"] != "c"]))


@pytest.mark.parametrize("rule", ["sum", "mean", "last"])
def test_duplicates_follow_the_rule_that_was_set(rule):
    table = long([*days(3), days(3)[1]], [1, 2, 3, 10])
    frame = frame_of(table, duplicates=rule)
    assert frame.df["y"].tolist() == [1, {"sum": 12, "mean": 6, "last": 10}[rule], 3]
    assert "1 rows repeat" in topics(frame)["duplicates"]


def test_duplicates_are_an_error_that_names_them():
    table = pd.concat([long(days(7)), long(days(7))])
    with pytest.raises(DataError, match=r"7 rows repeat .*: 2024-01-01, 2024-01-02.*read\.duplicates=sum, mean or last"):
        frame_of(table)


def test_a_sum_of_missing_duplicates_is_missing():
    table = long([*days(2), days(2)[1]], [1, np.nan, np.nan])
    assert np.isnan(frame_of(table, duplicates="sum").df["y"].iloc[1])


# ---- frequency ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("freq", ["15min", "h", "D", "B", "W-WED", "MS", "ME", "MS+14D", "QS-NOV", "QE-DEC", "YS-JAN", "10"])
def test_the_frequency_survives_missing_rows(freq):
    stamps = calendar.stamps_from(5 if freq == "10" else calendar_start(freq), 40, freq)
    frame = frame_of(long(stamps).drop(index=[4, 5, 20]))
    assert frame.freq == freq
    assert frame.df["ds"].tolist() == stamps.tolist()
    assert int(frame.df["y"].isna().sum()) == 3


def calendar_start(freq: str) -> pd.Timestamp:
    step = calendar.parse(freq)
    candidates = pd.date_range("2024-01-01", periods=400)
    return next(stamp for stamp in candidates if calendar.positions(pd.DatetimeIndex([stamp]), freq).fits[0] and step)


def test_stamps_on_no_grid_are_an_error_that_suggests_a_period():
    rng = np.random.default_rng(0)
    stamps = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.cumsum(rng.integers(60, 2000, 200)), unit="s")
    with pytest.raises(DataError, match=r"no regular grid.*read\.resample=h .*read\.count_per=h"):
        frame_of(long(stamps))


def test_single_stamps_off_the_grid_are_named():
    stamps = days(20).tolist()
    stamps[7] += pd.Timedelta("1h")
    with pytest.raises(DataError, match="most steps are D, but 1 of 20 rows lie off it: 2024-01-08 01:00:00"):
        frame_of(long(stamps))


def test_a_few_far_apart_stamps_do_not_make_a_huge_grid():
    stamps = [*pd.date_range("2024-01-01", periods=50, freq="s"), pd.Timestamp("2025-01-01")]
    with pytest.raises(DataError, match="only 51 of 31622401 steps have a row, the widest gap being the one before 2025-01-01"):
        frame_of(long(stamps))
    with pytest.raises(DataError, match="only 3 of 31622401 steps have a row"):
        frame_of(long([*stamps[:2], stamps[-1]]))


def test_a_trained_frequency_is_used_and_must_fit():
    monthly = long(pd.date_range("2024-01-01", periods=3, freq="MS").delete(1))
    assert frame_of(monthly, freq="MS").df["ds"].tolist() == pd.date_range("2024-01-01", periods=3, freq="MS").tolist()
    with pytest.raises(DataError, match="do not fit the frequency W-MON of the trained model"):
        frame_of(long(days(5)), freq="W-MON")
    with pytest.raises(DataError, match="trained on times of frequency 1, but these times are dates"):
        frame_of(long(days(5)), freq="1")


def test_one_row_is_daily_by_assumption_and_says_so():
    frame = frame_of(long(days(1)))
    assert frame.freq == "D"
    assert "D was assumed" in topics(frame)["frequency"]


@pytest.mark.parametrize(
    ("freq", "longer"),
    [
        ("15min", "D"),
        ("D", "W-MON"),
        ("10D", "MS"),
        ("90D", "YS"),
        ("W-MON", "MS"),
        ("MS", "QS"),
        ("QS-OCT", "YS"),
        ("YS-JAN", ""),
    ],
)
def test_a_longer_period_is_offered_where_there_is_one(freq, longer):
    frame = frame_of(long(calendar.stamps_from("2024-01-01", 12, freq)))
    finding = next(finding for finding in frame.findings if finding.topic == "frequency")
    assert (frame.freq, finding.override) == (freq, f"read.resample={longer}" if longer else "")


def test_series_with_other_steps_are_named():
    table = pd.concat([long(days(60)), long(pd.date_range("2024-01-01", periods=6, freq="W-MON"), name="weekly")])
    frame = frame_of(table)
    warnings = [finding for finding in frame.findings if finding.topic == "frequency" and finding.level == "warning"]
    assert "e.g. weekly" in warnings[0].message


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe"])
@pytest.mark.parametrize("freq", ["30min", "h", "D", "MS"])
def test_aware_stamps_keep_their_zone_across_clock_changes(zone, freq):
    stamps = calendar.stamps_from(
        pd.Timestamp("2017-10-01", tz=zone), 900 if freq == "D" else 20_000 if freq != "MS" else 40, freq
    )
    frame = frame_of(long(stamps).drop(index=[5, 17]))
    assert frame.freq == freq
    assert frame.df["ds"].tolist() == stamps.tolist()


def test_local_days_given_in_utc_ask_for_their_zone():
    stamps = pd.date_range("2024-03-20", periods=30, tz="Europe/Berlin").tz_convert("UTC")
    with pytest.raises(DataError, match=r"read\.tz="):
        frame_of(long(stamps))
    assert frame_of(long(stamps), tz="Europe/Berlin").freq == "D"


# ---- counting and summing ----------------------------------------------------------------------------------------------


def events(*texts: str) -> pd.DataFrame:
    return pd.DataFrame({"when": pd.DatetimeIndex(list(texts)), "who": list("ab" * len(texts))[: len(texts)]})


def test_events_are_counted_per_day_with_zeros_between():
    table = events("2024-01-01", "2024-01-01", "2024-01-01", "2024-01-04", "2024-01-05")
    frame = frame_of(table, count_per="D")
    assert frame.df["y"].tolist() == [3, 0, 0, 1, 1]
    assert frame.df["ds"].tolist() == days(5).tolist()
    assert frame.names.value == "count"
    assert frame.names.id is None
    assert frame.integer


def test_events_of_each_id_run_from_their_first_period_to_the_end_of_the_log():
    table = events("2024-01-01", "2024-01-03", "2024-01-03", "2024-01-03", "2024-01-04")
    frame = frame_of(table, count_per="D", id="who")
    assert frame.df[frame.df["unique_id"] == "a"]["y"].tolist() == [1, 0, 1, 1]
    assert frame.df[frame.df["unique_id"] == "b"]["y"].tolist() == [2, 0]


def test_partial_first_and_last_periods_are_left_out_and_reported():
    table = events("2024-01-01 15:00", "2024-01-02 00:10", "2024-01-02 10:00", "2024-01-03 23:30", "2024-01-04 08:00")
    frame = frame_of(table, count_per="D")
    assert frame.df["ds"].tolist() == days(2, "2024-01-02").tolist()
    assert frame.df["y"].tolist() == [2, 1]
    assert "2024-01-01 and 2024-01-04" in topics(frame)["partial"]


def test_when_no_period_is_whole_the_partial_ones_stay_with_a_warning():
    frame = frame_of(events("2024-01-01 15:00", "2024-01-02 10:00"), count_per="D")
    assert frame.df["y"].tolist() == [1, 1]
    assert any(finding.topic == "partial" and finding.level == "warning" for finding in frame.findings)


@pytest.mark.parametrize(
    ("period", "starts"),
    [("W-MON", ["2024-01-01", "2024-01-08"]), ("W", ["2024-01-01", "2024-01-08"]), ("W-WED", ["2024-01-03"])]
    + [("MS", ["2024-01-01"]), ("ME", ["2024-01-01"])],
)
def test_periods_carry_the_stamp_of_their_start(period, starts):
    frame = frame_of(long(days(31))[["ds"]], count_per=period)
    assert frame.df["ds"].tolist()[: len(starts)] == [pd.Timestamp(start) for start in starts]
    assert frame.df["y"].iloc[0] == (31 if period.startswith("M") else 7)


def test_days_are_counted_on_the_wall_clock_of_the_zone():
    stamps = pd.date_range("2024-03-30", "2024-04-01 23:00", freq="h", tz="Europe/Berlin").tz_convert("UTC")
    frame = frame_of(pd.DataFrame({"ds": stamps}), count_per="D", tz="Europe/Berlin")
    assert frame.df["y"].tolist() == [24, 23, 24]
    assert frame.df["ds"].tolist() == list(pd.date_range("2024-03-30", periods=3, tz="Europe/Berlin"))


def test_a_regular_series_is_summed_into_whole_weeks():
    table = long(days(24, "2024-01-03"), np.ones(24)).assign(y=lambda df: df["y"].where(df["ds"] != "2024-01-17"))
    frame = frame_of(table, resample="W-MON")
    assert frame.df["ds"].tolist() == list(pd.date_range("2024-01-08", periods=2, freq="W-MON"))
    np.testing.assert_array_equal(frame.df["y"], [7, np.nan])
    assert "partial" in topics(frame)


def test_a_missing_row_makes_its_sum_missing_unless_it_counts_as_zero():
    table = long(days(14), np.ones(14)).drop(index=3)
    np.testing.assert_array_equal(frame_of(table, resample="W-MON").df["y"], [np.nan, 7])
    np.testing.assert_array_equal(frame_of(table, resample="W-MON", missing="zero").df["y"], [6, 7])


def test_sums_over_shorter_periods_than_the_steps_are_refused():
    with pytest.raises(DataError, match="shorter than the steps"):
        frame_of(long(pd.date_range("2024-01-01", periods=9, freq="MS")), resample="D")
    with pytest.raises(DataError, match="no calendar period"):
        frame_of(long(days(9)), count_per="B")
    with pytest.raises(DataError, match="needs dates"):
        frame_of(long([1, 2, 3]), resample="W-MON")


# ---- findings ----------------------------------------------------------------------------------------------------------


def test_the_frame_says_what_it_holds():
    table = pd.concat([long(days(30)), long(days(30), np.full(30, 4.0), "flat"), long(days(4), name="short")])
    frame = frame_of(table)
    assert frame.season_length == 7
    assert frame.integer
    found = topics(frame)
    assert found["series"] == "3 series, each of 4 to 30 rows, 2024-01-01 to 2024-01-30"
    assert "1 of 3 series (flat)" in found["constant"]
    assert "1 of 3 series (short)" in found["short"]
    assert "all steps" in found["frequency"]
    assert "season_length is 7" in found["season"]


def test_whole_numbers_are_counts_only_without_negative_ones():
    assert frame_of(long(days(5), [1, 2, np.nan, 0, 3])).integer
    assert not frame_of(long(days(5), [1, 2, -1, 0, 3])).integer
    assert not frame_of(long(days(5), [1, 2.5, 1, 0, 3])).integer
    assert not frame_of(long(days(5), np.full(5, np.nan))).integer


def test_a_last_value_far_below_all_recent_ones_is_warned_of():
    assert "partial" in topics(frame_of(long(days(40), [*np.full(39, 100.0), 20])))
    assert "partial" not in topics(frame_of(long(days(40), np.tile([100.0, 10], 20))))


def test_findings_hold_plain_values_only():
    import json

    table = pd.concat([long(days(30)), long(days(3), name="b")]).drop(index=[4])
    for finding in frame_of(table).findings:
        json.dumps(finding.as_dict())


# ---- promises ----------------------------------------------------------------------------------------------------------


def test_the_rows_given_are_not_changed():
    rows = to_rows(long(days(9)).sample(frac=1, random_state=0))
    before = rows.df.copy(deep=True)
    to_frame(rows, ReadConfig(missing="zero"))
    pd.testing.assert_frame_equal(rows.df, before)


@pytest.mark.parametrize("cut", ["2024-02-10", "2024-02-21", "2024-03-01"])
def test_a_frame_cut_from_the_rows_knows_nothing_of_what_came_after(cut):
    table = pd.concat([long(days(80)).drop(index=[38, 39, 50]), long(days(70), name="b")], ignore_index=True)
    later = table["ds"] >= cut
    poisons = [table["y"] * 3 + 100, table["y"] * np.nan, table["y"] + 0.5]

    def cut_frame(df: pd.DataFrame, **settings) -> Frame:
        rows = to_rows(df, ReadConfig(**settings))
        return to_frame(rows._replace(df=rows.df[rows.df["ds"] < cut]), ReadConfig(**settings))

    for settings in ({}, {"missing": "ffill"}, {"resample": "2D"}):
        expected = cut_frame(table, **settings)
        for poison in poisons:
            frame = cut_frame(table.assign(y=table["y"].where(~later, poison)), **settings)
            if settings.get("resample"):
                frame, expected = (
                    f._replace(df=f.df[f.df["ds"] < pd.Timestamp(cut) - pd.Timedelta("2D")]) for f in (frame, expected)
                )
            pd.testing.assert_frame_equal(frame.df.reset_index(drop=True), expected.df.reset_index(drop=True))
            if not settings.get("resample"):
                assert frame.lengths.tolist() == expected.lengths.tolist()
                assert frame[2:] == expected[2:]


@pytest.mark.slow
def test_ten_thousand_series_are_gridded_in_seconds():
    num, rows = 10_000, 100
    table = pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{i}" for i in range(num)], rows),
            "ds": np.tile(days(rows), num),
            "y": np.random.default_rng(0).poisson(5, num * rows),
        }
    )
    start = time.perf_counter()
    frame = frame_of(table.drop(index=np.arange(50, num * rows, 1000)))
    assert time.perf_counter() - start < 20
    assert len(frame.df) == num * rows


@pytest.mark.parametrize("rule", ["mask", "zero", "ffill"])
def test_sums_before_a_cut_do_not_depend_on_later_values(rule):
    table = long(days(56)).assign(y=lambda df: df["y"].where(~df.index.isin([25, 26, 27])))
    blank = table.assign(y=table["y"].where(table["ds"] < "2024-01-29"))
    sums = [to_rows(df, ReadConfig(resample="W-MON", missing=rule)).df.iloc[:4] for df in (table, blank)]
    pd.testing.assert_frame_equal(*sums)


def test_events_in_a_repeated_hour_are_counted_on_their_day():
    table = events("2024-10-26 00:10", "2024-10-27 02:30", "2024-10-27 02:10", "2024-10-28 23:40")
    frame = frame_of(table, count_per="D", tz="Europe/Berlin")
    assert frame.df["y"].tolist() == [1, 2, 1]


def test_series_written_one_after_the_other_are_kept_apart():
    table = pd.concat([long(days(3)), long(days(3, "2025-01-01"), name="b")]).rename(columns={"unique_id": "sensor"})
    assert frame_of(table).df["unique_id"].tolist() == ["a"] * 3 + ["b"] * 3


def test_rows_filled_in_after_a_day_without_midnight_begin_at_midnight_again():
    days = [pd.Timestamp("2018-11-04 01:00", tz="America/Sao_Paulo")]
    days += [pd.Timestamp(f"2018-11-{day:02d}", tz="America/Sao_Paulo") for day in (5, 6, 8, 9)]
    frame = to_frame(to_rows(pd.DataFrame({"ds": days, "y": [1.0, 2.0, 3.0, 5.0, 6.0]})))
    assert frame.df["ds"].dt.hour.tolist() == [1, 0, 0, 0, 0, 0]
    assert frame.df["y"].isna().tolist() == [False, False, False, True, False, False]


def test_counted_rows_keep_the_period_they_were_counted_per_and_fit_no_other_model() -> None:
    events = pd.DataFrame({"t": pd.date_range("2024-01-01", "2024-02-10", freq="4h")})
    config = ReadConfig(count_per="MS")
    rows = to_rows(events, config)
    frame = to_frame(rows, config)
    assert (frame.freq, frame.df["y"].tolist()) == ("MS", [186.0])
    with pytest.raises(DataError, match="counted or summed per MS, but the model was trained on steps of D"):
        to_frame(rows, config, freq="D")


def test_weekly_rows_are_refused_for_a_model_of_days() -> None:
    weekly = pd.Series(range(20), index=pd.date_range("2024-01-01", periods=20, freq="W-MON"))
    with pytest.raises(DataError, match="7 steps of D apart"):
        to_frame(to_rows(weekly), freq="D")


def test_periods_in_a_parquet_file_are_dates(tmp_path) -> None:
    path = tmp_path / "periods.parquet"
    pd.DataFrame({"month": pd.period_range("2024-01", periods=24, freq="M"), "n": range(24)}).to_parquet(path)
    frame = to_frame(to_rows(str(path)))
    assert frame.freq == "MS"
    assert frame.df["ds"].iloc[[0, -1]].tolist() == [pd.Timestamp("2024-01-01"), pd.Timestamp("2025-12-01")]


# ---- covariates and weights --------------------------------------------------------------------------------------------

COVARIATES = CovariatesConfig(past=["temp"], known=["price", "promo"], static=["region", "size"])


def shops() -> pd.DataFrame:
    """Two shops; the second starts later, and the days 3 and 4 of the first and 2 of the second are absent."""
    table = pd.concat([long(days(6), name="a"), long(days(3, "2024-01-03"), name="b")]).reset_index(drop=True)
    table = table.assign(
        price=np.arange(9.0),
        temp=[1, np.nan, 3, 4, 5, 6, 7, 8, 9],
        promo=["x", "y", "y", "y", "x", None, "x", "x", "y"],
        region=["north"] * 6 + ["south"] * 3,
        size=[10.0] * 6 + [np.nan] * 3,
        weight=[2] * 6 + [0.5] * 3,
    )
    return table.drop(index=[2, 3, 7])


def covered(table, config: ReadConfig | None = None, covariates: CovariatesConfig = COVARIATES) -> Frame:
    config = config or ReadConfig(value="y", weight="weight")
    return to_frame(to_rows(table, config, None, covariates), config)


def listed(frame: Frame, name: str) -> list:
    return [None if pd.isna(value) else value for value in frame.df[name]]


def test_rows_added_for_gaps_have_no_covariates_but_those_of_their_series():
    frame = covered(shops())
    assert frame.df.columns.tolist() == [
        "unique_id",
        "ds",
        "y",
        "x:temp",
        "x:price",
        "x:promo",
        "x:region",
        "x:size",
    ]
    assert listed(frame, "x:temp") == [1, None, None, None, 5, 6, 7, None, 9]
    assert listed(frame, "x:price") == [0, 1, None, None, 4, 5, 6, None, 8]
    assert listed(frame, "x:promo") == ["x", "y", None, None, "x", None, "x", None, "y"]
    assert frame.df["x:promo"].iloc[2] is None
    assert listed(frame, "x:region") == ["north"] * 6 + ["south"] * 3
    assert listed(frame, "x:size") == [10.0] * 6 + [None] * 3
    assert listed(frame, "y") == [1, 2, None, None, 5, 6, 1, None, 3]
    assert [str(kind) for kind in frame.df.dtypes[3:]] == ["float64", "float64", "object", "object", "float64"]


def test_filling_values_leaves_covariates_alone():
    frame = covered(shops(), ReadConfig(value="y", weight="weight", missing="zero"))
    assert listed(frame, "y") == [1, 2, 0, 0, 5, 6, 1, 0, 3]
    assert listed(frame, "x:price") == [0, 1, None, None, 4, 5, 6, None, 8]


def test_missing_covariates_are_reported_once_per_role_with_their_counts():
    findings = [finding for finding in covered(shops()).findings if finding.topic == "covariates"]
    assert [(finding.override, finding.level) for finding in findings] == [
        ("covariates.past=", "repair"),
        ("covariates.known=", "repair"),
        ("covariates.static=", "repair"),
    ]
    assert [finding.details["missing_values"] for finding in findings] == [{"temp": 4}, {"price": 3, "promo": 4}, {"size": 1}]
    assert findings[1].message.startswith(
        "known columns have no value in some of the 9 rows: price 3, promo 4; a missing number"
    )
    assert "some of the 2 series: size 1;" in findings[2].message
    assert "covariates" not in topics(covered(shops().iloc[:2], covariates=CovariatesConfig(known=["price"])))


@pytest.mark.parametrize("rule", ["sum", "mean", "last"])
def test_of_duplicates_the_covariates_of_the_last_row_stay(rule):
    table = long([*days(3), days(3)[1]], [1, 2, 3, 10]).assign(price=[5, 6, 7, 8], promo=["x", "y", "z", None])
    frame = covered(table, ReadConfig(duplicates=rule), CovariatesConfig(known=["price", "promo"]))
    assert listed(frame, "y") == [1, {"sum": 12, "mean": 6, "last": 10}[rule], 3]
    assert listed(frame, "x:price") == [5, 8, 7]
    assert listed(frame, "x:promo") == ["x", None, "z"]


def test_rows_out_of_order_take_their_covariates_along():
    table = shops()
    frame, other = covered(table), covered(pd.concat([table.iloc[:1], table.iloc[1:].sample(frac=1, random_state=0)]))
    pd.testing.assert_frame_equal(frame.df, other.df)


def test_weights_are_one_per_series_in_their_order():
    weights = covered(shops()).weights
    assert weights is not None
    assert weights.dtype == np.float64
    assert weights.tolist() == [2, 0.5]
    assert covered(shops().iloc[::-1]).weights.tolist() == [0.5, 2]  # pyright: ignore[reportOptionalMemberAccess]
    assert frame_of(long(days(3))).weights is None


@pytest.mark.parametrize("settings", [{"resample": "2D"}, {"count_per": "D"}])
def test_counted_and_summed_series_keep_their_weights(settings):
    table = shops().drop(columns="y") if "count_per" in settings else shops()
    config = ReadConfig(weight="weight", value=None if "count_per" in settings else "y", **settings)
    frame = covered(table, config, CovariatesConfig(holidays=["DE"]))
    assert frame.weights is not None
    assert frame.weights.tolist() == [2, 0.5]
    assert frame.df.columns.tolist() == ["unique_id", "ds", "y"]


def test_a_cut_of_the_rows_keeps_covariates_and_weights():
    config = ReadConfig(value="y", weight="weight")
    rows = to_rows(shops(), config, None, COVARIATES)
    frame = to_frame(rows._replace(df=rows.df[rows.df["ds"] < "2024-01-05"].reset_index(drop=True)), config)
    assert listed(frame, "x:price") == [0, 1, 6]
    assert frame.weights is not None
    assert frame.weights.tolist() == [2, 0.5]


def test_the_share_of_single_steps_is_counted_in_parts_as_at_once(monkeypatch):
    """Series of 5 and 6 days, the second without two of its days: 4 + 3 - 1 of 4 + 3 steps are single."""
    days = [*range(5), *[0, 1, 4, 5]]
    df = pd.DataFrame({"id": [*"aaaaabbbb"], "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(days, unit="D"), "y": 1.0})
    shares = []
    for part in (2**20, 4, 3, 2):
        monkeypatch.setattr(describe, "PART", part)
        found = to_frame(to_rows(df)).findings
        shares.append(next(finding.details["share"] for finding in found if finding.topic == "frequency"))
    assert shares == [round(6 / 7, 4)] * 4


@pytest.mark.parametrize(("rule", "filled"), [("mask", np.nan), ("zero", 0.0), ("ffill", 8.0)])
def test_rows_that_are_absent_just_before_a_cut_off_are_what_the_whole_table_has_there(rule, filled):
    table = long(days(12)).drop(index=[8, 9])
    known = frame_of(table[table["ds"] < "2024-01-09"], missing=rule)
    reached = up_to(known, pd.Series({"a": pd.Timestamp("2024-01-10")}), rule)
    np.testing.assert_array_equal(reached.df["y"], [1, 2, 3, 4, 5, 6, 7, 8, filled, filled])
    whole = frame_of(table, missing=rule)
    np.testing.assert_array_equal(reached.df["y"], whole.df["y"][:10])


@pytest.mark.parametrize(("rule", "filled"), [("mask", np.nan), ("zero", 0.0), ("ffill", 3.0)])
def test_a_blank_cell_at_a_cut_off_is_what_the_whole_table_has_there(rule, filled):
    table = long(days(8))
    table.loc[3, "y"] = np.nan
    known = frame_of(table[table["ds"] < "2024-01-05"], missing=rule)
    reached = up_to(known, pd.Series({"a": pd.Timestamp("2024-01-04")}), rule)
    np.testing.assert_array_equal(reached.df["y"], [1, 2, 3, filled])
    np.testing.assert_array_equal(reached.df["y"], frame_of(table, missing=rule).df["y"][:4])

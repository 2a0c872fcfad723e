"""The forms in which times are written: patterns, names of months and weekdays, and the arithmetic of dates (numpy alone)."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np

from tsattn.data.cells.characters import plain_text, without_accents

CLOCK = (
    r"(?:[Tt ,]+(?P<hour>\d{1,2})[:.](?P<minute>\d{2})(?:[:.](?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s*(?P<half>[AaPp]\.?[Mm]\.?)?\s*(?P<offset>Z|z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?)?$"
)
CLOCK_ALONE = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
NAMED = r"(?P<name>[A-Za-zÀ-ÿ]{3,10})\.?"
NUMBERED = r"(?P<day>\d{1,2})(?:st|nd|rd|th|er|º|°)?"  # 1st, 1er
FORMS = {
    "year-month-day": r"^(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})" + CLOCK,
    "compact": r"^(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})" + CLOCK,
    "compact with clock": r"^(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})[T ](?P<hour>\d{2})(?P<minute>\d{2})"
    r"(?P<second>\d{2})?(?P<offset>Z|[+-]\d{2}:?\d{2})?$",
    "numbers": r"^(?P<first>\d{1,2})[-/.](?P<second_number>\d{1,2})[-/.](?P<year>\d{4}|\d{2})" + CLOCK,
    "year-month": r"^(?P<year>\d{4})[-/.](?P<month>\d{1,2})$",
    "year month day hour": r"^(?P<year>\d{4}) (?P<month>\d{1,2})"
    r"(?: (?P<day>\d{1,2})(?: (?P<hour>\d{1,2})(?: (?P<minute>\d{1,2}))?)?)?$",
    "month/year": r"^(?P<month>\d{1,2})[-/.](?P<year>\d{4})$",
    "month year": r"^" + NAMED + r"(?: de| of)?[- /.,]*(?P<year>\d{4})$",
    "month-yy": r"^" + NAMED + r"-(?P<year>\d{2})$",
    "year month": r"^(?P<year>\d{4})[- /.,]*" + NAMED + "$",
    "quarter in words year": r"^(?P<quarter>[1-4])(?:Q|\.? ?[Qq]uartal)[- /]?(?P<year>\d{4})$",
    "day month year": r"^" + NUMBERED + r"[. -]+(?:de |of )?" + NAMED + r"(?: de)?[ ,-]*(?P<year>\d{4}|\d{2})" + CLOCK,
    "month day year": r"^" + NAMED + " +" + NUMBERED + r",? +(?P<year>\d{4})" + CLOCK,
    "day/month:clock": r"^(?P<day>\d{1,2})/" + NAMED + r"/(?P<year>\d{4})"  # logs of web servers
    r"(?::(?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})(?: (?P<offset>[+-]\d{4}))?)?$",
    "year:month:day": r"^(?P<year>\d{4}):(?P<month>\d{2}):(?P<day>\d{2})"  # photographs
    r" (?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2})$",
    "year month name day": r"^(?P<year>\d{4})[- ]" + NAMED + r"[- ](?P<day>\d{1,2})" + CLOCK,
    "year quarter": r"^(?P<year>\d{4})[- ]?[QqTt](?P<quarter>[1-4])$",
    "quarter year": r"^[QqTt](?P<quarter>[1-4])[- /]?(?P<year>\d{4})$",  # T1: trimestre
    "year quarter in words": r"^(?P<year>\d{4})[- ](?P<quarter>[1-4])\.? ?[Qq]uartal$",
    "year week": r"^(?P<year>\d{4})[- ]?W(?P<week>\d{2})$",
    "year M month": r"^(?P<year>\d{4})[- ]?M(?P<month>0?[1-9]|1[0-2])$",
}
MONTHS = (  # in English, German, French, Spanish, Italian, Dutch and Portuguese, without accents
    "jan january januar jaenner janner jan janv janvier ene enero gen gennaio januari janeiro",
    "feb february februar feber fev fevr fevrier febrero febbraio februari fevereiro",
    "mar march maerz marz mrz mars marzo mrt maart marco",
    "apr april avr avril abr abril aprile",
    "may mai mayo mag maggio mei maio",
    "jun june juni juin junio giu giugno junho",
    "jul july juli juil juillet julio lug luglio julho",
    "aug august aou aout ago agosto augustus",
    "sep sept september septembre septiembre setiembre set settembre setembro",
    "oct october okt oktober octobre octubre ott ottobre out outubro",
    "nov november novembre noviembre novembro",
    "dec december dez dezember decembre dic diciembre dicembre dezembro",
)
MONTH_NAMES = {name: i + 1 for i, names in enumerate(MONTHS) for name in names.split()}
WEEKDAYS = (  # what is a month as well (mar) is left out
    "mon monday mo montag lun lundi lunes lunedi ma maandag seg segunda",
    "tue tues tuesday di dienstag mardi martes martedi dinsdag ter terca",
    "wed wednesday mi mittwoch mer mercredi mie miercoles mercoledi wo woensdag qua quarta",
    "thu thur thurs thursday do donnerstag jeu jeudi jue jueves gio giovedi donderdag qui quinta",
    "fri friday fr freitag ven vendredi vie viernes venerdi vr vrijdag sex sexta",
    "sat saturday sa samstag sonnabend sam samedi sab sabado sabato za zaterdag",
    "sun sunday so sonntag dim dimanche dom domingo domenica zo zondag",
)
WEEKDAY_NAMES = {name: i for i, names in enumerate(WEEKDAYS) for name in names.split()}
WEEKDAY = re.compile(r"([A-Za-zÀ-ÿ]{2,10})[.,]{0,2} +(?=[A-Za-zÀ-ÿ\d])")
WEEK_WORDS = frozenset(("week", "weeks", "wk", "yearweek", "isoweek", "kw", "woche", "semaine", "semana", "settimana"))
PART_NAMES = {  # of columns that hold one part of a date, without accents
    "year": frozenset(("year", "jahr", "annee", "ano", "anno", "jaar")),
    "month": frozenset(("month", "monat", "mois", "mes", "mese", "maand")),
    "quarter": frozenset(("quarter", "qtr", "quartal", "trimestre", "kwartaal")),
    "week": WEEK_WORDS - {"yearweek"} | {"iso_week", "week_number", "week_no", "weekofyear", "week_of_year", "kalenderwoche"},
    "day": frozenset(("day", "tag", "jour", "dia", "giorno", "dag")),
    "hour": frozenset(("hour", "hr", "stunde", "heure", "hora", "ora", "uur")),
    "minute": frozenset(("minute",)),
}
ISO_WEEKS = "as ISO weeks, which begin on Monday"
NO_WEEK = "is not a possible ISO week: write the first day of each week"
EAST_ASIAN = re.compile(r"(\d{4})年 ?(\d{1,2})月 ?(?:(\d{1,2})日)?")
CLOCK_ONLY = r"^\d{1,2}[:.]\d{2}([:.]\d{2}([.,]\d+)?)?\s*([AaPp]\.?[Mm]\.?)?$"
# plain numbers, and times of day such as 18.00.00 that could pass for day.month.year
NO_DATE = r"\d+|\d{1,2}\.\d{4}|\d{4}\.\d{1,2}|00?[.]\d\d[.]\d\d|\d{1,2}[.]00[.]\d\d"
HINTS = (  # what a cell that is no time looks like, and how to mend it
    (r"^[=-]*[-=+|]{3,}$", "is a line that only draws the table: remove it"),
    (
        r"(?i)^\W*((sub|grand )?total|sum|summe|gesamt|zwischensumme|somme|totaal|average|mean|mittelwert)\b",
        "is a total: remove it",
    ),
    (r"(?i)^(source|quelle|note|notes|copyright)\b", "is a note: remove it"),
    (r"^\[[A-Za-z]+\]$|^\([A-Za-z]+\)$|^[Uu]nit", "stands in a row of units: remove it"),
    (r"^[345]\d{4}[.,]\d+$", "may be a date as a spreadsheet counts days: format the column as dates and export it again"),
    (r"^\d{9,10}[.,]\d+$", "may be seconds since 1970: write them without decimals"),
    (r"^\d[.,]\d+[eE]\+?\d+$", "has lost its digits in a spreadsheet: export the column as text"),
    (
        r":\d{2}(?:[.,]\d+)?\s*\(?([A-Z]{2,5}|[A-Z][A-Za-z]+/[A-Za-z_/]+)\)?$",
        "ends in the name of a zone: set read.tz= to a zone such as Europe/Berlin and write the name into the form, as in "
        "read.date_format='%Y-%m-%d %H:%M CET'",
    ),
    (r"\[[A-Za-z_/]+\]$", "ends in the name of a zone: remove it and its brackets"),
    (
        r"(\d[./]\d{1,2}[./]\d{2,4}|\d{4}-\d\d-\d\d)\s*([-–/]|to|bis)\s*\d{1,4}[-./]\d{1,2}\b",
        "is a range of dates: keep its first day",
    ),
    (r"(?i)^(kw|cw|wk?|week|woche)\W*\d{1,2}\W+(\d{4}|\d\d)$", "is a week: write it as 2024-W01"),
    (r"^\d{1,2}:\d{2}(:\d{2})?$", "is a time of day without a date"),
    (r"(?i)^fy *\d{2,4}\W*q[1-4]$|^q[1-4]\W*fy *\d{2,4}$", "is a quarter of a business year: write it as 2023Q1"),
    (r"^\d{4}[- ]?M13$", "is the mean of the year: remove it"),
    (r"^[=@]", "is a formula: export the values of the cells"),
    (r"\b24[:.]00", "has the hour 24: write 00:00 of the next day"),
    (r"^[A-Za-zÀ-ÿ]{3,10}\.?$", "has no year"),
)
NO_FORM = "is not a date that is understood: set read.date_format=, e.g. %d.%m.%Y %H:%M"
FIRST_YEAR, LAST_YEAR = 1678, 2261


def tidy(text: str) -> str:
    """A written time without what only stands around it: blanks, line ends, unseen marks, one pair of brackets."""
    text = text.strip() if text.isascii() else _west(plain_text(text))
    return text[1:-1].strip() if text[:1] == "[" and text[-1:] == "]" and any(map(str.isdigit, text)) else text


def _west(text: str) -> str:
    """A date with the signs of East Asia for year, month and day with hyphens in their place."""
    found = EAST_ASIAN.match(text)
    return text if found is None else "-".join(filter(None, found.groups())) + text[found.end() :]


def split_weekday(text: str) -> tuple[int, str]:
    """(weekday, Monday 0, or -1, the rest) of a time that may begin with the name of one."""
    found = WEEKDAY.match(text)
    name = without_accents(found[1]) if found else ""
    return (WEEKDAY_NAMES[name], text[found.end() :]) if found and name in WEEKDAY_NAMES else (-1, text)


def month_number(name: str) -> int:
    """1 to 12 for the name of a month, 0 for any other word."""
    return MONTH_NAMES.get(without_accents(name), 0)


def is_date(text: str) -> bool:
    """Whether a text is a date written with letters or signs."""
    _, text = split_weekday(tidy(text))
    found = (re.match(form, text) for name, form in FORMS.items() if name != "year month day hour")
    return not re.fullmatch(NO_DATE, text) and any(hit and month_number(hit.groupdict().get("name", "May")) for hit in found)


def hint(text: str) -> str:
    """What is wrong with a text that has no form of a time, and how to mend it; "" where nothing is known of it."""
    return next((words for pattern, words in HINTS if re.search(pattern, text)), "")


# ---- arithmetic --------------------------------------------------------------------------------------------------------


def valid_date(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Which dates exist."""
    good = (month >= 1) & (month <= 12) & (day >= 1)
    first = (year - 1970) * 12 + np.clip(month, 1, 12) - 1
    length = (first + 1).astype("datetime64[M]").astype("datetime64[D]") - first.astype("datetime64[M]").astype("datetime64[D]")
    return good & (day <= length.astype(np.int64))


def assemble(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Midnight of the dates, datetime64[ns]."""
    first = ((year - 1970) * 12 + month - 1).astype("datetime64[M]").astype("datetime64[D]")
    return (first + (day - 1)).astype("datetime64[ns]")


def twelve_hours(hour: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(hours 0 to 23, which are possible) of hours with AM or PM, or with "" for neither."""
    good = np.ones(len(hour), dtype=bool)
    marked = np.array([bool(cell) for cell in half])
    afternoon = np.array([cell[:1] in ("p", "P") for cell in half])
    good[marked] = (hour[marked] >= 1) & (hour[marked] <= 12)
    return np.where(marked, hour % 12 + 12 * afternoon, hour), good


def nanoseconds(fraction: np.ndarray | None, num: int) -> np.ndarray:
    """Fractions of a second, the digits behind the point, in nanoseconds."""
    if fraction is None:
        return np.zeros(num, dtype=np.int64)
    return np.array([int((cell or "0").ljust(9, "0")) for cell in fraction], dtype=np.int64)


def offset_minutes(cell: str) -> int:
    """The minutes that a UTC offset such as +01:00 or Z means."""
    if cell.upper() in ("Z", "UTC", "GMT"):
        return 0
    digits = cell[1:].replace(":", "")
    return (int(digits[:2]) * 60 + int(digits[2:] or 0)) * (-1 if cell[0] == "-" else 1)


def monday(year: int, week: int) -> dt.date | None:
    """The first day of an ISO week; None for a week that does not exist."""
    try:
        return dt.date.fromisocalendar(year, week, 1)
    except ValueError:
        return None


def mondays(years: np.ndarray, weeks: np.ndarray) -> np.ndarray:
    """The first days of ISO weeks, datetime64[ns]; NaT for those that do not exist."""
    pairs = zip(years.tolist(), weeks.tolist(), strict=True)
    days = [monday(year, week) if FIRST_YEAR <= year <= LAST_YEAR else None for year, week in pairs]
    return np.array(days, dtype="datetime64[ns]")


def part_named(name: str) -> str:
    """The part of a date that a column is named after, as in "week" for Week, week_no and KW; "" for any other name."""
    word = re.sub(r"[ -]+", "_", without_accents(name))
    return next((part for part, names in PART_NAMES.items() if word in names), "")


def words(name: str) -> set[str]:
    """The words of a column's name in lower case."""
    return set(re.split(r"[^a-z]+", name.lower()))


def possible_offset(cell: str) -> bool:
    """Whether a UTC offset is one that some zone has: 14 hours at most."""
    minutes = offset_minutes(cell)
    return abs(minutes) <= 14 * 60 and minutes % 15 == 0


def century(short: np.ndarray) -> np.ndarray:
    """Years of two digits as the latest ones that do not lie in the future."""
    return short + np.where(short <= dt.date.today().year % 100, 2000, 1900)

"""Text -> float64, strictly: a cell that is no number and no missing marker is never guessed."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute

from tsattn.config import ReadConfig
from tsattn.data.cells.characters import UNSEEN, plain_number
from tsattn.data.cells.quick import pieces, plain_numbers
from tsattn.data.findings import DataError

pc: Any = pyarrow.compute
MISSING = ("", "na", "n/a", "#n/a", "#na", "nan", "null", "none", "nil", "-", "--", ".", "?", "missing", "<na>", "nat") + (
    "(null)",  # tools of databases
    "[null]",
    "<null>",
    r"\n",  # \N, as MySQL and PostgreSQL write it
    *("..", "...", "…", ":", "*", "**", "***", "****"),  # offices of statistics
    *("n.a.", "n. a.", "k.a.", "k. a."),  # not available, keine Angabe
)
PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
NARROW = "\u00a0\u202f\u2009"  # blanks that some write between thousands
LOOSE = rf"^[+-]?[\d.,' {NARROW}]*\d[\d.,]*([eE][+-]?\d+)?$|(?i)^[+-]?inf(inity)?$"
INFINITE = r"(?i)^[+-]?(inf(inity)?|\x{221e})$"
HINTS = (  # what a cell looks like, and how to mend it
    (r"(?i)^(true|false|yes|no|wahr|falsch|vrai|faux)$", "true and false are no values: write 1 and 0"),
    (r"^\(.*\d.*\)$", "write plain numbers: -5 for an amount in parentheses, if they mean a negative one"),
    (r"%", "write plain numbers without %"),
    (r"(?i)[$€£¥₹₽₩₺]|(^|[\d ])(eur|usd|chf|gbp|jpy|kr|zl|rub|inr|cny)\.?( |$|\d)", "write plain numbers without a currency"),
    (r"(?i)^[+-]?0[xbo][\da-f]+$", "write plain numbers in decimal digits"),
    (r"\d_\d", "write plain numbers without _"),
    (r"(?i)nan|#ind", "leave a missing value empty"),
    (r"^[=@]|^[+-][A-Za-z]", "this is a formula: export the values of the cells"),
    (r"^#{2,}$", "the column was too narrow for its values: widen it and export again"),
    (r"^#", "this is an error of the spreadsheet: mend its formula, or leave the cell empty"),
    (r"^'", "write plain numbers without the ' before them"),
    (r"\d\s*-$", "write plain numbers with the minus sign before them"),
    ("^[\u00ad\u2010-\u2015]", "this dash is no minus sign: write - if it means one"),
    (r"^[+-]\s", "write plain numbers without a blank after the sign"),
    (rf"\d[{UNSEEN}]", "write plain numbers: a mark that nobody sees stands between the digits"),
    (r"\d \d", "write plain numbers, set read.thousands=' ' if the blank parts thousands, or read.sep=' ' if it parts columns"),
    (r"\n", "a quote that is never closed, or a line end inside the cell"),
    (r"(?i)^[+-]?[\d.,]+\s*[a-zµ°][a-zµ°²³/]*$", "write plain numbers without units"),
)
HINT = "write plain numbers, leave a missing value empty, or set read.decimal= or read.thousands="


class Marks(NamedTuple):
    """Decimal sign and thousands separator of a file ("" = none)."""

    decimal: str
    thousands: str


def plain(column: pa.Array) -> pa.Array:
    """The cells with digits of other scripts, minus signs and unseen marks around them written plainly."""
    strange = pc.invert(pc.string_is_ascii(column))
    if not pc.any(strange).as_py():
        return column
    coded = pc.dictionary_encode(column.filter(strange))
    texts = pa.array([plain_number(cell) for cell in coded.dictionary.to_pylist()], pa.string())
    return pc.replace_with_mask(column, strange, texts.take(coded.indices))


def missing(column: pa.Array) -> pa.Array:
    """Which cells are a missing marker: boolean array."""
    return pc.is_in(pc.utf8_lower(column), value_set=pa.array(MISSING))


def normalised(column: pa.Array, marks: Marks) -> pa.Array:
    """Plain cells with the thousands separator removed and the decimal sign written as a point."""
    if marks.thousands:
        group = f"[ {NARROW}]" if marks.thousands.strip() == "" else re.escape(marks.thousands)
        grouped = rf"^[+-]?(\d{{1,3}}({group}\d{{3}})+|\d{{1,2}}({group}\d{{2}})+{group}\d{{3}})([^\d].*)?$"
        hit = pc.match_substring_regex(column, grouped)
        column = pc.if_else(hit, pc.replace_substring_regex(column, group, ""), column)
    if marks.decimal == ",":
        # a point next to a decimal comma is no decimal sign: leave it, and the strict test below rejects it
        column = pc.if_else(pc.match_substring(column, "."), pc.binary_join_element_wise(column, "?", ""), column)
        column = pc.replace_substring(column, ",", ".")
    return column


def numeric(column: pa.Array, marks: Marks) -> tuple[pa.Array, pa.Array]:
    """(is a number, is missing) per cell."""
    column = plain(column)
    return pc.match_substring_regex(normalised(column, marks), PLAIN), missing(column)


def share_of_numbers(column: pa.Array) -> float:
    """The share of the cells that look like numbers in any notation, among those that are not missing; 0 when all are."""
    found = total = 0
    for _, cells in pieces(column):
        if (values := plain_numbers(cells)) is not None:
            given = loose = int((~np.isnan(values)).sum())
        else:
            cells = plain(cells)
            there = pc.invert(missing(cells))
            given, loose = there.true_count, pc.and_(pc.match_substring_regex(cells, LOOSE), there).true_count
        found, total = found + loose, total + given
    return found / total if total else 0.0


def mends(column: pa.Array) -> str:
    """A cell of a text column most of which are numbers with more to them, and how to mend it, as '64 %'; else ""."""
    cells = [cell for cell in plain(column.slice(0, 200)).to_pylist() if cell and cell.lower() not in MISSING]
    found = {cell: hint for cell in cells if re.search(r"\d", cell) and (hint := _hint(cell))}
    first = next(iter(found), "")
    return f"{first!r}: {found[first]}" if 2 * sum(cell in found for cell in cells) > len(cells) else ""


# ---- which marks -------------------------------------------------------------------------------------------------------


def detect_marks(columns: dict[str, pa.Array], sep: str, config: ReadConfig, where: str) -> Marks:
    """The decimal sign and thousands separator that the numeric columns of one file show; `DataError` when ambiguous."""
    _check_settings(config)
    columns = {name: plain(column) for name, column in columns.items()}
    given = config.decimal is not None and config.thousands is not None
    blanks = NARROW + " " * (config.thousands == " ")
    seen = set() if given else _evidence(columns, blanks)
    group = "'" if "thousands'" in seen else "\u00a0" if "thousands " in seen else ""
    if config.decimal is not None:
        other = "." if config.decimal == "," else ","
        return Marks(config.decimal, config.thousands or (other if f"thousands{other}" in seen else group))
    comma, point = bool({"decimal,", "thousands."} & seen), "thousands," in seen
    if config.thousands is not None:
        sign = config.thousands not in (",", ".") and comma and "decimal." not in seen
        return Marks("," if config.thousands == "." or sign else ".", config.thousands)
    groups = {"thousands,", "thousands.", "thousands'", "thousands "} & seen
    if (comma and point) or len(groups) > 1:
        raise DataError(
            f"{where}: points and commas in the numbers contradict each other: set read.decimal= and read.thousands="
        )
    if comma:
        return Marks(",", "." if "thousands." in seen else group)
    if point:
        return Marks(".", ",")
    if "either," in seen:
        raise DataError(
            f"{where}: numbers such as {_example(columns, ',')} may be thousands or decimals: "
            "set read.thousands=, (1,234 is 1234) or read.decimal=, (1,234 is 1.234)"
        )
    if sep != "," or ("either." in seen and _only_small_whole(columns)):
        refuse_points(columns, where)
    return Marks(".", group)


def refuse_points(columns: dict[str, pa.Array], where: str) -> None:
    """`DataError` where points may part thousands, as in 1.234, and nothing proves that they are decimal points."""
    columns = {name: plain(column) for name, column in columns.items()}
    seen = _evidence(columns)
    if "either." in seen and "decimal." not in seen:
        raise DataError(
            f"{where}: numbers such as {_example(columns, '.')} may be thousands or decimals: "
            "set read.thousands=. (1.234 is 1234) or read.decimal=. (1.234 stays 1.234)"
        )


def _check_settings(config: ReadConfig) -> None:
    decimal, thousands = config.decimal, config.thousands
    if decimal is not None and decimal not in (".", ","):
        raise DataError(f"read.decimal={decimal} must be . or ,")
    if thousands is not None and (len(thousands) != 1 or thousands.isalnum() or thousands in f"+-{decimal or ''}"):
        raise DataError(f"read.thousands={thousands} must be a single sign such as , . ' or a blank, other than read.decimal")


def _only_small_whole(columns: dict[str, pa.Array]) -> bool:
    """Whether a column has whole numbers below 1000 and none above beside 1.234, as where a point parts thousands."""
    patterns = (r"^[+-]?[1-9]\d{0,2}\.\d{3}$", r"^[+-]?[1-9]\d{0,2}$", r"^[+-]?[1-9]\d{3,}$")
    found = ([pc.any(pc.match_substring_regex(column, pattern)).as_py() for pattern in patterns] for column in columns.values())
    return [True, True, False] in list(found)


def _evidence(columns: dict[str, pa.Array], blanks: str = NARROW) -> set[str]:
    """What the notation of the cells proves: decimal, thousands or either, followed by the sign."""
    quotes, blanks = r"^[+-]?\d{1,3}('\d{3})+", rf"^[+-]?\d{{1,3}}([{blanks}]\d{{3}})+"
    patterns = {f"thousands{sign}": f"{start}([.,].*)?$" for sign, start in (("'", quotes), (" ", blanks))}
    for sign in (",", "."):
        s = re.escape(sign)
        other = r"\." if sign == "," else ","
        patterns |= {
            # 1,234.5  1,234,567  1,23,456
            f"thousands{sign}": rf"^[+-]?\d{{1,3}}({s}\d{{3}})+{other}\d*$|^[+-]?\d{{1,3}}({s}\d{{3}}){{2,}}$"
            rf"|^[+-]?\d{{1,2}}({s}\d{{2}})+{s}\d{{3}}({other}\d*)?$",
            f"decimal{sign}": rf"^[+-]?(\d*{s}\d{{1,2}}|\d*{s}\d{{4,}}|0+{s}\d+|\d{{4,}}{s}\d+|{s}\d+|\d+{s}\d+[eE][+-]?\d+)$"
            rf"|{quotes}{s}\d+$|{blanks}{s}\d+$",
            f"either{sign}": rf"^[+-]?[1-9]\d{{0,2}}{s}\d{{3}}$",
        }
    seen: set[str] = set()
    for column in columns.values():
        for _, cells in pieces(column):
            if plain_numbers(cells) is not None:
                wanted = {"decimal.", "either."}  # nothing else can be seen where a point is the only sign
            elif pc.any(pc.match_substring_regex(cells, f"[.,'{NARROW}]")).as_py():
                wanted = set(patterns)
            else:
                continue
            wanted = {name for name in wanted - seen if name.replace("either", "decimal") not in seen}  # it settles the other
            seen |= {name for name in wanted if pc.any(pc.match_substring_regex(cells, patterns[name])).as_py()}
    return seen


def _example(columns: dict[str, pa.Array], sign: str) -> str:
    pattern = rf"^[+-]?[1-9]\d{{0,2}}[{sign}]\d{{3}}$"
    return next(
        column.filter(hit)[0].as_py()
        for column in columns.values()
        if pc.any(hit := pc.match_substring_regex(column, pattern)).as_py()
    )


# ---- conversion --------------------------------------------------------------------------------------------------------


def to_float(column: pa.Array, marks: Marks) -> tuple[np.ndarray, np.ndarray, str]:
    """(values float64 with NaN for missing markers, rows of cells that could not be converted, how to mend them)."""
    values, wrong, infinite = np.empty(len(column)), [np.zeros(0, dtype=np.int64)], False
    for rows, cells in pieces(column):
        quick = plain_numbers(cells) if marks.decimal == "." else None
        if quick is not None:
            values[rows] = quick
            continue
        values[rows], bad, endless = _strictly(plain(cells), marks)
        wrong.append(rows.start + np.flatnonzero(bad | endless))
        infinite = infinite or bool(endless.any())
    rows = np.concatenate(wrong)
    if infinite:
        return values, rows, "an infinite value cannot be used: leave it empty if it is unknown"
    hints = dict.fromkeys(hint for row in rows[:5] if (hint := _hint(plain(column.slice(int(row), 1))[0].as_py())))
    return values, rows, "; ".join(hints) or HINT


def _strictly(column: pa.Array, marks: Marks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(values, which cells are no numbers, which are infinite) of plain cells."""
    found, absent = numeric(column, marks)
    good = found.to_numpy(zero_copy_only=False)
    values = np.full(len(column), np.nan)
    if good.any():
        values[good] = pc.cast(normalised(column, marks).filter(found), pa.float64()).to_numpy(zero_copy_only=False)
    infinite = np.isinf(values) | pc.match_substring_regex(column, INFINITE).to_numpy(zero_copy_only=False)
    return values, ~good & ~absent.to_numpy(zero_copy_only=False), infinite


def _hint(cell: str) -> str:
    return next((hint for pattern, hint in HINTS if re.search(pattern, cell)), "")


def rounded(column: pa.Array, marks: Marks) -> np.ndarray:
    """The rows of whole numbers with more digits than a float64 can keep."""
    long = [
        rows.start + np.flatnonzero(pc.greater_equal(pc.binary_length(cells), 16).to_numpy(zero_copy_only=False))
        for rows, cells in pieces(column)
    ]
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *long])
    cells = normalised(plain(column.take(pa.array(rows))), marks).to_pylist()
    return rows[[re.fullmatch(r"[+-]?\d{16,308}", cell) is not None and int(cell) != int(float(cell)) for cell in cells]]

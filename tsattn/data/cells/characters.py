"""Characters that look alike -> the plain ones: digits of all scripts, minus signs, full-width letters, marks nobody sees."""

from __future__ import annotations

import re
import unicodedata

ALIKE = {
    "\u2212": "-",  # the minus sign
    "\ufe63": "-",
    "\ufe62": "+",
    "\u066b": ".",  # the decimal sign of Arabic
    "\u066c": "'",  # and its sign between thousands
    "\u2019": "'",
}
UNSEEN = (  # of direction, of width zero
    "\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff"
)
AROUND = re.compile(rf"^[{UNSEEN}]+|(?<=^[+-])[{UNSEEN}]+|[{UNSEEN}]+$")


def plain_number(text: str) -> str:
    """The text with 0-9 for the decimal digits of any script, - for a minus sign, and no unseen marks at its ends or its sign.

    Marks between digits stay: what they part is not known. A soft hyphen stays, too, for it may be meant as a minus sign.
    """
    return AROUND.sub("", AROUND.sub("", "".join(map(_plain, text))).strip())


def plain_text(text: str) -> str:
    """The text in composed form with plain digits, hyphens and blanks, unseen marks and blanks around it removed."""
    text = unicodedata.normalize("NFC", "".join(_plain(sign) for sign in text if sign not in UNSEEN))
    return re.sub(r"\s", " ", re.sub("[\u2010-\u2013]", "-", text)).strip()


def has_unseen(text: str) -> bool:
    """Whether a text holds marks that nobody sees: of direction, of width zero, soft hyphens."""
    return not text.isascii() and any(unicodedata.category(sign) == "Cf" for sign in text)


def without_unseen(text: str) -> str:
    return "".join(sign for sign in text if unicodedata.category(sign) != "Cf")


def without_accents(text: str) -> str:
    """The text in lower case without the accents on its letters."""
    parts = unicodedata.normalize("NFD", text.lower().replace("ß", "ss"))
    return "".join(sign for sign in parts if not unicodedata.combining(sign))


def _plain(sign: str) -> str:
    if sign < "\x80":
        return sign
    digit = unicodedata.decimal(sign, None)
    if digit is not None:
        return str(digit)
    if "\uff01" <= sign <= "\uff5e":
        return chr(ord(sign) - 0xFEE0)
    return ALIKE.get(sign, sign)

"""A table of many certificates: addresses and files, as people save it from a spreadsheet."""

from __future__ import annotations

import codecs
import csv
import io
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)

# The others may stand in a cell further on.
_FIRST_DELIMITER = re.compile(r'[\r\n]*(?:[^",;\t\r\n]|"[^"]*")*([,;\t])')


class Row(NamedTuple):
    """A row that isn't empty: the number of its last line, from 1, and its cells, without the
    blanks around them."""

    line: int
    cells: list[str]


def rows(data: bytes) -> Iterator[Row]:
    """The rows of a CSV file: in UTF-8, in UTF-16 with its mark or in Windows's character set;
    separated by commas, by semicolons, which spreadsheets write in many countries, or by tabs.
    Raises csv.Error when it comes to what is no row."""
    text = _decoded(data)
    if "\0" in text:
        raise csv.Error("it holds a NUL: save it as CSV in UTF-8")
    separator = _SEPARATOR_LINE.match(text)
    found = separator or _FIRST_DELIMITER.match(text)
    delimiter = found[1] if found else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    for number, row in enumerate(reader):
        cells = [cell.strip() for cell in row]
        if any(cells) and not (separator and number == 0):
            yield Row(reader.line_num, cells)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def heading(row: Row) -> list[str]:
    """The names of the columns in lower case, if this row has them: it is the first one and holds
    no address; else nothing."""
    return [] if "@" in "".join(row.cells) else [cell.lower() for cell in row.cells]

"""CV scripts as spreadsheets write them: read where there is one reading, else refused with the place."""

from __future__ import annotations

import numpy as np
import pytest

from common.refusal import Refusal
from firmware.script.cv_script import read_script, signals
from hardware.board import load_board

HOST = load_board("host")
PLAIN = "time,trigger,cv_1,latent/1\n0,1,0,0.5\n0.1,,-1.25,0.2\n0.2,1,2,0.7\n"
EXCEL = PLAIN.replace(",", ";").replace(".", ",").replace("\n", "\r\n")


def read(tmp_path, data: str | bytes):
    path = tmp_path / "script.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_script(path)


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        b"\xfe\xff" + PLAIN.encode("utf-16-be"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        EXCEL,
        b"\xef\xbb\xbf" + EXCEL.encode(),
        "sep=;\r\n" + EXCEL,
        'time,trigger,cv_1,latent/1\n0,1,0,"0,5"\n"0,1",,"-1,25",",2"\n"0,2",1,2,"0,70"\n',
        PLAIN.replace("-", "\N{MINUS SIGN}"),
        "# by hand\n\n" + PLAIN.replace(",", " , "),
        EXCEL.replace("\r\n", ";;\r\n").replace("latent/1;;", "latent/1"),
        PLAIN.replace("\n", "\r"),
    ],
)
def test_every_spelling_of_a_table_is_the_same_script(data, tmp_path):
    wanted, got = read(tmp_path, PLAIN), read(tmp_path, data)
    assert list(got.columns) == list(wanted.columns)
    assert got.seconds == wanted.seconds
    for name, (times, values) in wanted.columns.items():
        assert np.array_equal(got.columns[name][0], times)
        assert np.array_equal(got.columns[name][1], values)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("time,trigger,latent/1\n0,1,nan\n", "line 2, column 3: latent/1 is 'nan', which is no number"),
        ("time,cv_1\n0,1\n1,-inf\n", "line 3, column 2: cv_1 is '-inf', which is no number"),
        ("time,cv_1\n0,1e999\n", "line 2, column 2: cv_1 is '1e999', which is too large"),
        ("time,cv_1\n0,1_000\n", "line 2, column 2: cv_1 is '1_000', which is no number"),
        ("time;cv_1\n0;1.000,5\n", "line 2, column 2: cv_1 is '1.000,5', which is no number"),
        ("time;cv_1\n0;1.5\n1;1,5\n", "line 3, column 2: cv_1 is '1,5', with another decimal sign"),
        ("time;cv_1,cv_2\n0;1,5\n", "line 1: commas and semicolons part the names"),
        ("time,cv_1\n0,5,1,5\n", "4 cells under 2 columns; decimal commas need semicolons"),
        (
            "time,latent/1\n0,0.5\n1,1.5\n",
            "line 3, column 2: latent/1 is 1.5; a position lies between 0 and 1",
        ),
        (
            "time,cv_1,knob_1\n\n0,1,-0.1\n",
            "line 3, column 3: knob_1 is -0.1; a position lies between 0 and 1",
        ),
        ("time,cv_1\n0,1e30\n", "line 2, column 2: cv_1 is 1e+30; a voltage lies between -100 and 100 V"),
        ("time,trigger\n0,1\n1,33\n", "line 3, column 2: trigger takes whole numbers from 1 to 32, not 33"),
        (b"time,cv_1\n0,\0\n", "line 2, column 3: there is a zero byte"),
        (b"time,cv_1\n0,\xff\n", "line 2, column 3: this is no text in UTF-8"),
        ('time,cv_1\n0,"1\n', "is no line of a table"),
    ],
)
def test_what_has_no_one_reading_is_refused_with_its_place(data, words, tmp_path):
    with pytest.raises(Refusal) as refusal:
        signals(read(tmp_path, data), HOST, 100, {"latent/1": 0}, {})
    assert words in str(refusal.value)


def test_a_volt_beyond_the_converter_is_its_end(tmp_path):
    made = signals(read(tmp_path, "time,cv_1\n0,99\n"), HOST, 10, {}, {})
    assert made.inputs[[adc.name for adc in HOST.adcs].index("cv_1"), 0] in (0.0, 1.0)

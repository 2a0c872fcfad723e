"""From a CSV to a picture in other places of the world: locale, time zone, folders, no network, no home, python -O."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from shutil import which

import pytest
from permissions import binding

SCRIPT = """
import sys
if "no-network" in sys.argv:
    import socket
    class Refused(socket.socket):
        def __init__(self, *given, **named):
            raise OSError("the network is used")
    def refused(*given, **named):
        raise OSError("the network is used")
    socket.socket, socket.create_connection, socket.getaddrinfo = Refused, refused, refused
if "decimal-comma" in sys.argv:
    import locale
    locale.setlocale(locale.LC_ALL, "")
import hashlib, json, os, random
table, folder, picture, result = sys.argv[1:5]
from tsattn import EncoderConfig, FitConfig, Forecaster, TrainerConfig
config = FitConfig(
    horizon=4,
    model=EncoderConfig(d_model=8, dropout=0.1, head="quantile"),
    trainer=TrainerConfig(accelerator="cpu", max_steps=6, validate_every=3, warmup_steps=1),
)
forecaster = Forecaster(config=config).fit(table)
forecaster.save(folder)
loaded = Forecaster.load(folder)
forecast = loaded.predict(table)
loaded.plot(table).savefig(picture)
with open(os.path.join(folder, "model.safetensors"), "rb") as file:
    weights = hashlib.sha256(file.read()).hexdigest()
found = {
    "weights": weights,
    "forecast": forecast.to_csv(index=False),
    "verdict": str(loaded.verdict_),
    "findings": [str(finding) for finding in loaded.findings_],
}
with open(result, "w", encoding="ascii") as file:
    json.dump(found, file)
if "decimal-comma" in sys.argv and locale.localeconv()["decimal_point"] != ",":
    sys.exit("the decimal point of this process is no comma")
"""

ODD = 'Z\u00fcrich, it\'s "a" #1 % $HOME \u6771\u4eac {x} [y]'  # blanks, quotes, letters of other scripts, signs of shells
EVERYWHERE = {"PYTHONCOERCECLOCALE": "0", "LANG": "C", "LC_ALL": "C", "TZ": "Asia/Kolkata", "PYTHONHASHSEED": "1", "HOME": None}
ELSEWHERE = {"LC_ALL": "POSIX", "TZ": "America/Sao_Paulo", "PYTHONHASHSEED": "2", "HOME": "/proc/nowhere", "PYTHONUTF8": "0"}
CASES: dict[str, dict] = {  # name -> environment, options of python, whether folders have odd names, whether stdin is closed
    "locale C without UTF-8": {"env": {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}, "options": ["-X", "utf8=0"]},
    "locale POSIX": {"env": {"LC_ALL": "POSIX", "LC_NUMERIC": "POSIX"}},
    "Asia/Kolkata": {"env": {"TZ": "Asia/Kolkata"}},
    "America/Sao_Paulo": {"env": {"TZ": "America/Sao_Paulo"}},
    "python -O": {"options": ["-O"]},
    "python -OO": {"options": ["-OO"]},
    "no network": {"arguments": ["no-network"]},
    "odd names": {"odd": True},
    "no home": {"env": {"HOME": None}},
    "a home that cannot be written": {"env": {"HOME": "/proc/nowhere"}},
    "stdin closed": {"closed": True},
    "hash seed 0": {"env": {"PYTHONHASHSEED": "0"}},
    "hash seed 4242": {"env": {"PYTHONHASHSEED": "4242"}},
    "warnings are errors": {"env": {"PYTHONWARNINGS": "error"}},
    "all of the rest": {"env": ELSEWHERE, "options": ["-OO"], "odd": True, "arguments": ["no-network"]},
}


@pytest.fixture(scope="module")
def table() -> str:
    """Two series with names that are no ASCII, 70 days that cross both switches of summer time in Europe and one in Brazil."""
    import pandas as pd

    rows = []
    for name, level in (("K\u00f6ln", 30.5), ("\u6771\u4eac", 1200.25)):
        for k, day in enumerate(pd.date_range("2018-10-01", periods=70)):
            rows.append(f"{name},{day:%Y-%m-%d},{level + 7 * (k % 7) + (k * k) % 5:.2f}")
    return "\n".join(["series,day,value", *rows]) + "\n"


def places(folder, table: str) -> list[str]:
    """The arguments of the script: table, model folder, picture, result."""
    (folder / "table.csv").write_text(table, encoding="utf-8")
    return [str(folder / name) for name in ("table.csv", "model", "picture.png", "result.json")]


@pytest.fixture(scope="module")
def expected(table, tmp_path_factory) -> dict:
    """What the script finds in this process, as it is."""
    arguments, before = places(tmp_path_factory.mktemp("usual"), table), sys.argv
    sys.argv = ["script", *arguments]
    try:
        exec(compile(SCRIPT, "script", "exec"), {"__name__": "script"})
    finally:
        sys.argv = before
    with open(arguments[-1], encoding="ascii") as file:
        found = json.load(file)
    assert len(found["weights"]) == 64
    assert found["forecast"].count("\n") == 1 + 2 * 4
    return found


def run(case: dict, folder, table: str) -> dict:
    """What the script finds in a process of its own, in which folder, current folder and TMPDIR are `folder` or an odd one."""
    if case.get("odd"):
        folder = folder / ODD
        folder.mkdir()
    changed = {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1", **case.get("env", {})}
    environment = {name: value for name, value in {**os.environ, **changed}.items() if value is not None}
    arguments = places(folder, table)
    command = [sys.executable, *case.get("options", []), "-c", SCRIPT, *arguments, *case.get("arguments", [])]
    if case.get("closed"):
        command = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=300)
    assert ran.returncode == 0, ran.stderr.decode(errors="replace")[-3000:]
    assert os.path.getsize(arguments[2]) > 10_000
    with open(arguments[-1], encoding="ascii") as file:
        return json.load(file)


@pytest.mark.slow
def test_no_locale_zone_home_network_stdin_and_assert_statements_in_a_folder_with_an_odd_name(expected, table, tmp_path):
    options = ["-O", "-X", "utf8=0"]
    case = {"env": EVERYWHERE, "options": options, "odd": True, "closed": True, "arguments": ["no-network"]}
    assert run(case, tmp_path, table) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_each_of_them_alone_gives_the_same_weights_forecast_and_words(name, expected, table, tmp_path):
    assert run(CASES[name], tmp_path, table) == expected


DECIMAL_POINT = "import locale; locale.setlocale(locale.LC_ALL, ''); print(locale.localeconv()['decimal_point'])"


@pytest.fixture(scope="module")
def with_decimal_comma(tmp_path_factory) -> dict[str, str]:
    """The environment of a process that writes 1,5 for one and a half: German, built here, else what is installed."""
    folder, tried = tmp_path_factory.mktemp("locales"), []
    if which("localedef"):
        built = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"], capture_output=True)
        tried += [{"LC_ALL": "de_DE.UTF-8", "LOCPATH": str(folder)}] if built.returncode == 0 else []
    if which("locale"):
        names = subprocess.run(["locale", "-a"], capture_output=True, text=True, errors="replace").stdout.split()
        tried += [{"LC_ALL": name} for name in names if name.startswith(("de_", "fr_", "es_", "it_", "pt_", "ru_", "pl_"))]
    for environment in tried:
        command = [sys.executable, "-c", DECIMAL_POINT]
        found = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
        if found.stdout.strip() == ",":
            return environment
    pytest.skip("this machine has no locale with a decimal comma and cannot build one")


@pytest.mark.slow
def test_a_decimal_comma_in_force_changes_no_number(with_decimal_comma, expected, table, tmp_path):
    assert run({"env": with_decimal_comma, "arguments": ["decimal-comma"]}, tmp_path, table) == expected


@pytest.mark.slow
def test_a_current_folder_that_cannot_be_written_is_none_of_its_business(expected, table, tmp_path):
    current = tmp_path / "read only"
    current.mkdir()
    command = [*binding(current), sys.executable, "-c", SCRIPT]
    arguments = places(tmp_path, table)
    subprocess.run([*command, *arguments], cwd=current, check=True, capture_output=True)
    assert list(current.iterdir()) == []
    with open(arguments[-1], encoding="ascii") as file:
        assert json.load(file) == expected

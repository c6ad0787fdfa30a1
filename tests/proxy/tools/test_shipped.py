"""The shipped tools: exact, bounded, and clear about what they do not take."""

import gc
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from proxy.tools.shipped.arithmetic import calculate, parse
from proxy.tools.shipped.clock import current_time
from proxy.tools.shipped.source import ShippedSource
from proxy.tools.shipped.units import TABLE, UNITS, convert_units


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("1 + 2 * 3", "7"),
        ("0.1 + 0.2", "0.3"),
        ("(12.50 + 3) * 1.19", "18.445"),
        ("1/3", "1/3 (about 0.333333333333333)"),
        ("-1/8", "-0.125"),
        ("-2**2", "-4"),
        ("2**-2", "0.25"),
        ("2**3**2", "512"),
        ("2^10", "1024"),
        ("0**0", "1"),
        ("(-1)**1000001", "-1"),
        ("7 // 2 + 7 % 2", "4"),
        ("-7 // 2", "-4"),
        ("1e3 + 1E-3", "1000.001"),
        (".5 * 4.", "2"),
        ("sqrt(2.25)", "1.5"),
        ("round(2.6) + abs(-3)", "6"),
        ("max(1, 2) - min(3, 4)", "-1"),
        ("2**200", str(2**200)),
        ("007 + 10 * 00.5", "12"),
        ("+".join(["1"] * 500), "500"),
        ("1 -\n 2", "-1"),
        ("\uff11\u0662\u00a0/ 3", "4"),
    ],
)
def test_arithmetic_is_exact(expression: str, result: str) -> None:
    assert calculate(expression) == result


@pytest.mark.parametrize(
    ("expression", "root"),
    [
        ("sqrt(2)", "1.41421356237309504880168872420969807857"),
        ("sqrt(2e-100)", f"0.{'0' * 49}141421356237309504880168872420969807857"),
        ("sqrt(2e100)", "141421356237309504880168872420969807857" + "0" * 12),
        ("sqrt(1/3)", "0.5773502691896257645091487805019574556476"),
        ("sqrt(10**2000 + 1)", f"1{'0' * 1000}"),
    ],
)
def test_a_root_that_is_not_exact_is_rounded_to_40_digits(expression: str, root: str) -> None:
    assert calculate(expression) == root


@pytest.mark.parametrize(
    "expression",
    [
        "9**9**9",
        "9**9**9**9**9",
        "2**(10**1000)",
        "(2**6000)**6000",
        "1e9999999999",
        "1e-99999",
        "10**4000 * 10**4000",
        "(" * 600 + "1",
        "-" * 900 + "(" * 60 + "1" + ")" * 60,
        "9" * 2000,
        "2**" * 300 + "2",
    ],
)
def test_no_expression_can_hang_it(expression: str) -> None:
    began = time.monotonic()

    with pytest.raises(ValueError):
        calculate(expression)

    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "1 +",
        "1 2",
        "__import__('os')",
        "a",
        "lambda: 1",
        "1, 2",
        "sqrt 4",
        "sqrt(-1)",
        "2**0.5",
        "1..2",
        "(1",
        "min(1)",
        "max(1,000, 5)",
        "sqrt(1, 2)",
        "sqrt(4)(5)",
        "max(*1)",
        "max",
        "()",
        "(1, 2)",
        "...",
        "2 # 3",
        "0x10",
        "1_000",
        "1j",
        "True",
        "2 if 1 else 3",
        "1 < 2",
        "~1",
        "[1]",
        "'1'",
        "1;2",
        "1\\\n+2",
        "\0",
    ],
)
def test_what_is_no_arithmetic_is_refused(expression: str) -> None:
    with pytest.raises(ValueError):
        calculate(expression)


class Cycle:
    """Garbage whose end runs Python: a collection within the parser then lets another thread run."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        sum(range(10))


def test_threads_that_parse_at_once_do_not_disturb_each_other() -> None:
    text = "+".join(["1+2*(3-4)/5+sqrt(4)"] * 30)

    def parse_many(_: int) -> None:
        for _ in range(200):
            Cycle()
            parse(text)

    switch_s, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.freeze()  # what is there already need not be looked through each time
    gc.set_threshold(5)
    try:
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(parse_many, range(6)))  # raises what a thread raised
    finally:
        sys.setswitchinterval(switch_s)
        gc.set_threshold(*thresholds)


@pytest.mark.parametrize("expression", ["1/0", "1 % 0", "1 // 0", "0**-1"])
def test_division_by_zero_is_said(expression: str) -> None:
    with pytest.raises(ZeroDivisionError):
        calculate(expression)


@pytest.mark.parametrize(
    ("value", "source", "target", "result"),
    [
        (1, "mi", "km", "1.609344 km"),
        (100, "km/h", "m/s", "250/9 (about 27.7777777777778) m/s"),
        (32, "°F", "°C", "0 °C"),
        (-40, "C", "F", "-40 F"),
        (0, "C", "K", "273.15 K"),
        (1, "GiB", "MB", "1073.741824 MB"),
        ("2.5", "pounds", "kg", "1.133980925 kg"),
        (3, "feet", "inches", "36 inches"),
        (1, "kWh", "MJ", None),
        (1, "kWh", "kJ", "3600 kJ"),
        (8, "bits", "bytes", "1 bytes"),
    ],
)
def test_units_are_converted_exactly(value: float | str, source: str, target: str, result: str | None) -> None:
    if result is None:
        with pytest.raises(ValueError, match="is not known"):
            convert_units(value, source, target)
    else:
        assert convert_units(value, source, target) == result


def test_units_of_different_quantities_are_refused() -> None:
    with pytest.raises(ValueError, match="do not measure the same"):
        convert_units(1, "kg", "m")


def test_no_name_stands_for_two_units_and_every_unit_is_larger_than_nothing() -> None:
    entries = [entry.split() for line in TABLE.strip().splitlines() for entry in line.split(";")]
    names = [name for names, *_ in entries for name in names.split(",")]

    assert len(names) == len(set(names))
    assert set(UNITS) == set(names)
    assert all(factor > 0 for _, _, factor, _ in UNITS.values())


def test_the_time_is_told_in_the_zone_asked_for() -> None:
    told = current_time("Asia/Kathmandu")

    time_told = datetime.fromisoformat(told.split()[0])
    assert abs(time_told.timestamp() - time.time()) < 5
    assert "+05:45 Asia/Kathmandu (" in told


@pytest.mark.parametrize("zone", ["Nowhere/Atall", "../../etc/passwd", "", "/etc/passwd"])
def test_a_zone_that_is_none_is_said(zone: str) -> None:
    with pytest.raises(ValueError, match="there is no time zone"):
        current_time(zone)


def test_the_shipped_tools_are_described_for_the_model() -> None:
    for tool in ShippedSource().tools:
        assert tool.description
        assert all(schema.get("description") for schema in tool.parameters["properties"].values()), tool.name

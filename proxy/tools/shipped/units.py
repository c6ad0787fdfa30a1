"""Conversion between units of measure, exact where their definitions are."""

from fractions import Fraction

from proxy.tools.shipped.arithmetic import number, write

# Each kind of quantity: how much of its first unit the others are.
LENGTH = {"m": "1", "km": "1000", "cm": "0.01", "mm": "0.001", "µm": "0.000001", "nm": "0.000000001", "in": "0.0254",
          "ft": "0.3048", "yd": "0.9144", "mi": "1609.344", "nmi": "1852"}  # fmt: skip
MASS = {"kg": "1", "g": "0.001", "mg": "0.000001", "t": "1000", "lb": "0.45359237", "oz": "0.028349523125",
        "st": "6.35029318"}  # fmt: skip
TIME = {"s": "1", "ms": "0.001", "µs": "0.000001", "min": "60", "h": "3600", "d": "86400", "wk": "604800"}
VOLUME = {"l": "1", "ml": "0.001", "m3": "1000", "gal": "3.785411784", "qt": "0.946352946", "pt": "0.473176473",
          "cup": "0.2365882365", "floz": "0.0295735295625", "tbsp": "0.01478676478125",
          "tsp": "0.00492892159375", "imperialgal": "4.54609"}  # fmt: skip
AREA = {"m2": "1", "km2": "1000000", "cm2": "0.0001", "ha": "10000", "acre": "4046.8564224", "ft2": "0.09290304",
        "mi2": "2589988.110336"}  # fmt: skip
SPEED = {"m/s": "1", "km/h": "1/3.6", "mph": "0.44704", "kn": "1852/3600", "ft/s": "0.3048"}
ENERGY = {"J": "1", "kJ": "1000", "Wh": "3600", "kWh": "3600000", "cal": "4.184", "kcal": "4184",
          "BTU": "1055.05585262"}  # fmt: skip
POWER = {"W": "1", "kW": "1000", "MW": "1000000", "hp": "745.69987158227022"}
PRESSURE = {"Pa": "1", "hPa": "100", "kPa": "1000", "bar": "100000", "psi": "6894.757293168", "atm": "101325",
            "mmHg": "133.322387415"}  # fmt: skip
DATA = {"B": "1", "bit": "0.125", "kB": "1000", "MB": "1000000", "GB": "1000000000", "TB": "1000000000000",
        "KiB": "1024", "MiB": "1048576", "GiB": "1073741824", "TiB": "1099511627776"}  # fmt: skip
ANGLE_AND_TURN = {"deg": "1", "turn": "360", "arcmin": "1/60", "arcsec": "1/3600"}
QUANTITIES = (LENGTH, MASS, TIME, VOLUME, AREA, SPEED, ENERGY, POWER, PRESSURE, DATA, ANGLE_AND_TURN)

# Temperatures have zeros of their own: kelvin = value * factor + offset.
TEMPERATURE = {"K": ("1", "0"), "C": ("1", "273.15"), "F": ("5/9", "229835/900")}

OTHER_NAMES = {
    name: symbol
    for symbol, names in {
        "m": "metre meter", "km": "kilometre kilometer", "in": "inch inche", "ft": "foot feet", "yd": "yard",
        "mi": "mile", "µm": "um", "g": "gram", "kg": "kilogram", "t": "tonne", "lb": "pound", "oz": "ounce",
        "st": "stone", "s": "second", "min": "minute", "h": "hour", "d": "day", "wk": "week", "µs": "us",
        "l": "litre liter L", "ml": "mL", "gal": "gallon", "m2": "m²", "km2": "km²", "m3": "m³", "ft2": "ft²",
        "ha": "hectare", "km/h": "kph kmh", "kn": "knot", "K": "kelvin", "C": "celsius °C", "F": "fahrenheit °F",
        "B": "byte", "kB": "KB", "J": "joule", "W": "watt", "Pa": "pascal", "deg": "degree °",
    }.items()
    for name in names.split()
}  # fmt: skip


def convert_units(value: float | str, from_unit: str, to_unit: str) -> str:
    """Convert a value from one unit of measure to another, exactly where the units allow it.

    :param value: The number to convert.
    :param from_unit: The unit it is in, for example km, lb, °F, GiB, km/h, kWh or cup.
    :param to_unit: The unit wanted.
    """
    text = str(value).strip()
    amount = -number(text[1:]) if text.startswith("-") else number(text)
    source, target = unit(from_unit), unit(to_unit)
    if source in TEMPERATURE and target in TEMPERATURE:
        factor, offset = map(Fraction, TEMPERATURE[source])
        target_factor, target_offset = map(Fraction, TEMPERATURE[target])
        return f"{write((amount * factor + offset - target_offset) / target_factor)} {to_unit}"
    for quantity in QUANTITIES:
        if source in quantity and target in quantity:
            return f"{write(amount * factor_of(quantity[source]) / factor_of(quantity[target]))} {to_unit}"
    raise ValueError(f"{from_unit} and {to_unit} do not measure the same")


def unit(name: str) -> str:
    """Return the one name of a unit; raises ValueError."""
    known = {*TEMPERATURE, *(symbol for quantity in QUANTITIES for symbol in quantity)}
    for form in (name.strip(), name.strip().lower(), name.strip().lower().removesuffix("s")):
        symbol = OTHER_NAMES.get(form, form)
        if symbol in known:
            return symbol
    raise ValueError(f"the unit {name!r} is not known; known are {', '.join(sorted(known))}")


def factor_of(text: str) -> Fraction:
    """Return a factor of the tables, which may be written as a quotient."""
    over, _, under = text.partition("/")
    return Fraction(over) / Fraction(under or 1)

"""Conversion between units of measure, exact where their definitions are."""

from fractions import Fraction

from proxy.tools.shipped.arithmetic import number, write

# A line for each kind of quantity; a unit has its names, how much of the first unit it is, and where its zero lies.
TABLE = """
m,metre,meter 1; km,kilometre,kilometer 1000; cm .01; mm .001; µm,um 1e-6; nm 1e-9; in,inch,inche .0254;\
 ft,foot,feet .3048; yd,yard .9144; mi,mile 1609.344; nmi 1852
kg,kilogram 1; g,gram .001; mg 1e-6; t,tonne 1000; lb,pound .45359237; oz,ounce .028349523125; st,stone 6.35029318
s,second 1; ms .001; µs,us 1e-6; min,minute 60; h,hour 3600; d,day 86400; wk,week 604800
l,litre,liter,L 1; ml,mL .001; m3,m³ 1000; gal,gallon 3.785411784; qt .946352946; pt .473176473; cup .2365882365;\
 floz .0295735295625; tbsp .01478676478125; tsp .00492892159375; imperialgal 4.54609
m2,m² 1; km2,km² 1e6; cm2 1e-4; ha,hectare 10000; acre 4046.8564224; ft2,ft² .09290304; mi2 2589988.110336
m/s 1; km/h,kph,kmh 5/18; mph .44704; kn,knot 463/900; ft/s .3048
J,joule 1; kJ 1000; Wh 3600; kWh 3600000; cal 4.184; kcal 4184; BTU 1055.05585262
W,watt 1; kW 1000; MW 1e6; hp 745.69987158227022
Pa,pascal 1; hPa 100; kPa 1000; bar 1e5; psi 6894.757293168; atm 101325; mmHg 133.322387415
B,byte 1; bit .125; kB,KB 1e3; MB 1e6; GB 1e9; TB 1e12; KiB 1024; MiB 1048576; GiB 1073741824; TiB 1099511627776
deg,degree,° 1; turn 360; arcmin 1/60; arcsec 1/3600
K,kelvin 1; C,celsius,°C 1 273.15; F,fahrenheit,°F 5/9 45967/180
"""

# Each name's unit: its own symbol, the kind of quantity, its factor and its zero.
UNITS: dict[str, tuple[str, int, Fraction, Fraction]] = {
    name: (names.split(",")[0], kind, Fraction(factor), Fraction("".join(zero) or 0))
    for kind, line in enumerate(TABLE.strip().splitlines())
    for names, factor, *zero in map(str.split, line.split(";"))
    for name in names.split(",")
}


def convert_units(value: float | str, from_unit: str, to_unit: str) -> str:
    """Convert a value from one unit of measure to another, exactly where the units allow it.

    :param value: The number to convert.
    :param from_unit: The unit it is in, for example km, lb, °F, GiB, km/h, kWh or cup.
    :param to_unit: The unit wanted.
    """
    text = str(value).strip()
    amount = -number(text[1:]) if text.startswith("-") else number(text)
    _, kind, factor, zero = unit(from_unit)
    _, wanted_kind, wanted_factor, wanted_zero = unit(to_unit)
    if kind != wanted_kind:
        raise ValueError(f"{from_unit} and {to_unit} do not measure the same")
    return f"{write((amount * factor + zero - wanted_zero) / wanted_factor)} {to_unit}"


def unit(name: str) -> tuple[str, int, Fraction, Fraction]:
    """Return a unit by its name in any letter case or number; raises ValueError."""
    for form in (name.strip(), name.strip().lower(), name.strip().lower().removesuffix("s")):
        if form in UNITS:
            return UNITS[form]
    known = sorted({symbol for symbol, *_ in UNITS.values()})
    raise ValueError(f"the unit {name!r} is not known; known are {', '.join(known)}")

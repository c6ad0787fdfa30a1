"""Exact arithmetic on an expression that is parsed, never evaluated as code, and bounded at every step."""

import operator
import re
from collections.abc import Callable, Iterator
from decimal import Context, Decimal
from fractions import Fraction
from math import isqrt

TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[a-z]+)|(?P<sign>\*\*|//|[-+*/%^(),]))"
)
LONGEST_EXPRESSION = 1_000
LARGEST_BITS = 13_000  # numbers of about 4,000 digits; Python writes no longer ones
LARGEST_DEPTH = 50
DIGITS = 15
ROOT_DIGITS = 40
MOST_PLACES = 300

Operation = Callable[[Fraction, Fraction], Fraction]


def calculate(expression: str) -> str:
    """Calculate an arithmetic expression exactly.

    :param expression: Numbers with + - * / // % ** and parentheses; also sqrt(x), abs(x), round(x), min(a, b) and
        max(a, b). A percent sign means the remainder. An example: (12.50 + 3) * 1.19
    """
    if len(expression) > LONGEST_EXPRESSION:
        raise ValueError(f"the expression is longer than {LONGEST_EXPRESSION} characters")
    return write(Reader(expression).result())


class Reader:
    """Read an expression by precedence and work it out on the way."""

    def __init__(self, expression: str) -> None:
        self._tokens = list(split(expression))
        self._depth = 0

    def result(self) -> Fraction:
        """Return the value of the whole expression; raises ValueError."""
        value = self._sum()
        if self._tokens:
            raise ValueError(f"{self._tokens[0]!r} is not expected there")
        return value

    def _sum(self) -> Fraction:
        return self._chain(self._product, SUMS)

    def _product(self) -> Fraction:
        return self._chain(self._signed, PRODUCTS)

    def _chain(self, part: Callable[[], Fraction], operations: dict[str, Operation]) -> Fraction:
        value = part()
        while operation := operations.get(self._peek()):
            self._take()
            value = bounded(operation(value, part()))
        return value

    def _signed(self) -> Fraction:
        with_minus = False
        while self._peek() in ("-", "+"):
            with_minus ^= self._take() == "-"
        value = self._power()
        return -value if with_minus else value

    def _power(self) -> Fraction:
        base = self._atom()
        if self._peek() not in ("**", "^"):
            return base
        self._take()
        return bounded(power(base, self._deeper(self._signed)))

    def _atom(self) -> Fraction:
        word = self._take()
        if word == "(":
            return self._arguments(1)[0]
        if word in FUNCTIONS:
            self._expect("(")
            count, function = FUNCTIONS[word]
            return bounded(function(*self._arguments(count)))
        if not word[:1].isdigit() and word[:1] != ".":
            raise ValueError(f"a number is expected instead of {word or 'the end'!r}")
        return number(word)

    def _arguments(self, count: int) -> list[Fraction]:
        values = [self._deeper(self._sum)]
        while len(values) < count:
            self._expect(",")
            values.append(self._deeper(self._sum))
        self._expect(")")
        return values

    def _deeper(self, part: Callable[[], Fraction]) -> Fraction:
        self._depth += 1
        if self._depth > LARGEST_DEPTH:
            raise ValueError(f"it is nested more than {LARGEST_DEPTH} levels deep")
        value = part()
        self._depth -= 1
        return value

    def _peek(self) -> str:
        return self._tokens[0] if self._tokens else ""

    def _take(self) -> str:
        return self._tokens.pop(0) if self._tokens else ""

    def _expect(self, token: str) -> None:
        if (found := self._take()) != token:
            raise ValueError(f"{token!r} is expected instead of {found or 'the end'!r}")


def split(expression: str) -> Iterator[str]:
    """Yield the numbers, names and signs of an expression; raises ValueError."""
    text, position = expression.rstrip(), 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"{text[position:].strip()[0]!r} is not part of arithmetic")
        position = match.end()
        yield match[0].strip()


def number(text: str) -> Fraction:
    """Return the exact value of a decimal number; raises ValueError where its exponent is absurd."""
    exponent = re.search(r"[eE]([+-]?\d+)", text)
    if exponent and (len(exponent[1]) > 5 or abs(int(exponent[1])) > LARGEST_BITS // 4):
        raise ValueError("a number is too large")
    return bounded(Fraction(text))


def bounded(value: Fraction) -> Fraction:
    """Return the value, unless it has grown too large to go on with."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > LARGEST_BITS:
        raise ValueError("the result is too large")
    return value


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """Raise to a whole power, after a look at how large the result would be."""
    if exponent.denominator != 1:
        raise ValueError("only whole exponents are exact; there is sqrt for square roots")
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if (bits - 1) * abs(exponent) > LARGEST_BITS:
        raise ValueError("the result is too large")
    if base == 0 and exponent < 0:
        raise ZeroDivisionError("division by zero")
    return Fraction(base ** int(exponent))


def square_root(value: Fraction) -> Fraction:
    """Return the square root, exact where there is one, else to ROOT_DIGITS digits."""
    if value < 0:
        raise ValueError("a negative number has no square root here")
    root = Fraction(isqrt(value.numerator), isqrt(value.denominator))
    if root * root == value:
        return root
    fine = Context(prec=ROOT_DIGITS + 5)
    close = fine.sqrt(fine.divide(Decimal(value.numerator), Decimal(value.denominator)))
    return Fraction(Context(prec=ROOT_DIGITS).plus(close))


def write(value: Fraction) -> str:
    """Write a value whole where it is, as a decimal where that is exact, else as a fraction and about how much."""
    if value.denominator == 1:
        return str(value.numerator)
    places = decimal_places(value.denominator)
    if places is not None and places <= MOST_PLACES:
        digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
        return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
    try:
        return f"{value} (about {float(value):.{DIGITS}g})"
    except OverflowError:
        return str(value)


def decimal_places(denominator: int) -> int | None:
    """Return how many places a fraction with this denominator has, None where there is no end to them."""
    counts = []
    for prime in (2, 5):
        count = 0
        while denominator % prime == 0:
            denominator //= prime
            count += 1
        counts.append(count)
    return max(counts) if denominator == 1 else None


SUMS: dict[str, Operation] = {"+": operator.add, "-": operator.sub}
PRODUCTS: dict[str, Operation] = {
    "*": operator.mul,
    "/": operator.truediv,
    "//": lambda a, b: Fraction(a // b),
    "%": operator.mod,
}
FUNCTIONS: dict[str, tuple[int, Callable[..., Fraction]]] = {
    "sqrt": (1, square_root),
    "abs": (1, abs),
    "round": (1, lambda value: Fraction(round(value))),
    "min": (2, min),
    "max": (2, max),
}

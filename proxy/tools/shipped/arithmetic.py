"""Exact arithmetic, within limits: Python's grammar parses an expression, and tables say what its parts do."""

import ast
import operator
import re
from collections.abc import Callable
from contextlib import suppress
from decimal import Context, Decimal
from fractions import Fraction
from itertools import accumulate
from math import isqrt

MAX_CHARACTERS = 1_000  # bounds the time too: about 0.1 s for the worst expressions that were found
MAX_BITS = 13_000  # numbers of about 4,000 digits; Python writes no longer ones
MAX_EXPONENT = MAX_BITS // 4
MAX_DEPTH = 50
MAX_PLACES = 300
PARSE_TRIES = 20
DIGITS = 15
ROOT_DIGITS = 40

# All that an expression may hold: names of functions, exponents, digits and signs.
PARTS = re.compile(r"(?:sqrt|abs|round|min|max)(?=\s*\()|(?<=[\d.])[eE](?=[-+]?\d)|[-\d.+*/%^(),\s]")
LEADING_ZEROS = re.compile(r"(?<![\d.eE])0+(?=\d)")  # Python takes no 007


def calculate(expression: str) -> str:
    """Calculate an arithmetic expression exactly.

    :param expression: Numbers with + - * / // % ** and parentheses; also sqrt(x), abs(x), round(x), min(a, b) and
        max(a, b). A percent sign means the remainder. An example: (12.50 + 3) * 1.19
    """
    if len(expression) > MAX_CHARACTERS:
        raise ValueError(f"the expression is longer than {MAX_CHARACTERS} characters")
    if foreign := PARTS.sub("", expression):
        raise ValueError(f"{foreign[0]!r} is not part of arithmetic")
    if max(accumulate({"(": 1, ")": -1}.get(character, 0) for character in expression), default=0) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
    text = re.sub(r"\d", lambda digit: str(int(digit[0])), expression)  # those of any script
    return write(value_of(LEADING_ZEROS.sub("", " ".join(text.replace("^", "**").split()))))


def value_of(text: str) -> Fraction:
    """Return the value of an expression that holds PARTS alone, in one line; raises ValueError, ZeroDivisionError."""
    tree = parse(text)
    values: dict[ast.AST, Fraction] = {}
    function: type[ast.AST] | str
    for node in reversed(list(ast.walk(tree))):  # from the leaves to the root, without recursion
        match node:
            case ast.Constant():
                values[node] = number(text[node.col_offset : node.end_col_offset])
                continue
            case ast.UnaryOp():
                function, operands = type(node.op), [node.operand]
            case ast.BinOp():
                function, operands = type(node.op), [node.left, node.right]
            case ast.Call(func=ast.Name(id=name)):
                function, operands = name, node.args
            case ast.expr() if not isinstance(node, ast.Name):
                raise ValueError("a comma, a star or a parenthesis is not expected there")
            case _:
                continue
        try:
            values[node] = bounded(FUNCTIONS[function](*(values[operand] for operand in operands)))
        except TypeError:
            raise ValueError(f"{function} does not take {len(operands)} numbers") from None
    return values[tree]


def parse(text: str) -> ast.expr:
    """Return the tree of an expression; raises ValueError."""
    with suppress(SyntaxError, RecursionError, MemoryError):
        for _ in range(PARSE_TRIES):
            with suppress(SystemError):  # CPython 3.11 mixes up threads that parse at once (python/cpython#106905)
                return ast.parse(text, mode="eval").body
    raise ValueError("it is not a complete expression")


def number(text: str) -> Fraction:
    """Return the exact value of a decimal number; raises ValueError where its exponent is absurd."""
    exponent = text.lower().partition("e")[2]
    if exponent and abs(int(exponent)) > MAX_EXPONENT:
        raise ValueError("a number is too large")
    return bounded(Fraction(text))


def bounded(value: Fraction) -> Fraction:
    """Return the value; raises ValueError where it has grown too large to go on with."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise ValueError("the result is too large")
    return value


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """Raise to a whole power, after a look at how large the result would be."""
    if exponent.denominator != 1:
        raise ValueError("only whole exponents are exact; there is sqrt for square roots")
    if (max(base.numerator.bit_length(), base.denominator.bit_length()) - 1) * abs(exponent) > MAX_BITS:
        raise ValueError("the result is too large")
    return Fraction(base ** int(exponent))


def square_root(value: Fraction) -> Fraction:
    """Return the square root, exact where there is one, else to ROOT_DIGITS digits."""
    if value < 0:
        raise ValueError("a negative number has no square root here")
    root = Fraction(isqrt(value.numerator), isqrt(value.denominator))
    if root * root == value:
        return root
    wide = Context(prec=ROOT_DIGITS + 5)
    return Fraction(Context(prec=ROOT_DIGITS).plus(wide.sqrt(wide.divide(*map(Decimal, value.as_integer_ratio())))))


def write(value: Fraction) -> str:
    """Write a value whole where it is, as a decimal where that is exact, else as a fraction and about how much."""
    if value.denominator == 1:
        return str(value.numerator)
    if places := next((count for count in range(1, MAX_PLACES + 1) if 10**count % value.denominator == 0), 0):
        digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
        return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
    try:
        return f"{value} (about {float(value):.{DIGITS}g})"
    except OverflowError:
        return str(value)


FUNCTIONS: dict[type[ast.AST] | str, Callable[..., Fraction]] = {
    ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Add: operator.add, ast.Sub: operator.sub,
    ast.Mult: operator.mul, ast.Div: operator.truediv, ast.FloorDiv: lambda a, b: Fraction(a // b),
    ast.Mod: operator.mod, ast.Pow: power,
    "sqrt": square_root, "abs": abs, "round": lambda value: Fraction(round(value)),
    "min": lambda a, b: min(a, b), "max": lambda a, b: max(a, b),  # two: 1,000 must not pass for more
}  # fmt: skip

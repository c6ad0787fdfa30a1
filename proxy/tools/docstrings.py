"""What a function's docstring tells the model: what it does, and what each argument means."""

import inspect
from collections.abc import Callable
from typing import Any

import docstring_parser
from docstring_parser import ParseError


def read_docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Return the description and those of the arguments, from a docstring in Google's, NumPy's or Sphinx's style."""
    text = inspect.getdoc(function) or ""
    try:
        parsed = docstring_parser.parse(text)
    except ParseError:
        return text.strip(), {}
    parts = (parsed.short_description, parsed.long_description)
    arguments = {param.arg_name: " ".join((param.description or "").split()) for param in parsed.params}
    return "\n\n".join(part for part in parts if part), arguments

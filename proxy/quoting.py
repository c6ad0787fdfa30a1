"""Quote a word for the shells of Windows, as it is pasted there."""

import re

SPECIAL_TO_CMD = re.compile(r'[\^"&|<>()%!]')
# PowerShell takes each of these for the end of a text in single quotes.
SINGLE_QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")
BEFORE_QUOTE = re.compile(r'(\\*)"')
AT_END = re.compile(r"(\\+)\Z")


def for_cmd(word: str) -> str:
    """Return a word for cmd.exe and a program that reads its command line as Microsoft's C library does.

    Every quote has a caret, so that cmd never believes itself within quotes, and each caret counts.
    """
    quoted = AT_END.sub(r"\1\1", BEFORE_QUOTE.sub(r'\1\1\\"', word))
    escaped = SPECIAL_TO_CMD.sub(r"^\g<0>", f'"{quoted}"')
    return re.sub(r"\r?\n", "^\n\n", escaped)


def for_powershell(word: str) -> str:
    """Return a word for PowerShell, in which nothing is replaced."""
    return f"'{SINGLE_QUOTES.sub(lambda match: match[0] * 2, word)}'"

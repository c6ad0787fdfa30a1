"""Write and read desktop entries, as the Desktop Entry Specification 1.5 has them."""

import re
from collections.abc import Mapping, Sequence

GROUP = "[Desktop Entry]"
ESCAPES = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
SHELL = ["/bin/sh", "-c", 'exec "$0" "$@"']
WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s"]+)', re.DOTALL)
FIELD_CODE = re.compile("%[a-zA-Z]")
RESERVED = '"`$\\'  # within the quotes of Exec


def entry_text(keys: Mapping[str, str]) -> str:
    """Return the text of an entry; the value of Exec must come from `exec_value`."""
    return "".join([f"{GROUP}\n", *(f"{key}={escaped(value)}\n" for key, value in keys.items())])


def exec_value(words: Sequence[str]) -> str:
    """Return a command as the value of Exec, each word quoted.

    GLib looks for the program before it has read `%%` as `%`, so a program with a percent sign is started by sh.
    """
    if "%" in words[0]:
        words = [*SHELL, *words]
    return " ".join(quoted(word) for word in words)


def quoted(word: str) -> str:
    """Return a word in quotes, safe from the shell's letters and from field codes."""
    safe = "".join(f"\\{letter}" if letter in RESERVED else letter for letter in word)
    return f'"{safe}"'.replace("%", "%%")


def escaped(value: str) -> str:
    """Return a value as it stands in the file, on one line."""
    return "".join(ESCAPES.get(letter, letter) for letter in value)


def read_keys(text: str) -> dict[str, str]:
    """Return the keys of the entry's first group as they stand there; what is no key is passed over."""
    keys: dict[str, str] = {}
    is_inside = False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            is_inside = line == GROUP
        elif is_inside and not line.startswith("#") and "=" in line:
            key, _, value = line.partition("=")
            keys.setdefault(key.strip(), value.strip())
    return keys


def unescaped(value: str) -> str:
    """Return the value that a line of the file stands for."""
    meanings = {short: letter for letter, short in ESCAPES.items()} | {"\\s": " "}
    return re.sub(r"\\.", lambda match: meanings.get(match[0], match[0]), value)


def command_words(value: str) -> list[str]:
    """Return the words of Exec's value as it stands in the file, [] where there is no command in it."""
    words = [
        word for quoted, bare in WORD.findall(unescaped(value)) if (word := re.sub(r"\\(.)", r"\1", quoted) or bare)
    ]
    words = [word.replace("%%", "%") for word in words if not FIELD_CODE.fullmatch(word)]
    return words[3:] if words[:3] == SHELL else words

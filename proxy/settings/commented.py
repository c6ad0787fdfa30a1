"""Write the first settings file: every setting as a comment, with its meaning and default."""

import json
from textwrap import wrap
from typing import Any

from proxy.settings.model import Settings, about, variable

HEAD = """\
# Settings of the proxy. Take the "# " off a line to change it; what is saved counts from the next request on.
# Each line shows the default. Keys do not belong here: they are kept in the system's keyring.
"""
WIDTH = 100
NOT_SET = '"…"  # not set'


def commented_settings() -> str:
    """Return the text of a settings file that sets nothing."""
    rows = [row(field) for field in Settings.model_fields if not about(field).secret]
    return HEAD + "\n" + "\n".join(rows)


def row(field: str) -> str:
    """Return the lines for one setting: its meaning, its form, and an assignment, all as comments."""
    told = about(field)
    restart = " A change moves the server." if told.restart else ""
    meaning = f"{told.meaning}. Expected: {told.expects}.{restart} In the environment: {variable(field)}"
    lines = [f"## {line}" for line in wrap(meaning, WIDTH, break_on_hyphens=False, break_long_words=False)]
    return "\n".join([*lines, f"# {field} = {toml(Settings.model_fields[field].default)}", ""])


def toml(default: Any) -> str:
    """Return a default as TOML; TOML has no null, so a placeholder stands for a setting without a default."""
    if default is None:
        return NOT_SET
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, (tuple, dict)):
        return "[]" if isinstance(default, tuple) else "{}"
    return json.dumps(default)

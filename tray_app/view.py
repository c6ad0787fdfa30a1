"""How the tray looks, worked out from facts: icon, tooltip, menu lines. Pure; run on the tray's thread."""

from dataclasses import dataclass, replace
from datetime import datetime
from textwrap import wrap
from typing import Any

from proxy.flow.health import Health
from proxy.keys.upstream_key import KeyState
from proxy.logs.redaction import redact
from tray_app.menu import Line, Look

SEPARATORS = ("between-1", "between-2", "between-3", "between-4", "between-5")
ROW_LENGTH, ROWS = 60, 4  # a menu is as wide as its widest line, and none breaks a line by itself


@dataclass(frozen=True)
class Facts:
    """What the tray shows; read anew for each look."""

    title: str
    version: str
    base_url: str | None  # where the server listens, None while it does not
    start_problem: str | None  # why it does not listen though it should
    key: KeyState
    needs_no_key: bool  # callers bring theirs, or the keyring has not answered yet
    health: Health
    is_working: bool
    upstream: str
    tools_on: bool
    tools_fixed_by: str | None  # what fixes the switch: the environment or the command line
    key_required: bool
    key_required_fixed_by: str | None
    asking_tools: tuple[str, ...]  # the tools that wait for the user to let them run
    trouble: str | None  # why the last click did not do what it says
    settings_problem: str | None  # what is wrong with the settings file
    settings_known: bool  # the last good ones are in force all the same; where they are not known, nothing is relayed
    log_problem: str | None  # why nothing is written to the log
    other_port: int | None  # a free port to offer while the configured one is taken


def look(facts: Facts) -> Look:
    """Return the tray's look. Some of what it shows others have written: secrets are taken out here, once for all."""
    safe: dict[str, Any] = {name: redact(value) for name, value in vars(facts).items() if isinstance(value, str)}
    facts = replace(facts, **safe)
    status = status_text(facts)
    return Look(
        icon=icon_state(facts),
        title=facts.title,
        lines=tuple(menu_lines(facts, status)),
        attention=icon_state(facts) in ("attention", "error"),
        status=status,
    )


def status_text(facts: Facts) -> str:
    """Say in a line what is going on: the gravest thing first."""
    if facts.start_problem:
        return facts.start_problem
    if facts.base_url is None:
        return "Stopped"
    if not facts.settings_known:
        return "Nothing is relayed: the settings file is wrong"
    if facts.health.kind == "key refused":
        return "Upstream refuses the key"
    if lacks_key(facts):
        return "No upstream key"
    if facts.health.kind == "rate limited" and facts.health.until is not None:
        until = datetime.fromtimestamp(facts.health.until).astimezone()
        return f"Rate limited until {until:%H:%M}"
    if facts.health.kind != "healthy":
        return f"Upstream {facts.health.kind}"
    return f"Running on {facts.base_url}"


def icon_state(facts: Facts) -> str:
    """Return the icon's state."""
    if facts.start_problem:
        return "error"
    if facts.base_url is None:
        return "stopped"
    if not facts.settings_known or lacks_key(facts) or facts.health.kind in ("key refused", "unsafe"):
        return "error"
    if facts.asking_tools or facts.health.kind != "healthy" or facts.settings_problem or facts.log_problem:
        return "attention"
    return "working" if facts.is_working else "running"


def lacks_key(facts: Facts) -> bool:
    """Tell whether requests will fail for want of a key."""
    return facts.key.key is None and not facts.needs_no_key


def menu_lines(facts: Facts, status: str) -> list[Line]:
    """Return the menu, from the top."""
    first, second, third, fourth, fifth = (Line(key, kind="separator") for key in SEPARATORS)
    return [
        *rows("status", status),
        *notes(facts),
        *([Line("question", question_label(facts.asking_tools))] if facts.asking_tools else []),
        *([Line("other-port", f"Use port {facts.other_port} instead")] if facts.other_port else []),
        first,
        Line("server", "Server on", "check", checked=facts.base_url is not None),
        switch("tools", "Run tools", facts.tools_fixed_by, on=facts.tools_on),
        switch("require-key", "Require a proxy key", facts.key_required_fixed_by, on=facts.key_required),
        second,
        Line("copy-url", "Copy base URL"),
        Line("copy-key", "Copy proxy key"),
        Line("copy-curl", "Copy as curl"),
        third,
        Line("set-key", "Set upstream key…"),
        Line("view-logs", "View logs"),
        Line("log-folder", "Open log folder"),
        Line("dashboard", "Dashboard…", is_default=True),
        Line("settings-file", "Settings file"),
        fourth,
        Line("upstream", "Upstream", "submenu", children=(Line("upstream-url", facts.upstream, enabled=False),)),
        Line("help", "Help", "submenu", children=help_lines(facts)),
        fifth,
        Line("quit", "Quit"),
    ]


def notes(facts: Facts) -> list[Line]:
    """Return the lines that tell what is wrong besides."""
    found = {
        "note-keyring": facts.key.problem and facts.key.problem.title,
        "note-settings": facts.settings_problem and settings_note(facts),
        "note-log": facts.log_problem and f"No log is written: {facts.log_problem}",
        "trouble": facts.trouble,
    }
    return [row for key, text in found.items() if text for row in rows(key, text)]


def settings_note(facts: Facts) -> str:
    """Say what is wrong with the settings file, and what holds meanwhile."""
    meanwhile = ", the last good one holds" if facts.settings_known else ""
    return f"Settings file wrong{meanwhile}: {facts.settings_problem}"


def question_label(asking_tools: tuple[str, ...]) -> str:
    """Say which tool asks to run, and that others do."""
    others = len(asking_tools) - 1
    return f"A tool asks to run: {asking_tools[0]}…" + (f" and {others} more" if others else "")


def switch(key: str, label: str, fixed_by: str | None, *, on: bool) -> Line:
    """Return a switch, greyed with the reason where it is fixed elsewhere."""
    shown = f"{label} (fixed by the {fixed_by})" if fixed_by else label
    return Line(key, shown, "check", checked=on, enabled=fixed_by is None)


def help_lines(facts: Facts) -> tuple[Line, ...]:
    """Return what stands under Help."""
    return (
        Line("documentation", "Documentation"),
        Line("doctor", "Doctor"),
        Line("about", f"{facts.title} {facts.version}", enabled=False),
    )


def rows(key: str, text: str) -> list[Line]:
    """Return a text as lines that fit a menu; the first has the key as it is."""
    parts = wrap(text, ROW_LENGTH, max_lines=ROWS, placeholder="…", break_on_hyphens=False)
    return [Line(key if row == 1 else f"{key}-{row}", part, enabled=False) for row, part in enumerate(parts, 1)]

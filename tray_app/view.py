"""Work out how the tray looks: icon, tooltip, menu lines. Pure functions; they run on the tray's thread."""

import sys
from dataclasses import replace
from datetime import datetime
from textwrap import wrap
from typing import Any

from proxy.errors.keyring import KeyringLocked
from proxy.logs.redaction import redact
from tray_app.menu import Line, Look
from tray_app.tray_state import TrayState, UpstreamChoice

SEPARATORS = ("between-1", "between-2", "between-3", "between-4", "between-5")
USE_UPSTREAM = "use-upstream "  # and the name
ADD_UPSTREAM = "add-upstream "  # and the base URL
TURN_TOOL = "turn-tool "  # the same
MAX_TOOL_LINES = 30
MAX_ROW_LENGTH, MAX_ROWS = 60, 4  # a menu is as wide as its longest line, and wraps none


def look(state: TrayState) -> Look:
    """Return the tray's look. Secrets are removed here, in one place: some of the texts come from others."""
    safe: dict[str, Any] = {name: redact(value) for name, value in vars(state).items() if isinstance(value, str)}
    state = replace(state, **safe)
    status = status_text(state)
    return Look(
        icon=icon_state(state),
        title=state.title,
        lines=tuple(menu_lines(state, status)),
        attention=icon_state(state) in ("attention", "error"),
        status=status,
    )


def status_text(state: TrayState) -> str:
    """Return the status in one line: the most serious problem first."""
    if state.start_problem:
        return state.start_problem
    if state.base_url is None:
        return "Stopped"
    if not state.settings_known:
        return "Nothing is relayed: the settings file is wrong"
    several = len(state.upstreams) > 1
    whose = f"Upstream {chosen_upstream(state)}" if several else "Upstream"
    if state.health.kind == "key refused":
        return f"{whose} refuses the key"
    if lacks_key(state):
        return "No provider key" + (f" for {chosen_upstream(state)}" if several else "")
    if state.health.kind == "rate limited" and state.health.until is not None:
        until = datetime.fromtimestamp(state.health.until).astimezone()
        return f"Rate limited until {until:%H:%M}" + (f", by {chosen_upstream(state)}" if several else "")
    if state.health.kind != "healthy":
        return f"{whose} {state.health.kind}"
    return f"Running on {state.base_url}" + (f", via {chosen_upstream(state)}" if several else "")


def chosen_upstream(state: TrayState) -> str:
    """Return the name of the upstream that is chosen."""
    return next((choice.name for choice in state.upstreams if choice.is_chosen), "")


def icon_state(state: TrayState) -> str:
    """Return the name of the icon."""
    if state.start_problem:
        return "error"
    if state.base_url is None:
        return "stopped"
    if not state.settings_known or state.health.kind in ("key refused", "unsafe"):
        return "error"
    if (
        lacks_key(state)
        or state.pending_tools
        or state.health.kind != "healthy"
        or state.settings_problem
        or state.log_problem
    ):
        return "attention"
    return "working" if state.is_working else "running"


def lacks_key(state: TrayState) -> bool:
    """Return whether requests will fail because there is no key."""
    return state.key.key is None and not state.needs_no_key


def is_keyring_locked(state: TrayState) -> bool:
    """Return whether the key cannot be read because nobody has unlocked the keyring."""
    return isinstance(state.key.problem, KeyringLocked)


def menu_lines(state: TrayState, status: str) -> list[Line]:
    """Return the lines of the menu, from the top."""
    first, second, third, fourth, fifth = (Line(key, kind="separator") for key in SEPARATORS)
    return [
        *rows("status", status),
        *([Line("today", state.today, enabled=False)] if state.today else []),
        *notes(state),
        *([Line("newer-version", f"Version {state.newer_version} is available…")] if state.newer_version else []),
        *([Line("question", approval_label(state.pending_tools))] if state.pending_tools else []),
        *([Line("other-port", f"Use port {state.other_port} instead")] if state.other_port else []),
        first,
        Line("server", "Server on", "check", checked=state.base_url is not None),
        switch("tools", "Let the model use tools", state.tools_fixed_by, on=state.tools_on),
        *([tools_menu(state)] if state.tools_on and state.tools else []),
        switch("require-key", "Require a proxy key", state.key_required_fixed_by, on=state.key_required),
        *(
            []
            if state.capture_paused is None
            else [Line("pause-capture", "Pause capture", "check", checked=state.capture_paused)]
        ),
        second,
        Line("copy-url", "Copy base URL"),
        Line("copy-key", "Copy proxy key"),
        Line("copy-curl", "Copy as curl"),
        *([Line("copy-powershell", "Copy for PowerShell")] if sys.platform == "win32" else []),
        third,
        *([Line("unlock-keyring", "Unlock keyring…")] if is_keyring_locked(state) else []),
        Line("set-key", "Set provider key…"),
        Line("view-logs", "View logs"),
        Line("log-folder", "Open log folder"),
        Line("dashboard", "Dashboard…", is_default=True),
        Line("settings-file", "Settings file"),
        Line("autostart", login_label(state), "check", checked=state.starts_at_login),
        *([] if state.is_in_applications else [Line("add-launcher", "Add to applications menu")]),
        fourth,
        upstream_menu(state),
        Line("help", "Help", "submenu", children=help_lines(state)),
        fifth,
        Line("quit", "Quit"),
    ]


def tools_menu(state: TrayState) -> Line:
    """Return the submenu of tools: a switch for each, and what they add to each request."""
    fixed = f" (fixed by the {state.tool_off_fixed_by})" if state.tool_off_fixed_by else ""
    shown = state.tools[:MAX_TOOL_LINES]
    lines = [
        Line(TURN_TOOL + tool.name, tool.name + fixed, "check", checked=tool.is_on, enabled=not fixed) for tool in shown
    ]
    if len(state.tools) > len(shown):
        lines.append(
            Line("more-tools", f"{len(state.tools) - len(shown)} more: see TOOL_OFF in the settings", enabled=False)
        )
    cost = (Line("between-tools", kind="separator"), *rows("tools-cost", state.tools_cost)) if state.tools_cost else ()
    children = (*lines, *cost)
    count = sum(tool.is_on for tool in state.tools)
    return Line("tools-menu", f"Tools: {count} of {len(state.tools)} on", "submenu", children=children)


def upstream_menu(state: TrayState) -> Line:
    """Return the submenu of upstreams: which one is chosen, and the state of each."""
    address = Line("upstream-url", state.upstream, enabled=False)
    if len(state.upstreams) < 2:
        alone = (address, found_menu(state), Line("manage-upstreams", "Manage…"))
        return Line("upstream", "Upstream", "submenu", children=alone)
    fixed = f" (fixed by the {state.upstream_fixed_by})" if state.upstream_fixed_by else ""
    choices = tuple(
        Line(
            USE_UPSTREAM + choice.name,
            choice_label(choice) + (fixed if choice.is_chosen else ""),
            "radio",
            checked=choice.is_chosen,
            enabled=not fixed,
        )
        for choice in state.upstreams
    )
    separator = Line("between-upstreams", kind="separator")
    children = (*choices, separator, address, found_menu(state), Line("manage-upstreams", "Manage…"))
    return Line("upstream", f"Upstream: {redact(chosen_upstream(state))}", "submenu", children=children)


def found_menu(state: TrayState) -> Line:
    """Return the submenu of model servers on this computer: look for them, and add one."""
    look_again = Line("find-upstreams", "Look for them" if state.found_here is None else "Look again")
    found = state.found_here or ()
    adding = tuple(Line(ADD_UPSTREAM + each.base_url, f"Add {each.title}, {each.base_url}") for each in found)
    nothing = (Line("found-none", "Nothing found", enabled=False),) if state.found_here == () else ()
    return Line("found-here", "Found here", "submenu", children=(*adding, *nothing, look_again))


def choice_label(choice: UpstreamChoice) -> str:
    """Return an upstream's name and state as one line that fits a menu."""
    text = redact(choice.name + (f": {choice.state}" if choice.state else ""))
    return text if len(text) <= MAX_ROW_LENGTH else f"{text[: MAX_ROW_LENGTH - 1]}…"


def notes(state: TrayState) -> list[Line]:
    """Return the lines for the other problems."""
    found = {
        "note-keyring": state.key.problem and state.key.problem.title,
        "note-settings": state.settings_problem and settings_note(state),
        "note-log": state.log_problem and f"The log cannot be written: {state.log_problem}",
        "note-click": state.click_problem,
    }
    lines = [row for key, text in found.items() if text for row in rows(key, text)]
    if state.has_stored_key and state.health.kind == "key refused":
        lines += rows("note-key", "The refused key is OPENAI_API_KEY's; another one is stored")
        lines.append(Line("use-stored-key", "Use the stored key"))
    return lines


def settings_note(state: TrayState) -> str:
    """Say what is wrong with the settings file, and which settings are in force."""
    meanwhile = ", last good settings in force" if state.settings_known else ""
    return f"Settings file error{meanwhile}: {state.settings_problem}"


def approval_label(pending_tools: tuple[str, ...]) -> str:
    """Say which tool waits for approval, and how many others do."""
    others = len(pending_tools) - 1
    return f"A tool asks to run: {pending_tools[0]}…" + (f" and {others} more" if others else "")


def login_label(state: TrayState) -> str:
    """Return the label of the start at login; it says if the switch has no effect."""
    return "Start at login" + (f" ({state.login_problem})" if state.login_problem else "")


def switch(key: str, label: str, fixed_by: str | None, *, on: bool) -> Line:
    """Return a check line; it is disabled and names the reason if the setting is fixed elsewhere."""
    shown = f"{label} (fixed by the {fixed_by})" if fixed_by else label
    return Line(key, shown, "check", checked=on, enabled=fixed_by is None)


def help_lines(state: TrayState) -> tuple[Line, ...]:
    """Return the lines of the submenu Help."""
    return (
        Line("documentation", "Documentation"),
        Line("doctor", "Doctor"),
        Line("about", f"{state.title} {state.version}", enabled=False),
    )


def rows(key: str, text: str) -> list[Line]:
    """Return a text as disabled lines that fit a menu; the first has the plain key, the others a numbered one."""
    parts = wrap(text, MAX_ROW_LENGTH, max_lines=MAX_ROWS, placeholder="…", break_on_hyphens=False)
    return [Line(key if row == 1 else f"{key}-{row}", part, enabled=False) for row, part in enumerate(parts, 1)]

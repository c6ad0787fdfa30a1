"""Check the program: running copies, settings in force, the tray icon, settings file, environment, tools."""

import json
from typing import Any
from urllib.parse import urlsplit

import psutil

from proxy import paths, running
from proxy.command import command
from proxy.doctor.finding import Check, Examination, Finding
from proxy.identity import __version__
from proxy.running import InstanceInfo
from proxy.server.ports import other_at_localhost
from proxy.settings.model import Settings, about, shown, variable
from proxy.settings.store import SettingsStore

TOOLS_LIMIT_S = 60.0  # MCP servers may be fetched at their first start
TITLE = "Running proxy"


def check_running(examination: Examination) -> Finding:
    """Check that a proxy of this user runs, answers, and listens where the settings say."""
    instances = running.found(paths.runtime_dir())
    if not instances:
        return Finding(TITLE, is_good=True, detail=f"none; `{command('serve')}` starts one")
    wanted = examination.parts.store.current.proxy_port
    told = [words_of(each, wanted) for each in instances]
    return Finding(TITLE, all(is_good for is_good, _ in told), "; ".join(words for _, words in told))


def words_of(instance: InstanceInfo, wanted: int) -> tuple[bool, str]:
    """Return whether a running proxy is healthy, and its state in words."""
    name = f"process {instance.pid} at port {instance.port}"
    if not psutil.pid_exists(instance.pid):
        return True, f"{name} was killed"
    elsewhere = f", the settings want port {wanted}" if wanted not in (0, instance.port) else ""
    report = ask_report(instance)
    if report is not None:
        version = str(report.get("version"))
        other = (
            "" if version == __version__ else f"; this program is {__version__}: start with --replace to run that one"
        )
        return not other, f"process {instance.pid} answers at port {instance.port}, version {version}{elsewhere}{other}"
    if running.ask(instance, "link") is None:
        return False, f"{name} does not answer: start with --replace to end it"
    return False, f"process {instance.pid} answers at port {instance.port}{elsewhere}; it is of another version"


def ask_report(instance: InstanceInfo) -> dict[str, Any] | None:
    """Return a running proxy's report, None if it gives none."""
    text = running.ask(instance, "report")
    try:
        report = json.loads(text) if text is not None else None
    except ValueError:
        return None
    return report if isinstance(report, dict) else None


def living_reports() -> list[tuple[InstanceInfo, dict[str, Any]]]:
    """Return the reports of the running proxies that give one."""
    return [(each, report) for each in running.found(paths.runtime_dir()) if (report := ask_report(each)) is not None]


def check_localhost(_: Examination) -> Finding:
    """Check whether another program answers tools that use the name localhost."""
    found = [
        other_at_localhost(urlsplit(each.url).hostname or "", each.port or 0, each.pid)
        for each in running.found(paths.runtime_dir())
        if psutil.pid_exists(each.pid)
    ]
    told = [sentence for sentence in found if sentence]
    return Finding("localhost", not told, "; ".join(told) or "nobody else listens there")


def check_in_force(examination: Examination) -> Finding:
    """Compare the settings a running proxy has in force with those the file holds now."""
    title = "Settings in force"
    store = examination.parts.store
    reports = living_reports()
    if not reports:
        return Finding(title, is_good=True, detail="not compared: no proxy runs")
    read = store.read_anew()
    told, is_good = [], True
    for instance, report in reports:
        wrong, chosen = differences(report, read)
        if report.get("file") != str(store.path):
            wrong, chosen = [f"it follows another settings file, {report.get('file')}"], []
        if report.get("warning"):
            wrong = [str(report["warning"])]
        is_good = is_good and not wrong
        if wrong or chosen:
            told.append(f"process {instance.pid}: {'; '.join((*wrong, *chosen))}")
    if told and is_good:
        told.insert(0, "as the settings file says, but for what was chosen when it was started:")
    return Finding(title, is_good, " ".join(told) or "as the settings file and the environment say")


def differences(report: dict[str, Any], read: SettingsStore) -> tuple[list[str], list[str]]:
    """Return where a running proxy has other settings than a new one would have, and what its command line chose.

    Where an environment makes the difference, the other checks look at other settings than those in force.
    """
    held = report.get("settings")
    wrong, chosen, defaults = [], [], Settings.model_construct()
    for field in Settings.model_fields:
        if about(field).secret or not isinstance(held, dict):
            continue
        wanted, source = shown(field, read.current), read.origin(field)
        has, origin = held.get(field) or (shown(field, defaults), "default")
        if has == wanted:
            continue
        name = variable(field)
        if origin == "command line":
            chosen.append(f"{name} is {has} (command line)")
        elif "environment" in (origin, source):
            whose = "its environment" if origin == "environment" else "its settings"
            wrong.append(f"{name} is {has} by {whose}, but {wanted} here ({source}): start both in the same way")
        else:
            wrong.append(f"{name} is {has}, but {wanted} in the file: it is not in force yet")
    return wrong, chosen


def check_tray(_: Examination) -> Finding:
    """Check which tray the running tray program found, and whether a panel shows its icon."""
    title = "Tray icon"
    trays = [report["tray"] for _, report in living_reports() if isinstance(report.get("tray"), dict)]
    if not trays:
        return Finding(title, is_good=True, detail="no tray program runs")
    tray = trays[0]
    backend, reason = tray.get("backend"), tray.get("reason")
    if tray.get("is_shown"):
        return Finding(title, is_good=True, detail=f"shown ({backend}: {reason})")
    is_wanted = not tray.get("is_off")
    return Finding(title, is_good=not is_wanted, detail=f"not shown ({backend}): {reason}")


def check_settings(examination: Examination) -> Finding:
    """Check the settings file."""
    store = examination.parts.store
    if store.warning is not None:
        return Finding("Settings file", is_good=False, detail=store.warning)
    return Finding("Settings file", is_good=True, detail=str(store.path) if store.path.exists() else "none; defaults")


def check_environment(examination: Examination) -> Finding:
    """Check for environment variables that are ignored."""
    passed_over = examination.parts.store.passed_over
    if homeless := paths.missing_home():
        return Finding("Environment", is_good=False, detail=f"{homeless}.")
    return Finding(
        "Environment", is_good=True, detail=" ".join(f"{sentence}." for sentence in passed_over) or "nothing odd"
    )


def check_tools(examination: Examination) -> Finding:
    """Check that the tools load and their servers start, if tools are on."""
    parts = examination.parts
    if not parts.store.current.enable_tool_execution:
        return Finding("Tools", is_good=True, detail="off")
    count, problems = parts.tools.examine()
    return Finding("Tools", is_good=not problems, detail=" ".join(problems) or f"{count} ready")


def check_habits(examination: Examination) -> Finding:
    """Report what was learned about upstreams that changes their requests, or when their answers are complete."""
    learned = "; ".join(examination.parts.learned.described_habits())
    return Finding("Learned about upstreams", is_good=True, detail=learned or "nothing unusual")


def check_learned(examination: Examination) -> Finding:
    """Report the parameters that are left out for models."""
    learned = examination.parts.learned.described_repairs()
    forgetting = f"; `{command('upstream forget-repairs')}` forgets them" if learned else ""
    return Finding("Learned about models", is_good=True, detail=("; ".join(learned) or "nothing") + forgetting)


CHECKS = (
    Check(TITLE, check_running),
    Check("localhost", check_localhost),
    Check("Settings in force", check_in_force),
    Check("Tray icon", check_tray),
    Check("Settings file", check_settings),
    Check("Environment", check_environment),
)
TOOL_CHECKS = (
    Check("Tools", check_tools, TOOLS_LIMIT_S),
    Check("Learned about upstreams", check_habits),
    Check("Learned about models", check_learned),
)

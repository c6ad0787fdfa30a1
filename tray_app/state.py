"""Read the state of the program for the tray; on the tray's thread, without blocking."""

from collections.abc import Iterable

from proxy.identity import TITLE, __version__
from proxy.install import applications, autostart
from proxy.keys.upstream_keys import is_keyless
from proxy.settings.model import Settings
from proxy.tools.switches import EVERYBODY, Cost, Switches, off_for
from proxy.usage.spending import today_words
from tray_app.controller import ProxyController
from tray_app.tray_state import FoundHere, ToolChoice, TrayState, UpstreamChoice


def read_state(
    controller: ProxyController, click_problem: str | None, log_problem: str | None, *, is_working: bool
) -> TrayState:
    """Return the current state."""
    services = controller.services
    store, settings = services.store, services.store.current
    chosen = settings.chosen_upstream
    held = services.upstream_keys.of(chosen)
    key = held.state
    login = autostart.status()
    today = services.spending.today()
    return TrayState(
        title=TITLE,
        version=__version__,
        base_url=controller.base_url,
        start_problem=controller.problem,
        key=key,
        # Until the keyring has been read, the key is not known to be missing.
        needs_no_key=settings.proxy_forward_auth_header or not held.loaded.is_set() or is_keyless(chosen, key),
        health=services.health.current,
        is_working=is_working,
        has_stored_key=held.has_another,
        upstream=chosen.base_url,
        upstreams=tuple(
            UpstreamChoice(each.name, each is chosen, str(services.state_of(each))) for each in settings.upstreams
        ),
        found_here=still_to_add(controller, settings),
        upstream_fixed_by=store.fixed_by("proxy_upstream"),
        tools_on=settings.enable_tool_execution,
        tools_fixed_by=store.fixed_by("enable_tool_execution"),
        key_required=settings.proxy_require_api_key,
        key_required_fixed_by=store.fixed_by("proxy_require_api_key"),
        tools=tool_choices(services.tools.known(), settings.tool_off) if settings.enable_tool_execution else (),
        tools_cost=cost_words(services.tools.known_cost()) if settings.enable_tool_execution else "",
        tool_off_fixed_by=store.fixed_by("tool_off"),
        pending_tools=tuple(question.tool for question in services.tools.consent.questions),
        click_problem=click_problem,
        settings_problem=store.problem and services.hide(store.problem.replace(str(store.path), store.path.name)),
        settings_known=store.is_known,
        log_problem=log_problem,
        other_port=controller.other_port,
        starts_at_login=login.is_on,
        login_problem=login.problem,
        newer_version=services.updates.available,
        is_in_applications=applications.is_added(),
        today=today_words(today) if today.requests else "",
        capture_paused=services.capture.is_paused if settings.proxy_capture else None,
    )


def still_to_add(controller: ProxyController, settings: Settings) -> tuple[FoundHere, ...] | None:
    """Return the found model servers that are no upstream yet; None if nobody has looked."""
    known = {upstream.base_url for upstream in settings.upstreams}
    found = controller.found_here
    return None if found is None else tuple(each for each in found if each.base_url not in known)


def tool_choices(names: Iterable[str], off: Switches) -> tuple[ToolChoice, ...]:
    """Return the tools that are loaded, with their switches."""
    return tuple(ToolChoice(name, EVERYBODY not in off_for(off, name)) for name in names)


def cost_words(cost: Cost) -> str:
    """Return in words what tools add to each request."""
    return f"They add {cost.size_bytes / 1000:.1f} kB (about {cost.tokens} tokens) to each request"

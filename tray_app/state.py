"""Read the state of the program for the tray; on the tray's thread, without blocking."""

from proxy.errors.keyring import KeyringAbsent
from proxy.identity import TITLE, __version__
from proxy.install import applications, autostart
from proxy.keys.upstream_key import KeyState, Secrets
from proxy.settings.upstreams import Upstream
from tray_app.controller import ProxyController
from tray_app.view import TrayState, UpstreamChoice


def read_state(
    controller: ProxyController, click_problem: str | None, log_problem: str | None, *, is_working: bool
) -> TrayState:
    """Return the current state."""
    services = controller.services
    store, settings = services.store, services.store.current
    chosen = settings.chosen_upstream
    keys, cooldown = services.upstream_keys, services.router.cooldown
    held = keys.of(chosen)
    key = held.state
    login = autostart.status()
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
            choice(each, keys.of(each), cooldown.resting_s(each.name), is_chosen=each is chosen)
            for each in settings.upstreams
        ),
        upstream_fixed_by=store.fixed_by("proxy_upstream"),
        tools_on=settings.enable_tool_execution,
        tools_fixed_by=store.fixed_by("enable_tool_execution"),
        key_required=settings.proxy_require_api_key,
        key_required_fixed_by=store.fixed_by("proxy_require_api_key"),
        pending_tools=tuple(question.tool for question in services.tools.consent.questions),
        click_problem=click_problem,
        settings_problem=store.problem and services.hide(store.problem.replace(str(store.path), store.path.name)),
        settings_known=store.is_known,
        log_problem=log_problem,
        other_port=controller.other_port,
        starts_at_login=login.is_on,
        login_problem=login.problem,
        is_in_applications=applications.is_added(),
    )


def choice(upstream: Upstream, held: Secrets, rests_s: float, *, is_chosen: bool) -> UpstreamChoice:
    """Return an upstream as the menu offers it."""
    lacks_key = held.loaded.is_set() and held.state.key is None and not is_keyless(upstream, held.state)
    state = "no key" if lacks_key else f"cooling down for {rests_s:.0f} s" if rests_s else ""
    return UpstreamChoice(upstream.name, is_chosen, state)


def is_keyless(upstream: Upstream, key: KeyState) -> bool:
    """Tell whether an upstream is asked without a key; not while its key may be in the keyring."""
    has_looked = key.problem is None or isinstance(key.problem, KeyringAbsent)
    return upstream.auth == "none" or (upstream.is_local and has_looked)

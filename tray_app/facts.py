"""What the tray shows, read from the parts of the program; on the tray's thread, without blocking."""

from proxy.identity import TITLE, __version__
from tray_app.hosted import HostedProxy
from tray_app.view import Facts


def read_facts(hosted: HostedProxy, trouble: str | None, log_problem: str | None, *, is_working: bool) -> Facts:
    """Return how things are now."""
    services = hosted.services
    store, settings = services.store, services.store.current
    return Facts(
        title=TITLE,
        version=__version__,
        base_url=hosted.base_url,
        start_problem=hosted.problem,
        key=services.secrets.state,
        # As long as the keyring has not answered nobody can say that there is no key.
        needs_no_key=settings.proxy_forward_auth_header or not services.secrets.loaded.is_set(),
        health=services.health.current,
        is_working=is_working,
        upstream=settings.openai_base_url,
        tools_on=settings.enable_tool_execution,
        tools_fixed_by=store.fixed_by("enable_tool_execution"),
        key_required=settings.proxy_require_api_key,
        key_required_fixed_by=store.fixed_by("proxy_require_api_key"),
        asking_tools=tuple(question.tool for question in services.tools.consent.questions),
        trouble=trouble,
        settings_problem=store.problem and services.hide(store.problem.replace(str(store.path), store.path.name)),
        settings_known=store.is_known,
        log_problem=log_problem,
        other_port=hosted.other_port,
    )

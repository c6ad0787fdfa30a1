"""The Flask app: routes as a table of contents."""

from flask import Flask

from proxy.identity import APP_ID
from proxy.logs.log import recent_lines
from proxy.services import Services, assemble
from proxy.web import again, api, errors, guard, health, metrics
from proxy.web.addresses import OneAddress
from proxy.web.ui import blueprint as ui
from proxy.web.ui.dashboard import Dashboard, PageParts, RequestParts


def create_app(services: Services | None = None, dashboard: Dashboard | None = None) -> Flask:
    """Return the app; without services (`gunicorn 'proxy.web.app:create_app()'`) it assembles its own.

    Raises SettingError.
    """
    app = Flask(APP_ID, static_folder=None, template_folder=None)
    if services is None:
        services = assemble()
        services.load_keys()
        app.before_request(services.settings_follower.start)  # with the first one: a server that forks does so before
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # the addresses are set right before routing
    access = guard.Access(
        services.store,
        services.proxy_keys,
        services.keys,
        services.refused_origins,
        greets_browsers=dashboard is not None,
    )
    guard.install(app, access)
    errors.install(app, services.hide, services.observers)
    app.jinja_env.finalize = lambda value: services.hide(value) if type(value) is str else value  # not of Markup
    app.register_blueprint(health.blueprint())
    app.register_blueprint(metrics.blueprint(watched(services)))
    app.register_blueprint(api.blueprint(services.pipelines, services.observers, services.store))
    if dashboard is not None:
        services.capture.follow(services.observers)
        parts = PageParts(
            store=services.store,
            secrets=services.secrets,
            health=services.health,
            consent=services.tools.consent,
            refused_origins=services.refused_origins,
            allow_origin=services.allow_origin,
            try_key=services.try_key,
            recent_log=recent_lines,
            upstream_keys=services.upstream_keys,
            try_upstream=services.try_upstream,
            try_out=services.try_out,
            find_local=services.find_local,
            state_of=services.state_of,
            learned=services.learned.described_repairs,
            forget_learned=services.learned.forget_repairs,
            tools=services.tools,
            ledger_file=services.ledger.file,
            requests=RequestParts(
                capture=services.capture,
                prices=lambda: services.store.current.proxy_prices,
                hide=services.hide,
                ledger_file=services.ledger.file,
                spending=services.spending,
                kept=services.kept,
                send_again=again.sender(services.pipelines, services.observers, services.store),
            ),
            proxy_keys=services.proxy_keys,
            chat=again.chatter(services.pipelines, services.observers, services.store),
            drills=services.drills,
            newer_version=lambda: services.updates.available,
        )
        app.register_blueprint(ui.blueprint(parts, dashboard))
    app.wsgi_app = OneAddress(app.wsgi_app)  # type: ignore[method-assign]  # Flask's documented way to wrap it
    return app


def watched(services: Services) -> metrics.Watched:
    """Return the sources of `/metrics`."""
    return metrics.Watched(
        metrics=services.metrics,
        settle=services.ledger.settle,
        running=lambda: services.observers.running,
        down=services.health.down,
        held_bytes=lambda: services.capture.held_bytes,
        standings=services.spending.all_standings,
        hide=services.hide,
    )

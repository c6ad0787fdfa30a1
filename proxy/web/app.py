"""The Flask app: routes as a table of contents."""

from flask import Flask

from proxy.identity import APP_ID
from proxy.services import Services, assemble
from proxy.web import api, desk, errors, guard, health
from proxy.web.addresses import OneAddress
from proxy.web.desk import Desk


def create_app(services: Services | None = None, own_pages: Desk | None = None) -> Flask:
    """Return the app; without services (`gunicorn 'proxy.web.app:create_app()'`) it assembles its own.

    Raises SettingError.
    """
    if services is None:
        services = assemble()
        services.load_keys()
    app = Flask(APP_ID, static_folder=None, template_folder=None)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # the addresses are set right before routing
    guard.install(app, guard.Access(services.store, services.proxy_keys, services.keys, services.refused_origins))
    errors.install(app, services.hide, services.observers)
    app.jinja_env.finalize = lambda value: services.hide(value) if type(value) is str else value  # not of Markup
    app.register_blueprint(health.blueprint())
    app.register_blueprint(api.blueprint(services.pipelines, services.observers, services.store))
    if own_pages is not None:
        app.register_blueprint(desk.blueprint(services, own_pages))
    app.wsgi_app = OneAddress(app.wsgi_app)  # type: ignore[method-assign]  # Flask's documented way to wrap it
    return app

"""A proxy with the program's own pages, and a browser that came in by a link."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from fakes.running_proxy import RunningProxy
from proxy.doctor.examine import examine
from proxy.doctor.report import report_of
from proxy.hosting import server_for
from proxy.web.ui.dashboard import Dashboard


class Hosted(RunningProxy):
    """A proxy with the program's own pages."""

    def __init__(self, *, can_stop: bool = True, **settings: object) -> None:
        super().__init__(**settings)
        self.activated = 0
        self.stopped = 0
        self.dashboard = Dashboard(
            lambda: examine(self.services),
            "the-token",
            self.activate,
            self.stop_program if can_stop else None,
            lambda: report_of(self.services.store),
        )
        self.server = server_for(self.services, self.dashboard)

    def activate(self) -> None:
        self.activated += 1

    def stop_program(self) -> None:
        self.stopped += 1

    @contextmanager
    def enter(self) -> Iterator[httpx2.Client]:
        """Yield a browser's client that came in by a link; its base URL is the first page's."""
        with httpx2.Client(trust_env=False, timeout=20, follow_redirects=True) as client:
            client.base_url = client.get(self.dashboard.link(self.root_url)).url
            yield client


def form_token(page: str) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
    assert found
    return found[1]

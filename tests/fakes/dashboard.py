"""A proxy with the program's own pages, and a browser that came in by a link."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest

from fakes.environment import clean, folders_below
from fakes.running_proxy import RunningProxy
from proxy.doctor.examine import examine
from proxy.doctor.report import report_of
from proxy.hosting import server_for
from proxy.usage.ledger import INSERT, transaction
from proxy.usage.row import COLUMNS
from proxy.usage.schema import connect
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


@contextmanager
def hosted_below(folder: Path, **settings: object) -> Iterator[Hosted]:
    """Run the program with the user's folders below a folder, for what outlives one test."""
    with pytest.MonkeyPatch.context() as patch:
        clean(patch)
        for variable, path in folders_below(folder).items():
            patch.setenv(variable, str(path))
        with Hosted(settings_file=folder / "settings.toml", **settings) as program:
            yield program


def fill_ledger(hosted: Hosted, count: int, began_at: float, **values: object) -> None:
    """Write requests that are over, r0 the last of them and each a second older than the one before."""
    empty = dict.fromkeys(COLUMNS, 0) | {"method": "POST", "endpoint": "/chat/completions", "outcome": "whole"}
    each = [empty | values | {"id": f"r{nth}", "began_at": began_at - nth} for nth in range(count)]
    with closing(connect(hosted.services.ledger.file)) as ledger, transaction(ledger):
        ledger.executemany(INSERT, [tuple(row.values()) for row in each])


def form_token(page: str) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
    assert found
    return found[1]

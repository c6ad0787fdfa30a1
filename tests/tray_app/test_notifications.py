"""What the user is told unasked, on a computer without notifications but for those of the tray itself."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.memory_keychain import MemoryKeychain
from proxy import paths
from proxy.flow.flow import Flow, Outcome
from proxy.flow.health import Health
from proxy.services import assemble
from proxy.tools.consent import Question
from tray_app.approvals import ApprovalNotifier
from tray_app.backends.none import NoTray
from tray_app.controller import ProxyController
from tray_app.notifications import Notifier

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the program that opens pages is that of Linux desktops")
QUESTION = Question(1, "write_file", "files", "{}")


class Telling(NoTray):
    """A tray that shows nothing but notifications."""

    name = "telling"

    def __init__(self) -> None:
        super().__init__("a test")
        self.told: list[tuple[str, str]] = []
        self.is_shown = True

    def notify(self, title: str, text: str) -> bool:
        self.told.append((title, text))
        return True


class Told:
    def __init__(self) -> None:
        keychain = MemoryKeychain()
        self.controller = ProxyController(assemble({"proxy_port": 0}, keychain=lambda: keychain), lambda: None)
        self.controller.services.secrets.load()
        self.backend = Telling()
        self.said: list[str] = []
        self.notifier = Notifier(self.controller, self.said.append, lambda: self.backend, has_terminal=True)


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.controller.close()


def test_only_the_first_start_is_notified(told: Told) -> None:
    told.controller.start()

    told.notifier.announce_start()
    told.notifier.announce_start()

    assert told.backend.told == [("The proxy is running", f"Base URL for your tools: {told.controller.base_url}")]
    address = f"Base URL for your tools:  {told.controller.base_url}"
    assert told.said == [address, told.said[1], address]
    assert told.said[1].startswith("`openai-tray-proxy install` adds the program to the applications menu")


def test_a_first_start_that_does_not_serve_is_not_greeted(told: Told) -> None:
    told.controller.problem = "The port is taken"

    told.notifier.announce_start()

    assert told.backend.told == [("The proxy is not running", "The port is taken")]


def test_a_first_start_that_cannot_be_remembered_is_not_notified_again_and_again(told: Told) -> None:
    paths.state_file().parent.parent.mkdir(parents=True, exist_ok=True)
    paths.state_file().parent.write_text("a file where the folder should be")

    told.notifier.announce_start()

    assert told.backend.told == []


@pytest.mark.parametrize(
    ("health", "title"),
    [
        (Health("key refused"), "The upstream refuses the key"),
        (Health("unsafe", "a bad certificate"), "Upstream unsafe"),
        (Health("failing", "status 500", failures=3), "Upstream failing"),
        (Health("failing", "it broke off", failures=1), None),
        (Health("rate limited", until=1.0), None),
        (Health("unreachable", "no route"), None),
        (Health(), None),
    ],
)
def test_only_problems_that_need_the_user_are_notified(told: Told, health: Health, title: str | None) -> None:
    told.notifier.notify_health(health)

    assert [title for title, _ in told.backend.told] == ([title] if title else [])


def test_several_failures_in_a_row_are_notified_once(told: Told) -> None:
    for failures in (1, 2):
        told.notifier.notify_health(Health("failing", "it broke off", failures=failures))
    assert told.backend.told == []

    for failures in (3, 4, 5):
        told.notifier.notify_health(Health("failing", "it broke off", failures=failures))
    told.notifier.notify_health(Health("failing", "status 500", failures=3))  # server errors have a count of their own
    assert told.backend.told == [("Upstream failing", "it broke off")]

    told.notifier.notify_health(Health())
    told.notifier.notify_health(Health("failing", "status 502", failures=3))
    assert told.backend.told[1:] == [("Upstream failing", "status 502")]


def test_an_icon_that_is_shown_is_not_announced(told: Told) -> None:
    told.controller.start()
    told.notifier.say_no_icon()
    assert told.said == []

    told.backend.is_shown = False
    told.notifier.say_no_icon()

    assert told.said[0] == "No icon is shown yet: a test. The proxy is running anyway."
    assert told.said[1].startswith("There is no upstream API key yet: ")
    assert "/ui/enter?ticket=" in told.said[2]


def test_an_icon_that_no_panel_shows_is_notified(told: Told) -> None:
    told.notifier.notify_no_icon()
    assert told.backend.told == []

    told.backend.is_shown = False
    told.notifier.notify_no_icon()

    assert told.backend.told == [("The proxy is running without an icon", "Start it again to open its page. A test.")]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Give a screen and a program that opens pages on it, and return a function that tells which it opened."""
    notes, program = tmp_path / "opened", tmp_path / "xdg-open"
    notes.touch()
    program.write_text(f'#!/bin/sh\necho "$1" >> "{notes}"\n')
    program.chmod(0o755)
    for name, value in (("PATH", str(tmp_path)), ("DISPLAY", ":none"), ("BROWSER", "")):
        monkeypatch.setenv(name, value)
    return notes.read_text


@on_linux
def test_a_first_start_without_an_icon_opens_the_page_and_later_ones_do_not(
    told: Told, opened: Callable[[], str]
) -> None:
    told.backend.is_shown = False
    told.notifier.announce_start()
    told.notifier.say_no_icon()
    assert opened().count("/ui/enter?ticket=") == 1

    told.notifier.announce_start()
    told.notifier.say_no_icon()

    assert opened().count("/ui/enter?ticket=") == 1


@on_linux
@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({}, 1),
        ({"openai_api_key": "a-key-of-the-environment"}, 0),
        ({"openai_base_url": "http://127.0.0.1:11434/v1"}, 0),
        ({"proxy_forward_auth_header": True}, 0),
    ],
)
def test_the_very_first_start_opens_the_page_where_a_key_is_to_be_entered(
    opened: Callable[[], str], settings: dict[str, object], count: int
) -> None:
    services = assemble({"proxy_port": 0, **settings}, keychain=MemoryKeychain)
    controller, tray = ProxyController(services, lambda: None), Telling()
    controller.start()
    for _ in range(2):  # a second start of the program
        notifier = Notifier(controller, lambda _: None, lambda: tray, has_terminal=False)
        notifier.announce_start()
        notifier.say_no_icon()
        notifier.close()
    controller.close()

    assert opened().count("/ui/enter?ticket=") == count


@on_linux
def test_a_first_start_opens_no_page_where_there_is_an_icon_or_no_screen(
    told: Told, opened: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told.notifier.announce_start()
    told.notifier.say_no_icon()
    assert opened() == ""

    monkeypatch.setenv("DISPLAY", "")
    monkeypatch.setenv("WAYLAND_DISPLAY", "")
    told.backend.is_shown = False
    told.notifier.say_no_icon()

    assert opened() == ""


def test_a_missing_tray_is_announced_at_once(told: Told) -> None:
    told.controller.start()
    told.backend.is_shown, told.backend.name = False, "none"

    told.notifier.say_no_icon()

    assert told.said[0] == "There is no system tray: a test. The proxy is running anyway."


@pytest.mark.parametrize("is_shown", [True, False])
def test_a_question_is_told_without_its_arguments_and_by_a_link_where_no_icon_is_shown(
    told: Told, is_shown: bool
) -> None:
    told.backend.is_shown = is_shown

    told.notifier.notify_approval(QUESTION)

    where = "see the icon's menu" if is_shown else "start the program again to open its page"
    assert told.backend.told == [("A tool asks to run", f"write_file waits a minute for your answer: {where}.")]
    assert ["&to=approvals" in said for said in told.said] == ([] if is_shown else [True])


def test_a_question_notifies_and_updates_the_menu_both_ways() -> None:
    notified: list[object] = []
    looks: list[str] = []
    approvals = ApprovalNotifier(notified.append, lambda: looks.append("again"))

    approvals.ask(QUESTION)
    approvals.withdraw(QUESTION)

    assert notified == [QUESTION]
    assert looks == ["again"] * 2


def test_a_wrong_settings_file_is_notified_at_every_start() -> None:
    paths.settings_file().parent.mkdir(parents=True)
    paths.settings_file().write_text("proxy_prot = 1\n")
    told = Told()
    told.controller.start()

    told.notifier.announce_start()
    told.controller.close()

    [said] = [line for line in told.said if "settings file" in line]
    assert "line 1: proxy_prot is no setting" in said
    assert ("The settings file is wrong", said) in told.backend.told


def test_no_login_is_in_a_notification_and_the_users_own_key_may_be(told: Told) -> None:
    told.notifier.notify_health(Health("unsafe", "http://anna:Winter2026x@proxy:3128 has a bad certificate"))
    told.notifier.notify("No clipboard: copy this by hand", "op-" + "k" * 43)

    assert told.backend.told[0] == ("Upstream unsafe", "http://…@proxy:3128 has a bad certificate")
    assert told.backend.told[1][1] == "op-" + "k" * 43


@pytest.mark.parametrize("limit", [{"proxy_daily_limit_tokens": 5}, {"proxy_monthly_limit_tokens": 5}])
def test_a_limit_that_is_reached_is_notified(told: Told, limit: dict[str, int]) -> None:
    services = told.controller.services
    services.store.update(**limit)
    services.spending.listen(lambda notice: told.notifier.notify_limit(notice) if notice else None)
    flow = Flow("POST", "/chat/completions", model_asked="m")
    flow.end(Outcome.WHOLE, None, {"prompt_tokens": 5, "completion_tokens": 5})

    services.ledger.ended(flow)
    services.ledger.stop()

    [(title, text)] = told.backend.told
    assert title.endswith("limit is reached")
    assert "10 tokens of 5 tokens" in text


def test_a_newer_version_is_notified(told: Told) -> None:
    told.notifier.notify_update("99.1")

    [(title, text)] = told.backend.told
    assert title == "Version 99.1 is available"
    assert "Nothing is downloaded" in text

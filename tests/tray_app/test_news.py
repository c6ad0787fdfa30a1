"""What the user is told unasked, on a computer without notifications but for those of the tray itself."""

from collections.abc import Iterator

import pytest

from fakes.memory_keychain import MemoryKeychain
from proxy import paths
from proxy.services import assemble
from proxy.tools.consent import Question
from proxy.upstream.condition import Condition
from tray_app.backends.none import NoTray
from tray_app.hosted import HostedProxy
from tray_app.news import News
from tray_app.question_bell import QuestionBell

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
        self.hosted = HostedProxy(assemble({"proxy_port": 0}, keychain=lambda: keychain), lambda: None)
        self.backend = Telling()
        self.said: list[str] = []
        self.news = News(self.hosted, self.said.append, lambda: self.backend)


@pytest.fixture
def told() -> Iterator[Told]:
    made = Told()
    yield made
    made.hosted.close()


def test_only_the_first_start_is_told_by_a_notification(told: Told) -> None:
    told.hosted.start()

    told.news.tell_start()
    told.news.tell_start()

    assert len(told.backend.told) == 1
    assert told.said == [f"Base URL for your tools:  {told.hosted.base_url}"] * 2


def test_a_first_start_that_cannot_be_remembered_is_not_told_again_and_again(told: Told) -> None:
    paths.state_file().parent.parent.mkdir(parents=True, exist_ok=True)
    paths.state_file().parent.write_text("a file where the folder should be")

    told.news.tell_start()

    assert told.backend.told == []


@pytest.mark.parametrize(
    ("condition", "title"),
    [
        (Condition("key refused"), "The upstream refuses the key"),
        (Condition("unsafe", "a bad certificate"), "Upstream unsafe"),
        (Condition("failing", "status 500"), "Upstream failing"),
        (Condition("rate limited", until=1.0), None),
        (Condition("unreachable", "no route"), None),
        (Condition(), None),
    ],
)
def test_only_trouble_that_needs_the_user_is_told(told: Told, condition: Condition, title: str | None) -> None:
    told.news.tell_condition(condition)

    assert [title for title, _ in told.backend.told] == ([title] if title else [])


def test_an_icon_that_is_shown_is_not_spoken_of(told: Told) -> None:
    told.news.tell_no_tray()
    assert told.said == []

    told.backend.is_shown = False
    told.news.tell_no_tray()

    assert told.said[0] == "No panel shows the icon so far: a test. The proxy runs all the same."
    assert "/ui/enter?ticket=" in told.said[1]


def test_an_icon_that_no_panel_shows_is_told_by_a_notification(told: Told) -> None:
    told.news.tell_unseen()
    assert told.backend.told == []

    told.backend.is_shown = False
    told.news.tell_unseen()

    assert told.backend.told == [
        ("No panel shows the icon", "The proxy runs all the same. Start it once more to open its page.")
    ]


def test_a_tray_that_there_is_none_of_is_spoken_of_at_once(told: Told) -> None:
    told.backend.is_shown, told.backend.name = False, "none"

    told.news.tell_no_tray()

    assert told.said[0] == "There is no tray here: a test. The proxy runs all the same."


@pytest.mark.parametrize("is_shown", [True, False])
def test_a_question_is_told_without_its_arguments_and_by_a_link_where_no_icon_is_shown(
    told: Told, is_shown: bool
) -> None:
    told.backend.is_shown = is_shown

    told.news.tell_question(QUESTION)

    assert told.backend.told == [
        ("A tool asks to run", "write_file waits a minute for your answer: see the icon's menu.")
    ]
    assert ["&to=questions" in said for said in told.said] == ([] if is_shown else [True])


def test_the_bell_rings_for_a_question_and_the_menu_follows_it_both_ways() -> None:
    rung: list[object] = []
    looks: list[str] = []
    bell = QuestionBell(rung.append, lambda: looks.append("again"))

    bell.ask(QUESTION)
    bell.withdraw(QUESTION)

    assert rung == [QUESTION]
    assert looks == ["again"] * 2

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.published import AskedProgram
from proxy.running import InstanceInfo
from tray_app.single_instance import SingleInstance
from waiting import wait_for

CONTENDER = """
import sys
from pathlib import Path
from tray_app.single_instance import SingleInstance

sys.stdin.readline()
with SingleInstance(Path(sys.argv[1])) as instance:
    print("first" if instance.is_first else "later", flush=True)
    sys.stdin.readline()
"""


class Contender:
    """A start of the program in a process of its own, which goes on at each line it is given."""

    def __init__(self, folder: Path) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([sys.executable, "-c", CONTENDER, str(folder)], **pipes)

    def go_on(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def place(self) -> str:
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=10)


@pytest.fixture
def contenders(tmp_path: Path) -> Iterator[list[Contender]]:
    """Start the program eight times, each start about to try the lock."""
    started = [Contender(tmp_path / "run") for _ in range(8)]
    yield started
    for contender in started:
        contender.end()


@pytest.fixture
def first(tmp_path: Path) -> Iterator[SingleInstance]:
    with SingleInstance(tmp_path / "run") as instance:
        yield instance


@pytest.fixture
def tray() -> Iterator[AskedProgram]:
    with AskedProgram("right") as program:
        yield program


def test_of_eight_simultaneous_starts_exactly_one_is_first(contenders):
    for contender in contenders:
        contender.go_on()

    assert sorted(contender.place() for contender in contenders) == ["first"] + ["later"] * 7


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_start_after_a_kill_is_first(contenders):
    killed, next_one = contenders[:2]
    killed.go_on()
    assert killed.place() == "first"

    killed.process.send_signal(signal.SIGKILL)
    killed.process.wait(10)
    next_one.go_on()

    assert next_one.place() == "first"


def test_the_lock_is_free_again_after_the_end(tmp_path):
    with SingleInstance(tmp_path) as one:
        assert one.is_first
        with SingleInstance(tmp_path) as other:
            assert not other.is_first

    with SingleInstance(tmp_path) as next_one:
        assert next_one.is_first


def test_taking_and_giving_back_twice_is_no_error(tmp_path):
    instance = SingleInstance(tmp_path)

    assert (instance.acquire(), instance.acquire()) == (True, True)
    instance.release()
    instance.release()

    assert not instance.is_first


def test_a_later_start_learns_how_to_reach_the_first(first, tmp_path):
    first.publish(os.getpid(), "http://127.0.0.1:8080", "secret")

    assert SingleInstance(tmp_path / "run").running_instance() == InstanceInfo(
        os.getpid(), "http://127.0.0.1:8080", "secret"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the user's folders private in another way")
def test_nobody_else_can_read_the_token(first, tmp_path):
    first.publish(1, "http://127.0.0.1:8080", "secret")

    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "run" / "instance.json").stat().st_mode & 0o777 == 0o600


def test_publishing_again_replaces_what_was_published(first):
    first.publish(1, "http://127.0.0.1:8080", "old")
    first.publish(1, "http://127.0.0.1:8081", "new")

    assert first.running_instance() == InstanceInfo(1, "http://127.0.0.1:8081", "new")


def test_nobody_publishes_without_the_lock(first, tmp_path):
    with pytest.raises(RuntimeError, match="holds the lock"):
        SingleInstance(tmp_path / "run").publish(1, "http://127.0.0.1:8080", "secret")


def test_nothing_is_published_after_the_end(tmp_path):
    with SingleInstance(tmp_path) as instance:
        instance.publish(1, "http://127.0.0.1:8080", "secret")

    assert instance.running_instance() is None


def test_what_a_killed_instance_published_is_cleared_away_by_the_next(tmp_path):
    (tmp_path / "instance.json").write_text(json.dumps({"pid": 1, "url": "http://127.0.0.1:9", "token": "old"}))

    with SingleInstance(tmp_path) as instance:
        assert instance.running_instance() is None


def test_activation_waits_for_a_first_start_that_is_still_starting(first, tmp_path, tray):
    later = SingleInstance(tmp_path / "run")
    answers = []
    activation = threading.Thread(target=lambda: answers.append(later.activate(timeout_s=10)))

    activation.start()
    assert not answers
    first.publish(os.getpid(), tray.url, "right")
    activation.join()

    assert answers == ["http://127.0.0.1/the-link"]


def test_activation_follows_an_instance_that_moved(first, tmp_path, tray):
    first.publish(os.getpid(), "http://127.0.0.1:9", "right")
    answers = []
    activation = threading.Thread(
        target=lambda: answers.append(SingleInstance(tmp_path / "run").activate(timeout_s=10))
    )

    activation.start()
    first.publish(os.getpid(), tray.url, "right")
    activation.join()

    wait_for(lambda: answers, "the activation")
    assert answers == ["http://127.0.0.1/the-link"]


def test_activation_gives_up(tmp_path):
    assert not SingleInstance(tmp_path / "run").activate(timeout_s=0.2)

"""The parts together: clicks add to what the settings file holds at that moment; logging is left to the mains."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.memory_keychain import MemoryKeychain
from fakes.program import run_python
from proxy import paths
from proxy.callbacks import always_allow
from proxy.errors.configuration import SettingError
from proxy.errors.request import OriginNotAllowed
from proxy.services import Services, assemble
from proxy.settings.sources import read_file

MINE, OTHER = "https://mine.example", "https://other.example"

IMPORT_AND_ASSEMBLE = """
import importlib, logging, pkgutil, sys, threading

def logging_of_the_process():
    return (
        logging.root.level, logging.root.handlers[:], logging.root.manager.disable, logging.getLogRecordFactory(),
        logging._srcfile, logging.logThreads, logging.lastResort, logging.lastResort.formatter,
        sys.excepthook, threading.excepthook, sys.unraisablehook,
    )

before = logging_of_the_process()
import proxy
for module in pkgutil.walk_packages(proxy.__path__, "proxy."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from proxy.services import assemble
from proxy.web.app import create_app
create_app(assemble({"proxy_log_level": "DEBUG"}))
assert logging_of_the_process() == before, logging_of_the_process()
"""


def write(text: str) -> Path:
    """Write the settings file as somebody with an editor does."""
    path = paths.settings_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def assembled(text: str) -> Services:
    """Return the parts as they start with a settings file."""
    write(text)
    services = assemble()
    services.refused_origins.note(OTHER)
    return services


def test_an_origin_is_added_to_those_written_by_hand_meanwhile() -> None:
    services = assembled("")
    path = write(f'proxy_allowed_origins = ["{MINE}"]\n')

    services.allow_origin(OTHER)

    assert services.store.current.proxy_allowed_origins == (MINE, OTHER)
    assert read_file(path) == {"proxy_allowed_origins": [MINE, OTHER]}


def test_an_origin_taken_out_by_hand_meanwhile_stays_out() -> None:
    services = assembled(f'proxy_allowed_origins = ["{MINE}"]\n')
    write("# taken out\n")

    services.allow_origin(OTHER)

    assert services.store.current.proxy_allowed_origins == (OTHER,)


def test_an_origin_that_was_added_by_hand_meanwhile_is_not_added_twice() -> None:
    services = assembled("")
    path = write(f'proxy_allowed_origins = ["{OTHER}"] # mine\n')

    services.allow_origin(OTHER)

    assert services.store.current.proxy_allowed_origins == (OTHER,)
    assert path.read_text() == f'proxy_allowed_origins = ["{OTHER}"] # mine\n'


def test_an_origin_nobody_was_refused_for_is_not_added() -> None:
    with pytest.raises(OriginNotAllowed):
        assembled("").allow_origin(MINE)


def test_a_rule_is_added_to_those_written_by_hand_meanwhile() -> None:
    services = assembled('[tool_consent]\nbook = "ask"\n')
    path = write('[tool_consent]\nbook = "ask"\n"files__delete*" = "never"\n')

    always_allow(services.store, "book")

    assert services.store.current.tool_consent == {"book": "auto", "files__delete*": "never"}
    assert path.read_text() == 'tool_consent = {book = "auto", "files__delete*" = "never"}\n'


def test_a_rule_taken_out_by_hand_meanwhile_stays_out() -> None:
    services = assembled('tool_consent = {"files__*" = "auto"}\n')
    write("# taken out\n")

    always_allow(services.store, "book")

    assert services.store.current.tool_consent == {"book": "auto"}


def test_a_file_that_broke_meanwhile_is_added_to_by_no_click() -> None:
    services = assembled(f'proxy_allowed_origins = ["{MINE}"]\n')
    path = write(f'proxy_allowed_origins = ["{MINE}]\n')

    for click in (lambda: services.allow_origin(OTHER), lambda: always_allow(services.store, "book")):
        with pytest.raises(SettingError, match="a quote is missing at the end"):
            click()

    assert path.read_text() == f'proxy_allowed_origins = ["{MINE}]\n'
    assert services.store.current.proxy_allowed_origins == (MINE,)


def test_importing_and_assembling_leave_the_logging_of_the_process_alone(tmp_path: Path) -> None:
    done = run_python(tmp_path, "-c", IMPORT_AND_ASSEMBLE)

    assert done.returncode == 0, done.stderr


def test_the_level_of_the_log_is_that_of_the_settings_after_each_change_too() -> None:
    services = assemble()
    services.follow_log_level()
    before = logging.root.level

    services.store.update(proxy_log_level="DEBUG")

    assert (before, logging.root.level) == (logging.INFO, logging.DEBUG)


@pytest.mark.parametrize("place", ["config", "state", "clients", "runtime", "linked settings"])
def test_a_start_removes_what_a_killed_process_left_behind(tmp_path: Path, place: str) -> None:
    folder = {
        "config": paths.config_dir(),
        "state": paths.state_file().parent,
        "clients": paths.connected_clients_dir(),
        "runtime": paths.runtime_dir(),
        "linked settings": tmp_path / "dotfiles",
    }[place]
    folder.mkdir(parents=True, exist_ok=True)
    if place == "linked settings":
        paths.config_dir().mkdir(parents=True)
        (folder / "settings.toml").write_text("proxy_port = 9001\n", encoding="utf-8")
        paths.settings_file().symlink_to(folder / "settings.toml")
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    left = folder / f".settings.toml.{killed.pid}-0a1b2c3d"
    left.write_text("proxy_host = ", encoding="utf-8")

    services = assemble({"openai_api_key": "k"}, keychain=MemoryKeychain)

    assert not left.exists()
    assert services.store.problem is None

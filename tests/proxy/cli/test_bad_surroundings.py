"""Commands on a computer that gets in their way: a sentence and exit code 1, or the work done; never a traceback."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring.backends.fail
import keyring.core
import pytest

from fakes.full_disk import full_disk
from fakes.program import run_python
from proxy import paths
from proxy.cli.main import main
from proxy.identity import APP_ID

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="these limits and folders are not Windows's")

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs a command here and returns its exit code and what it printed."""

    def do(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["openai-tray-proxy", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    return do


@pytest.fixture
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have this process find no safe keyring, whatever it has found before and the computer has."""
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setattr(keyring.core, "init_backend", lambda limit: None)
    before = keyring.core._keyring_backend
    keyring.core.set_keyring(keyring.backends.fail.Keyring())
    yield
    keyring.core._keyring_backend = before


def is_sentence(printed: str) -> bool:
    """Tell whether what was printed ends as a sentence, and no traceback is in it."""
    return "Traceback" not in printed and printed.strip().endswith(".")


@pytest.mark.parametrize(
    "words",
    [("tools", "init"), ("autostart", "on"), ("install",), ("connect", "codex", "--write"), ("key", "use", "keyring")],
)
def test_a_full_disk_is_a_sentence_and_leaves_no_half_file(run: Run, words: tuple[str, ...]) -> None:
    with full_disk():
        code, printed = run(*words)

    assert code == 1
    assert "File too large" in printed
    assert "assets" not in printed  # the file that is written is named, not the one that is read
    assert is_sentence(printed)
    assert [file for file in paths.config_dir().parent.rglob("*") if file.is_file()] == []


@pytest.mark.parametrize(
    "words", [("tools", "init"), ("autostart", "on"), ("install",), ("connect", "codex", "--write")]
)
def test_a_home_that_cannot_be_written_is_a_sentence(
    run: Run, words: tuple[str, ...], empty_computer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        file = empty_computer / f"file-{variable}"
        file.write_text("a file where the folder should be")
        monkeypatch.setenv(variable, str(file))

    code, printed = run(*words)

    assert code == 1
    assert "Not a directory" in printed or "cannot be read" in printed
    assert is_sentence(printed)


def test_the_file_that_cannot_be_written_is_named_and_none_beside_it(run: Run) -> None:
    with full_disk():
        _code, printed = run("autostart", "on")

    assert f"autostart/{APP_ID}.desktop: File too large. " in printed


@pytest.mark.parametrize("taken", ["XDG_RUNTIME_DIR", "XDG_STATE_HOME", "HOME"])
def test_a_tray_without_a_folder_of_its_own_says_so_once_with_a_way_on(empty_computer: Path, taken: str) -> None:
    file = empty_computer / "in the way"
    file.write_text("a file where the folder should be")
    elsewhere = {"XDG_RUNTIME_DIR": "", "XDG_STATE_HOME": str(file), taken: str(file)}

    ended = run_python(empty_computer, "-m", "tray_app", "--port", "0", DISPLAY="", WAYLAND_DISPLAY="", **elsewhere)

    printed = ended.stdout + ended.stderr
    assert ended.returncode == 1
    assert printed.count("Not a directory") == 1
    assert "`openai-tray-proxy serve` runs without it." in printed
    assert is_sentence(printed)


@pytest.mark.parametrize("name", ["with spaces", "Ünï cödé 日本 🎉", "a 'quote\" $HOME `x` %f", "\udce9 old"])
def test_a_home_of_any_name_is_used(run: Run, name: str, empty_computer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = empty_computer / name
    home.mkdir()
    for variable, folder in {"HOME": "", "XDG_CONFIG_HOME": "c", "XDG_DATA_HOME": "d", "XDG_STATE_HOME": "s"}.items():
        monkeypatch.setenv(variable, str(home / folder))

    results = [run(*words) for words in (("tools", "init"), ("autostart", "on"), ("connect", "codex", "--write"))]

    assert [(code, "Traceback" in printed) for code, printed in results] == [(0, False)] * 3
    assert (home / "c" / "openai-tray-proxy" / "function_tools.py").is_file()
    assert run("autostart", "status")[1].startswith("Start at login: on")


@pytest.mark.parametrize("words", [("config",), ("autostart", "status"), ("connect", "python")])
def test_without_a_home_named_the_folders_that_are_named_are_used(
    run: Run, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")

    code, printed = run(*words)

    assert code == 0
    assert "Traceback" not in printed


@pytest.mark.parametrize("words", [("config",), ("tools", "init"), ("status",)])
def test_a_locale_without_utf_8_is_no_trouble(empty_computer: Path, words: tuple[str, ...]) -> None:
    home = empty_computer / "ü"
    home.mkdir()
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}

    ended = run_python(home, "-m", "proxy", *words, output="latin-1", **plain)

    assert ended.returncode in (0, 1)
    assert ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "words", [("key", "status"), ("key", "delete"), ("key", "use", "keyring"), ("proxy-key", "list")]
)
def test_a_missing_keyring_is_told_once(run: Run, no_keyring: None, words: tuple[str, ...]) -> None:
    _code, printed = run(*words)

    assert printed.count("This system offers no safe keyring.") == 1, printed


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a = [\n", "it ends in the middle of a value"),
        (b"a = [", "Unexpected end of file"),
        (b"a = {b = 1", "it ends in the middle of a value"),
        (b"a = 1\na = 2\n", "already exists"),
        (b"\xff\xfe\x00", "this is not UTF-16-LE text"),
    ],
)
def test_a_clients_file_that_is_broken_is_left_as_it_is_and_the_reason_told(
    run: Run, empty_computer: Path, content: bytes, words: str
) -> None:
    file = empty_computer / ".codex" / "config.toml"
    file.parent.mkdir()
    file.write_bytes(content)

    code, printed = run("connect", "codex", "--write")

    assert code == 1
    assert f"{file} cannot be read: " in printed
    assert words in printed
    assert r"\x00" not in printed
    assert is_sentence(printed)
    assert file.read_bytes() == content

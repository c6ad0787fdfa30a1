"""The unit tests of what is another thing on Windows, run there: folders, links, locks, keyring, shells, icon."""

import pytest

from windows.machine import Windows, add_test_tools

pytestmark = [pytest.mark.windows, pytest.mark.timeout(900)]

# tests/proxy/http/test_batching.py is not among them: the loop of Windows sends in its own time.
TESTS = (
    "tests/proxy/install/test_autostart.py",
    "tests/proxy/settings/test_sources.py",
    "tests/proxy/settings/test_parsing.py",
    "tests/proxy/http/test_request_reader.py",
    "tests/proxy/http/test_response_reader.py",
    "tests/proxy/test_paths.py",
    "tests/proxy/test_quoting.py",
    "tests/tray_app/backends/test_pystray_windows.py",
)
LIMIT_S = 300


def test_they_pass_on_windows_and_touch_nothing_of_the_users(windows: Windows) -> None:
    add_test_tools(windows)
    windows.local.mkdir(parents=True, exist_ok=True)
    kept = windows.local / "function_tools.py"
    kept.write_text("# of the user\n")

    ended = windows.run(
        windows.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "120", *TESTS, limit_s=LIMIT_S
    )

    assert ended.code == 0, ended.said[-6000:]
    assert kept.read_text() == "# of the user\n"
    assert list(windows.local.iterdir()) == [kept]
    windows.clear()

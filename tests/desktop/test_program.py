"""The tray program as its user meets it: its icon, its menu, what a click does, its page and its port."""

import re
import shlex
import subprocess
import time
from pathlib import Path

import httpx2
import openai
import pytest
import tomllib

from background import need
from desktop.tray_user import APP_ID, UPSTREAM_KEY, Tray
from fakes.scripted_upstream import Json
from fakes.shared_upstream import Fresh
from waiting import wait_for

LENIENT_START_S = 5.0


def test_the_icon_is_there_and_the_port_answers_soon_after_the_start(tray: Tray) -> None:
    began = time.monotonic()

    tray.start()
    tray.wait_until_it_runs()
    serves = tray.is_serving()

    took = time.monotonic() - began
    print(f"icon and port after {took:.2f} s")  # noqa: T201  the measured time, for who reads the report
    assert serves
    assert took < LENIENT_START_S


def test_the_menu_has_everything_in_its_place(tray: Tray) -> None:
    menu = tray.start().menu()

    groups = " ".join("|" if line.is_separator else line.key for line in menu.children).split(" | ")
    assert groups == [
        "status",
        "server tools require-key pause-capture",
        "copy-url copy-key copy-curl",
        "set-key view-logs log-folder dashboard settings-file autostart add-launcher",
        "upstream help",
        "quit",
    ]
    upstream, found, manage = menu.find("upstream").children
    assert manage.key == "manage-upstreams"
    assert [line.key for line in found.children] == ["find-upstreams"]
    assert (upstream.label, upstream.enabled) == (tray.upstream_url, False)
    assert [line.key for line in menu.find("help").children] == ["documentation", "doctor", "about"]
    assert re.search(r"\d+\.\d+", menu.find("about").label)


def test_the_sdk_chats_through_the_url_that_was_copied(tray: Tray, upstream: Fresh) -> None:
    told = tray.start().wait_until_it_runs()

    url = tray.copied("copy-url", "http://.*/v1")

    assert url == told == f"http://127.0.0.1:{tray.port}/v1"
    with openai.OpenAI(base_url=url, api_key="anything") as client:
        answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert answer.choices[0].message.content == "Hello there."
    assert upstream.requests[-1].header("Authorization") == f"Bearer {UPSTREAM_KEY}"


def test_once_a_proxy_key_is_required_only_copied_keys_and_commands_open(tray: Tray) -> None:
    tray.start().wait_until_it_runs()
    assert tray.chat() == 200

    tray.click("Require a proxy key")
    wait_for(lambda: tray.menu().find("require-key").checked, "the check")

    assert tray.chat() == 401
    assert tray.chat(tray.copied("copy-key", "op-.*")) == 200
    assert tomllib.loads(tray.settings_file.read_text())["proxy_require_api_key"] is True
    assert curl(tray.copied("copy-curl", "curl .*")) == "200"
    tray.click("Require a proxy key")
    wait_for(lambda: tray.menu().find("require-key").checked is False, "no check")
    assert tray.chat() == 200
    assert "Authorization" not in tray.copied("copy-curl", "curl ((?!Authorization).)*")


def test_the_menu_says_what_today_used_and_pauses_the_capture(tray: Tray) -> None:
    tray.start().wait_until_it_runs()
    assert tray.chat() == 200

    [today] = wait_for(lambda: [line.label for line in tray.menu().walk() if line.key == "today"], "what today used")
    assert today.startswith("Today ")
    assert today.endswith(" · 1 request")
    tray.click("Pause capture")
    wait_for(lambda: tray.menu().find("pause-capture").checked, "the check")


def curl(command: str) -> str:
    """Run a copied command as its user would and return the answer's status."""
    need("curl")
    words = [
        *shlex.split(command),
        "--silent",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
        "--noproxy",
        "*",
    ]
    return subprocess.run(words, capture_output=True, text=True, timeout=10, check=True).stdout


def test_run_tools_is_kept_in_the_settings_file(tray: Tray) -> None:
    tray.start()
    assert tray.menu().find("tools").checked is False

    tray.click("Let the model use tools")

    wait_for(lambda: tray.menu().find("tools").checked, "the check")
    assert tomllib.loads(tray.settings_file.read_text())["enable_tool_execution"] is True


def test_a_switch_fixed_by_the_environment_is_greyed_and_says_so(tray: Tray) -> None:
    line = tray.start(ENABLE_TOOL_EXECUTION="true").menu().find("tools")

    assert (line.enabled, line.checked) == (False, True)
    assert "fixed by the environment" in line.label


def test_the_menu_stops_and_starts_the_server(tray: Tray) -> None:
    tray.start().wait_until_it_runs()

    tray.click("server")
    tray.wait_for_status("Stopped")
    assert tray.is_port_free()
    assert tray.copied("copy-url", "http://.*/v1") == f"http://127.0.0.1:{tray.port}/v1"
    tray.click("server")

    tray.wait_until_it_runs()
    assert tray.is_serving()


def test_log_folder_settings_file_doctor_and_documentation_are_opened(tray: Tray, page: httpx2.Client) -> None:
    tray.start()
    for count, key in enumerate(("View logs", "log-folder", "settings-file", "doctor", "documentation"), 1):
        tray.click(key)
        tray.opened(count)

    log, folder, settings, doctor, documentation = tray.opened_so_far()

    assert page.get(log).headers["location"].endswith("/log")
    assert wait_for((Path(folder) / "proxy.log").read_text, "the log's first lines")  # written some times a second
    assert Path(settings) == tray.settings_file
    assert page.get(doctor).headers["location"].endswith("/doctor")
    assert documentation.startswith("https://")


def test_a_settings_file_that_is_not_there_is_made_to_be_opened(tray: Tray) -> None:
    tray.settings_file.unlink()
    tray.start("--port", str(tray.port))

    tray.click("Settings file")

    assert "# proxy_port = 8000\n" in Path(tray.opened()).read_text()
    assert tray.settings_file.stat().st_mode & 0o777 == 0o600


def test_the_link_to_the_dashboard_lets_in_once(tray: Tray, page: httpx2.Client) -> None:
    tray.start()
    tray.desktop.activate(tray.item)
    link = tray.opened()

    entered = page.get(link)
    home = page.get(f"http://127.0.0.1:{tray.port}{entered.headers['location']}")

    assert entered.status_code == 303
    assert home.status_code == 200
    assert f"http://127.0.0.1:{tray.port}/v1" in home.text
    assert httpx2.get(link, trust_env=False).status_code == 403


@pytest.mark.parametrize(("status", "said"), [(200, "The upstream accepts the key."), (401, 'role="alert"')])
def test_a_key_set_on_the_page_lies_in_the_keyring_and_is_tried(
    tray: Tray, page: httpx2.Client, upstream: Fresh, status: int, said: str
) -> None:
    tray.start(OPENAI_API_KEY="")
    tray.wait_for_status("Running on")  # an upstream on this computer needs no key
    models = {"object": "list", "data": []} if status == 200 else {"error": {"message": "no", "code": "x"}}
    upstream.answer(Json(models, status=status), path="/v1/models")
    tray.click("set-key")
    root = f"http://127.0.0.1:{tray.port}"
    home = root + page.get(tray.opened()).headers["location"]
    token = re.search('name="form_token" value="([^"]+)"', page.get(home).text)
    assert token
    form = {"form_token": token[1], "key": "sk-typed-on-the-page-0002", "where": "keyring"}

    answer = page.post(f"{home}key", data=form, headers={"Origin": root}, timeout=20)

    assert said in answer.text
    kept = subprocess.run(
        ["secret-tool", "search", "--all", "service", APP_ID],
        env=tray.desktop.env, capture_output=True, text=True, timeout=5, check=True,
    )  # fmt: skip
    assert "secret = sk-typed-on-the-page-0002" in kept.stdout
    tray.wait_until_it_runs()

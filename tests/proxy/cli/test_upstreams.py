"""The command line's `upstream` group."""

import pytest
from click.testing import CliRunner, Result

from fakes.model_server import serving
from fakes.scripted_upstream import Json, ScriptedUpstream, completion
from fakes.shared_upstream import Fresh
from proxy import paths
from proxy.cli.main import cli
from proxy.settings.store import SettingsStore
from proxy.upstream import discovery

GROQ = "https://api.groq.example/openai/v1"


def run(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli, ["upstream", *arguments])


def names() -> list[str]:
    return [row.name for row in SettingsStore(paths.settings_file()).current.proxy_upstreams]


@pytest.fixture
def upstream(provider: ScriptedUpstream) -> Fresh:
    fresh = Fresh(provider)
    fresh.answer(Json({"object": "list", "data": [{"id": "m-mini"}]}), path="/v1/models")
    fresh.answer(Json(completion("H")), path="/v1/chat/completions")
    return fresh


def test_an_upstream_is_added_chosen_listed_and_removed() -> None:
    added = run("add", "groq", GROQ, "--model", "llama-*", "--fallback", "openai")
    assert f"Added: groq, {GROQ}" in added.output
    assert "OPENAI_API_KEY_GROQ" in added.output
    assert run("use", "groq").output == f"In use: groq, {GROQ}\n"

    listed = run("list").output.splitlines()
    assert listed[0].startswith("  openai ")
    assert listed[1].startswith("* groq ")
    assert "llama-*  falls back to openai  no key" in listed[1]

    assert run("remove", "groq").output == "Removed: groq\n"
    assert names() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("groq", GROQ), "two upstreams are named groq"),
        (("GROQ", GROQ), "two upstreams are named GROQ"),
        (("openai", GROQ), "use another name"),
        (("a/b", GROQ), "is no name"),
        (("x", "http://x.example"), "in the clear"),
        (("x", GROQ, "--fallback", "nobody"), "nobody, which is no upstream"),
        (("x", GROQ, "--auth", "magic"), "magic"),
    ],
)
def test_a_wrong_one_is_refused_and_nothing_changes(arguments: tuple[str, ...], words: str) -> None:
    run("add", "groq", GROQ)
    refused = run("add", *arguments)
    assert refused.exit_code != 0
    assert words in str(refused.exception or "") + refused.output
    assert names() == ["groq"]


def test_one_is_replaced_where_that_is_said() -> None:
    run("add", "groq", GROQ)
    run("add", "other", "https://other.example")
    assert run("add", "groq", "https://new.example", "--replace").exit_code == 0
    rows = SettingsStore(paths.settings_file()).current.proxy_upstreams
    assert [(row.name, row.base_url) for row in rows] == [
        ("groq", "https://new.example/v1"),
        ("other", "https://other.example/v1"),
    ]


def test_one_is_renamed() -> None:
    run("add", "groq", GROQ)
    run("add", "other", "https://other.example", "--fallback", "groq")
    run("use", "groq")
    assert "groq is named fast now" in run("rename", "groq", "fast").output
    current = SettingsStore(paths.settings_file()).current
    assert (names(), current.chosen_upstream.name) == (["fast", "other"], "fast")
    assert current.proxy_upstreams[1].fallback == ("fast",)
    for arguments, words in (
        (("fast", "other"), "already"),
        (("groq", "x"), "no upstream"),
        (("fast", "a/b"), "no name"),
    ):
        refused = run("rename", *arguments)
        assert refused.exit_code != 0
        assert words in str(refused.exception or "") + refused.output
    assert names() == ["fast", "other"]


def test_one_is_tested_with_times(upstream: Fresh) -> None:
    run("add", "local", upstream.base_url)
    good = run("test", "local")
    assert good.exit_code == 0
    models, chat = good.output.splitlines()
    assert models.startswith("local: needs no key and lists 1 models (0.")
    assert chat.startswith("local: m-mini answers a chat of one token, with max_tokens (0.")

    upstream.answer(Json({"error": {"message": "no such model"}}, 404), path="/v1/chat/completions")
    bad = run("test", "local", "--model", "gone")
    assert bad.exit_code == 1
    assert "local: gone: refused with status 404, and says: no such model (0." in bad.output


def test_servers_of_this_computer_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"/v1/models": {"data": [{"id": "m", "owned_by": "vllm"}]}}
    with serving(answers) as port:
        monkeypatch.setattr(discovery, "PORTS", (port,))
        assert f"upstream add vllm http://127.0.0.1:{port}/v1`" in run("find").output
        run("add", "vllm", f"http://127.0.0.1:{port}/v1")
        assert "No other model server answers" in run("find").output


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("http://127.0.0.1:11434/v1", "127.0.0.1:11434"),
        ("https://llm.example/openai/v1", "llm.example"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_an_upstream_nobody_has_named_is_shown_by_the_name_for_prefixes_and_chosen_by_its_host_too(
    monkeypatch: pytest.MonkeyPatch, address: str, host: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    run("add", "groq", GROQ)
    run("use", "groq")

    assert "  default  " in run("list").output
    assert f"//{host}/" in run("list").output
    assert run("use", host).output.startswith("In use: default, ")
    assert run("use", "default").output.startswith("In use: default, ")
    assert "there are default, groq" in str(run("use", "nobody").exception)

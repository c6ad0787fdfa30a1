"""Commands are named as the user types them."""

import pytest

from proxy.command import as_typed, command, started_as
from proxy.errors.keyring import NoUpstreamKey


def test_commands_are_named_as_installed_where_no_script_has_started_the_program() -> None:
    assert started_as() is None
    assert command("key set") == "openai-tray-proxy key set"
    assert "`openai-tray-proxy key set`" in str(NoUpstreamKey())


def test_commands_are_named_by_the_script_that_has_started_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("START_COMMAND", "./start.sh")

    assert command("key set") == "./start.sh key set"
    assert (
        as_typed("Try `openai-tray-proxy check`, not openai-tray-proxy.")
        == "Try `./start.sh check`, not openai-tray-proxy."
    )
    assert "`./start.sh key set`" in str(NoUpstreamKey())

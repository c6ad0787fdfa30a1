"""A proxy that runs tools."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import ScriptedUpstream
from fakes.shared_upstream import proxy_before
from fakes.tool_turns import TOOLS_FILE


@pytest.fixture(scope="module")
def tool_proxy(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """Run a proxy whose tools are on; a call may take two seconds."""
    folder: Path = tmp_path_factory.mktemp("tools")
    (folder / "function_tools.py").write_text(TOOLS_FILE, encoding="utf-8")
    with proxy_before(
        provider.base_url,
        folder,
        enable_tool_execution=True,
        function_tools_file=str(folder / "function_tools.py"),
        tool_timeout=2.0,
        tool_max_rounds=3,
        tool_max_calls=4,
    ) as running:
        yield running

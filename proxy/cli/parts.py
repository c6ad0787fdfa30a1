"""The parts of the program, put together for one command."""

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING

from proxy.cli.terminal import log_silent
from proxy.settings.key_variables import take_keys

if TYPE_CHECKING:
    from proxy.services import Services


def parts_of_command(*, starts_anyway: bool = True, runs_tools: bool = False) -> "Services":
    """Return the parts; raises SettingError.

    Who starts anyway says by itself what is wrong with the settings, and the log keeps quiet of it. Before tools run,
    our keys are taken out of the environment that they see.
    """
    from proxy.services import assemble  # noqa: PLC0415  pydantic costs the most of a start

    with log_silent() if starts_anyway else nullcontext():
        environment = take_keys(os.environ) if runs_tools else os.environ
        return assemble(starts_anyway=starts_anyway, environment=environment)

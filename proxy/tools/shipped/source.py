"""The shipped tools, as a source."""

from proxy.tools.schema import tool_of
from proxy.tools.shipped.arithmetic import calculate
from proxy.tools.shipped.clock import current_time
from proxy.tools.shipped.units import convert_units
from proxy.tools.tool import Tool

SHIPPED = (current_time, calculate, convert_units)


class ShippedSource:
    """Hold the shipped tools."""

    def __init__(self) -> None:
        self.tools: tuple[Tool, ...] = tuple(tool_of(function, "shipped") for function in SHIPPED)
        self.is_stale = False

    async def refresh(self) -> None:
        """Do nothing: these never change."""

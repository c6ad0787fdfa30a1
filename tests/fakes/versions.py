"""What ran in an environment of its own, and with which versions: listed at the end of a session of tests."""

import pytest

PROPERTY = "versions"  # of a test: lines for the list


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List what the tests recorded."""
    reports = [each for reports in terminalreporter.stats.values() for each in reports]
    recorded = [each for report in reports for each in getattr(report, "user_properties", ())]
    if found := dict.fromkeys(str(value) for name, value in recorded if name == PROPERTY):
        terminalreporter.section("other environments")
        for lines in found:
            terminalreporter.line(lines)

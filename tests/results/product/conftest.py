"""The tools' folder, and the figures that a campaign prints when it ends."""

from pathlib import Path

import pytest

from tests.results.product.judges import Tools

COMBINATIONS, FORBIDDEN, OBJECTS = "combinations", "forbidden by their IOD", "objects"


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Add up what the tests of the campaign noted."""
    noted: dict[str, int] = {}
    for report in (one for outcome in ("passed", "failed") for one in terminalreporter.stats.get(outcome, [])):
        for name, value in report.user_properties:
            if name in (COMBINATIONS, FORBIDDEN, OBJECTS):
                noted[name] = noted.get(name, 0) + value
    if noted:
        terminalreporter.section("results of every source")
        for name, value in noted.items():
            terminalreporter.line(f"{value:>8} {name}")

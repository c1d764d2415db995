"""What all tests share: the kind of event loop, and the rule on skipped tests.

A test that needs an outside program says so with `@pytest.mark.external("name")` and is skipped
where the program is absent. Where `NO_SKIPPED_TESTS=1`, as in CI, which installs everything, a
skip is a failure: otherwise a missing program would quietly turn a check off.
"""

import os
import shutil
from collections.abc import Generator

import pytest
from hypothesis import settings

# How long an example takes tells of the machine's load, and is no reason to fail.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Read once: a test that clears PULSEWIRE_* variables must not change the rule for itself.
SKIPS_FAIL = os.environ.get("NO_SKIPPED_TESTS") == "1"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio, the loop that uvicorn serves on."""
    return "asyncio"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose outside program is absent, before any of its fixtures is made."""
    for marker in item.iter_markers("external"):
        (name,) = marker.args
        if shutil.which(name) is None:
            pytest.skip(f"needs the program {name}, which is not installed")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Apply the rule on skips to a test."""
    report = yield
    forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Apply the rule on skips to a whole module, which is skipped when it is collected."""
    report = yield
    forbid_skip(report)
    return report


def forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure that gives the reason; an expected failure is no skip."""
    if SKIPS_FAIL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"A skip fails here (NO_SKIPPED_TESTS=1). {report.longreprtext}"

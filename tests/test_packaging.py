"""The frame of the project: what is shipped, what is imported, and what CI lets pass."""

import importlib
import importlib.metadata
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import app

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["app", "transports", "schema"]
SET_UP_COMMAND_BEGINS = "python3 -m venv"

SKIPPING_TESTS = """
import pytest

@pytest.mark.external("no-such-program-anywhere")
def test_absent(): ...

@pytest.mark.external("sh")
def test_present(): ...

@pytest.mark.xfail(reason="known", strict=True)
def test_expected_failure():
    raise AssertionError
"""
SKIPPED_MODULE = """
import pytest

pytest.skip("all of it", allow_module_level=True)
"""


@pytest.fixture
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def run_pytest(tmp_path: Path, text: str, no_skips: str) -> tuple[int, str]:
    """Run `text` as a test module, under this project's settings and its conftest."""
    module = tmp_path / "test_sample.py"
    module.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml")]
    command += ["-p", "conftest", "-p", "no:cacheprovider", str(module)]
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        env=os.environ
        | {"NO_SKIPPED_TESTS": no_skips, "PYTHONPATH": str(ROOT / "tests"), "COLUMNS": "200"},
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", PACKAGES)
def test_the_checkout_is_what_is_tested(name: str) -> None:
    """An installed package of the same name does not come before the checkout."""
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert Path(module.__file__).resolve() == ROOT / name / "__init__.py"


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_owns_our_names(name: str) -> None:
    """Nothing installed beside us overwrites, or is overwritten by, one of our packages."""
    owners = importlib.metadata.packages_distributions().get(name, [])
    assert set(owners) <= {"pulsewire"}


def test_the_installed_version_is_the_one_in_the_code() -> None:
    """The version stands in one place, app/__init__.py, and reaches the metadata from there."""
    assert importlib.metadata.version("pulsewire") == app.__version__


def test_the_wheel_holds_the_three_packages_and_nothing_else(pyproject: dict[str, Any]) -> None:
    """The builder and the checker of the wheel are both given exactly our packages."""
    tool = pyproject["tool"]
    assert tool["hatch"]["build"]["targets"]["wheel"]["packages"] == PACKAGES
    assert tool["check-wheel-contents"]["toplevel"] == PACKAGES


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_tells_type_checkers_that_it_is_typed(name: str) -> None:
    """PEP 561's marker lies in each package."""
    assert (ROOT / name / "py.typed").is_file()


def test_ci_runs_the_readme_s_two_commands_as_they_stand() -> None:
    """What a newcomer types to serve and to test is, letter for letter, what CI runs."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [line for line in map(str.strip, readme) if line.startswith(SET_UP_COMMAND_BEGINS)]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert len(commands) == 2
    assert set(commands) <= {line.strip() for line in ci}


def test_an_absent_program_skips_its_tests_with_the_reason(tmp_path: Path) -> None:
    """Without the program, a developer's run is green and tells what it left out."""
    status, output = run_pytest(tmp_path, SKIPPING_TESTS, no_skips="")
    assert status == pytest.ExitCode.OK
    assert "1 passed, 1 skipped, 1 xfailed" in output
    assert "needs the program no-such-program-anywhere, which is not installed" in output


def test_in_ci_a_skipped_test_fails_with_the_reason(tmp_path: Path) -> None:
    """CI, which installs every program, takes a skip for a failure; an xfail stays one."""
    status, output = run_pytest(tmp_path, SKIPPING_TESTS, no_skips="1")
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "1 passed, 1 xfailed, 1 error" in output
    assert "needs the program no-such-program-anywhere, which is not installed" in output


def test_in_ci_a_skipped_module_fails_with_the_reason(tmp_path: Path) -> None:
    """A module that skips itself while it is collected gets by no better."""
    status, output = run_pytest(tmp_path, SKIPPED_MODULE, no_skips="1")
    assert status == pytest.ExitCode.INTERRUPTED
    assert "all of it" in output

"""One command for each verb: `nox -l` lists them, `nox -s NAME` runs one, arguments follow `--`."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "virtualenv"  # comes with nox, so that nothing else is needed

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
OLDEST = PYTHONS[0]
# All but the sections on speed (9) and on compression (12, 13), which is off.
AUTOBAHN_CASES = [*"12345", "6.1", "6.2", "6.3", "7", "10"]
AUTOBAHN_PORTS = {"ours": 9551, "plain": 9552}


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on each supported Python that is installed."""
    session.install("-e", ".[tests]")
    session.run("pytest", *session.posargs)


@nox.session(python=OLDEST)
def coverage(session: nox.Session) -> None:
    """Run the tests on the oldest Python and demand every branch."""
    session.install("-e", ".[tests]")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, formatting and the direction of imports."""
    session.install("-e", ".[lint]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, those of the tests and of this file too."""
    session.install("-e", ".[types]")
    session.run("mypy", *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """Build the wheel, look into it, and run it far from this checkout."""
    session.install("build", "check-wheel-contents")
    work = Path(session.create_tmp()).resolve()
    shutil.rmtree(work)
    session.run("python", "-m", "build", "--wheel", "--outdir", str(work))
    (wheel,) = work.glob("*.whl")
    session.run("check-wheel-contents", str(wheel))

    # A second environment: the session's own can import what stands in the current directory.
    clean = work / "clean"
    session.run("python", "-m", "venv", str(clean))
    session.run(str(clean / "bin" / "pip"), "install", "--quiet", str(wheel), external=True)
    with session.chdir(work):
        session.run(str(clean / "bin" / "pulsewire"), "--version", external=True)
        session.run(str(clean / "bin" / "pulsewire"), "--help", external=True)


@nox.session(python=OLDEST, default=False)
def minimums(session: nox.Session) -> None:
    """Run the tests with the lowest version of every requirement that names one."""
    constraints = Path(session.create_tmp()).resolve() / "minimums.txt"
    constraints.write_text("\n".join(lowest_versions()) + "\n", encoding="utf-8")
    session.install("-c", str(constraints), "-e", ".[tests]")
    session.run("pytest", *session.posargs)


@nox.session(python=OLDEST, default=False)
def bench(session: nox.Session) -> None:
    """Measure what a delivered message costs, here and with what people would use instead."""
    session.install("-e", ".", "python-socketio==5.*")
    packages = Path(session.create_tmp()).resolve()
    if shutil.which("npm"):
        npm = ("npm", "install", "--silent", "--prefix", str(packages), "ws@8", "socket.io@4")
        session.run(*npm, external=True)
    session.run(
        *("python", "-m", "benchmarks", *session.posargs),
        env={"NODE_PATH": str(packages / "node_modules")},
    )


@nox.session(python=OLDEST, default=False)
def monitors(session: nox.Session) -> None:
    """Measure what watching a machine costs it, here and with other monitors."""
    session.install("-e", ".")
    glances = Path(session.create_tmp()).resolve() / "glances"
    session.run("python", "-m", "venv", str(glances))
    session.run(str(glances / "bin" / "pip"), "install", "-q", "glances[web]", external=True)
    program = str(glances / "bin" / "glances")
    session.run("python", "-m", "benchmarks.monitors", "--glances", program, *session.posargs)


@nox.session(default=False, venv_backend="none")
def declarations(session: nox.Session) -> None:
    """Write the browser client's type declarations anew, from the comments in its modules."""
    work = Path(session.create_tmp()).resolve() / "declarations"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree("tests/react", work)
    shutil.copytree("app/web/client", work / "client")
    npm = ("npm", "--prefix", str(work))
    session.run(*npm, "install", "--silent", "--ignore-scripts", external=True)
    session.run(*npm, "run", "declare", external=True)
    shutil.rmtree("app/web/client/types", ignore_errors=True)
    shutil.copytree(work / "types", "app/web/client/types")


@nox.session(python=OLDEST, default=False)
def reference(session: nox.Session) -> None:
    """Write docs/metrics.md anew, from the classes that are sent."""
    session.install("-e", ".")
    page = session.run("python", "-m", "schema.reference", silent=True)
    Path("docs/metrics.md").write_text(str(page), encoding="utf-8")


@nox.session(default=False)
def autobahn(session: nox.Session) -> None:
    """Run the Autobahn WebSocket suite, which needs a python2.7, against our protocol class."""
    session.install("-e", ".", "virtualenv<20.22")  # the last that makes environments for 2.7
    work = Path(session.create_tmp()).resolve()
    old = work / "python2"
    session.run("virtualenv", "--quiet", "--python", "python2.7", str(old))
    session.run(str(old / "bin" / "pip"), "install", "-q", "autobahntestsuite", external=True)
    agents = [
        {"agent": agent, "url": f"ws://127.0.0.1:{port}"} for agent, port in AUTOBAHN_PORTS.items()
    ]
    spec: dict[str, object] = {
        "outdir": str(work / "report"),
        "servers": agents,
        "cases": [f"{case}.*" for case in AUTOBAHN_CASES],
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    (work / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    servers = [
        subprocess.Popen([f"{session.bin}/python", "-m", "benchmarks.autobahn", agent, str(port)])
        for agent, port in AUTOBAHN_PORTS.items()
    ]
    try:
        time.sleep(3)  # until both listen
        suite = [str(old / "bin" / "python"), "-m", "autobahntestsuite.wstest"]
        session.run(*suite, "-m", "fuzzingclient", "-s", str(work / "spec.json"), external=True)
    finally:
        for server in servers:
            server.terminate()
            server.wait()
    report = json.loads((work / "report" / "index.json").read_text(encoding="utf-8"))
    failed = {agent: failures(cases) for agent, cases in report.items()}
    session.log("FAILED cases: %s", failed)
    if failed["ours"] - failed["plain"]:
        session.error("our protocol class fails where uvicorn's own does not")


def failures(cases: dict[str, dict[str, str]]) -> set[str]:
    """Return the cases of an Autobahn report that failed."""
    return {name for name, case in cases.items() if case["behavior"] == "FAILED"}


def lowest_versions() -> list[str]:
    """Return each requirement of the program and its tests, pinned to its lower bound."""
    project = PROJECT["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["tests"]]
    return [
        f"{requirement.name}=={bound.version}"
        for requirement in map(Requirement, requirements)
        for bound in requirement.specifier
        if bound.operator == ">="
    ]


if __name__ == "__main__":
    nox.main()

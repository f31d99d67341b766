"""The image: linted, from a lock of its own that is whole and no more, with nothing in it that should not be there."""

import fnmatch
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.deploy import image
from tests.deploy.composed import ROOT

BIN = Path(sys.executable).parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IGNORE = (ROOT / ".dockerignore").read_text().splitlines()


def test_the_dockerfile_is_clean():
    """The linter, which knows the shell too, has nothing to say."""
    done = subprocess.run([BIN / "hadolint", image.DOCKERFILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_ends_as_an_ordinary_user_without_tools():
    """Both images begin with the same pinned release, add nothing of Debian's, drop the installer and are nobody's."""
    stages = re.split(r"^FROM ", image.DOCKERFILE.read_text(), flags=re.MULTILINE)[1:]
    by_name = {stage.split()[2]: stage for stage in stages}
    assert {stage.split()[0] for stage in stages} == {"python:${PYTHON}", "build", "plain"}
    assert re.search(r"^ARG PYTHON=3\.11-slim-\w+$", image.DOCKERFILE.read_text(), re.MULTILINE)
    assert re.findall(r"^USER (\S+)$", by_name["plain"], re.MULTILINE) == ["10001:10001"]
    assert "pip uninstall" in by_name["plain"]
    assert "apt-get" not in image.DOCKERFILE.read_text()
    for final in ("vivideo", "sandbox"):
        assert by_name[final].startswith("plain ")
        assert set(re.findall(r"^[A-Z]+", by_name[final], re.MULTILINE)) <= {"COPY", "EXPOSE"}
    assert f"ARG VERSION={PROJECT['version']}" in by_name["plain"]


def test_the_build_gets_what_it_copies_and_nothing_else():
    """Everything is left out but what the Dockerfile names: no state, no settings, no history, no tests."""
    assert IGNORE[1] == "*"
    let_in = {line.removeprefix("!") for line in IGNORE if line.startswith("!")}
    assert let_in == set(image.copied())
    for secret in ("deploy/.env", "deploy/.env.production", "deploy/settings.env"):
        assert any(fnmatch.fnmatch(secret, line) for line in IGNORE[2:]), secret


def test_the_wheel_has_every_module_and_file(built: Path):
    """Nothing that an editable install finds by luck is missing from what is really installed."""
    expected = {
        str(path.relative_to(ROOT))
        for room in ("config", "worker", "api", "deploy")
        for kind in ("*.py", "*.html", "*.css", "*.js", "*.svg", "*.mako", "*.ttf")
        for path in (ROOT / room).rglob(kind)
    }
    found = {str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()}
    assert expected - found == set()
    assert not [name for name in found if name.startswith("tests/") or ".env" in name]


def test_the_base_lock_is_what_production_needs():
    """The dependencies and all they need in turn, on this platform; nothing of the extras; no address of an index."""
    pins = image.pins(image.BASE_LOCK)
    needed = _closure(PROJECT["dependencies"])
    assert needed - set(pins) == set()
    text = image.BASE_LOCK.read_text()
    others = [name for name in set(pins) - needed if not re.search(rf"^{re.escape(name)}==\S+ ;", text, re.MULTILINE)]
    assert others == [], "pinned for every platform, and needed on none"
    assert "://" not in text
    assert text.count("--hash=sha256:") >= len(pins)


def _closure(requirements: list[str]) -> set[str]:
    """Names of what these need here, as the installed packages say."""
    found: set[tuple[str, str]] = set()
    open_ones = [(Requirement(one), "") for one in requirements]
    while open_ones:
        requirement, extra = open_ones.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in found:
                found.add((name, wanted))
                open_ones += [(Requirement(one), wanted) for one in distribution(name).requires or []]
    return {name for name, _ in found}


def test_the_locks_agree():
    """What is tried here and what runs there is one version, with the same hashes."""
    base, local = image.pins(image.BASE_LOCK), image.pins(ROOT / "requirements.lock")
    assert base.items() <= local.items() <= image.pins(ROOT / "requirements-dev.lock").items()
    assert _hashes(image.BASE_LOCK) <= _hashes(ROOT / "requirements.lock")
    assert "setuptools" in local, "the image's build takes it from there"


def _hashes(lock: Path) -> set[str]:
    return set(re.findall(r"--hash=(\S+)", lock.read_text()))


def test_a_closed_fence_hides_what_the_image_has_not(tmp_path: Path, built: Path):
    """The processes below are started behind it: a package of the extras is not there, one of the base is, and the
    code is the wheel's."""
    path = f"{built}:{image.fence(tmp_path / 'fence')}"
    program = "import worker.app, celery, uvicorn; print(worker.app.__file__)"
    allowed = program.replace(", uvicorn", "")
    run = {"capture_output": True, "text": True, "cwd": tmp_path, "env": {"PYTHONPATH": path}}
    refused = subprocess.run([sys.executable, "-c", program], **run)
    assert "the image has no uvicorn" in refused.stderr
    assert subprocess.run([sys.executable, "-c", allowed], **run).stdout.startswith(str(built))

"""What `deploy/Dockerfile` puts into its image, without a container engine: the wheel of what it copies, unpacked, and
a fence around the packages that its lock does not have."""

import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.deploy.composed import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
BASE_LOCK = ROOT / "requirements-base.lock"
FENCE = '''
"""Raises where a package is imported that the image does not have."""

import sys


class Fence:
    absent = frozenset({absent!r})

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.absent:
            raise ModuleNotFoundError(f"the image has no {{name}}", name=name)


sys.meta_path.insert(0, Fence())
'''


def copied() -> list[str]:
    """What the build copies out of the project."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    return [name for line in lines for name in line.split()]


def pins(lock: Path) -> dict[str, str]:
    """Version by package."""
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[\w+\])?==(\S+)", lock.read_text(), re.MULTILINE))


def build(into: Path) -> Path:
    """Build the wheel from a copy of what the image's build gets, unpack it, and return the folder to import from."""
    source, wheels, image = into / "source", into / "wheels", into / "image"
    source.mkdir()
    for name in copied():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".env*"))
        else:
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    subprocess.run([*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", wheels, source], check=True)
    (wheel,) = wheels.iterdir()
    subprocess.run([*pip, "install", *offline, "--target", image, wheel], check=True)
    return image


def fence(into: Path) -> Path:
    """A folder to import from first, which hides what is installed here and not in the image."""
    there = {_plain(name) for name in pins(BASE_LOCK)} | {"vivideo"}
    absent = {
        module
        for module, packages in packages_distributions().items()
        if not there.intersection(map(_plain, packages)) and not module.startswith("_")
    }
    into.mkdir()
    (into / "sitecustomize.py").write_text(FENCE.format(absent=sorted(absent)))
    return into


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

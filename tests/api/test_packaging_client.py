"""The client on its own: built, installed into an empty directory, used where nothing of the service is."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.api.service import FIRST_KEY, Service

SOURCE = Path(__file__).parents[2] / "api" / "client"
LIBRARIES = Path(httpx.__file__).parents[1]
"""Where httpx and pydantic are; the service is not there, but linked from there by a `.pth` file, which -S leaves."""

PROGRAM = """
import importlib.util, json, sys
sys.path[:0] = sys.argv[1:3]
assert not [name for name in ("api", "worker", "config", "deploy", "tests") if importlib.util.find_spec(name)]
from vivideo_client import ApiError, Client, verify_webhook
with Client(*sys.argv[3:5]) as client:
    made = client.create_render("a kite", tags=["packaged"])
    ended = client.cancel(made.id)
    try:
        client.render("rnd_none")
    except ApiError as problem:
        code = problem.code
print(json.dumps({"id": made.id, "status": ended.status, "code": code, "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network, from a copy: building leaves files beside the sources."""
    folder = tmp_path_factory.mktemp("client")
    shutil.copytree(SOURCE, folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    _pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(folder), str(folder / "source"))
    (made,) = folder.glob("*.whl")
    return made


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments, "--no-index"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_wheel_holds_one_typed_package(wheel: Path) -> None:
    """Its modules, the mark for type checkers, and two dependencies; nothing else."""
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
        (about,) = [file.read(name).decode() for name in file.namelist() if name.endswith("/METADATA")]
    modules = {f"vivideo_client/{module.name}" for module in SOURCE.glob("*.py")}
    assert names == modules | {"vivideo_client/py.typed"}
    needed = [line.split(":")[1].strip() for line in about.splitlines() if line.startswith("Requires-Dist:")]
    assert [name.split(">")[0] for name in needed] == ["httpx", "pydantic"]


def test_it_works_where_the_service_is_not(wheel: Path, service: Service, tmp_path: Path) -> None:
    """Installed alone it makes and cancels a render, and loads nothing of the service nor its other libraries."""
    _pip("install", "--no-deps", "--target", str(tmp_path / "site"), str(wheel))
    bare = [sys.executable, "-I", "-S", "-c", PROGRAM]
    command = [*bare, str(tmp_path / "site"), str(LIBRARIES), service.url, FIRST_KEY]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["status"], told["code"]) == ("canceled", "render.unknown")
    assert service.first.get(f"/v1/renders/{told['id']}").json()["tags"] == ["packaged"]
    loaded = {name.partition(".")[0] for name in told["modules"]}
    assert not loaded & {"api", "worker", "config", "sqlalchemy", "fastapi", "typer"}


def test_its_types_are_complete(wheel: Path, tmp_path: Path) -> None:
    """A type checker of the user's own knows the type of everything that can be imported from it."""
    _pip("install", "--no-deps", "--target", str(tmp_path), str(wheel))
    environment = {"venvPath": str(Path(sys.prefix).parent), "venv": Path(sys.prefix).name, "extraPaths": ["."]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(environment))
    command = [sys.executable, "-m", "pyright", "--verifytypes", "vivideo_client", "--ignoreexternal"]
    # It asks the `python` of PATH, which may be another or none.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    known = os.environ | {"PYTHONPATH": ".", "PATH": path}
    done = subprocess.run(command, cwd=tmp_path, env=known, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "Type completeness score: 100%" in done.stdout) == (0, True), done.stdout

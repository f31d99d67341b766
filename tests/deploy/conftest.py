"""The image's code, built once for the tests of a process."""

from pathlib import Path

import pytest

from tests.deploy import image


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked: a folder to import from."""
    return image.build(tmp_path_factory.mktemp("image"))

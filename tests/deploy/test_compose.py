"""The compose file is valid, complete, locked down, and says the same as the local stack and the settings."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.settings import Capacity, Rates, Servers, Upstream, Waits
from deploy.local import commands
from deploy.local.alive import CHECKS
from tests.deploy import composed
from tests.deploy.composed import ROOT, SECRETS, Missing

BIN = Path(sys.executable).parent
OURS = {"migrate", *CHECKS}
SERVERS = {"postgres", "valkey"}
READ_BY_ONE_PROCESS = {"VIVIDEO_WORKER_KIND", "VIVIDEO_WORKER_CAPACITY"}
WORKERS = {"worker-stream", "worker-io", "worker-media"}


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The services of an installation that set what is needed and nothing else."""
    return composed.services(SECRETS)


def test_it_follows_the_published_schema():
    """Compose would take it: every key is one of the specification's, in its place."""
    checker = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", composed.FILE]
    done = subprocess.run(checker, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_process_of_the_service_is_there(services: dict[str, dict[str, Any]]):
    """What the architecture lists runs here, with its migration, its servers and, only when asked for, the sandbox."""
    listed = re.findall(r"^\| ([a-z-]+) \| .*? \|.*\|$", _processes(), re.MULTILINE)
    assert set(listed) == set(CHECKS)
    assert set(services) == OURS | SERVERS | {"sandbox"}
    assert [name for name, service in services.items() if "profiles" in service] == ["sandbox"]


def _processes() -> str:
    """The table of processes, without its head."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    return page.partition("| process |")[2].partition("\n## ")[0].partition("|---|")[2]


def test_the_commands_are_the_local_stacks(services: dict[str, dict[str, Any]]):
    """One table of command lines: what is tried on one machine is what runs in the containers."""
    everywhere = "0.0.0.0"  # noqa: S104 - inside a container
    expected = {
        "migrate": commands.migrate(),
        "api": commands.api(everywhere, 8000),
        "dispatcher": commands.dispatcher(),
        "worker-stream": commands.worker("stream", Capacity().stream_concurrency),
        "worker-io": commands.worker("io", Capacity().io_concurrency),
        "worker-media": commands.worker("media", Capacity().media_concurrency),
        "beat": commands.beat(Path("/tmp/beat-schedule")),  # noqa: S108 - a container's own
        "flower": commands.flower(everywhere, 5555, user="vivideo", password=SECRETS["FLOWER_PASSWORD"]),
        "sandbox": commands.sandbox(everywhere, 8100, Path("/var/lib/vivideo/sandbox")),
    }
    assert {name: services[name]["command"] for name in expected} == {
        name: ["python", *command.arguments] for name, command in expected.items()
    }
    for name, command in expected.items():
        assert command.environment.items() <= composed.environment(services[name]).items(), name


def test_the_commands_are_the_documented_ones():
    """Who starts the processes by hand copies the same command lines from the documentation."""
    page = re.sub(r" *\\?\n *", " ", (ROOT / "docs" / "operations.md").read_text())
    everywhere = "0.0.0.0"  # noqa: S104 - written, not bound
    documented = [
        commands.api(everywhere, 8000),
        commands.dispatcher(),
        *(commands.worker(kind, count) for kind, count in (("stream", 1500), ("io", 200), ("media", 2))),
        commands.beat(Path("beat-schedule")),
        commands.flower("127.0.0.1", 5555, user="user", password="password"),
    ]
    for command in documented:
        settings = "".join(f"{name}={value} " for name, value in command.environment.items())
        assert f" {settings}python {' '.join(command.arguments)} " in page


def test_what_it_sets_are_settings(services: dict[str, dict[str, Any]]):
    """A name that the service does not read would be set in vain."""
    groups = (Upstream, Servers, Rates, Capacity, Waits)
    declared = {
        str(field.validation_alias or f"VIVIDEO_{name.upper()}")
        for group in groups
        for name, field in group.model_fields.items()
    }
    named = {name for one in OURS for name in composed.environment(services[one]) if _is_setting(name)}
    assert named - READ_BY_ONE_PROCESS <= declared


def _is_setting(name: str) -> bool:
    return name.startswith(("VIVIDEO_", "NEMO_")) or name == "SKILL_SOURCE"


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_nothing_starts_without_its_secrets(name: str):
    """Compose ends with the name of what is missing, and with where to set it."""
    with pytest.raises(Missing, match=rf"{name}: set it in deploy/\.env"):
        composed.services({key: value for key, value in SECRETS.items() if key != name})


def test_the_example_names_every_variable_with_its_default():
    """What can be set is in `.env.example`: the needed ones open and empty, the others behind a #."""
    example, defaults = composed.example(), composed.variables()
    assert set(example) == set(defaults) | composed.passed_on() | {"COMPOSE_PROFILES"}
    assert {name for name, (_, commented) in example.items() if not commented} == set(SECRETS)
    assert all(example[name][0] == "" for name in SECRETS)
    shown = {name: value for name, (value, _) in example.items() if defaults.get(name)}
    # Shown with the sandbox, as one of the three that belong together.
    assert shown.pop("VIVIDEO_ALLOW_LOCAL_ADDRESSES") == "true"
    assert shown == {name: defaults[name] for name in shown}


def test_secrets_go_only_where_they_are_needed(services: dict[str, dict[str, Any]]):
    """A process that is broken into gives away what it works with and no more; no command line shows a secret."""
    holders = {
        name: {service for service in services if name in composed.environment(services[service])}
        for name in ("NEMO_TOKEN", "VIVIDEO_SECRET_KEY", "VIVIDEO_API_KEY", "AWS_SECRET_ACCESS_KEY")
    }
    assert holders == {
        "NEMO_TOKEN": {"migrate"},
        "VIVIDEO_SECRET_KEY": {"migrate", "api", *WORKERS},
        "VIVIDEO_API_KEY": {"migrate", "api"},
        "AWS_SECRET_ACCESS_KEY": {"api", "worker-io", "worker-media"},
    }
    for service in services.values():
        words = str([service["command"], service.get("healthcheck"), service.get("labels")])
        assert not [name for name, value in SECRETS.items() if value in words]


def test_only_loopback_is_opened(services: dict[str, dict[str, Any]]):
    """The API and Flower, for this host alone; the servers are on a network that leads nowhere."""
    opened = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert opened == {"api": ["127.0.0.1:8000:8000"], "flower": ["127.0.0.1:5555:5555"]}
    assert composed.raw()["networks"]["servers"] == {"internal": True}
    assert {name for name, service in services.items() if service["networks"] == ["servers"]} == SERVERS | {
        "migrate",
        "dispatcher",
        "beat",
    }


def test_every_container_is_locked_down_and_bounded(services: dict[str, dict[str, Any]]):
    """No capability, no way to more rights, nothing writable that is not named; bounds for memory, CPU and logs."""
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert (service["cap_drop"], "cap_add" in service) == (["ALL"], False), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}, name
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name
        assert "privileged" not in service, name
        assert not service["image"].endswith("latest"), name


def test_each_process_is_watched_and_has_time_to_leave(services: dict[str, dict[str, Any]]):
    """Everything that stays is checked by a command of its own image, starts again, and may drain for ten seconds."""
    for name in set(services) - {"migrate"}:
        assert services[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        assert services[name]["restart"] == "unless-stopped", name
        assert composed.seconds(services[name]["stop_grace_period"]) > 10, name
    checks = {name: ["CMD", "python", "-m", "deploy.local.alive", name] for name in CHECKS}
    assert {name: services[name]["healthcheck"]["test"] for name in CHECKS} == checks
    assert services["migrate"]["restart"] == "no"


def test_nothing_runs_before_the_database_is_up_to_date(services: dict[str, dict[str, Any]]):
    """The migration waits for PostgreSQL, all others for the migration, and whoever needs the broker for it."""
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in CHECKS:
        needed = services[name]["depends_on"]
        assert needed["migrate"] == {"condition": "service_completed_successfully"}
        assert ("valkey" in needed) == (name != "api"), "the intake takes renders while the broker is down"

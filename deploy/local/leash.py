"""Runs a program that cannot outlive the process that started it.

    python -I -S leash.py PARENT SIGNAL IDENTITY PROGRAM [ARGUMENT…]

An own small program instead of a `preexec_fn`: it is safe whatever threads the starter has, and it asks for the death
signal *after* the change of identity, which would clear it. The kernel ties the signal to the starting thread, so
children are started by the main thread only. `-I -S` keeps it at about 15 ms; it uses the standard library alone.

Identities, for servers that refuse to run as root:
- `self`: stay who you are;
- `namespace:UID`: a user namespace in which the caller's files belong to UID. Reaches everything below root's private
  directories and leaves ownership as it is, so it is the first choice;
- `nobody`: uid 65534, for containers that forbid user namespaces; keeps the one capability that passes through
  private directories, where there is one to keep.
"""

import ctypes
import os
import signal
import struct
import sys
from pathlib import Path

NOBODY = 65534

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def command(program: list[str], *, death_signal: int = signal.SIGKILL, identity: str = "self") -> list[str]:
    """The argument vector that runs `program` leashed to the calling process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(death_signal)), identity, *program]


def _must(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _enter_namespace(inside: int) -> None:
    uid, gid = os.geteuid(), os.getegid()
    _must(_libc.unshare(_CLONE_NEWUSER), "unshare")
    process = Path("/proc/self")
    (process / "setgroups").write_text("deny")
    (process / "uid_map").write_text(f"{inside} {uid} 1")
    (process / "gid_map").write_text(f"{inside} {gid} 1")


def _become_nobody() -> None:
    _libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    # Where root itself lacks the capability this fails, and the paths may be reachable all the same: the caller probes.
    bit = 1 << _CAP_DAC_OVERRIDE
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    sets = struct.pack("=6I", bit, bit, bit, 0, 0, 0)
    if _libc.capset(header, sets) == 0:
        _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def main() -> None:
    parent, death_signal, identity, *program = sys.argv[1:]
    kind, _, inside = identity.partition(":")
    if kind == "namespace":
        _enter_namespace(int(inside))
    elif identity == "nobody":
        _become_nobody()
    _must(_libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0), "prctl")
    if os.getppid() != int(parent):  # it died before the signal was asked for
        sys.exit(1)
    try:
        os.execvp(program[0], program)  # noqa: S606 - that is its purpose
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main()

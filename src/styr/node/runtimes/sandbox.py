"""What an ordinary user may take away from a process: Landlock, seccomp, rlimits. Decides; `launcher.py` applies it.

Called by `process.py`. Probes the kernel once, never assumes. Numbers: include/uapi/linux/landlock.h, seccomp.h,
arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from styr.node.runtimes import launcher

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
READ = EXECUTE | READ_FILE | READ_DIR
DEVICE = READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV

_RIGHTS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_ALL_RIGHTS = (1 << 16) - 1
_SCOPES = 0b11
"""Abstract Unix sockets and signals: no pod reaches a process outside its own domain."""

SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/nix/store", "/proc", "/sys",
    "/run/systemd/resolve", "/run/resolvconf", "/run/nscd", "/var/lib/ca-certificates",
)  # fmt: skip
"""What every pod may read and execute, as far as the user may."""

DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")


@dataclass(frozen=True, slots=True)
class Kernel:
    """What this machine gives an ordinary user. `landlock` is the ABI, 0 for none; `seccomp` the program, empty for none."""

    landlock: int = 0
    seccomp: bytes = b""

    def rights(self) -> int:
        return _RIGHTS_BY_ABI.get(self.landlock, _ALL_RIGHTS) if self.landlock else 0

    def ruleset(self) -> bytes:
        """struct landlock_ruleset_attr: handled_access_fs, handled_access_net (ABI 4), scoped (ABI 6)."""
        if not self.landlock:
            return b""
        fields = [self.rights()] + [0] * (self.landlock >= 4) + [_SCOPES] * (self.landlock >= 6)
        return struct.pack(f"={len(fields)}Q", *fields)

    def allowed(self, rules: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
        return [(path, rights & self.rights()) for path, rights in rules]

    def describe(self) -> dict[str, str]:
        files = f"Landlock ABI {self.landlock}" if self.landlock else "none: the kernel has no Landlock"
        signals = "Landlock" if self.landlock >= 6 else "none: needs Landlock ABI 6"
        return {
            "files": files,
            "signals": signals,
            "processMemory": "Landlock" if self.landlock else "none: the kernel has no Landlock",
            "syscalls": "seccomp" if self.seccomp else "none: no seccomp filter for this machine",
            "newPrivileges": "no_new_privs",
            "network": "none: shared with the machine",
            "memoryLimit": "none",
            "cpuLimit": "none",
        }


NOTHING = Kernel()


def probe() -> Kernel:
    return Kernel(launcher.landlock_abi(), seccomp_program(platform.machine()) if _has_seccomp() else b"")


def _has_seccomp() -> bool:
    try:
        return "filter" in Path("/proc/sys/kernel/seccomp/actions_avail").read_text() or _errno_action()
    except OSError:
        return False


def _errno_action() -> bool:
    return "errno" in Path("/proc/sys/kernel/seccomp/actions_avail").read_text().split()


def rules(readable: Iterable[Path], writable: Iterable[Path]) -> list[tuple[str, int]]:
    """Landlock rules: system folders and this Python to read, devices, the given folders. What stands nowhere is denied."""
    python = {sys.base_prefix, sys.base_exec_prefix, _real_python()} - {"", "/"}
    return [
        *((path, READ) for path in (*SYSTEM, *sorted(python))),
        *((path, DEVICE) for path in DEVICES),
        ("/dev/shm", _ALL_RIGHTS & ~(EXECUTE | IOCTL_DEV)),  # noqa: S108 - POSIX semaphores live there
        *((str(path), READ) for path in readable),
        *((str(path), _ALL_RIGHTS & ~IOCTL_DEV) for path in writable),
    ]


def _real_python() -> str:
    """The prefix behind a symlinked interpreter, such as a tool-managed Python under the user's home."""
    real = Path(os.path.realpath(sys.executable))
    return str(real.parent.parent) if real.parent.name == "bin" else ""


def rlimits() -> list[tuple[int, int, int]]:
    """No core files; as many open files as the user may have, to a bound that programs which close them all can bear."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    return [(resource.RLIMIT_CORE, 0, 0), (resource.RLIMIT_NOFILE, files, files)]


_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_DENIED: Mapping[str, Mapping[str, int]] = {
    "x86_64": {
        "ptrace": 101, "syslog": 103, "pivot_root": 155, "adjtimex": 159, "acct": 163, "settimeofday": 164, "mount": 165,
        "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172,
        "ioperm": 173, "init_module": 175, "delete_module": 176, "quotactl": 179, "clock_settime": 227, "kexec_load": 246,
        "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272, "perf_event_open": 298, "open_by_handle_at": 304,
        "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "finit_module": 313,
        "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425, "io_uring_enter": 426,
        "io_uring_register": 427, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
        "fspick": 433, "pidfd_getfd": 438, "mount_setattr": 442,
    },
    "aarch64": {
        "umount2": 39, "mount": 40, "pivot_root": 41, "quotactl": 60, "acct": 89, "unshare": 97, "kexec_load": 104,
        "init_module": 105, "delete_module": 106, "clock_settime": 112, "syslog": 116, "ptrace": 117, "reboot": 142,
        "sethostname": 161, "setdomainname": 162, "settimeofday": 170, "adjtimex": 171, "add_key": 217, "request_key": 218,
        "keyctl": 219, "swapon": 224, "swapoff": 225, "perf_event_open": 241, "open_by_handle_at": 265,
        "clock_adjtime": 266, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "finit_module": 273,
        "bpf": 280, "userfaultfd": 282, "kexec_file_load": 294, "io_uring_setup": 425, "io_uring_enter": 426,
        "io_uring_register": 427, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432,
        "fspick": 433, "pidfd_getfd": 438, "mount_setattr": 442,
    },
}  # fmt: skip
"""Nothing an app needs: mounting, other processes' memory, kernel modules and keys, the clock, new namespaces."""

_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435
_CLONE_NEWUSER = 0x10000000
_X32_BIT = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM, _ENOSYS = 1, 38


def seccomp_program(machine: str) -> bytes:
    """Classic BPF over struct seccomp_data: a foreign architecture is killed, the denied calls answer EPERM, clone3 answers
    ENOSYS (its flags cannot be read, and libc then falls back on clone). Empty for a machine whose numbers are not known."""
    if machine not in _AUDIT_ARCH or sys.byteorder != "little":
        return b""
    denied = sorted(_DENIED[machine].values())

    def op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    program = [op(_LOAD, 4), op(_EQUAL, _AUDIT_ARCH[machine], 1, 0), op(_RETURN, _KILL), op(_LOAD, 0)]
    program += [op(_AT_LEAST, _X32_BIT, 0, 1), op(_RETURN, _ERRNO | _ENOSYS)]
    program += [op(_EQUAL, _CLONE3, 0, 1), op(_RETURN, _ERRNO | _ENOSYS)]
    for number in denied:
        program += [op(_EQUAL, number, 0, 1), op(_RETURN, _ERRNO | _EPERM)]
    program += [op(_EQUAL, _CLONE[machine], 0, 3), op(_LOAD, 16), op(_ANY_BIT, _CLONE_NEWUSER, 0, 1)]
    program += [op(_RETURN, _ERRNO | _EPERM), op(_RETURN, _ALLOW)]
    return b"".join(program)

"""What the runner takes from itself before it opens a bundle: privileges, files, network, processes.

Order matters: all imports are done (imports want files), then no_new_privs, resource limits, Landlock, seccomp. The
filter is a list of what is refused, since torch's own needs change from version to version; everything newer than
Linux 5.1 answers "unknown", as on an old kernel, so that what kernels learn later is not open by itself.
"""

import ctypes
import errno
import os
import resource
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import pyseccomp as seccomp

import derm_networks
import derm_pacs
from derm_pacs.inference.landlock import restrict
from derm_pacs.inference.messages import Confinement

_PR_SET_NO_NEW_PRIVS = 38
_CLONE_THREAD = 0x10000
_CLONE_NEW_NAMESPACE = (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
_FIRST_NEWER_CALL, _LAST_NEWER_CALL = 424, 600  # numbers are the same on all architectures from 424 on

_REFUSED = (
    # network and other ways out
    "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4",
    "shmget", "shmat", "msgget", "semget", "mq_open", "mq_unlink",
    # other programs and processes
    "execve", "execveat", "fork", "vfork", "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "ptrace",
    "process_vm_readv", "process_vm_writev", "kcmp", "setpgid", "setsid",
    # files: whatever changes them or their names; opening for writing is refused by its flags
    "creat", "truncate", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "mkdir", "mkdirat", "rmdir",
    "unlink", "unlinkat", "rename", "renameat", "renameat2", "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown",
    "fchownat", "utime", "utimes", "utimensat", "futimesat", "setxattr", "lsetxattr", "fsetxattr", "removexattr",
    "lremovexattr", "fremovexattr", "open_by_handle_at", "name_to_handle_at", "fanotify_init", "inotify_init",
    "inotify_init1",
    # the system
    "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "bpf", "perf_event_open", "userfaultfd",
    "io_uring_setup", "io_uring_enter", "io_uring_register", "add_key", "request_key", "keyctl", "init_module",
    "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "personality",
    "acct", "quotactl", "syslog", "sethostname", "setdomainname", "settimeofday", "clock_settime", "clock_adjtime",
    "adjtimex", "iopl", "ioperm", "modify_ldt", "vhangup", "lookup_dcookie", "vmsplice", "move_pages", "migrate_pages",
    # limits and identity
    "setrlimit", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid",
    "setgroups", "capset",
)  # fmt: skip
_WRITING = (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC)

_libc = ctypes.CDLL(None, use_errno=True)


class NotConfined(RuntimeError):
    """The process cannot be confined as it must be."""


def readable_places(bundle: Path) -> tuple[Path, ...]:
    """Return all that a runner may read: the interpreter, installed packages, system libraries, and the one bundle."""
    packages = (Path(package.__file__ or "").parent for package in (derm_pacs, derm_networks))
    installed = (Path(sysconfig.get_path(key)) for key in ("stdlib", "platstdlib", "purelib", "platlib"))
    system = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo",
              "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu", "/dev/null", "/dev/urandom")  # fmt: skip
    return (*packages, *installed, *map(Path, system), bundle)


def confine(readable: Iterable[Path], *, address_space: int) -> Confinement:
    """Confine this process for good and say what is in force.

    `address_space` is the limit in bytes. Raises `NotConfined` when other threads run already, which Landlock would not
    reach, or when the kernel refuses; a kernel without Landlock is no error, it is said.
    """
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1:
        raise NotConfined(f"{threads} threads run before confinement")
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise NotConfined(f"no_new_privs: {os.strerror(ctypes.get_errno())}")
    _limit_resources(address_space)
    landlock_abi = restrict(readable)
    _filter_calls()
    return Confinement(no_new_privileges=True, seccomp=True, landlock_abi=landlock_abi)


def _limit_resources(address_space: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        address_space = min(address_space, most)
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the patient's image
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _filter_calls() -> None:
    refused = seccomp.ERRNO(errno.EPERM)
    unknown = seccomp.ERRNO(errno.ENOSYS)
    calls = seccomp.SyscallFilter(seccomp.ALLOW)
    calls.set_attr(seccomp.Attr.CTL_TSYNC, 1)
    for name in _REFUSED:
        if _number(name) is not None:
            calls.add_rule(refused, name)
    for name, position in (("open", 1), ("openat", 2)):
        if _number(name) is not None:
            for flag in _WRITING:
                calls.add_rule(refused, name, seccomp.Arg(position, seccomp.MASKED_EQ, flag, flag))
    calls.add_rule(refused, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, _CLONE_THREAD, 0))
    for namespace in _CLONE_NEW_NAMESPACE:
        calls.add_rule(refused, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, namespace, namespace))
    calls.add_rule(refused, "prlimit64", seccomp.Arg(2, seccomp.NE, 0))
    taken = {_number(name) for name in _REFUSED}
    for number in range(_FIRST_NEWER_CALL, _LAST_NEWER_CALL + 1):
        if number not in taken:
            calls.add_rule(unknown, number)
    calls.load()


def _number(name: str) -> int | None:
    """Return the number of a system call, None where this machine has none of that name."""
    try:
        number = int(seccomp.resolve_syscall(seccomp.Arch.NATIVE, name))
    except (ValueError, OSError):
        return None
    return number if number >= 0 else None

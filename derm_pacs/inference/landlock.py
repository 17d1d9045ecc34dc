"""Landlock by its three system calls: from here on this process reads a list of places and writes nowhere.

Kernel documentation: Documentation/userspace-api/landlock.rst. Each version (ABI) of Landlock knows more rights; all
that the kernel knows are handled, hence denied unless a rule grants them.
"""

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_ASK_VERSION = 1
_PATH_BENEATH = 1

_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
_FILE_RIGHTS_BY_ABI = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
_TCP_BIND_AND_CONNECT = 0b11  # from ABI 4
_SCOPES = 0b11  # abstract Unix sockets and signals, from ABI 6

_libc = ctypes.CDLL(None, use_errno=True)


class LandlockFailed(OSError):
    """The kernel has Landlock but refused a rule."""


def abi() -> int:
    """Return the kernel's version of Landlock, 0 where it is missing or switched off."""
    version = int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION)))
    if version >= 0:
        return version
    if ctypes.get_errno() in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
        return 0
    raise LandlockFailed(ctypes.get_errno(), "landlock_create_ruleset")


def restrict(readable: Iterable[Path]) -> int:
    """Let the calling thread and its later threads read below `readable` only; return the ABI, 0 where there is none.

    The process must have no other thread yet and must have set no_new_privs. Places that do not exist are left out.
    """
    version = abi()
    if version == 0:
        return 0
    rights = 0
    for since, bits in _FILE_RIGHTS_BY_ABI:
        rights |= bits if version >= since else 0
    fields = [rights]
    if version >= 4:
        fields.append(_TCP_BIND_AND_CONNECT)
    if version >= 6:
        fields.append(_SCOPES)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        for place in readable:
            _allow_reading(ruleset, place)
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return version


def _allow_reading(ruleset: int, place: Path) -> None:
    try:
        anchor = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rights = _READ_FILE | _READ_DIR if stat.S_ISDIR(os.fstat(anchor).st_mode) else _READ_FILE
        rule = struct.pack("=Qi", rights, anchor)
        _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(anchor)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise LandlockFailed(code, f"Landlock system call {number}: {os.strerror(code)}")
    return result

"""Our UIDs: 2.25 and a 128-bit integer of a hash of all that made the object (PS3.5 annex B.2)."""

import hashlib
import re
from collections.abc import Sequence

_COMPONENTS = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")


def is_legal_uid(uid: str) -> bool:
    """Say whether `uid` is legal: at most 64 characters, numeric components without leading zeros (PS3.5 section 9.1)."""
    return len(uid) <= 64 and _COMPONENTS.fullmatch(uid) is not None


def derived_uid(parts: Sequence[str]) -> str:
    """Return the UID of the object that `parts` name; the same parts give the same UID.

    The parts are length-prefixed before hashing, so no two lists of parts run together.
    """
    key = "".join(f"{len(part)}:{part}" for part in parts)
    return "2.25." + str(int.from_bytes(hashlib.sha256(key.encode("utf-8")).digest()[:16], "big"))

"""`configs/serving.json` to its description; what the description cannot say is refused by name."""

import json
from typing import Any, NoReturn

from pydantic import ValidationError

from derm_pacs.domain.bundle import ServingDescription

SERVING = "configs/serving.json"
METADATA = "configs/metadata.json"


class NotDescribed(ValueError):
    """The description is missing, broken, or says what it cannot say; the text names the key."""


def parse(content: bytes) -> ServingDescription:
    """Return the description; raises `NotDescribed`."""
    try:
        json.loads(content, object_pairs_hook=_once, parse_constant=_no_constant)
        return ServingDescription.model_validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        what = "is not known" if first["type"] == "extra_forbidden" else f"is wrong: {first['msg']}"
        raise NotDescribed(f"{SERVING}: {key or 'the whole'} {what}") from error
    except (ValueError, RecursionError) as error:
        raise NotDescribed(f"{SERVING}: {error}") from error


def check_version(description: ServingDescription, metadata: bytes) -> None:
    """Raise `NotDescribed` where metadata.json cannot be read, or tells another version than the description."""
    try:
        told = json.loads(metadata)["version"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise NotDescribed(f"{METADATA} tells no version: give it that of {SERVING}, {description.version}") from error
    if told != description.version:
        raise NotDescribed(
            f"{METADATA} tells version {told}, {SERVING} {description.version}: `derm-pacs bundles export FOLDER --version VERSION` writes both"
        )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise NotDescribed(f"{SERVING}: {key} stands twice")
    return dict(pairs)


def _no_constant(constant: str) -> NoReturn:
    raise NotDescribed(f"{SERVING}: {constant} is no number")

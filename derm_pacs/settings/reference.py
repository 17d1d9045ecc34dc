"""The reference page of the settings, made from the models."""

import types
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TypeGuard, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from derm_pacs.settings.model import Settings
from derm_pacs.settings.write import literal, tables, unit

_KINDS: dict[object, str] = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path"}


def reference_markdown() -> str:
    """Return a table of keys for the top level and for each table of the file."""
    parts = ["## Top level", "", *_rows(Settings)]
    for name, field in Settings.model_fields.items():
        section, repeated = _section(field)
        if section is not None:
            header = f"[[{name}]]" if repeated else f"[{name}]"
            parts += ["", f"## `{header}`", "", (section.__doc__ or "").splitlines()[0], "", *_rows(section)]
    return "\n".join(parts)


def _section(field: FieldInfo) -> tuple[type[BaseModel] | None, bool]:
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        return field.annotation, False
    entries = tables(field)
    return entries, entries is not None


def _rows(model: type[BaseModel]) -> Iterator[str]:
    yield "| key | kind | default | what for |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        if _section(field)[0] is None:
            yield f"| `{field.alias or name}` | {_kind(field)} | {_default(field)} | {field.description} |"


def _kind(field: FieldInfo) -> str:
    annotation = field.annotation
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(one for one in get_args(annotation) if one is not types.NoneType)
    while hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is tuple:
        member = get_args(annotation)[0]
        name = f"list, each {_choices(member)}" if _is_choice(member) else "list of texts"
    elif get_origin(annotation) is dict:
        name = "table of texts"
    else:
        name = _choices(annotation) if _is_choice(annotation) else _KINDS[annotation]
    counted = f", {unit(field)}" if unit(field) else ""
    return f"{name}{counted}{_limits(field)}"


def _is_choice(annotation: object) -> TypeGuard[type[StrEnum]]:
    return isinstance(annotation, type) and issubclass(annotation, StrEnum)


def _choices(kind: type[StrEnum]) -> str:
    return "one of " + ", ".join(f"`{literal(one)}`" for one in kind)


def _limits(field: FieldInfo) -> str:
    words: list[str] = []
    for one in field.metadata:
        match one:
            case annotated_types.Ge(ge=limit):
                words.append(f"at least {limit}")
            case annotated_types.Gt(gt=limit):
                words.append(f"above {limit}")
            case annotated_types.Le(le=limit):
                words.append(f"at most {limit}")
            case _:
                continue
    return f" ({', '.join(words)})" if words else ""


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    return "absent" if field.default is None else f"`{literal(field.default)}`"

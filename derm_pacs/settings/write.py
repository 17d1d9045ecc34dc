"""Writes settings as TOML, with each key's sentence above it where a person is to read the file."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from derm_pacs.settings.kinds import Unit
from derm_pacs.settings.model import Settings


def to_toml(settings: Settings, *, commented: bool = False) -> str:
    """Return the TOML text that reads back as the same settings; `commented` adds what each key is for."""
    lines = [*_keys(settings, commented=commented)]
    for name, field, value in _fields(settings):
        if isinstance(value, BaseModel):
            lines += _table(f"[{name}]", value, commented=commented)
        elif _is_tables(value):
            for entry in value:
                lines += _table(f"[[{name}]]", entry, commented=commented)
        elif commented and (model := tables(field)) is not None:
            lines += _absent(f"[[{name}]]", model)
    return "\n".join(lines) + "\n"


def unit(field: FieldInfo) -> str:
    """Return the name of what a field's number counts, empty where it has none."""
    return next((one.name for one in field.metadata if isinstance(one, Unit)), "")


def tables(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of the entries of a field that is a list of tables, None for any other field."""
    inner = get_args(field.annotation)
    if get_origin(field.annotation) is tuple and isinstance(inner[0], type) and issubclass(inner[0], BaseModel):
        return inner[0]
    return None


def literal(value: object) -> str:
    """Return a value as TOML writes it; raises `TypeError` for a kind that the settings do not have."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return _string(str(value))
    if isinstance(value, tuple):
        return "[" + ", ".join(literal(one) for one in value) + "]"
    if isinstance(value, dict):  # the keys are names of bundles, which TOML writes bare
        return "{" + ", ".join(f" {key} = {literal(one)}" for key, one in value.items()) + (" }" if value else "}")
    raise TypeError(f"no TOML for {type(value).__name__}")


def _string(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\"}
    return '"' + "".join(escapes.get(one) or (one if one >= " " and one != "\x7f" else f"\\u{ord(one):04x}") for one in text) + '"'


def _fields(model: BaseModel) -> Iterator[tuple[str, FieldInfo, object]]:
    for name, field in type(model).model_fields.items():
        yield field.alias or name, field, getattr(model, name)


def _is_tables(value: object) -> TypeGuard[tuple[BaseModel, ...]]:
    return isinstance(value, tuple) and bool(value) and all(isinstance(one, BaseModel) for one in value)


def _table(header: str, model: BaseModel, *, commented: bool) -> list[str]:
    sentence = [f"# {(type(model).__doc__ or '').splitlines()[0]}"] if commented else []
    return ["", *sentence, header, *_keys(model, commented=commented)]


def _absent(header: str, model: type[BaseModel]) -> Iterator[str]:
    yield from ("", f"# {(model.__doc__ or '').splitlines()[0]} None is here; an entry would be:", f"# {header}")
    for name, field in model.model_fields.items():
        yield f"# {_sentence(field)}"
        yield f"# {name} =" if field.default in (None, PydanticUndefined) else f"# {name} = {literal(field.default)}"


def _sentence(field: FieldInfo) -> str:
    counted = f" [{unit(field)}]" if unit(field) else ""
    return f"{field.description}{counted}"


def _keys(model: BaseModel, *, commented: bool) -> Iterator[str]:
    for name, field, value in _fields(model):
        if isinstance(value, BaseModel) or tables(field) is not None:
            continue
        if commented:
            yield f"# {_sentence(field)}"
        if value is not None:
            yield f"{name} = {literal(value)}"
        elif commented:
            yield f"# {name} ="

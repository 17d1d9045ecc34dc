"""Reads the settings file; every error names file, key, what is wrong and what to do."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from derm_pacs.settings import secrets
from derm_pacs.settings.model import Settings


class SettingsError(Exception):
    """The settings cannot be used; one line a problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        """`problems` are whole sentences that begin with the file."""
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def read(path: Path) -> Settings:
    """Return the settings of a TOML file.

    Raises `SettingsError` with every problem of the file at once, also where a secret that it names cannot be read.
    """
    settings = parse(_load(path), str(path))
    try:
        settings.database_url()
    except secrets.SecretError as error:
        raise SettingsError([f"{path}: key 'password_file' in [database]: {error}"]) from error
    for number, peer in enumerate(settings.web_peers):
        try:
            peer.secret()
        except secrets.SecretError as error:
            place = f"[[web_peers]] entry {number + 1} ({peer.name!r})"
            raise SettingsError([f"{path}: key 'secret_file' in {place}: {error}"]) from error
    return settings


def parse(values: Mapping[str, Any], file: str) -> Settings:
    """Return the settings of parsed TOML; `file` is only named in errors. Raises `SettingsError`."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        # The input may hold a secret at a wrong key, so nothing of pydantic's own text is shown or chained.
        problems = [f"{file}: {_problem(one, values)}" for one in error.errors(include_url=False, include_input=True)]
    raise SettingsError(problems)


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError([
            f"{path}: the settings cannot be read ({error.strerror}); name the file by --config or DERM_PACS_CONFIG",
        ]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"{path}: the file is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"]) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"{path}: this is not TOML: {error}; correct that line"]) from error


def _problem(error: ErrorDetails, values: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    location: list[str | int] = list(error["loc"])
    if error["type"] == "relation":
        location = [context["table"], context["number"], context["key"]]
    path = [one for one in location if not _is_branch(one)]
    if error["type"] == "extra_forbidden":
        return _unknown(path, values)
    if error["type"] == "missing":
        return f"key {_quoted(path)}{_section(path, values)} is missing; add it"
    return f"{_place(path, values)}: {_sentence(error, context)}"


def _is_branch(part: str | int) -> bool:
    # pydantic puts the name of a validator or of a branch of a union into the location; no TOML key looks so.
    return isinstance(part, str) and ("[" in part or "(" in part)


def _unknown(path: Sequence[str | int], values: Mapping[str, Any]) -> str:
    known = _known_keys(path[:-1])
    near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
    advice = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
    kind = "table" if _is_table(_value(path, values)) else "key"
    return f"unknown {kind} {_quoted(path)}{_section(path, values)}; {advice}"


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value))


def _value(path: Sequence[str | int], values: Mapping[str, Any]) -> object:
    value: Any = values
    for part in path:
        value = value[part]
    return value


def _known_keys(path: Sequence[str | int]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in path:
        if isinstance(part, str):
            model = _model_of(model.model_fields[part].annotation)
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_of(annotation: object) -> type[BaseModel]:
    inner = get_args(annotation)
    found = inner[0] if inner else annotation
    assert isinstance(found, type)  # noqa: S101 - a section of the model is a model or a tuple of one
    assert issubclass(found, BaseModel)  # noqa: S101
    return found


def _quoted(path: Sequence[str | int]) -> str:
    names = [one for one in path if isinstance(one, str)]
    return repr(names[-1]) if names else "at the top"


def _section(path: Sequence[str | int], values: Mapping[str, Any]) -> str:
    """Return ` in [study]`, ` in [[peers]] entry 2 ('pacs')`, or nothing at the top level."""
    match list(path):
        case [str(table), int(number), *_]:
            entry = values[table][number]
            name = entry.get("name") if isinstance(entry, dict) else None
            shown = f" ({name!r})" if isinstance(name, str) else ""
            return f" in [[{table}]] entry {number + 1}{shown}"
        case [str(table), str(_), *_]:
            return f" in [{table}]"
        case _:
            return ""


def _place(path: Sequence[str | int], values: Mapping[str, Any]) -> str:
    match list(path):
        case []:
            return "the settings"
        case [str(table), int(_)]:
            return f"[[{table}]] entry {int(path[1]) + 1}"
        case [str(table)] if isinstance(values.get(table), dict):
            return f"[{table}]"
        case _:
            return f"key {_quoted(path)}{_section(path, values)}"


_KINDS = {
    "int_type": "a whole number", "float_type": "a number", "bool_type": "true or false", "string_type": "a text in quotes",
    "path_type": "a path in quotes", "tuple_type": "a list in brackets",
    "model_type": "a table", "model_attributes_type": "a table",
}


_LIMITS = {"greater_than": "above", "greater_than_equal": "at least", "less_than": "below", "less_than_equal": "at most"}


def _sentence(error: ErrorDetails, context: Mapping[str, Any]) -> str:
    match error["type"]:
        case kind if kind in _KINDS:
            return f"must be {_KINDS[kind]}, not {_named(error['input'])}; correct it"
        case kind if kind in _LIMITS:
            return f"{error['input']!r} is outside the limits; it must be {_LIMITS[kind]} {next(iter(context.values()))}"
        case "enum":
            sentence = f"is none of the values that this key has; write {context['expected']}"
        case "string_too_short" | "too_short":
            sentence = "is empty; write at least one"
        case "string_too_long":
            sentence = f"is too long; at most {context['max_length']} characters"
        case "string_pattern_mismatch":
            sentence = f"{error['input']!r} is not a name; write lower-case letters, digits, '-' and '_', at most 64 characters"
        case "value_error":
            sentence = str(context["error"])
        case _:
            sentence = error["msg"]
    return sentence


def _named(value: object) -> str:
    # The value itself stays out: a secret may stand at a wrong key.
    names = {str: "a text", bool: "true or false", int: "a whole number", float: "a number", list: "a list", dict: "a table"}
    return names.get(type(value), f"a {type(value).__name__}")

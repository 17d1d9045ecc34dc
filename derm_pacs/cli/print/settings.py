"""The settings as understood, on the screen; secrets come masked."""

from typing import Any

from rich.console import Console

from derm_pacs.settings.model import Settings


def print_settings(settings: Settings, out: Console) -> None:
    """Print every key with its value, defaults included."""
    masked = settings.masked()
    out.print("Settings as understood", style="bold")
    for name, value in masked.items():
        if not isinstance(value, dict) and not _is_tables(value):
            out.print(f"{name} = {_shown(value)}")
    for name, value in masked.items():
        tables = [value] if isinstance(value, dict) else value if _is_tables(value) else []
        for table in tables:
            out.print(f"[{name}]" if isinstance(value, dict) else f"[[{name}]]")
            for key, one in table.items():
                out.print(f"  {key} = {_shown(one)}")


def _is_tables(value: object) -> bool:
    return isinstance(value, list)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "(absent)"
        case bool():
            return str(value).lower()
        case list():
            return ", ".join(str(one) for one in value) or "(none)"
        case dict():
            return ", ".join(f"{key} = {one}" for key, one in value.items()) or "(none)"
        case _:
            return str(value)

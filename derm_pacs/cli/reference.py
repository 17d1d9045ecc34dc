"""The reference page of the commands, made from the commands themselves."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, get_args, get_type_hints

from derm_pacs.cli.exit_codes import ExitCode
from derm_pacs.cli.main import COMMANDS, Listed, Noun, command, function, help_and_examples


def every_command() -> Iterator[tuple[str, Listed]]:
    """Give each command with its whole name, such as `cases list`."""
    for entry in COMMANDS:
        match entry:
            case Listed():
                yield entry.name, entry
            case Noun():
                for listed in entry.commands:
                    yield f"{entry.name} {listed.name}", listed


def reference_markdown() -> str:
    """Return the exit statuses and, for each command, its help, arguments, options and examples."""
    parts = ["## Exit status", "", "| status | meaning |", "|---|---|"]
    parts += [f"| {code.value} | {code.sentence} |" for code in ExitCode]
    for name, listed in every_command():
        parts += ["", f"## `derm-pacs {name}`", "", *_command(listed)]
    return "\n".join(parts)


def _command(listed: Listed) -> Iterator[str]:
    text, examples = help_and_examples(listed)
    yield text
    parameters = [one for one in command(listed).params if "--help" not in one.opts]
    hints = get_type_hints(function(listed))
    if parameters:
        yield from ("", "| argument or option | | what for |", "|---|---|---|")
    for one in parameters:
        needed = "required" if one.required else "optional"
        yield f"| `{_name(one)}` | {needed} | {_what_for(one)}{_choices(hints[str(one.name)])} |"
    if examples:
        yield from ("", "```sh", *(line.strip() for line in examples.splitlines()[2:] if line.strip()), "```")


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).strip("[]")
    return " / ".join((*parameter.opts, *parameter.secondary_opts))


def _what_for(parameter: Any) -> str:
    shown = parameter.show_default
    default = shown if isinstance(shown, str) else parameter.default
    told = isinstance(shown, str) or (default is not None and not callable(default) and default not in (False, (), ""))
    variable = f" Variable of the environment: `{parameter.envvar}`." if getattr(parameter, "envvar", None) else ""
    return f"{parameter.help}{f' Default: {default}.' if told and not parameter.required else ''}{variable}"


def _choices(hint: object) -> str:
    for one in (hint, *get_args(hint)):
        if isinstance(one, type) and issubclass(one, StrEnum):
            return " One of: " + ", ".join(f"`{member.value}`" for member in one) + "."
    return ""

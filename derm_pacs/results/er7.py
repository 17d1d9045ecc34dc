"""The vertical-bar encoding of HL7 v2 (v2.5.1 chapter 2, sections 2.5 to 2.7): escapes, fields, segments.

hl7apy's own writer is not used: it leaves what looks like an escape in a value as it is, and a carriage return too, so
that a name could read otherwise than it was written, or end its segment.
"""

from collections.abc import Mapping, Sequence

Component = str | tuple[str, ...]
"""A text, or its subcomponents."""
Repetition = Sequence[Component]
"""The components of one repetition."""
Field = str | Sequence[Repetition]
"""A text, or the field's repetitions."""

DELIMITERS = "^~\\&"
"""Component, repetition, escape, subcomponent: what MSH-2 says."""

_ESCAPES = {"|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\", "\\": "\\E\\"}
_DELETE = '""'
"""As a whole value, these two characters tell the receiver to delete what it has (section 2.5.3)."""


def escape(text: str) -> str:
    """Return a text so that it comes back the same: delimiters and control characters by their escapes."""
    if text == _DELETE:
        return "\\X22\\\\X22\\"
    return "".join(_escaped(character) for character in text)


def segment(name: str, fields: Mapping[int, Field]) -> str:
    """Return a segment with these fields by number, ended by its carriage return; MSH-1 and MSH-2 write themselves."""
    first = 3 if name == "MSH" else 1
    said = [_field(fields.get(number, "")) for number in range(first, max(fields) + 1)]
    return "|".join([f"MSH|{DELIMITERS}" if name == "MSH" else name, *said]).rstrip("|") + "\r"


def _field(field: Field) -> str:
    if isinstance(field, str):
        return escape(field)
    return "~".join(_repetition(one) for one in field)


def _repetition(components: Repetition) -> str:
    return "^".join(_component(one) for one in components).rstrip("^")


def _component(component: Component) -> str:
    if isinstance(component, str):
        return escape(component)
    return "&".join(escape(one) for one in component).rstrip("&")


def _escaped(character: str) -> str:
    if character < " " or character == "\x7f":
        return f"\\X{ord(character):02X}\\"
    return _ESCAPES.get(character, character)

"""Names of invented patients: plain, hostile, and in the character sets of PS3.5 section 6.1."""

from dataclasses import dataclass

from tests.results.product.axes import Name


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """What is put where people type something."""

    character_set: str | list[str] | None
    """Specific Character Set (0008,0005), None where the source has none."""
    patient: str
    identifier: str
    words: str
    """For descriptions, the referring physician, the tracking identifier."""


NAMES: dict[Name, Naming] = {
    Name.PLAIN: Naming(character_set=None, patient="Muster^Erika", identifier="P-1", words="Dermoscopy"),
    Name.BACKSLASH: Naming(character_set=None, patient="Back\\Slash^Ann", identifier="P\\2", words="left\\right"),
    Name.CARETS: Naming(character_set=None, patient="A^B^C^D^E^F^G^H==^", identifier="P^3", words="one^two"),
    Name.LONG: Naming(character_set=None, patient="Longname" * 30 + "^" + "G" * 90, identifier="P" * 120, words="w" * 300),
    Name.CONTROL: Naming(character_set=None, patient="Bell\x07^Null\x00Tab\t", identifier="P\x01\x7f5", words="a\r\nb\x0c"),
    Name.MARKUP: Naming(
        character_set=None, patient="<script>alert(1)</script>^&amp;", identifier="'; DROP TABLE--", words="<b>&lt;\"</b>",
    ),
    Name.PERCENT: Naming(character_set=None, patient="%s%n%d^%00", identifier="%x{0}$(id)", words="100 %s {} %(name)s"),
    Name.LATIN_1: Naming(character_set="ISO_IR 100", patient="Müller^Jörg^^Dr.", identifier="Ä-7", words="Rücken, Fuß"),
    Name.UNDECLARED: Naming(character_set=None, patient="Müller^Jörg", identifier="Ö-8", words="Rücken"),
    Name.CYRILLIC: Naming(character_set="ISO_IR 144", patient="Люксембург^Анна", identifier="Ж-9", words="Кожа спины"),
    Name.JAPANESE: Naming(
        character_set=["", "ISO 2022 IR 87"], patient="Yamada^Tarou=山田^太郎=やまだ^たろう", identifier="P-10", words="皮膚",
    ),
    Name.UTF_8: Naming(character_set="ISO_IR 192", patient="Wáng^Żółć=王^小東=", identifier="β-11", words="кожа 皮膚 ½ 🙂"),
}  # fmt: skip

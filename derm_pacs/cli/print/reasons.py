"""Reasons in words: the sentence, the remedy and who acts."""

from derm_pacs.domain.reasons import REASONS


def explained(code: str | None) -> dict[str, str] | None:
    """Return a reason's code, sentence, remedy and who acts; None for no reason.

    A code that this program does not know (written by another version) is told as such.
    """
    if code is None:
        return None
    known = REASONS.get(code)
    if known is None:
        return {"code": code, "sentence": "This program does not know the reason.", "remedy": "Look into the version that wrote it.", "who": "vendor"}
    return {"code": code, "sentence": known.sentence, "remedy": known.remedy, "who": known.who.value}

"""The measured part of a model card: a block between two markers that only the evaluation writes."""

from pathlib import Path


def write_block(card: Path, name: str, text: str) -> None:
    """Put `text` between the markers `<!-- name -->` and `<!-- /name -->`; raises ValueError if the card lacks them."""
    before, opening, rest = card.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    _, closing, after = rest.partition(f"<!-- /{name} -->")
    if not opening or not closing:
        raise ValueError(f"{card} lacks the markers of the block {name!r}")
    card.write_text(f"{before}{opening}{text}\n{closing}{after}", encoding="utf-8")

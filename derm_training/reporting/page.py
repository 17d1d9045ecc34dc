"""An HTML page of sentences, tables and pictures that lie beside it, in the style of all reports; everything in it is escaped."""

import html
from collections.abc import Sequence

from derm_training.measuring.statement import RESEARCH_USE
from derm_training.reporting.report_style import STYLE


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole page; `parts` come from the functions below."""
    body = "\n".join(parts)
    header = f'<header><p class="use">{RESEARCH_USE}</p><h1>{html.escape(title)}</h1></header>'
    return document(title, f"{header}\n<section>\n{body}\n</section>")


def document(title: str, body: str) -> str:
    """Return the HTML file of a page in the style of all reports; `body` is HTML, `title` text."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n<body><main>\n{body}\n</main></body></html>\n"
    )


def heading(text: str) -> str:
    """Return a heading of the second rank."""
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str) -> str:
    """Return one paragraph."""
    return f"<p>{html.escape(text)}</p>"


def picture(file: str, shows: str) -> str:
    """Return a picture that lies beside the page, with what it shows in words."""
    return f'<figure class="wide"><img src="{html.escape(file)}" alt="{html.escape(shows)}"><figcaption>{html.escape(shows)}.</figcaption></figure>'


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of texts."""
    head = "".join(f"<th>{html.escape(one)}</th>" for one in columns)
    lines = ("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n' + "\n".join(lines) + "\n</tbody></table></div>"

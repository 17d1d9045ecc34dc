"""A plain HTML page of sentences, tables and pictures that lie beside it; everything in it is escaped."""

import html
from collections.abc import Sequence

RESEARCH_USE = "For research use; not for primary diagnosis."

_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0}th,td{border:1px solid #bbb;padding:.2em .6em;text-align:left}"
    "th{background:#eee}img{max-width:100%}.use{font-weight:bold}"
)


def page(title: str, parts: Sequence[str]) -> str:
    """Return a whole page; `parts` come from the functions below."""
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{html.escape(title)}</h1>\n"
        f'<p class="use">{RESEARCH_USE}</p>\n{body}\n</body>\n</html>\n'
    )


def heading(text: str) -> str:
    """Return a heading of the second rank."""
    return f"<h2>{html.escape(text)}</h2>"


def paragraph(text: str) -> str:
    """Return one paragraph."""
    return f"<p>{html.escape(text)}</p>"


def picture(file: str, shows: str) -> str:
    """Return a picture that lies beside the page, with what it shows in words."""
    return f'<p><img src="{html.escape(file)}" alt="{html.escape(shows)}"></p>'


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of texts."""
    head = "".join(f"<th>{html.escape(one)}</th>" for one in columns)
    lines = ("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>\n<tr>{head}</tr>\n" + "\n".join(lines) + "\n</table>"

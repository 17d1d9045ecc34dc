"""derm-pacs: from a pushed study to a structured report in the PACS."""

"""How an object of ours, of this or another installation, is known: its Contributing Equipment (PS3.3 C.12.1.1.5)."""

MANUFACTURER = "derm-pacs"
"""Manufacturer (0008,0070) of every object of ours and of our item of the Contributing Equipment Sequence."""

PURPOSE = ("109102", "DCM", "Processing Equipment")
"""Purpose of Reference Code of our item: code value, scheme, meaning."""

"""How an object of ours, of this or another installation, is known: its Contributing Equipment (PS3.3 C.12.1.1.5)."""

MANUFACTURER = "derm-pacs"
"""Manufacturer (0008,0070) of every object of ours and of our item of the Contributing Equipment Sequence."""

PURPOSE = ("109102", "DCM", "Processing Equipment")
"""Purpose of Reference Code of our item: code value, scheme, meaning."""

IMPLEMENTATION_CLASS_UID = "2.25.159745909671791698083675043666621549649"
"""Implementation Class UID (0002,0012) of every file that we write and every association that we open."""

IMPLEMENTATION_VERSION_NAME = "DERM_PACS"
"""Implementation Version Name (0002,0013); at most 16 characters (PS3.7 annex D.3.3.2.4)."""

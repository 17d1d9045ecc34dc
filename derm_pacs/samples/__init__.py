"""Synthetic sample studies, and wrapping a person's own pictures into DICOM instances."""

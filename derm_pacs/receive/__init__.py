"""The DICOM listener: negotiation, checks before 0x0000, the answer only after the spool has the bytes."""

"""Sends DICOM files to the PACS as a modality does: one association, C-STORE by C-STORE."""

from collections.abc import Sequence
from io import BytesIO

from pydicom import Dataset, dcmread
from pynetdicom import AE

from derm_pacs.demonstration.failure import DemonstrationError

AE_TITLE = "MODALITY"


def send(files: Sequence[bytes], *, host: str, port: int, ae_title: str) -> None:
    """Send DICOM files in the transfer syntax in which they are.

    Raises `DemonstrationError` where the peer does not take one of them.
    """
    objects = [dcmread(BytesIO(data)) for data in files]
    ae = AE(ae_title=AE_TITLE)
    for sop_class, syntax in sorted({_kind(ds) for ds in objects}):
        ae.add_requested_context(sop_class, syntax)
    association = ae.associate(host, port, ae_title=ae_title)
    if not association.is_established:
        raise DemonstrationError(f"the PACS {ae_title} at {host}:{port} takes no association")
    try:
        for ds in objects:
            _store(association, ds, ae_title)
    finally:
        association.release()


def _kind(ds: Dataset) -> tuple[str, str]:
    return str(ds.SOPClassUID), str(ds.file_meta.TransferSyntaxUID)


def _store(association: object, ds: Dataset, ae_title: str) -> None:
    try:
        status = association.send_c_store(ds)  # type: ignore[attr-defined]
    except ValueError as error:  # pynetdicom: no accepted presentation context
        raise DemonstrationError(f"the PACS {ae_title} accepts no {ds.SOPClassUID.name} in {_kind(ds)[1]}") from error
    if "Status" not in status or status.Status != 0:
        told = f"0x{status.Status:04X}" if "Status" in status else "no answer"
        raise DemonstrationError(f"the PACS {ae_title} does not store {ds.SOPClassUID.name}: {told}")

"""What destinations take, sending results to them by DICOM, DICOMweb or HL7, and the proof that they have them."""

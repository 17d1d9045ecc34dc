"""Values and rules without I/O: what a case, a finding, a bundle and a delivery are."""

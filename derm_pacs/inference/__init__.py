"""Pixels to findings: quality gate, network, the confined runner process and its client."""

"""Sending results and asking for their storage commitment."""

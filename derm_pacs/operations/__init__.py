"""Supervision of processes, the embedded database, the clock, the logs."""

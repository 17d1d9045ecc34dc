"""A destination as the transports see it; they know neither settings nor database."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A peer that takes results, and how long we wait for it."""

    name: str
    ae_title: str
    host: str
    port: int
    calling_ae: str
    """Our AE title."""
    connect_seconds: float = 10.0
    """To open the TCP connection."""
    answer_seconds: float = 30.0
    """For each answer to an association request, a release, an echo or an N-ACTION."""
    store_seconds: float = 120.0
    """For the answer to one C-STORE, and for each block of data to be taken off our hands."""

"""The one error that ends a demonstration."""


class DemonstrationError(Exception):
    """Something is missing or went wrong; the message is a sentence with the remedy."""

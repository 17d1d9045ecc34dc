"""What the demonstration's results must not be used for."""

NOTICE = "Research use only, not for primary diagnosis."

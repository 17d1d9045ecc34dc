"""Reports, plots and the figures of a card."""

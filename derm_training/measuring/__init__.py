"""What a bundle is worth on a table of pictures: figures with their intervals, baselines, experiments."""

"""What is tried with trained bundles: beside common networks, on crops beside whole images, their features as a plot."""

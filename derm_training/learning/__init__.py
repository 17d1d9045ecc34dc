"""The training of a network by MONAI's engine: pictures, views, losses, schedule, checkpoints."""

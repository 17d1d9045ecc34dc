"""Networks and transforms that MONAI lacks, for MONAI configurations and for the service alike; torch and monai only."""

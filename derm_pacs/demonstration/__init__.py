"""make demo: a real PACS beside the service, sample studies through both, and what came back."""

"""Install, verify, activate and set the threshold of bundles."""

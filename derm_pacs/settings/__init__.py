"""One TOML file read into frozen, typed settings."""

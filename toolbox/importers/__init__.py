"""Settings of other tools -> renditions.toml: draft has what all tools share, and each tool has a module."""

"""Settings of other tools -> renditions.toml: imported_recipe has what all tools share, and each tool has a module."""

"""Where the registry outlives the process."""

"""Several access processes on one machine: a hub has the registry and the callers, the others have the devices."""

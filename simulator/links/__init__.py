"""Links: what carries one attempt of a device to the platform, bytes on one side and events on the other."""

"""The gate: MQTT device access."""

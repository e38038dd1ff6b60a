"""Telling receivers over HTTP that a device came online or went offline."""

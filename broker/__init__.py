"""The platform: device access, authentication, secret rotation, control API, journal."""

VERSION = "0.1.0"

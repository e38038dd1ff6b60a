"""Dialects: how the devices of one protocol prove who they are, and how they word what they say and are told. Pure."""

"""Settings of every test."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # a busy machine is no finding
settings.load_profile("unhurried")

"""The HTTP side: the vendor's API and our own administration."""

"""The protocol floor: bytes to packets and back, with no sockets, no clocks and no policy."""

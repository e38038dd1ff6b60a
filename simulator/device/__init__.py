"""One device as pure logic: events in, actions out. No sockets, no clock, no randomness of its own."""

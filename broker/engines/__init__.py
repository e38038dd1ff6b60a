"""What stands behind the gate: the builtin engine, or a broker that every session is relayed to."""

"""The device side: simulated devices, scenarios, the oracle and the reports."""

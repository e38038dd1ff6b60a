"""Hook mode: another broker takes the devices, asks us whom to let in, and is told whom to cut."""

"""Methods that are measured: the floors, and adapters for other people's models."""

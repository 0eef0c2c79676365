"""Training: data that comes ready, one step as one module, one loop, and checkpoints that continue it."""

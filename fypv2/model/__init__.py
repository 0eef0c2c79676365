"""The network: guiders, reference attention, motion modules, and the denoiser that they make together."""

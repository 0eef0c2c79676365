"""Stands in for MRAA's `logger.py`, which asks for a name that scikit-image 0.19 took away."""

from __future__ import annotations

from skimage.draw import circle

rows, columns = circle(8, 8, 3, shape=(16, 16))
assert len(rows) == len(columns) == 25, "a disk of radius 3 has 25 pixels whose centre is nearer than that"

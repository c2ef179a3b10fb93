"""Draws the test images of `tests/images`: no photo, nothing random without a fixed seed."""

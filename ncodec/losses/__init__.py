"""Differentiable distances between a decoded signal and the original: what training lowers."""

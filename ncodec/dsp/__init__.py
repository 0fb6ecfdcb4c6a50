"""Signal transforms that models, losses, metrics and pictures share.

Filter banks are NumPy arrays in float64; what gradients flow through is torch. Nothing here knows a
model.
"""

"""Shared by all tests: one thread, so that runs are alike on every machine."""

import torch

torch.set_num_threads(1)

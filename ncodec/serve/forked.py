"""Loaded once in the process from which jobs are forked, so that each finds the models there."""

from __future__ import annotations

import os

import torch

from ncodec.serve.work import MODELS, preload

torch.set_num_threads(1)  # a process with threads cannot be forked
preload(tuple(filter(None, os.environ.get(MODELS, "").split(","))))

"""Shared by all tests: one thread, so that runs are alike on every machine, and Ctrl-C.

A shell that starts the suite in the background has it ignore SIGINT, and so would the commands
that tests start.
"""

import signal

import torch

torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

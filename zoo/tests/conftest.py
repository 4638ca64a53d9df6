"""One thread, as in all tests."""

import os

import torch

torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of the subprocesses too: two threads that share a core spin

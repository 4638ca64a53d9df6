"""What several tests need."""

import os

import torch

from hspace.testing import ctrl_c_heard as ctrl_c_heard
from hspace.testing import hspace_home as hspace_home
from hspace.testing import write_plugin as write_plugin

torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of the subprocesses too: two threads that share a core spin

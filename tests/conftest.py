"""What several tests need."""

import torch

from hspace.testing import hspace_home as hspace_home
from hspace.testing import write_plugin as write_plugin

torch.set_num_threads(1)

"""What the tests of this plugin share."""

import torch

torch.set_num_threads(1)  # on pictures this small, more threads only wait for each other

"""The benchmark: everything that finds directions, on the same backbones, targets and faces."""

"""One command in several processes at once, as `accelerate launch` and `torchrun` start them."""

import os


def count() -> int:
    """How many processes run this command."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that writes and prints: the first of them, or the only one."""
    return count() == 1 or os.environ.get("RANK", "0") == "0"


def own_device(device: str) -> str:
    """The device of this process where `device` has no number: each process of a machine takes a GPU of its own."""
    place = os.environ.get("LOCAL_RANK", "0")
    return f"cuda:{place}" if device == "cuda" and count() > 1 else device

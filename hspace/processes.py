"""One command in several processes at once, as `accelerate launch` and `torchrun` start them."""

import os


def count() -> int:
    """How many processes run this command."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this is the process that writes and prints: the first of them, or the only one."""
    return rank() == 0


def rank() -> int:
    """Which of the processes this is, from 0."""
    return int(os.environ.get("RANK", "0")) if count() > 1 else 0


def wait_for_all() -> None:
    """Returns when all processes have come here."""
    if count() > 1:
        from torch import distributed

        if not distributed.is_initialized():
            distributed.init_process_group("gloo")
        distributed.barrier()


def own_device(device: str) -> str:
    """The device of this process where `device` has no number: each process of a machine takes a GPU of its own."""
    place = os.environ.get("LOCAL_RANK", "0")
    return f"cuda:{place}" if device == "cuda" and count() > 1 else device

"""The error of a direction that does nothing."""

from hspace.errors import HspaceError


class InertError(HspaceError):
    """A training came to its end, and what it found moves pictures no more than an untrained head would."""

    exit_code = 5

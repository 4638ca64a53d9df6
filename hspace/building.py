"""Calling what a card names, so that a plugin's failure says whose it is; and building heads for a backbone's h."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hspace.backbone import Backbone
from hspace.cards import Card
from hspace.errors import HspaceError, RefusedError, UsageError
from hspace.fingerprint import probe
from hspace.head import Head
from hspace.plugins import plugins
from hspace.settings import require_known


def run(card: Card, **arguments: Any) -> Any:
    """What a plugin's function returns; whatever it raises that is not ours becomes an error that names the plugin."""
    try:
        return card.load()(**arguments)
    except HspaceError:
        raise
    except Exception as error:
        raise _failed(card, error) from error


def _failed(card: Card, error: Exception) -> HspaceError:
    return HspaceError(f"{card.name!r} of plugin {card.plugin!r} failed: {type(error).__name__}: {error}")


def build_head(backbone: Backbone, name: str, config: Mapping[str, Any], weights: Mapping[str, Tensor] | None) -> Head:
    """The named head for the backbone's h, with its weights where given, on the backbone's device and in its dtype.

    Raises NotFoundError for an unknown head, UsageError for a config it does not take, RefusedError for weights
    that do not fit, HspaceError where the plugin's own code fails.
    """
    card = plugins().find("heads", name)
    seen = probe(backbone)
    try:
        build = card.load()
        require_known(list(config), "heads", name, build)
        head: Head = build(seen.h_shape, seen.temb_dim, **config)
    except HspaceError:
        raise
    except TypeError as error:
        raise UsageError(f"head {name!r} does not take {json.dumps(dict(config), default=str)}: {error}") from error
    except Exception as error:
        raise _failed(card, error) from error
    if weights is not None:
        try:
            head.load_state_dict(dict(weights))
        except RuntimeError as error:
            raise RefusedError(f"the weights do not fit head {name!r}: {' '.join(str(error).split())}") from error
    parameter = next(backbone.parameters(), torch.empty(0))
    return head.to(parameter.device, parameter.dtype).eval().requires_grad_(False)

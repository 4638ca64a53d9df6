"""What a head learns from: the change of a picture, as an encoder sees it, against the change of the prompts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hspace_asyrp.natural import Natural

SOFT = 1e-2
"""A change of the embedding that counts as none. It keeps the gradient of the cosine finite where nothing changed
yet, which is where every head with a zero start begins."""

WIDTHS = 2.0
"""The full effect of a prompt, in standard deviations of the backbone's own pictures along the text direction."""


@dataclass(frozen=True)
class Terms:
    """The weights of the loss.

    `match` that of the distance from the change that goes with the prompt by nature, `clip` that of the directional
    loss, `recon` that of the mean absolute change of P_t (it is multiplied by the cosine of the two prompts, so that a
    greater change is allowed to cost more pixels), `effect` that of the hinge: the cosine alone is content with an edit
    that nobody sees. `l1` weighs the change of P_t whatever the prompts are, and `identity` the change of what another
    encoder says of it.
    """

    clip: float = 0.8
    recon: float = 3.0
    effect: float = 1.0
    l1: float = 0.0
    identity: float = 0.0
    match: float = 0.0


@dataclass(frozen=True)
class Goal:
    """Where to: the unit text direction (D,), how far along it the full effect is, the cosine of the two prompts.

    `natural` is what the backbone's own pictures say of it, where that was looked at.
    """

    delta_T: Tensor
    full: float
    cosine: float
    natural: Natural | None = None


def direction_cosine(delta_I: Tensor, delta_T: Tensor) -> Tensor:
    """The cosine (B,) of changes of images' embeddings (B, D) with the text direction (D,); 0 for no change.

    Source: Gal et al., StyleGAN-NADA, as Kwon et al., Asyrp, use it; softened at 0.
    """
    return (delta_I @ delta_T) / (delta_I.square().sum(dim=1) + SOFT**2).sqrt()


def asyrp_loss(edited: Tensor, reference: Tensor, pixels: Tensor, goal: Goal, terms: Terms) -> Tensor:
    """The loss (B,) of embeddings (B, D) of the edited P_t against those of the unedited P_t.

    `pixels` (B,) is the mean absolute change of P_t. Source: Kwon et al., Asyrp, with P_t^source as the reference,
    and a hinge on the size of the effect beside it.
    """
    delta_I = edited - reference
    along = delta_I @ goal.delta_T
    clip = 1 - direction_cosine(delta_I, goal.delta_T)
    short = (1 - along / goal.full).clamp(min=0)
    return terms.clip * clip + (terms.recon * goal.cosine + terms.l1) * pixels + terms.effect * short


def natural_loss(change: Tensor, asked: Tensor, pixels: Tensor, goal: Goal, terms: Terms) -> Tensor:
    """The loss (B,) of a change of P_t's embedding (B, D) against the one asked for (B, D).

    Their distance is squared, in units of the full effect: too much is as wrong as too little, and so is all that does
    not go with the prompt in the backbone's own pictures. An edit that a glance at those would call odd, such as a
    pasted part, moves the embedding where they never go. `pixels` (B,) is the mean absolute change of P_t.
    """
    missed = (change - asked).square().sum(dim=1) / goal.full**2
    return terms.match * missed + (terms.recon * goal.cosine + terms.l1) * pixels


def official_loss(edited: Tensor, original: Tensor, pixels: Tensor, goal: Goal, terms: Terms) -> Tensor:
    """The loss (B,) that the released code computes: -log((1 + cos) / 2), with the original picture x_0 as reference.

    Source: the code released with Asyrp, one picture a batch.
    """
    delta_I = edited - original
    cosine = (delta_I @ goal.delta_T) / (delta_I.norm(dim=1) + 1e-7)
    return -terms.clip * torch.log((1 + cosine) / 2) + (terms.recon * goal.cosine + terms.l1) * pixels


def identity_loss(edited: Tensor, unedited: Tensor) -> Tensor:
    """1 - cos (B,) of what an encoder of faces, or any other, says of the edited and the unedited P_t: unit (B, D).

    Source: Kim et al., DiffusionCLIP, with ArcFace for the encoder; Kwon et al., Asyrp, leave it away.
    """
    return 1 - (edited * unedited).sum(dim=1)

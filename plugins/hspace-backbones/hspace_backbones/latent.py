"""A U-Net on the latents of a first stage: the backbone of the LDM family."""

from typing import Any

from diffusers import AutoencoderKL, UNet2DModel
from torch import Tensor

from hspace import SplitUNet


class LatentUNet(SplitUNet):
    """A U-Net whose x_0 is scale_factor times the first stage's encoding of an image.

    A VQModel encodes to what it has not quantised yet and quantises as it decodes; an AutoencoderKL encodes to the
    mean of its posterior.
    Source: Rombach et al., High-Resolution Image Synthesis with Latent Diffusion Models.
    """

    def __init__(
        self,
        unet: UNet2DModel,
        first_stage: Any,
        alphas_cumprod: Tensor,
        scale_factor: float = 1.0,
        prediction_type: str = "epsilon",
    ) -> None:
        super().__init__(unet, alphas_cumprod, prediction_type)
        self.first_stage = first_stage.eval().requires_grad_(False)
        self.scale_factor = scale_factor

    def image_to_x0(self, image: Tensor) -> Tensor:
        encoded = self.first_stage.encode(image)
        latent: Tensor = encoded.latent_dist.mean if isinstance(self.first_stage, AutoencoderKL) else encoded.latents
        return latent * self.scale_factor

    def x0_to_image(self, x_0: Tensor) -> Tensor:
        image: Tensor = self.first_stage.decode(x_0 / self.scale_factor).sample
        return image

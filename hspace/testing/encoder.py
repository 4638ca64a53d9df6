"""What every encoder must hold."""

import pytest
import torch
from torch import Tensor

from hspace.encoder import Encoder
from hspace.errors import UsageError
from hspace.loading import load_encoder
from hspace.plugins import plugins
from hspace.testing.backbone import entry_module
from hspace.testing.imports import heavy_imports

TEXTS = ["a smiling face", "a face with glasses"]


class EncoderContract:
    """Subclass it and set `encoder`, the name of an encoder that comes with its plugin or its zoo."""

    encoder: str
    batch_tolerance: float = 1e-5
    """The largest difference between a row alone and in a batch."""

    @pytest.fixture
    def built(self) -> Encoder:
        """The encoder under test."""
        return load_encoder(self.encoder)

    @pytest.fixture
    def pictures(self) -> Tensor:
        """Three pictures of smooth noise, (3, 3, 48, 64) in [-1, 1]."""
        coarse = torch.rand(3, 3, 6, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
        return torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bilinear")

    def test_pictures_and_texts_are_unit_vectors_of_one_space(self, built: Encoder, pictures: Tensor) -> None:
        images, texts = built.images(pictures), built.texts(TEXTS)
        assert images.shape == (3, texts.shape[1])
        assert len(texts) == 2
        for vectors in (images, texts):
            assert vectors.dtype == torch.float32
            assert torch.allclose(vectors.norm(dim=1), torch.ones(len(vectors)), atol=1e-5)

    def test_pictures_of_any_size_are_seen(self, built: Encoder, pictures: Tensor) -> None:
        assert built.images(pictures[:, :, :17, :23]).shape == built.images(pictures).shape

    def test_each_row_of_a_batch_is_on_its_own(self, built: Encoder, pictures: Tensor) -> None:
        together, texts = built.images(pictures), built.texts(TEXTS)
        assert float((built.images(pictures[1:2]) - together[1]).abs().max()) <= self.batch_tolerance
        assert float((built.texts(TEXTS[1:]) - texts[1]).abs().max()) <= self.batch_tolerance

    def test_the_same_gives_the_same(self, built: Encoder, pictures: Tensor) -> None:
        again = load_encoder(self.encoder)
        assert torch.equal(built.images(pictures), again.images(pictures))
        assert torch.equal(built.texts(TEXTS), again.texts(TEXTS))
        assert again.digest == built.digest
        assert len(built.digest) == 64

    def test_the_gradient_reaches_every_picture_and_no_weight(self, built: Encoder, pictures: Tensor) -> None:
        pictures = pictures.requires_grad_()
        (built.images(pictures) * built.texts(TEXTS)[:1]).sum().backward()  # type: ignore[no-untyped-call]
        assert pictures.grad is not None
        assert bool(pictures.grad.isfinite().all())
        assert bool((pictures.grad.abs().amax((1, 2, 3)) > 0).all())
        assert not built.texts(TEXTS).requires_grad

    def test_different_pictures_and_texts_get_different_vectors(self, built: Encoder, pictures: Tensor) -> None:
        images, texts = built.images(pictures), built.texts(TEXTS)
        assert float(images[0] @ images[1]) < 1 - 1e-6
        assert float(texts[0] @ texts[1]) < 1 - 1e-6

    @pytest.mark.parametrize("text", ["", "  \n"])
    def test_an_empty_text_is_refused(self, built: Encoder, text: str) -> None:
        with pytest.raises(UsageError, match="empty"):
            built.texts(["a face", text])

    def test_a_text_that_is_too_long_is_told(self, built: Encoder) -> None:
        with pytest.warns(UserWarning, match="cut off"):
            built.texts(["a face with glasses and a beard " * 100])

    def test_listing_it_imports_nothing_heavy(self) -> None:
        assert heavy_imports(entry_module(plugins().find("encoders", self.encoder).plugin)) == []

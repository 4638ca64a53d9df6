"""CLIP encoders: any open_clip model by name, and models in local folders and files."""

import hspace

DEFAULT = "ViT-B-16-quickgelu/openai"


@hspace.hookimpl
def hspace_encoders() -> list[hspace.Card]:
    """The family, and the model that most papers used."""
    return [
        hspace.Card(
            "open-clip",
            "hspace_clip.models:load",
            "any open_clip model, as MODEL/WEIGHTS, a folder, or a file in such a folder",
            needs=("model",),
            facts={"source": "github.com/mlfoundations/open_clip"},
        ),
        hspace.Card(
            DEFAULT,
            "hspace_clip.models:load_default",
            "OpenAI's CLIP ViT-B/16, for photographs; downloaded on first use",
            facts={"source": "Radford et al., 2021 (arXiv:2103.00020)", "licence": "MIT", "weights": "download"},
        ),
    ]


@hspace.hookimpl
def hspace_labellers() -> list[hspace.Card]:
    """Prompts, as any encoder reads them."""
    return [
        hspace.Card(
            "prompts",
            "hspace_clip.labeller:build",
            "the prompt that an edit moves pictures towards, by an image encoder",
            needs=("prompts",),
        )
    ]

"""Metrics of edited pictures: do they show what was meant, and what else did the edit do?"""

import hspace


@hspace.hookimpl
def hspace_metrics() -> list[hspace.Card]:
    """Each for (orig, edit), (recon, edit) and (orig, recon), as far as the pictures are there."""
    return [
        hspace.Card(
            "psnr",
            "hspace_metrics.psnr:build",
            "peak signal-to-noise ratio, in dB",
        ),
        hspace.Card(
            "s-dir",
            "hspace_metrics.s_dir:build",
            "cosine of the change of a picture and of the prompts, as an encoder sees them",
            needs=("prompts", "encoder"),
            facts={"source": "Kwon et al., Asyrp (arXiv:2210.10960), per picture"},
        ),
        hspace.Card(
            "identity",
            "hspace_metrics.identity:build",
            "cosine of two pictures, as an encoder sees them; name a face recogniser's with --set identity.model=NAME",
            needs=("encoder",),
        ),
        hspace.Card(
            "lpips",
            "hspace_metrics.perceptual:build",
            "LPIPS with AlexNet, by its published weights: --set 'lpips.weights=[\"DIR\"]'",
            facts={"source": "Zhang et al., 2018 (arXiv:1801.03924)"},
        ),
        hspace.Card(
            "sc",
            "hspace_metrics.consistency:build",
            "segmentation consistency: pixels with equal label, and mean IoU; --set sc.segmenter=MODULE:ATTRIBUTE",
            facts={"source": "Kwon et al., Asyrp; both definitions in use"},
        ),
        hspace.Card(
            "fid",
            "hspace_metrics.frechet:build",
            "Frechet distance of features: an encoder's, timm's, Inception's; --set fid.features=...",
            facts={"source": "Heusel et al., 2017 (arXiv:1706.08500)"},
        ),
        hspace.Card(
            "kid",
            "hspace_metrics.kernel:build",
            "squared maximum mean discrepancy of features with the cubic kernel; --set kid.features=...",
            facts={"source": "Binkowski et al., 2018 (arXiv:1801.01401)"},
        ),
    ]

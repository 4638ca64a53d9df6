"""What `hspace.edit` costs over the bare half-passes it needs: 40 steps, batch 8, one direction above t = 500."""

import statistics

import torch
from recording import interleaved, record, spread

import hspace
from hspace.building import build_head
from hspace.fingerprint import probe
from hspace.loading import default_backbone
from hspace.sampling import Edit, latents
from hspace.schedule import generation

STEPS, BATCH, T_EDIT, ROUNDS = 40, 8, 500, 9


def main() -> None:
    """Times both in turn and records the ratio of their medians."""
    torch.set_num_threads(1)
    name = default_backbone()
    backbone = hspace.load_backbone(name)
    x_T = latents(backbone, BATCH, seed=0)
    head = build_head(backbone, "table", {}, {"vectors": 0.1 * torch.randn(1, 1, *probe(backbone).h_shape)})
    timesteps = [torch.full((BATCH,), float(t)) for t, _ in generation("asyrp", STEPS, 1000)]

    @torch.no_grad()
    def bare() -> None:
        for t in timesteps:
            state = backbone.encode_h(x_T, t)
            backbone.decode_h(state)
            if t[0] >= T_EDIT:
                backbone.decode_h(state)

    def edit() -> None:
        hspace.edit(backbone, x_T, [Edit(head, 1.0, T_EDIT)], steps=STEPS)

    edited, needed = interleaved(edit, bare, ROUNDS)
    ratio = statistics.median(edited) / statistics.median(needed)
    record(
        "edit_overhead",
        {
            "backbone": name,
            "edit_cpu_s": spread(edited),
            "half_passes_cpu_s": spread(needed),
            "overhead": round(ratio - 1, 4),
            "goal": 0.05,
        },
    )


if __name__ == "__main__":
    main()

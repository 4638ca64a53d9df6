"""Editor heads for hspace."""

import hspace


@hspace.hookimpl
def hspace_heads() -> list[hspace.Card]:
    """The table of explicit shifts, and Asyrp's implicit function in both its published forms."""
    return [
        hspace.Card(
            "table",
            "hspace_heads.table:build",
            "explicit delta_h: a vector, one per timestep, or the components of a basis",
        ),
        hspace.Card(
            "delta-block",
            "hspace_heads.delta_block:build",
            "Asyrp's implicit function f_t: two 1x1 convolutions around the time embedding",
            facts={"source": "Kwon et al., Asyrp (arXiv:2210.10960)"},
        ),
    ]

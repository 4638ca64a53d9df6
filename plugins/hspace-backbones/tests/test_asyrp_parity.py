"""The official Asyrp code's steps, sequences and loops, reproduced on its own tiny network."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hspace import SplitUNet, State, edit, invert, sample
from hspace.sampling import Edit, ddim_step, predict_x0
from hspace.schedule import alpha_at, alphas_cumprod, generation, inversion, spread
from hspace_backbones.pesser import convert
from hspace_heads.delta_block import DeltaBlock, build

SHARED = Path(__file__).parents[4] / "shared" / "parity"
FACTS = SHARED / "asyrp-ddim.json"
pytestmark = pytest.mark.skipif(not FACTS.is_file(), reason="the reference tensors are not beside this checkout")

PESSER = {"conv1": "proj_in", "temb_proj": "time_proj", "norm2": "norm_out", "conv2": "proj_out"}
OPENAI = {
    "in_layers.0": "norm_in",
    "in_layers.2": "proj_in",
    "emb_layers.1": "time_proj",
    "out_layers.0": "norm_out",
    "out_layers.3": "proj_out",
}


@cache
def facts() -> dict[str, Any]:
    return json.loads(FACTS.read_text())


@cache
def tensors() -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(SHARED / "asyrp-ddim-tiny.safetensors")


def io(name: str) -> Tensor:
    return tensors()[f"io/{name}"]


def weights(prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors().items() if name.startswith(prefix)}


def assert_close(ours: Tensor, reference: Tensor, tolerance: float = 1e-5) -> None:
    allowed = tolerance * max(1.0, reference.abs().max().item())
    assert (ours - reference).abs().max().item() <= allowed


@cache
def backbone() -> SplitUNet:
    network = {name: t for name, t in weights("ckpt/").items() if not name.startswith("delta_block")}
    unet = convert(network, facts()["tiny"][0]["args"], norm_num_groups=4)
    return SplitUNet(unet, alphas_cumprod())


def head(prefix: str, form: str, names: dict[str, str]) -> DeltaBlock:
    block = build((16, 4, 4), 32, form=form, norm_num_groups=4)
    published = weights(f"ckpt/{prefix}/")
    block.load_state_dict(
        {f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": t for key, t in published.items()}
    )
    return block.eval()


def block(index: int) -> DeltaBlock:
    return head(f"delta_block/{index}", "pesser", PESSER)


def state(h: Tensor, temb: Tensor | None) -> State:
    return State(x_t=h, t=torch.zeros(len(h)), h=h, temb=temb)


@torch.no_grad()
def test_the_pesser_delta_block_is_the_official_one() -> None:
    h, temb = io("delta/h"), io("delta/temb")
    assert_close(block(0)(state(h, temb)), io("delta/out"))
    assert_close(block(0)(state(h, None)), io("delta/out_no_time"))


@torch.no_grad()
def test_the_openai_delta_block_is_the_official_one() -> None:
    official = head("delta_block_openai/0", "openai", OPENAI)
    h, temb = io("delta_openai/h"), io("delta_openai/emb")
    assert_close(official(state(h, temb)), io("delta_openai/out"))
    assert_close(official(state(h, None)), io("delta_openai/out_no_time"))


@torch.no_grad()
def test_one_network_call_gives_the_official_eps_with_and_without_an_edit() -> None:
    now = backbone().encode_h(io("forward/x"), io("forward/t"))
    assert_close(backbone().decode_h(now), io("forward/out"))
    assert_close(block(0)(now), io("forward/delta_h"))
    in_window = (io("forward/t") >= facts()["forward"]["t_edit"])[0]
    assert in_window
    assert_close(backbone().decode_h(now, 0.9 * block(0)(now)), io("forward/out_edit"))
    both = 0.6 * block(0)(now) + 0.5 * block(1)(now)
    assert_close(backbone().decode_h(now, both), io("forward/out_edit_two_blocks"))


@pytest.mark.parametrize("index", range(22))
def test_every_official_step_is_reproduced(index: int) -> None:
    case = facts()["step_cases"][index]
    schedule = alphas_cumprod()
    a_t, a_next = alpha_at(schedule, case["t"]), alpha_at(schedule, case["t_next"])
    eps, eps_edit = io("step/eps"), io("step/eps_edit") if case["asym"] else None
    x_next = ddim_step(io("step/x"), eps, a_t, a_next, eps_edit=eps_edit, eta=case["eta"], z=io("step/noise"))
    assert_close(predict_x0(io("step/x"), eps if eps_edit is None else eps_edit, a_t), io(f"{case['key']}/x0"))
    assert_close(x_next, io(f"{case['key']}/x_next"))


@pytest.mark.parametrize("name", ["n=6,t_0=999", "n=8,t_0=999", "n=40,t_0=999", "n=50,t_0=999", "n=40,t_0=500"])
def test_the_official_sequences_are_reproduced(name: str) -> None:
    steps, t_0 = (int(part.partition("=")[2]) for part in name.split(","))
    assert spread(steps, t_0) == facts()["sequences"][name]["seq"]


def test_inversion_and_generation_walk_the_official_pairs() -> None:
    loop = facts()["loop"]
    assert inversion("asyrp", 8, 1000) == [tuple(pair) for pair in loop["inversion_pairs"]]
    assert generation("asyrp", 8, 1000) == [tuple(pair) for pair in loop["generation_pairs"]]


class Recording(SplitUNet):
    """Keeps every h."""

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        state = super().encode_h(x_t, t)
        self.seen = [*getattr(self, "seen", []), state.h]
        return state


def test_h_at_both_ends_of_inversion_is_the_official_one() -> None:
    recording = Recording(backbone().unet, alphas_cumprod())
    invert(recording, io("loop/x0"), steps=8, fixed_point=0)
    assert len(recording.seen) == len(facts()["loop"]["inversion_pairs"])
    assert_close(recording.seen[0], io("loop/h_first_inversion_step"), 1e-4)
    assert_close(recording.seen[-1], io("loop/h_last_inversion_step"), 1e-4)


def test_inversion_without_refinement_is_the_official_one() -> None:
    x_T = invert(backbone(), io("loop/x0"), steps=8, fixed_point=0)
    assert_close(x_T, io("loop/xT"), 1e-4)


def test_generation_is_the_official_one() -> None:
    assert_close(sample(backbone(), io("loop/xT"), steps=8), io("loop/reconstructed"), 1e-4)


def test_the_edited_loop_is_the_official_one() -> None:
    edits = [Edit(block(0), 0.9, t_edit=500)]
    assert_close(edit(backbone(), io("loop/xT"), edits, steps=8), io("loop/edited"), 1e-4)


def test_the_boosted_loop_is_the_official_one() -> None:
    edits = [Edit(block(0), 0.9, t_edit=500)]
    boosted = edit(
        backbone(),
        io("loop/xT"),
        edits,
        steps=8,
        t_boost=300,
        noise=lambda t, _: io(f"loop/noise/{t:03d}"),
    )
    assert_close(boosted, io("loop/edited_boosted"), 1e-4)

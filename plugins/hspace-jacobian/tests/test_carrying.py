"""Directions carried to another sample, where the tangent space of h is the same everywhere, and where it bends."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import hspace
from hspace.backbone import State
from hspace.calibration import CHANGE
from hspace.cli import main
from hspace.errors import HspaceError, HspaceWarning, UsageError
from hspace.meta import AlongPath, Guidance, OneShot, Scope, Strength
from hspace.testing import PlantedBackbone
from hspace.testing import hspace_home as hspace_home
from hspace_jacobian.carrying import shot_along, transport
from hspace_jacobian.finder import build
from hspace_jacobian.shooting import shoot
from hspace_jacobian.tangent import LIFTS, Lift, lifted, projected, tangent_at
from hspace_jacobian.target import Target, found_at, target_of

T = 578


class Bent(PlantedBackbone):
    """The toy with h = E (x_t + bend sin(2 x_t)): another tangent space at every x_t."""

    bend = 0.0

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        return super().encode_h(x_t + self.bend * (2 * x_t).sin(), t)


@pytest.fixture
def toy() -> Bent:
    return Bent(dtype=torch.float64)


@pytest.fixture
def bent() -> Bent:
    backbone = Bent(dtype=torch.float64)
    backbone.bend = 0.4
    return backbone


def there(backbone: hspace.Backbone, seed: int = 7) -> Target:
    return target_of(backbone, None, seed, at=600, steps=20, callback=lambda done, total: None)


def along(backbone: PlantedBackbone, u: Tensor) -> hspace.Direction:
    """A direction of space h."""
    return hspace.Direction.bind(
        backbone, what="left", finder="test", head="table", config={"timesteps": [T]},
        weights={"vectors": u[None, None].float()}, steps=20, t_edit=400,
        strength=Strength(min=-2, max=2), scope=Scope(kind="global"),
    )  # fmt: skip


def cosine(one: Tensor, other: Tensor) -> float:
    return float(normalize(one.double().flatten(), dim=0) @ normalize(other.double().flatten(), dim=0))


@pytest.mark.parametrize("lift", LIFTS)
@pytest.mark.parametrize("index", [0, 4])
def test_transport_on_a_linear_map_is_exact_by_every_lift(toy: Bent, lift: Lift, index: int) -> None:
    found = transport(toy, along(toy, 3 * toy.U[index]), there(toy), k=8, lift=lift)
    assert cosine(found.weights["vectors"][0], toy.V[index]) == pytest.approx(1, abs=1e-6)
    assert cosine(found.weights["shifts"][0], toy.U[index]) == pytest.approx(1, abs=1e-6)
    assert found.meta.metrics[0].name == "retained"
    assert found.meta.metrics[0].value == pytest.approx(1, abs=1e-6)


def test_lifts_differ_by_what_they_make_of_the_singular_values(toy: Bent) -> None:
    tangent = tangent_at(toy, there(toy).x_t, T, 8)
    u = (toy.U[0] + toy.U[3]).flatten()
    weights = {"project": torch.ones_like(toy.S), "pinv": 1 / toy.S, "grad": toy.S}
    for lift, gain in weights.items():
        expected = (gain[0] * toy.V[0] + gain[3] * toy.V[3]).flatten()
        torch.testing.assert_close(lifted(tangent, u, lift), expected, rtol=1e-5, atol=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("lift", LIFTS)
def test_moving_along_a_lift_moves_h_along_u(bent: Bent, lift: Lift) -> None:
    x_t, t = there(bent).x_t, torch.tensor([float(T)])
    u = normalize(torch.randn(512, dtype=torch.float64, generator=torch.Generator().manual_seed(3)), dim=0)
    v = lifted(tangent_at(bent, x_t, T, 20), u, lift).reshape(x_t.shape)
    step = 1e-4 * v / v.norm()
    moved = (bent.encode_h(x_t + step, t).h - bent.encode_h(x_t, t).h).flatten() @ u
    assert float(moved) > 0


def test_pinv_moves_h_by_u_to_first_order(bent: Bent) -> None:
    x_t, t = there(bent).x_t, torch.tensor([float(T)])
    tangent = tangent_at(bent, x_t, T, 20)
    u = tangent.U[3]
    step = 1e-5 * lifted(tangent, u, "pinv").reshape(x_t.shape)
    moved = (bent.encode_h(x_t + step, t).h - bent.encode_h(x_t, t).h).flatten() / 1e-5
    torch.testing.assert_close(moved, u, rtol=0, atol=1e-3)


def test_what_is_retained_is_the_length_in_the_tangent_space(toy: Bent) -> None:
    tangent = tangent_at(toy, there(toy).x_t, T, 4)
    inside, left = projected(tangent, (0.6 * toy.U[1] + 0.8 * toy.U[9]).flatten())
    assert left == pytest.approx(0.6, abs=1e-6)
    assert cosine(inside, toy.U[1]) == pytest.approx(1, abs=1e-6)


def test_a_transport_that_loses_most_warns_and_says_how_much(toy: Bent) -> None:
    lost = along(toy, 0.3 * toy.U[1] + 0.954 * toy.U[9])
    with pytest.warns(HspaceWarning, match=r"only 0\.3 of 'planted/left.test' is in the tangent space there"):
        found = transport(toy, lost, there(toy), k=4)
    assert found.meta.provenance.config["retained"] == pytest.approx(0.3, abs=1e-3)


def test_a_transported_direction_says_where_it_holds_and_moves_pictures_by_the_unit(toy: Bent) -> None:
    target = there(toy, seed=11)
    found = transport(toy, along(toy, toy.U[0]), target)
    assert found.id == "planted/left-to-seed11.transport"
    assert found.meta.scope == Scope(kind="local", x_T_seed=11)
    assert found.meta.move == Guidance(gamma=1.0, iterations=16)
    changed = hspace.edit(toy, target.x_T, [(found, 1.0)], steps=20) - hspace.sample(toy, target.x_T, steps=20)
    assert float(changed.square().mean().sqrt()) == pytest.approx(CHANGE, rel=0.01)


def test_a_direction_of_space_x_is_carried_by_what_it_does_to_h_and_moves_as_it_did(toy: Bent) -> None:
    task = hspace.Task(torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double(), steps=20)
    (basis,) = build(k=3, space="x", move="one-shot").find(toy, task)
    found = transport(toy, basis.pick(2), there(toy), k=8)
    assert found.id == "planted/local-x-t578-2-to-seed7.transport"
    assert cosine(found.weights["vectors"][0], basis.weights["vectors"][2]) == pytest.approx(1, abs=1e-5)
    assert found.meta.move == OneShot()
    assert found_at(basis) == found.meta.t_edit == T


def test_shooting_a_linear_map_goes_straight(toy: Bent) -> None:
    x_t = there(toy).x_t
    shot = shoot(toy, toy.U[2], x_t, T, delta=0.5, steps=4, rebase=2, k=8)
    assert len(shot.retained) == 2
    assert not shot.stopped
    lengths = torch.arange(5, dtype=torch.float64).reshape(-1, 1, 1, 1) * 0.5
    torch.testing.assert_close(shot.points, lengths * toy.V[2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("lift", LIFTS)
def test_shooting_follows_h_up_where_it_bends(bent: Bent, lift: Lift) -> None:
    x_t, t = there(bent).x_t, torch.tensor([float(T)])
    u = tangent_at(bent, x_t, T, 20).U[0]
    shot = shoot(bent, u.reshape(32, 4, 4), x_t, T, delta=0.2, steps=3, k=20, lift=lift)
    h = bent.encode_h(x_t + shot.points, t.expand(4)).h.flatten(1)
    assert bool(((h[1:] - h[:-1]) @ u > 0).all())
    straight = 0.6 * normalize(shot.points[1].flatten(), dim=0)
    assert float((shot.points[3].flatten() - straight).norm()) > 1e-3


def test_shooting_stops_where_too_little_is_left_and_says_so(bent: Bent) -> None:
    x_t = there(bent).x_t
    u = tangent_at(bent, x_t, T, 2).U[0]
    shot = shoot(bent, u.reshape(32, 4, 4), x_t, T, delta=2.0, steps=30, k=2, floor=0.9)
    assert shot.stopped
    assert shot.retained[-1] < 0.9
    assert len(shot.points) == len(shot.retained) < 31
    assert all(left >= 0.9 for left in shot.retained[:-1])


def test_a_path_is_stored_to_both_sides_with_0_between(toy: Bent) -> None:
    target = there(toy)
    found, sides = shot_along(toy, along(toy, toy.U[1]), target, k=8, reach=2.0, steps=4)
    assert found.meta.move == AlongPath(strengths=(-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0))
    assert found.meta.strength == Strength(default=1.0, min=-2.0, max=2.0)
    assert not sides[1].stopped
    plain = hspace.sample(toy, target.x_T, steps=20)
    assert torch.equal(hspace.edit(toy, target.x_T, [(found, 0.0)], steps=20), plain)
    for sign in (-1, 1):
        changed = hspace.edit(toy, target.x_T, [(found, sign)], steps=20) - plain
        assert float(changed.square().mean().sqrt()) == pytest.approx(CHANGE, rel=1e-3)
        assert sign * cosine(changed, toy.V[1]) > 0.999


def test_a_path_that_stops_warns_and_its_range_ends_there(bent: Bent) -> None:
    u = tangent_at(bent, there(bent).x_t, T, 5).U[4].reshape(32, 4, 4)
    with pytest.warns(HspaceWarning, match=r"the path to strength [-+]5 ends after 2 of 6 steps"):
        found, sides = shot_along(bent, along(bent, u), there(bent), k=5, reach=5.0, steps=6)
    assert [sides[sign].stopped for sign in (-1, 1)] == [True, True]
    assert (found.meta.strength.min, found.meta.strength.max) == pytest.approx((-2 * 5 / 6, 2 * 5 / 6))
    assert found.meta.metrics[0].value == min(*sides[-1].retained, *sides[1].retained) < 0.5


def test_a_direction_outside_the_tangent_space_is_not_followed(toy: Bent) -> None:
    with pytest.raises(HspaceError, match="so there is nothing to follow"):
        shot_along(toy, along(toy, toy.U[20]), there(toy), k=4)


@pytest.mark.parametrize("both", [{}, {"picture": Path("face.png"), "seed": 1}], ids=["neither", "both"])
def test_one_sample_must_be_named(toy: Bent, both: dict[str, Any]) -> None:
    picture, seed = both.get("picture"), both.get("seed")
    with pytest.raises(UsageError, match="say which sample to carry it to"):
        target_of(toy, picture, seed, at=600, steps=20, callback=lambda done, total: None)


TINY = ("--steps", "4", "-k", "6", "--json")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], hspace_home: Path) -> Any:
    """Runs a command in an empty folder: its exit code, and what it printed on stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hspace", *map(str, arguments)])
        code: Any = 0
        try:
            main()
        except SystemExit as exit:
            code = exit.code or 0
        out, err = capfd.readouterr()
        return code, out, err

    return call


def test_a_direction_found_in_x_edits_sweeps_and_is_carried_by_commands(run: Any, tmp_path: Path) -> None:
    quick = ("--backbone", "ddpmpp-random-tiny", "--samples", 1, "--steps", 4)
    code, out, err = run(
        "discover", "--unsupervised", *quick, "-k", 2, "--set", "space=x", "--set", "iterations=2", "--json"
    )
    assert code == 0, err
    basis = json.loads(out)["directions"][0]["id"].partition("#")[0]
    assert basis == "ddpmpp-random-tiny/local-x-t666.jacobian-svd"
    assert Path(json.loads(out)["sheet"]).is_file()
    run("sample", "--backbone", "ddpmpp-random-tiny", "-n", 1, "--steps", 4, "--out", "faces")
    face = "faces/0-0000.png"
    code, out, err = run(
        "edit", face, "--sweep", f"{basis}#0=-2:2:3", "--saturation", "contrast", "--steps", 4, "--json"
    )
    assert code == 0, err
    pictures = [Path(one["output"]).read_bytes() for one in json.loads(out)["outputs"]]
    assert len(set(pictures)) == 3
    code, out, err = run("transport", f"{basis}#1", "--to", face, *TINY)
    assert code == 0, err
    carried = json.loads(out)
    assert 0 < carried["retained"] <= 1 + 1e-6
    code, out, err = run("shoot", f"{basis}#0", "--seed", 3, "-n", 2, *TINY)
    assert code == 0, err
    shot = json.loads(out)
    assert {one["strength"] for one in shot["bases"]} == {-1.0, 0.0, 1.0}
    edits = [part for id in (carried["id"], shot["id"]) for part in ("--direction", f"{id}=0.5")]
    code, out, err = run("edit", face, *edits, "--steps", 4, "--out", "both", "--json")
    assert code == 0, err
    code, out, err = run("interference", *edits, "--steps", 4, "--samples", 1)
    assert (code, "is of space 'x'" in err) == (2, True)
    code, out, err = run("distill", carried["id"], "--samples", 1, "--held-out", 1, "--steps", 4)
    assert (code, "is of space 'x'" in err) == (2, True)
    code, out, err = run("list-directions", "--json")
    moves = {one["id"]: one["move"] for one in json.loads(out)["directions"] if one.get("space") == "x"}
    assert moves == {basis: "guidance", carried["id"]: "guidance", shot["id"]: "path"}


@pytest.mark.parametrize(
    ("command", "code", "why"),
    [
        (("transport", "nobody/x.y", "--seed", 1), 4, "no direction is called 'nobody/x.y'"),
        (("transport", "nobody/x.y", "--seed", 1, "--lift", "crane"), 2, "lift must be one of project, pinv, grad"),
        (("transport", "nobody/x.y", "--seed", 1, "--move", "jump"), 2, "move must be guidance or one-shot"),
        (("shoot", "nobody/x.y", "--seed", 1, "--lift", "crane"), 2, "lift must be one of project, pinv, grad"),
    ],
    ids=str,
)
def test_a_wrong_call_is_one_line_and_its_exit_code(run: Any, command: tuple[object, ...], code: int, why: str) -> None:
    exit_code, _, err = run(*command)
    assert (exit_code, why in err) == (code, True), err

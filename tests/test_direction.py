import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import basis, toy
from unets import noise

from hspace import Backbone, Direction, load_backbone
from hspace.errors import HspaceError, NotFoundError, RefusedError, UsageError
from hspace.meta import META_FILE, WEIGHTS_FILE, Scope, Strength, read_meta
from hspace.testing import PlantedBackbone


def change(folder: Path, **values: Any) -> None:
    """Writes other values into a saved description; a dotted name reaches inside."""
    content = json.loads((folder / META_FILE).read_text())
    for name, value in values.items():
        place, inside = content, name.split("__")
        for part in inside[:-1]:
            place = place[part]
        place[inside[-1]] = value
    (folder / META_FILE).write_text(json.dumps(content))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    basis(toy(), components=3).save(tmp_path)
    return tmp_path


def test_a_direction_returns_as_it_was_saved(tmp_path: Path) -> None:
    direction = basis(toy(), prompts=("a face", "a smiling face"), labels=("smile",), t_boost=200)
    kept = direction.save(tmp_path)
    loaded = Direction.load(tmp_path)
    assert loaded.meta == kept.meta
    assert loaded.meta.model_copy(update={"weights": None}) == direction.meta
    assert torch.equal(loaded.weights["vectors"], direction.weights["vectors"])


def test_a_window_with_a_start_returns_as_it_was_saved(tmp_path: Path) -> None:
    basis(toy(), t_edit=300, t_start=800).save(tmp_path)
    meta = Direction.load(tmp_path).meta
    assert (meta.t_edit, meta.t_start) == (300, 800)


def test_a_file_from_before_windows_had_a_start_has_none(saved: Path) -> None:
    content = json.loads((saved / META_FILE).read_text())
    content.pop("t_start", None)
    (saved / META_FILE).write_text(json.dumps(content))
    assert Direction.load(saved).meta.t_start is None


def test_it_is_named_after_its_backbone_what_it_does_and_how_it_was_found() -> None:
    direction = basis(toy(), components=3)
    assert direction.id == "planted/left.test"
    assert direction.pick(2).id == "planted/left.test#2"


def test_its_description_reads_without_its_weights(saved: Path) -> None:
    (saved / WEIGHTS_FILE).unlink()
    assert read_meta(saved).id == "planted/left.test"
    with pytest.raises(NotFoundError, match="there is no file"):
        Direction.load(saved)


def test_saving_again_replaces_description_and_weights(saved: Path) -> None:
    for what in ("second", "third"):
        new = basis(toy(), what=what)
        new.save(saved)
        assert Direction.load(saved).id == f"planted/{what}.test"
        assert torch.equal(Direction.load(saved).weights["vectors"], new.weights["vectors"])
        assert len(list(saved.iterdir())) == 2


@pytest.mark.parametrize(("key", "value"), [("format", 2), ("format", None), ("space", "x_t")])
def test_an_unknown_format_or_space_is_refused(saved: Path, key: str, value: object) -> None:
    change(saved, **{key: value})
    with pytest.raises(RefusedError, match=rf"has {key} {value!r}; this hspace reads {key} .*Upgrade hspace."):
        read_meta(saved)


@pytest.mark.parametrize(
    ("change_to", "why"),
    [
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"head__surprise": 1}, "head.surprise: Extra inputs are not permitted"),
        ({"id": "../../etc/passwd"}, "id: String should match pattern"),
        ({"id": "planted/left.test#1"}, "id: String should match pattern"),
        ({"steps": 0}, "steps: Input should be greater than or equal to 1"),
        ({"steps": "many"}, "steps: Input should be a valid integer"),
        ({"mode": "both"}, "mode: Input should be 'asymmetric' or 'symmetric'"),
        ({"backbone__fingerprint": [0.0]}, "fingerprint: Tuple should have at least 8 items"),
        ({"head__config": {"components": "many"}}, "components must be a whole number from 1; 'many' was given"),
        ({"head__config": {"components": 0}}, "components must be a whole number from 1; 0 was given"),
        ({"weights__file": "../../secret"}, "'../../secret' is not a plain file name"),
        ({"weights__file": "/etc/passwd"}, "'/etc/passwd' is not a plain file name"),
        ({"weights__file": ".hidden"}, "'.hidden' is not a plain file name"),
        ({"weights__sha256": "beef"}, "sha256: String should match pattern"),
    ],
)
def test_an_unsound_description_is_refused(saved: Path, change_to: dict[str, Any], why: str) -> None:
    change(saved, **change_to)
    with pytest.raises(RefusedError, match=f"is not a sound direction: .*{re.escape(why)}"):
        read_meta(saved)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"NaN", b"[1]", b"", 100_000 * b"["])
def test_a_description_that_is_not_json_is_refused(saved: Path, content: bytes) -> None:
    (saved / META_FILE).write_bytes(content)
    with pytest.raises(RefusedError, match=rf"{META_FILE} (is not JSON|has format)"):
        read_meta(saved)


def test_a_number_that_is_not_finite_is_refused(saved: Path) -> None:
    change(saved, strength__max=float("inf"))
    with pytest.raises(RefusedError, match=r"strength\.max: Input should be a finite number"):
        read_meta(saved)


@pytest.mark.parametrize("place", ["gone", META_FILE])
def test_a_place_without_a_direction_is_not_found(saved: Path, place: str) -> None:
    with pytest.raises(NotFoundError, match=f"{place} holds no direction: there is no direction.json"):
        read_meta(saved / place)


@pytest.mark.parametrize("at", [0, 40, -1])
def test_one_changed_byte_in_the_weights_is_refused(saved: Path, at: int) -> None:
    data = bytearray((saved / WEIGHTS_FILE).read_bytes())
    data[at] ^= 1
    (saved / WEIGHTS_FILE).write_bytes(bytes(data))
    with pytest.raises(RefusedError, match="was changed: its sha256 is"):
        Direction.load(saved)


def test_a_description_without_weights_is_refused(saved: Path) -> None:
    change(saved, weights=None)
    with pytest.raises(RefusedError, match="names no weights file"):
        Direction.load(saved)


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    direction = basis(toy())
    direction.weights["vectors"][0, 0, 0, 0, 0] = float("nan")
    with pytest.raises(RefusedError, match=r"not finite \(NaN or infinity\) in 'vectors'"):
        direction.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_backbone_is_refused_with_the_numbers() -> None:
    message = (
        r"direction 'planted/left.test' was found on h of 'planted'; this backbone's h differs \(\d[\d.]* > 0.01\). "
        r"Load that backbone, or find the direction again with 'hspace discover'."
    )
    with pytest.raises(RefusedError, match=message):
        basis(toy()).head(PlantedBackbone((3, 4, 4), (8, 4, 4), seed=1))


def test_a_backbone_with_another_h_is_refused_with_both_shapes() -> None:
    with pytest.raises(RefusedError, match=r"this backbone's h is \(32, 4, 4\), not \(8, 4, 4\)"):
        basis(toy()).head(PlantedBackbone())


def test_the_same_weights_in_single_precision_are_the_same_backbone() -> None:
    assert basis(toy()).head(PlantedBackbone((3, 4, 4), (8, 4, 4))) is not None


def test_a_head_works_in_the_precision_of_its_backbone() -> None:
    backbone = load_backbone("ddpmpp-random-tiny", dtype=torch.bfloat16)
    state = backbone.encode_h(noise(2, 3, 16, 16).to(torch.bfloat16), torch.tensor([1.0, 2.0]))
    temb_dim = state.temb.shape[1] if state.temb is not None else 0
    from hspace.building import build_head

    assert build_head(backbone, "delta-block", {}, None)(state).dtype == torch.bfloat16
    assert temb_dim > 0


def test_a_component_of_a_basis_is_its_row() -> None:
    backbone, direction = toy(), basis(toy(), components=3)
    state = backbone.encode_h(noise(2, 3, 4, 4, dtype=torch.float64), torch.tensor([1.0, 2.0]))
    for component in range(3):
        row = direction.weights["vectors"][component].double()
        assert torch.equal(direction.pick(component).head(backbone)(state), row.expand(2, -1, -1, -1))


def test_a_basis_of_which_no_component_was_picked_is_refused() -> None:
    with pytest.raises(UsageError, match=r"is a basis of 3 directions; pick one: planted/left.test#0 to .*#2"):
        basis(toy(), components=3).head(toy())


@pytest.mark.parametrize("component", [-1, 3])
def test_a_component_that_the_basis_does_not_have_is_not_found(component: int) -> None:
    with pytest.raises(NotFoundError, match=f"has 3 components, #0 to #2; #{component} was asked for"):
        basis(toy(), components=3).pick(component)


def described(backbone: Backbone, **changes: Any) -> Direction:
    values = {
        "what": "left",
        "finder": "test",
        "head": "table",
        "config": {},
        "weights": {"vectors": noise(1, 1, 8, 4, 4)},
        "steps": 40,
        "t_edit": 0,
        "strength": Strength(min=-1, max=1),
        "scope": Scope(kind="global"),
    }
    return Direction.bind(backbone, **{**values, **changes})


def test_weights_that_do_not_fit_their_head_are_refused() -> None:
    with pytest.raises(RefusedError, match=r"the weights do not fit head 'table'.*vectors"):
        described(toy(), weights={"vectors": noise(1, 1, 8, 2, 2)}).head(toy())


def test_an_unknown_head_is_answered_with_the_near_ones() -> None:
    with pytest.raises(NotFoundError, match="no head is called 'tabel'; did you mean 'table'"):
        described(toy(), head="tabel").head(toy())


def test_a_config_that_the_head_does_not_take_is_named() -> None:
    with pytest.raises(UsageError, match="head 'table' has no setting 'rows'; it takes timesteps, components"):
        described(toy(), config={"rows": 3}).head(toy())


def test_a_head_that_fails_in_its_own_code_is_named_with_its_plugin() -> None:
    with pytest.raises(HspaceError, match="'table' of plugin 'hspace-heads' failed: ValueError"):
        described(toy(), config={"timesteps": [[1], [2, 3]]}).head(toy())


def test_a_backbone_without_a_card_cannot_be_bound_to() -> None:
    backbone = toy()
    backbone.card = None
    with pytest.raises(UsageError, match=r"has no card, so a direction cannot say where it belongs; set backbone.card"):
        described(backbone)

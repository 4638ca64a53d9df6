"""The table: what it reads at which timestep, and that it can be trained."""

import pytest
import torch

from hspace.errors import UsageError
from hspace_heads import table

from .states import at


def test_a_table_reads_the_row_of_the_nearest_timestep() -> None:
    head = table.build((2, 1, 1), None, timesteps=[0, 400, 900])
    head.load_state_dict({"vectors": torch.arange(6.0).reshape(1, 3, 2, 1, 1)})
    assert head(at(180, 220, 999))[:, :, 0, 0].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_a_table_reads_on_the_line_between_two_rows_and_the_end_beyond() -> None:
    head = table.build((1, 1, 1), None, timesteps=[100, 400, 900], between="linear")
    head.load_state_dict({"vectors": torch.tensor([0.0, 3.0, 13.0]).reshape(1, 3, 1, 1, 1)})
    assert head(at(0, 100, 200, 400, 650, 900, 999))[:, 0, 0, 0].tolist() == [0, 0, 1, 3, 8, 13, 13]


def test_a_table_of_one_row_is_the_same_at_all_timesteps() -> None:
    for between in ("nearest", "linear"):
        head = table.build((2, 1, 1), None, between=between)
        head.load_state_dict({"vectors": torch.tensor([7.0, 8.0]).reshape(1, 1, 2, 1, 1)})
        assert head(at(0, 999))[:, :, 0, 0].tolist() == [[7, 8], [7, 8]]


def test_a_table_picks_a_component() -> None:
    head = table.build((2, 1, 1), None, components=2, component=1)
    head.load_state_dict({"vectors": torch.arange(4.0).reshape(2, 1, 2, 1, 1)})
    assert head(at(500))[0, :, 0, 0].tolist() == [2, 3]


def test_steps_make_a_row_for_each_timestep_of_the_window() -> None:
    head = table.build((2, 1, 1), None, steps=40, t_edit=513)
    assert len(head.vectors[0]) == 19
    assert (head.timesteps[0], head.timesteps[-1]) == (537, 999)


def test_bfloat16_does_not_round_its_timesteps() -> None:
    head = table.build((1, 1, 1), None, timesteps=[997, 999], between="linear")
    head.load_state_dict({"vectors": torch.tensor([0.0, 2.0]).reshape(1, 2, 1, 1, 1)})
    assert head.bfloat16()(at(998))[0, 0, 0, 0] == 1


def test_training_moves_the_rows_that_were_asked_for_and_no_others() -> None:
    head = table.build((2, 1, 1), None, steps=40, t_edit=513)
    (2 * head(at(537, 999)).sum()).backward()
    gradient = head.vectors.grad
    assert gradient is not None
    assert gradient[0, :, 0, 0, 0].tolist() == [2, *[0] * 17, 2]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"timesteps": []}, "at least one timestep"),
        ({"components": 2, "component": 2}, "from 0 to 1; 2 was given"),
        ({"components": 0}, "table takes components = a whole number from 1; 0 was given"),
        ({"between": "cubic"}, "table takes between = nearest, linear; 'cubic' was given"),
        ({"between": "linear", "timesteps": [400, 100]}, r"needs timesteps that rise; \[400, 100\] was given"),
        ({"steps": 40, "timesteps": [1]}, "takes timesteps or steps; both were given"),
        ({"steps": 40, "t_edit": 1000}, "no timestep of 40 steps on a schedule of 1000 is from t_edit = 1000 up"),
    ],
)
def test_a_table_that_cannot_be_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        table.build((2, 1, 1), None, **config)  # type: ignore[arg-type]

"""The table and the delta-block."""

import pytest
import torch

from hspace import State
from hspace.errors import UsageError
from hspace.testing import HeadContract
from hspace_heads import delta_block, table


class TestTable(HeadContract):
    head = "table"
    config = {"timesteps": [100, 500], "components": 3, "component": 2}  # noqa: RUF012


class TestPesserBlock(HeadContract):
    head = "delta-block"
    config = {"form": "pesser", "norm_num_groups": 4}  # noqa: RUF012


class TestOpenaiBlock(HeadContract):
    head = "delta-block"
    config = {"form": "openai", "norm_num_groups": 4}  # noqa: RUF012


def state(*timesteps: float) -> State:
    n = len(timesteps)
    return State(torch.zeros(n, 3, 8, 8), torch.tensor(timesteps), torch.zeros(n, 2, 1, 1), torch.zeros(n, 4))


def test_a_table_reads_the_row_of_the_nearest_timestep() -> None:
    head = table.build((2, 1, 1), None, timesteps=[0, 400, 900])
    head.load_state_dict({"vectors": torch.arange(6.0).reshape(1, 3, 2, 1, 1)})
    assert head(state(180, 220, 999))[:, :, 0, 0].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_a_table_of_one_row_is_the_same_at_all_timesteps() -> None:
    head = table.build((2, 1, 1), None)
    head.load_state_dict({"vectors": torch.tensor([7.0, 8.0]).reshape(1, 1, 2, 1, 1)})
    assert head(state(0, 999))[:, :, 0, 0].tolist() == [[7, 8], [7, 8]]


def test_a_table_picks_a_component() -> None:
    head = table.build((2, 1, 1), None, components=2, component=1)
    head.load_state_dict({"vectors": torch.arange(4.0).reshape(2, 1, 2, 1, 1)})
    assert head(state(500))[0, :, 0, 0].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("config", "message"),
    [({"timesteps": []}, "at least one timestep"), ({"components": 2, "component": 2}, "from 0 to 1; 2 was given")],
)
def test_a_table_that_cannot_be_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        table.build((2, 1, 1), None, **config)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"form": "diffusers"}, "has the forms pesser and openai"),
        ({"norm_num_groups": 5}, "must divide the 8 channels"),
    ],
)
def test_a_delta_block_that_cannot_be_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        delta_block.build((8, 2, 2), 4, **{"norm_num_groups": 4, **config})  # type: ignore[arg-type]


def test_a_delta_block_without_a_time_embedding_says_how() -> None:
    with pytest.raises(UsageError, match="set time=False"):
        delta_block.build((8, 2, 2), None, norm_num_groups=4)


def test_the_published_sizes_have_the_published_parameter_counts() -> None:
    def count(form: str, channels: int) -> int:
        return sum(weight.numel() for weight in delta_block.build((channels, 8, 8), channels, form=form).parameters())

    assert (count("pesser", 512), count("openai", 512), count("openai", 1024)) == (788_992, 790_016, 3_152_896)

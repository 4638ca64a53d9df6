import json
import os
import re
import struct
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from hspace import storage
from hspace.errors import HspaceError, NotFoundError, RefusedError


def safetensors(header: str, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header.encode() + data


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(storage.TEMPORARY)]


def test_tensors_return_as_they_were_written(tmp_path: Path) -> None:
    tensors = {
        "half": torch.tensor([1.5], dtype=torch.float16),
        "turned": torch.arange(6).reshape(2, 3).T,
        "empty": torch.empty(0),
    }
    digest = storage.write_tensors(tmp_path / "some.safetensors", tensors)
    read = storage.read_tensors(tmp_path / "some.safetensors", digest)
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensor) and read[name].dtype == tensor.dtype for name, tensor in tensors.items())


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    digest = storage.write_tensors(path, {"one": torch.ones(3)})
    assert digest == storage.sha256(path) == sha256(path.read_bytes()).hexdigest()


def test_another_digest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    storage.write_tensors(path, {"one": torch.ones(3)})
    with pytest.raises(RefusedError, match=r"was changed: its sha256 is .*it should be 000000000000"):
        storage.read_tensors(path, 64 * "0")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, bad: float) -> None:
    storage.write_tensors(tmp_path / "bad.safetensors", {"fine": torch.ones(2), "ill": torch.tensor([0.0, bad])})
    with pytest.raises(RefusedError, match=r"not finite \(NaN or infinity\) in 'ill'"):
        storage.read_tensors(tmp_path / "bad.safetensors")


ONE = '{"one": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
TWICE = ONE[:-1] + ", " + ONE[1:]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a sound safetensors file"),
        (b"\x00" * 7, "not a sound safetensors file"),
        (b"PK\x03\x04 a pickle in a zip", "not a sound safetensors file"),
        (struct.pack("<Q", 2**62) + b"{}", "not a sound safetensors file"),
        (safetensors("[]"), "not a sound safetensors file"),
        (safetensors(ONE, b"\x00\x00"), "not a sound safetensors file"),
        (safetensors(ONE.replace("F32", "Q9"), bytes(4)), "not a sound safetensors file"),
        (safetensors(100_000 * "[" + 100_000 * "]"), "not a sound safetensors file"),
        (safetensors(TWICE, bytes(4)), "a name occurs twice in its header"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(RefusedError, match=re.escape(f"{path} is ") + f".*{why}"):
        storage.read_tensors(path)


def test_the_sound_twin_of_the_damaged_files_is_read(tmp_path: Path) -> None:
    (tmp_path / "good.safetensors").write_bytes(safetensors(ONE, struct.pack("<f", 2.0)))
    assert storage.read_tensors(tmp_path / "good.safetensors")["one"].tolist() == [2.0]


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no file .*gone"):
        storage.read_tensors(tmp_path / "gone")
    with pytest.raises(NotFoundError, match=r"there is no file .*gone"):
        storage.sha256(tmp_path / "gone")


def test_writing_makes_the_folders_it_needs_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "file.json"
    storage.write_bytes(path, b"{}")
    assert path.read_bytes() == b"{}"
    assert leftovers(path.parent) == []


def test_a_file_gets_the_permissions_that_the_umask_leaves(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        storage.write_bytes(tmp_path / "file", b"")
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_an_error_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    storage.write_bytes(path, b"old")
    with pytest.raises(RuntimeError, match="half-way"), storage.writing(path) as temporary:  # noqa: PT012
        temporary.write_bytes(b"ne")
        raise RuntimeError("half-way")
    assert path.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HspaceError, match=r"could not write .*below: .*; nothing was changed. Choose another folder."):
        storage.write_bytes(tmp_path / "file" / "below", b"")


def test_a_file_is_one_content_or_the_other_while_it_is_replaced(tmp_path: Path) -> None:
    path, contents = tmp_path / "file", [json.dumps(n * list(range(999))).encode() for n in (1, 2)]
    storage.write_bytes(path, contents[0])

    def write() -> None:
        for turn in range(40):
            storage.write_bytes(path, contents[turn % 2])

    seen = set()
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        while not writer.done():
            seen.add(path.read_bytes())
    writer.result()
    assert seen <= set(contents)

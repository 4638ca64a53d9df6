import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from toys import basis, toy

from hspace import load_direction, registry
from hspace.errors import HspaceError, NotFoundError, RefusedError, UsageError
from hspace.storage import TEMPORARY

BASIS = """
    import os, signal, sys, time
    from dataclasses import replace
    from pathlib import Path
    import torch
    from hspace import Direction, load_direction, registry

    torch.set_num_threads(1)
    seed = Direction.load(Path(sys.argv[1]))

    def spawn(work):
        child = os.fork()
        if child == 0:
            work()
            os._exit(0)
        return child

    def whole(what):
        vectors = load_direction(f"planted/{what}.test").weights["vectors"]
        return bool((vectors == vectors.flatten()[0]).all())

    def make(what, fill):
        meta = seed.meta.model_copy(update={"id": f"planted/{what}.test"})
        weights = {"vectors": torch.full_like(seed.weights["vectors"], fill)}
        return replace(seed, meta=meta, weights=weights)
"""


@pytest.fixture(autouse=True)
def home(hspace_home: Path) -> Path:
    return hspace_home


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    basis(toy()).save(tmp_path / "seed")
    return tmp_path / "seed"


def run(code: str, seed: Path) -> list[str]:
    """What `code` prints, in an interpreter of its own that may fork and be killed."""
    command = [sys.executable, "-W", "ignore", "-c", dedent(BASIS) + dedent(code), str(seed)]
    done = subprocess.run(command, text=True, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def ids() -> list[str]:
    return [entry.id for entry in registry.entries()]


def test_hspace_home_is_where_directions_go(home: Path) -> None:
    entry = registry.add(basis(toy()))
    assert (entry.owner, entry.folder) == ("user", home / "directions" / "planted" / "left.test")
    assert load_direction("planted/left.test").id == "planted/left.test"


def test_without_hspace_home_they_go_where_the_platform_keeps_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HSPACE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert registry.home().name == "hspace"
    assert sys.platform != "linux" or registry.home() == Path("/data/hspace")


def test_an_empty_registry_has_nothing_of_the_users() -> None:
    assert [entry for entry in registry.entries() if entry.owner == "user"] == []


def test_entries_are_listed_without_torch(home: Path, seed: Path) -> None:
    registry.add(basis(toy()))
    code = "from hspace import registry; import sys; e = registry.find('planted/left.test');"
    code += "print(e.meta().steps, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout == "40 False\n"


def test_a_damaged_entry_is_listed_and_refused_when_read(home: Path) -> None:
    (home / "directions" / "planted" / "bad.test").mkdir(parents=True)
    (home / "directions" / "planted" / "bad.test" / "direction.json").write_text("{")
    registry.add(basis(toy()))
    assert [id for id in ids() if id.startswith("planted/")] == ["planted/bad.test", "planted/left.test"]
    with pytest.raises(RefusedError, match="is not JSON"):
        registry.find("planted/bad.test").meta()


def test_an_unknown_id_is_answered_with_the_near_ones() -> None:
    registry.add(basis(toy()))
    with pytest.raises(NotFoundError, match=r"no direction is called 'planted/lift.test'; did you mean 'planted/left"):
        registry.find("planted/lift.test")
    with pytest.raises(NotFoundError, match=r"See 'hspace list-directions', or make one with 'hspace discover'."):
        load_direction("planted/lift.test#0")


def test_a_hash_mark_picks_a_component() -> None:
    registry.add(basis(toy(), components=3))
    assert load_direction("planted/left.test#2").component == 2
    with pytest.raises(NotFoundError, match="has 3 components, #0 to #2; #3 was asked for"):
        load_direction("planted/left.test#3")


@pytest.mark.parametrize("name", ["planted/left.test#", "planted/left.test#first", "planted/left.test#-1"])
def test_a_component_that_is_no_number_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"the part after '#' picks a component by number, as in planted/left.test#0"):
        load_direction(name)


def test_a_folder_is_loaded_as_well_as_an_id(seed: Path) -> None:
    assert load_direction(seed).id == "planted/left.test"
    with pytest.raises(NotFoundError, match=f"{re.escape(str(seed.parent))} holds no direction"):
        load_direction(seed.parent)


def test_the_users_own_hides_a_zoos_of_the_same_id(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [("user", home / "directions"), ("a-zoo", tmp_path / "zoo" / "directions")]
    monkeypatch.setattr(registry, "roots", lambda: places)
    basis(toy()).save(tmp_path / "zoo" / "directions" / "planted" / "left.test")
    assert [(entry.id, entry.owner) for entry in registry.entries()] == [("planted/left.test", "a-zoo")]
    registry.add(basis(toy()))
    assert [(entry.id, entry.owner) for entry in registry.entries()] == [("planted/left.test", "user")]


def test_writers_at_once_lose_nothing(seed: Path) -> None:
    code = """
        def write(writer):
            for turn in range(5):
                registry.add(make(f"w{writer}-{turn}", float(turn)))

        for child in [spawn(lambda: write(writer)) for writer in range(3)]:
            assert os.waitpid(child, 0)[1] == 0
    """
    run(code, seed)
    expected = [f"planted/w{writer}-{turn}.test" for writer in range(3) for turn in range(5)]
    assert sorted(id for id in ids() if id.startswith("planted/")) == expected
    for id in expected:
        vectors = load_direction(id).weights["vectors"]
        assert torch.equal(vectors, torch.full_like(vectors, float(id[-6])))


def test_a_reader_sees_the_old_or_the_new_while_writers_replace(seed: Path) -> None:
    code = """
        def write():
            for turn in range(100):
                registry.add(make("one", float(turn)))

        registry.add(make("one", -1.0))
        children = {spawn(write), spawn(write)}
        while children:
            print(whole("one"), float(load_direction("planted/one.test").weights["vectors"].flatten()[0]))
            children -= {child for child in children if os.waitpid(child, os.WNOHANG)[0]}
    """
    seen = run(code, seed)
    assert len(set(seen)) > 1
    assert all(line.startswith("True ") for line in seen)


def test_a_killed_writer_leaves_every_entry_whole(seed: Path) -> None:
    code = """
        def write():
            while True:
                registry.add(make("one", time.time()))

        registry.add(make("one", 0.0))
        for turn in range(12):
            child = spawn(write)
            time.sleep(0.02 + 0.003 * turn)
            os.kill(child, signal.SIGKILL)
            assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
            print(whole("one"))
            registry.add(make("one", float(turn)))  # the lock of a dead process is free
    """
    assert run(code, seed) == 12 * ["True"]
    assert float(load_direction("planted/one.test").weights["vectors"].flatten()[0]) == 11.0


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HSPACE_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(HspaceError, match=r"could not write to the registry .*home: .*Set HSPACE_HOME"):
        registry.add(basis(toy()))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_home_without_permission_is_named(home: Path) -> None:
    home.mkdir(mode=0o500)
    with pytest.raises(HspaceError, match=r"could not write to the registry .*Permission denied"):
        registry.add(basis(toy()))


@pytest.mark.skipif(os.name == "nt", reason="needs a limit on the size of files")
def test_a_full_disk_leaves_the_old_direction(seed: Path, home: Path) -> None:
    code = """
        import resource
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        registry.add(make("one", 1.0))
        for limit in 0, 300, 700:  # no weights, some of them, and all but no description
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            for what in "one", "other":
                try:
                    registry.add(make(what, 2.0))
                except Exception as error:
                    print(type(error).__name__, error)
    """
    said = run(code, seed)
    assert len(said) == 6
    for line in said:
        assert re.match(r"HspaceError could not write .*File too large; nothing was changed.", line)
    assert [id for id in ids() if id.startswith("planted/")] == ["planted/one.test"]
    assert float(load_direction("planted/one.test").weights["vectors"].flatten()[0]) == 1.0
    assert [path for path in home.rglob("*") if path.name.startswith(TEMPORARY)] == []

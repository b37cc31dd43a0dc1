"""What the tests of the benchmarks share."""

import pytest

from benchmarks.peers import Peer


@pytest.fixture
def make_peer(tmp_path, monkeypatch):
    """Makes a peer of a piece of source, in this process and in the servers it starts."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(name, source):
        (tmp_path / f"{name}.py").write_text(source)
        return Peer(name, name, ())

    return make

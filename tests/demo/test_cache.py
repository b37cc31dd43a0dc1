"""What the demo makes and keeps: in the user's caches, whole or not at all."""

import tempfile
from pathlib import Path

import pytest

from asgi_rt.demo.cache import cache_directory, create_once


def test_the_cache_is_where_the_user_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "asgi_rt" / "demo"
    assert cache_directory().is_dir()


def test_a_relative_cache_is_ignored(monkeypatch, tmp_path):
    """It would lie in the directory that the demo is started in, a checkout for instance."""
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert cache_directory().is_absolute()
    assert not Path("caches").exists()


def test_without_a_cache_the_temporary_directory_is_used(monkeypatch, tmp_path):
    not_a_directory = tmp_path / "file"
    not_a_directory.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(not_a_directory))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert cache_directory() == tmp_path / "asgi_rt-demo"


def test_a_file_is_made_once(tmp_path):
    path = tmp_path / "made"
    create_once(path, lambda made: made.write_text("first") and None)
    create_once(path, lambda made: made.write_text("second") and None)
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_could_not_be_made_leaves_nothing(tmp_path):
    def fail(made):
        made.write_text("half of it")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        create_once(tmp_path / "made", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_two_make_at_once_is_whole(tmp_path):
    path = tmp_path / "made"

    def fill_while_another_does(made):
        made.write_text("half of it, ")
        create_once(path, lambda other: other.write_text("all of it") and None)
        made.write_text("all of it")

    create_once(path, fill_while_another_does)
    assert path.read_text() == "all of it"
    assert list(tmp_path.iterdir()) == [path]

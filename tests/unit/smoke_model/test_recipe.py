from __future__ import annotations

import shutil

import pytest

from release.smoke_model import recipe


@pytest.fixture
def package(tmp_path):
    return shutil.copytree(recipe.PACKAGE, tmp_path / "package")


def _sources(package):
    return sorted(package.glob("*.py"))


def test_a_copy_of_the_sources_has_the_same_hash(package):
    assert recipe.recipe_hash(package) == recipe.recipe_hash()


@pytest.mark.parametrize("name", [path.name for path in _sources(recipe.PACKAGE)])
def test_one_changed_byte_in_any_source_changes_the_hash(package, name):
    source = package / name
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 1
    source.write_bytes(content)
    assert recipe.recipe_hash(package) != recipe.recipe_hash()


def test_a_renamed_source_changes_the_hash(package):
    (package / "text.py").rename(package / "other.py")
    assert recipe.recipe_hash(package) != recipe.recipe_hash()


@pytest.mark.parametrize("name", recipe.PINNED)
def test_another_pinned_version_changes_the_hash(tmp_path, name):
    pinned = recipe.pins()[name]
    lock = tmp_path / "lock.txt"
    lock.write_text(recipe.LOCK.read_text().replace(f"\n{name}=={pinned}", f"\n{name}==0.0.1"))
    assert recipe.recipe_hash(lock=lock) != recipe.recipe_hash()


def test_a_lock_without_a_needed_library_is_refused(tmp_path):
    lock = tmp_path / "lock.txt"
    lock.write_text("torch==1.0\n")
    with pytest.raises(recipe.RecipeError, match="pins no safetensors"):
        recipe.recipe_hash(lock=lock)


def test_another_installed_library_than_the_pinned_one_is_refused(tmp_path):
    pinned = recipe.pins()["tokenizers"]
    lock = tmp_path / "lock.txt"
    lock.write_text(
        recipe.LOCK.read_text().replace(f"tokenizers=={pinned}", "tokenizers==0.0.1", 1)
    )
    with pytest.raises(recipe.RecipeError, match=r"the recipe pins 0\.0\.1"):
        recipe.check_environment(lock)


def test_the_cache_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert recipe.cache_directory() == tmp_path / "b3iq" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert recipe.cache_directory() == tmp_path / "home" / ".cache" / "b3iq" / "models"

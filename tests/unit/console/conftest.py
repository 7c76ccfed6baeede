"""A real node without an engine, and its owner's browser."""

from __future__ import annotations

import pytest

from tests.unit.node import apps


@pytest.fixture
def node(tmp_path):
    node = apps.make(tmp_path)
    yield node
    node.close()


@pytest.fixture
def owner(node):
    node.claim()
    browser = node.browser()
    assert browser.log_in().status_code == 303
    return browser

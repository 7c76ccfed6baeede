"""Nodes: a fresh one, and a claimed one with its owner logged in."""

from __future__ import annotations

import pytest

from tests.unit.node import apps


@pytest.fixture
def node(tmp_path):
    node = apps.make(tmp_path)
    yield node
    node.close()


@pytest.fixture
def client(node):
    return node.app.test_client()


@pytest.fixture
def owner(node):
    node.claim()
    browser = node.browser()
    assert browser.log_in().status_code == 303
    return browser

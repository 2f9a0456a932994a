"""What all tests share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable

# How long an example takes says something of the machine's other users, nothing of the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

# The fast ones first, each kind in its random order: what is broken is seen soon.
ORDER = ("unit", "property", "cases", "integration", "faults", "system")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by kind, after the plugin has shuffled them; within a kind, tests that take minutes come first."""

    def kind(item: pytest.Item) -> tuple[int, bool]:
        names = item.path.relative_to(item.config.rootpath).parts
        is_long = item.get_closest_marker("timeout") is not None
        return ORDER.index(names[1]) if names[1] in ORDER else -1, not is_long

    items.sort(key=kind)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two more than there are processors: most tests mostly wait for processes of their own."""
    return len(os.sched_getaffinity(0)) + 2


@pytest.fixture(scope="session")
def make_rsa_pem() -> Callable[[int], bytes]:
    """Makes an RSA key of so many bits as OpenD reads it: PEM, PKCS#1, without a password."""

    def make(bits: int) -> bytes:
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    return make


@pytest.fixture(scope="session")
def rsa_pem(make_rsa_pem: Callable[[int], bytes]) -> bytes:
    """The key that OpenD and its clients hold: 1024 bits."""
    return make_rsa_pem(1024)

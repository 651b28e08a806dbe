"""What a cluster that cannot be attached to is refused with."""

import platform
from importlib import metadata

import pytest

from hw2tune.execution.attaching import connection_error


def test_another_ray_or_python_is_named_with_the_command_that_uses_it():
    from ray._private.utils import check_version_info

    with pytest.raises(RuntimeError) as said:
        check_version_info({"ray_version": "2.51.0", "python_version": "3.12.4"}, "node 10.0.0.7")
    assert str(connection_error("head:6379", str(said.value))) == (
        "--address head:6379: the cluster runs Ray 2.51.0 on Python 3.12.4, this is Ray "
        f"{metadata.version('ray')} on Python {platform.python_version()}; use the cluster's versions here "
        "(uv run --python 3.12.4 --with ray==2.51.0 ...), or these on the cluster"
    )


def test_a_wrong_token_is_named_with_where_it_goes():
    from ray._private.authentication import authentication_constants as said_by_ray

    for said in (
        said_by_ray.TOKEN_INVALID_ERROR_MESSAGE,
        said_by_ray.TOKEN_AUTH_ENABLED_BUT_NO_TOKEN_FOUND_ERROR_MESSAGE,
    ):
        assert str(connection_error("head:6379", said)) == (
            "--address head:6379: the cluster wants a token that is not the one here; put its token into "
            "RAY_AUTH_TOKEN, or name its file in RAY_AUTH_TOKEN_PATH (default ~/.ray/auth_token)"
        )


def test_anything_else_is_told_in_its_first_line():
    message = str(connection_error("head:6379", "\n[Errno 111] Connection refused\nand more\n"))
    assert message.startswith("--address head:6379: no Ray cluster could be reached ([Errno 111] Connection refused); ")
    assert "(no reason given)" in str(connection_error("head:6379", ""))

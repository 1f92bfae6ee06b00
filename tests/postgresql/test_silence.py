"""How soon a process notices that its server is silent: the kernel knows."""

import os
import socket

import pytest
from django.db import connection

from django_dlq.connections import close_connections, notice_silence

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_kernel_asks_the_server_for_signs_of_life(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", {})
    notice_silence()
    close_connections()
    connection.ensure_connection()
    with socket.socket(fileno=os.dup(connection.connection.fileno())) as wire:
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
    close_connections()

"""Tests of the brokers."""

import pytest

pytest.register_assert_rewrite("django_dlq.testing.broker_bench", "django_dlq.testing.conformance")

import pytest
from django.db import connection

from django_dlq.models.postgresql_array import text_array

TEXTS = ["a", "", " a ", '"', "\\", '\\"', "'", "{", "}", ",", "NULL", "null", "é\n\t", "%s"]


@pytest.mark.django_db
@pytest.mark.parametrize("texts", [TEXTS, *([text] for text in TEXTS), []])
def test_postgresql_reads_the_texts_that_were_written(texts: list[str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text[]", [text_array(texts)])
        assert cursor.fetchone() == (texts,)

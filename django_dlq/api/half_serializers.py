"""Half messages as JSON, for those who prepared them: without the body, which they know, and without people's names."""

from rest_framework import serializers

from django_dlq.api.serializers import MESSAGE, RowSerializer
from django_dlq.models import HalfMessage


class HalfMessageSerializer(RowSerializer):
    """A half message, and what became of it."""

    # As text: a second list of choices for a field "state" would rename the one of the dead letters in the schema.
    state = serializers.CharField(read_only=True, help_text="prepared, undecided, committed or rolled_back")

    class Meta:
        model = HalfMessage
        fields = (*MESSAGE, "priority", "state", "prepared_at", "decided_at", "decided_by", "checks", "most_checks",
                  "next_check_at")  # fmt: skip
        read_only_fields = fields

"""What is sent: the same for all who are measured. Nothing is imported, since rivals run without this app."""

from typing import Any


def body(number: int) -> dict[str, Any]:
    """Return a JSON body of about 250 bytes."""
    lines = [{"sku": f"SKU-{number:06d}-{line}", "quantity": line, "price": "19.90"} for line in range(1, 4)]
    return {"order": number, "customer": f"customer-{number}", "currency": "EUR", "lines": lines, "paid": True}

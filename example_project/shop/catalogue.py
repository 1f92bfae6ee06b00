"""What the shop sells."""

from decimal import Decimal

from example_project.shop.models import Course

COURSES = (
    {
        "slug": "letters",
        "name": "First Letters",
        "tagline": "Trace, hear and find the alphabet, one animal at a time.",
        "ages": "3-4",
        "box": "26 wooden letters and a felt board",
        "price": Decimal("39.00"),
    },
    {
        "slug": "numbers",
        "name": "Count with Otto",
        "tagline": "Otto the octopus has eight arms and a lot to count.",
        "ages": "4-5",
        "box": "A counting frame and 40 stacking cubes",
        "price": Decimal("42.00"),
    },
    {
        "slug": "nature",
        "name": "Little Explorers",
        "tagline": "Seeds, snails and stars: a walk outside every week.",
        "ages": "5-6",
        "box": "A magnifying glass, seeds and a field book",
        "price": Decimal("45.00"),
    },
)


def stock_shelves() -> None:
    """Put the courses on sale, or bring their texts up to date."""
    for course in COURSES:
        Course.objects.update_or_create(slug=course["slug"], defaults=course)

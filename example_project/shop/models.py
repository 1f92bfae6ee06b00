"""The shop's rows: what is sold, who bought it, and what each order must lead to, exactly once."""

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class Course(models.Model):
    """Something to buy: lessons in the app and a box of things to touch that comes by post."""

    slug = models.SlugField(_("short name"), unique=True)
    name = models.CharField(_("name"), max_length=100)
    tagline = models.CharField(_("tagline"), max_length=200)
    ages = models.CharField(_("ages"), max_length=20)
    box = models.CharField(_("what is in the box"), max_length=200)
    price = models.DecimalField(_("price"), max_digits=7, decimal_places=2)

    class Meta:
        verbose_name = _("course")
        verbose_name_plural = _("courses")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name

    @property
    def picture(self) -> str:
        """The path of its picture among the static files."""
        return f"shop/{self.slug}.svg"


class Order(models.Model):
    """A course that somebody buys. `payment` is the payment's own identity: what may have effects only once."""

    course = models.ForeignKey(Course, on_delete=models.PROTECT, related_name="orders", verbose_name=_("course"))
    parent_name = models.CharField(_("your name"), max_length=100)
    child_name = models.CharField(_("your child's name"), max_length=100)
    address = models.CharField(_("address for the box"), max_length=200)
    payment = models.UUIDField(_("payment"), default=uuid.uuid4, unique=True, editable=False)
    # Empty while the bank is being asked.
    paid_at = models.DateTimeField(_("paid at"), null=True, blank=True)

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def message_key(self) -> str:
        """The business identity of "this payment was made", by which handlers know a duplicate."""
        return f"payment-{self.payment}"


class CourseAccess(models.Model):
    """The child may open the course; granted in the transaction of the payment, so it needs no message."""

    order = models.OneToOneField(Order, on_delete=models.CASCADE, related_name="access", verbose_name=_("order"))
    granted_at = models.DateTimeField(_("granted at"), auto_now_add=True)

    class Meta:
        verbose_name = _("course access")
        verbose_name_plural = _("course access")

    def __str__(self) -> str:
        return f"{self.order.child_name}: {self.order.course}"


class Box(models.Model):
    """The logistics service has taken the box, and gave it this tracking number."""

    order = models.OneToOneField(Order, on_delete=models.CASCADE, related_name="box", verbose_name=_("order"))
    tracking = models.CharField(_("tracking number"), max_length=50)
    taken_at = models.DateTimeField(_("taken at"), auto_now_add=True)

    class Meta:
        verbose_name = _("box")
        verbose_name_plural = _("boxes")

    def __str__(self) -> str:
        return self.tracking


class RedPacket(models.Model):
    """A bonus for the parent's wallet. Money: the unique payment makes a second one impossible, whatever happens."""

    payment = models.UUIDField(_("payment"), unique=True)
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="red_packets", verbose_name=_("order"))
    amount = models.DecimalField(_("amount"), max_digits=7, decimal_places=2)
    sent_at = models.DateTimeField(_("sent at"), auto_now_add=True)

    class Meta:
        verbose_name = _("red packet")
        verbose_name_plural = _("red packets")

    def __str__(self) -> str:
        return f"{self.amount}"

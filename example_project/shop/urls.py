"""The addresses of the shop."""

from django.urls import path

from example_project.shop import control_room, views

app_name = "shop"
urlpatterns = [
    path("", views.home, name="home"),
    path("courses/<slug:slug>/", views.buy, name="buy"),
    path("orders/<uuid:payment>/", views.order, name="order"),
    path("orders/<uuid:payment>/live/", views.order_live, name="order-live"),
    path("control/", control_room.page, name="control"),
    path("control/live/", control_room.live, name="control-live"),
    path("control/orders/", control_room.place_orders, name="place-orders"),
    path("control/logistics/", control_room.switch_logistics, name="switch-logistics"),
    path("control/deliver-again/", control_room.deliver_again, name="deliver-again"),
    path("control/unreadable/", control_room.publish_unreadable, name="publish-unreadable"),
    path("control/expired/", control_room.publish_expired, name="publish-expired"),
]

"""The Celery app of the worker and the beat that test_celery.py starts; files in a folder are their broker."""

import os

from celery import Celery

FOLDER = os.environ["SCENARIO_CELERY"]

app = Celery("scenario")
app.conf.update(
    broker_url="filesystem://",
    broker_transport_options={"data_folder_in": FOLDER, "data_folder_out": FOLDER, "control_folder": FOLDER},
    imports=["django_dlq.celery_tasks"],
    beat_scheduler="django_celery_beat.schedulers:DatabaseScheduler",
    beat_max_loop_interval=1,
    timezone="UTC",
    worker_hijack_root_logger=False,
)

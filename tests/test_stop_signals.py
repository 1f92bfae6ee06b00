import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from django_dlq.stop_signals import stopping_on_signals

pytestmark = pytest.mark.once

SECONDS = 30

ASLEEP = """
from django_dlq.stop_signals import stopping_on_signals
with stopping_on_signals(lambda: print("stopping", flush=True)):
    print("ready", flush=True)
    while True:
        time.sleep(60)
"""

IN_C = """
import ctypes, threading
from django_dlq.runner import Loop

class InC:
    grace = {grace}

    def run_once(self):
        mutex = ctypes.create_string_buffer(64)
        lock = ctypes.CDLL(None).pthread_mutex_lock  # which no signal interrupts
        lock(mutex)
        threading.Timer(0.3, print, ["ready"], {{"flush": True}}).start()  # by then it is in there
        lock(mutex)

    def close(self):
        pass

loop = Loop(InC(), idle=0.1)

def tell():
    loop.stopped.wait()
    print("stopping", flush=True)

threading.Thread(target=tell, daemon=True).start()
loop.run()
"""


@contextmanager
def running(program):
    command = [sys.executable, "-c", f"import django, time; django.setup()\n{program}"]
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def told_to_stop(process):
    process.send_signal(signal.SIGTERM)
    return process.stdout.readline() == "stopping\n"


@pytest.mark.parametrize("program", [ASLEEP, IN_C.format(grace=3600)], ids=["asleep", "in C"])
def test_a_second_signal_ends_the_process_at_once_also_while_it_is_busy_in_c(program):
    with running(program) as process:
        assert told_to_stop(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) in (-signal.SIGTERM, 128 + signal.SIGTERM)


def test_one_that_is_busy_in_c_has_its_grace_and_not_more():
    with running(IN_C.format(grace=0.1)) as process:
        assert told_to_stop(process)
        assert process.wait(SECONDS) == 1


def test_signals_are_as_before_after_an_error_too():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), stopping_on_signals(print):
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1
    assert [thread for thread in threading.enumerate() if thread.name == "dlq-signals"] == []


def test_it_is_told_once_and_of_its_own_signals_only():
    told, others = [], []
    before = signal.signal(signal.SIGUSR1, lambda *_: others.append(1))
    try:
        with stopping_on_signals(lambda: told.append(1)):
            os.kill(os.getpid(), signal.SIGUSR1)
            assert others
            assert not told
            os.kill(os.getpid(), signal.SIGTERM)
            assert told
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert told == [1]


def test_what_a_child_is_sent_is_not_for_its_parent():
    told = []
    with stopping_on_signals(lambda: told.append(1)):
        if (child := os.fork()) == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        time.sleep(0.1)  # nothing is awaited: nothing is to happen
    assert told == []


def test_a_thread_leaves_signals_alone():
    seen = []

    def in_thread():
        with stopping_on_signals(print):
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join(SECONDS)
    assert seen == [before]

/* Gives one process a clock that is wrong by WRONG_CLOCK seconds: loaded before libc, it answers in its place.
 *
 * Only the clock of the day is wrong, which is all that an administrator can set wrong. Waiting goes by the other one;
 * who waits until a moment of the day has learnt that moment here, so it is put right again before libc sees it.
 * (libfaketime does this for Python, but librdkafka's threads never wake up under it.)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static long shift(void) {
    const char *seconds = getenv("WRONG_CLOCK");
    return seconds ? atol(seconds) : 0;
}

/* No machine has been up for thirty years: a moment this large is one of the day. */
static clockid_t right(const struct timespec *moment, struct timespec *put_right) {
    *put_right = *moment;
    if (moment->tv_sec < 1000000000) return CLOCK_MONOTONIC;
    put_right->tv_sec -= shift();
    return CLOCK_REALTIME;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (now) *now = precise.tv_sec;
    return precise.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *moment) {
    struct timespec put_right;
    clockid_t clock = right(moment, &put_right);
    return pthread_cond_clockwait(condition, mutex, clock, &put_right);
}

/* glibc's threads of C11 are its POSIX threads. */
int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *moment) {
    int error = pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, moment);
    return error == 0 ? thrd_success : error == ETIMEDOUT ? thrd_timedout : thrd_error;
}

int sem_timedwait(sem_t *semaphore, const struct timespec *moment) {
    struct timespec put_right;
    clockid_t clock = right(moment, &put_right);
    return sem_clockwait(semaphore, clock, &put_right);
}

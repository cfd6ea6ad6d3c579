/*
 * Plain C loops of store buffering, for comparison: what a hundred lines of C without any tuning give on a machine. Two pinned
 * threads. scripts/bench-litmus7 compiles this file and prints its medians beside those of litmus7 and wakerace.
 *
 *     plain paced|free|dense SECONDS       prints iterations per second and weak outcomes per second
 *     plain distance SECONDS               prints how long a cache line takes from one CPU to the other, in ns: half of the
 *                                          shortest average of 200 round trips
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

enum { K = 4096, LINE = 32 /* ints in 128 bytes */, PERIOD = 250 /* ticks */ };

static int *x, *y, r[2][K], stride, paced;
static volatile int go, done, stop;
static volatile uint64_t start;

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static void batch(volatile int *mine, volatile int *theirs, int *seen)
{
	uint64_t at = start;

	while (__rdtsc() < at)
		;
	for (int i = 0; i < K; i++) {
		if (paced) {
			while (__rdtsc() < at)
				;
			at += PERIOD;
		}
		mine[i * stride] = 1;
		seen[i] = theirs[i * stride];
	}
}

static void *other(void *unused)
{
	pin(1);
	for (int round = 1;; round++) {
		while (go != round && !stop)
			_mm_pause();
		if (stop)
			return unused;
		batch(y, x, r[1]);
		done = round;
	}
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static _Alignas(128) volatile int ping;
static _Alignas(128) volatile int pong;

static void *echo(void *unused)
{
	pin(1);
	while (!stop)
		if (pong != ping)
			pong = ping;
	return unused;
}

static int distance(double seconds)
{
	pthread_t thread;
	double begun = now(), least = 1e9;

	pin(0);
	pthread_create(&thread, NULL, echo, NULL);
	for (int value = 0; now() - begun < seconds;) {
		double from = now();

		for (int trip = 0; trip < 200; trip++) {
			ping = ++value;
			while (pong != value)
				;
		}
		double each = (now() - from) * 1e9 / 200 / 2;
		if (each < least)
			least = each;
	}
	stop = 1;
	pthread_join(thread, NULL);
	printf("%.1f\n", least);
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	uint64_t iterations = 0, weak = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: plain paced|free|dense|distance SECONDS\n");
		return 2;
	}
	if (!strcmp(argv[1], "distance"))
		return distance(atof(argv[2]));
	paced = !strcmp(argv[1], "paced");
	stride = strcmp(argv[1], "dense") ? LINE : 1;
	x = aligned_alloc(4096, K * LINE * sizeof(int));
	y = aligned_alloc(4096, K * LINE * sizeof(int));
	pin(0);
	pthread_create(&thread, NULL, other, NULL);
	double begun = now(), seconds = atof(argv[2]);
	for (int round = 1; now() - begun < seconds; round++) {
		for (int i = 0; i < K; i++)
			x[i * stride] = y[i * stride] = 0;
		start = __rdtsc() + 5000;
		__sync_synchronize();
		go = round;
		batch(x, y, r[0]);
		while (done != round)
			_mm_pause();
		for (int i = 0; i < K; i++)
			weak += !r[0][i] && !r[1][i];
		iterations += K;
	}
	seconds = now() - begun;
	stop = 1;
	pthread_join(thread, NULL);
	printf("%.0f %.0f\n", iterations / seconds, weak / seconds);
	return 0;
}

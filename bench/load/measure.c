// Clocks, the CPU and memory of a process as Linux counts them, and percentiles.
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double cpu_seconds(int pid) {
  if (pid <= 0) return 0;
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "r");
  if (!file) fail("cannot read %s: the process has ended or --pid is wrong", path);
  size_t n = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[n] = 0;
  // The second field is the name in parentheses and may hold spaces: count from the last ')'.
  const char *after = strrchr(text, ')');
  unsigned long user = 0, system = 0;
  if (!after || sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
    fail("cannot understand %s", path);
  return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

void memory_kb(int pid, long *rss, long *pss) {
  *rss = *pss = 0;
  if (pid <= 0) return;
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
  FILE *file = fopen(path, "r");
  if (!file) fail("cannot read %s: the process has ended, or belongs to another user", path);
  while (fgets(line, sizeof line, file)) {
    sscanf(line, "Rss: %ld", rss);
    sscanf(line, "Pss: %ld", pss);
  }
  fclose(file);
}

uint64_t written_bytes(int pid) {
  if (pid <= 0) return 0;
  char path[64], line[256];
  unsigned long bytes = 0;
  snprintf(path, sizeof path, "/proc/%d/io", pid);
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  while (fgets(line, sizeof line, file)) sscanf(line, "write_bytes: %lu", &bytes);
  fclose(file);
  return bytes;
}

// The first line of /proc/stat: user nice system idle iowait irq softirq steal (guest time is part of user).
static void machine_cpu_seconds(double *used, double *stolen) {
  FILE *file = fopen("/proc/stat", "r");
  unsigned long t[8] = {0};
  if (!file || fscanf(file, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) != 8)
    fail("cannot understand /proc/stat");
  fclose(file);
  double ticks = (double)sysconf(_SC_CLK_TCK);
  *used = (double)(t[0] + t[1] + t[2] + t[5] + t[6]) / ticks;
  *stolen = (double)t[7] / ticks;
}

snapshot take_snapshot(int pid, int beside) {
  struct rusage own;
  getrusage(RUSAGE_SELF, &own);
  snapshot taken = {
      .now = now_ns(),
      .cpu = cpu_seconds(pid),
      .beside = cpu_seconds(beside),
      .own = (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
             (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec) / 1e6,
  };
  machine_cpu_seconds(&taken.machine, &taken.stolen);
  return taken;
}

enum { MAX_SAMPLES = 4 << 20 };
static uint32_t *samples; // nanoseconds, at most 4.29 s
static size_t count;
static bool sorted;

void latency_add(uint64_t nanoseconds) {
  if (!samples) samples = allocate(MAX_SAMPLES * sizeof *samples);
  if (count < MAX_SAMPLES) samples[count++] = nanoseconds > UINT32_MAX ? UINT32_MAX : (uint32_t)nanoseconds;
  sorted = false;
}

void latency_reset(void) { count = 0; }

size_t latency_count(void) { return count; }

static int ascending(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

double latency_ms(double quantile) {
  if (count == 0) return 0;
  if (!sorted) qsort(samples, count, sizeof *samples, ascending);
  sorted = true;
  size_t at = (size_t)(quantile * (double)count);
  return samples[at < count ? at : count - 1] / 1e6;
}

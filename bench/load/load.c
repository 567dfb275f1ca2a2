// The load generator: options, and one function per workload. One thread. Prints one JSON object on stdout, and those
// that are led another one before it: that they are ready.
// Every loop ends: each has a deadline, and --seconds, --warmup, --connections and the like are bounded.
#include "load.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static struct {
  endpoint to;
  const char *service, *devices, *topic, *filter;
  double seconds, warmup, rate;
  int connections, readers, window, payload, qos, concurrency, pid, beside;
  uint32_t from;
  bool led, refuses;
} opt = {
    .to = {.host = "127.0.0.1", .sni = "localhost", .groups = "P-256", .ciphers = "TLS_AES_256_GCM_SHA384", .port = 8883, .mqtt = 3},
    .topic = "bench", .seconds = 5, .warmup = 2, .rate = 2000, .from = 0x7f010001, .concurrency = 16,
    .connections = -1, .readers = -1, .window = -1, .payload = -1, .qos = -1,
};

static conn *conns; // all connections of the workload
static int conns_len;
static identity service;

_Noreturn void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("load: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

void *allocate(size_t size) {
  void *memory = calloc(1, size ? size : 1);
  if (!memory) fail("out of memory");
  return memory;
}

// ---- what every workload does ----

static double since(uint64_t from) { return (double)(now_ns() - from) / 1e9; }

static void make_conns(int n) {
  conns = allocate((size_t)n * sizeof *conns);
  conns_len = n;
  for (int i = 0; i < n; i++) {
    conns[i].who = &service;
    snprintf(conns[i].client_id, sizeof conns[i].client_id, "load-%d", i);
  }
}

static const char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *text(const char *format, ...) {
  char *made = allocate(512);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(made, 512, format, arguments);
  va_end(arguments);
  return made;
}

// Opens conns[from, to), at most --concurrency handshakes at a time, and waits until all may publish.
static void bring_up(int from, int until) {
  uint64_t begin = now_ns(), before = total_ready;
  double limit = 20 + (until - from) * 0.02;
  int opened = from;
  while (total_ready - before < (uint64_t)(until - from)) {
    while (opened < until && opened - from - (int)(total_ready - before) < opt.concurrency) conn_open(&conns[opened++]);
    wire_poll(100);
    if (since(begin) > limit)
      fail("only %d of %d connections were ready after %.0f s", (int)(total_ready - before), until - from, limit);
  }
}

static void no_tick(void) {}

static void run_for(double seconds, void (*tick)(void)) {
  for (uint64_t begin = now_ns(); since(begin) < seconds;) {
    tick();
    wire_poll(10);
  }
}

// With --led somebody else says by signals when: a SIGUSR1 to begin, a SIGTERM to end.
static volatile sig_atomic_t is_begun, is_over;
static void begin(int signal) { (void)signal, is_begun = 1; }
static void end(int signal) { (void)signal, is_over = 1; }

static void say_ready(void) {
  printf("{\"ready\":true}\n");
  fflush(stdout);
}

// Waits for the signal to begin, at most an hour; false: it is to end. Without --led there is nothing to wait for.
static bool may_begin(void (*tick)(void)) {
  for (uint64_t from = now_ns(); opt.led && !is_begun && !is_over && since(from) < 3600;) {
    tick();
    wire_poll(10);
  }
  bool may = !is_over && (is_begun || !opt.led);
  is_begun = 0;
  return may;
}

// After the last PUBLISH: waits until `expected` deliveries have arrived and all is acknowledged, at most 3 s.
static void drain(uint64_t expected) {
  for (uint64_t begin = now_ns(); since(begin) < 3;) {
    uint32_t unacked = 0;
    for (int i = 0; i < conns_len; i++) unacked += conns[i].unacked;
    if (total_delivered >= expected && unacked == 0) return;
    wire_poll(10);
  }
}

static void hang_up(void) {
  for (int i = 0; i < conns_len; i++) conn_close(&conns[i], true);
}

typedef struct {
  snapshot at;
  uint64_t published, acked, delivered;
} counts;

static counts count_now(void) {
  return (counts){take_snapshot(opt.pid, opt.beside), total_published, total_acked, total_delivered};
}

// JSON: the fields all workloads have in common, of the time between two counts.
static void report(const char *workload, counts a, counts b) {
  double seconds = (double)(b.at.now - a.at.now) / 1e9, cpu = b.at.cpu - a.at.cpu;
  uint64_t in = b.published - a.published, out = b.delivered - a.delivered;
  printf("{\"workload\":\"%s\",\"seconds\":%.3f,\"mqtt\":\"%s\",\"tls\":\"%s\",\"connections\":%d", workload, seconds,
         opt.to.mqtt == 5 ? "5.0" : "3.1.1", negotiated, conns_len);
  printf(",\"published\":%lu,\"acknowledged\":%lu,\"delivered\":%lu,\"inPerSecond\":%.0f,\"outPerSecond\":%.0f", in,
         b.acked - a.acked, out, (double)in / seconds, (double)out / seconds);
  if (opt.pid) {
    printf(",\"brokerCpuSeconds\":%.2f", cpu);
    if (in + out) printf(",\"brokerCpuMicrosPerMessage\":%.3f", cpu * 1e6 / (double)(in + out));
  }
  if (opt.beside) printf(",\"besideCpuSeconds\":%.2f", b.at.beside - a.at.beside);
  // Near 1 the generator is what limits the figure: it has one thread.
  double own = b.at.own - a.at.own, others = b.at.machine - a.at.machine - own - cpu - (b.at.beside - a.at.beside);
  printf(",\"generatorBusy\":%.3f", own / seconds);
  // Cores that other programs used meanwhile, and that the host gave to others: much of it and the figures are about those.
  if (opt.pid) printf(",\"othersBusy\":%.3f", others > 0 ? others / seconds : 0);
  printf(",\"stolen\":%.3f", (b.at.stolen - a.at.stolen) / seconds);
}

static void report_latency(void) {
  printf(",\"latencyMs\":{\"samples\":%zu,\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}", latency_count(),
         latency_ms(0.5), latency_ms(0.99), latency_ms(0.999), latency_ms(1));
}

static void report_lost(uint64_t expected) {
  printf(",\"lost\":%lu}\n", expected > total_delivered ? expected - total_delivered : 0);
}

// ---- fan-out: one publisher, many QoS 0 readers ----

static int fanout_publisher, fanout_readers; // the readers are conns[0, fanout_readers)
static uint64_t fanout_given_up, fanout_progress_at, fanout_seen;

// As many messages on their way as --window lets: enough to keep every reader's socket busy, few enough that
// no broker has to drop. Tops up when half has arrived, as a publisher does whose socket was full.
static void fanout_tick(void) {
  conn *p = &conns[fanout_publisher];
  uint64_t delivered = 0;
  for (int i = 0; i < fanout_readers; i++) delivered += conns[i].delivered;
  if (delivered != fanout_seen) {
    fanout_seen = delivered;
    fanout_progress_at = now_ns();
  }
  uint64_t arrived = (delivered + fanout_given_up) / (uint64_t)fanout_readers;
  uint64_t under_way = p->published > arrived ? p->published - arrived : 0;
  if (under_way > (uint64_t)opt.window / 2) {
    if (since(fanout_progress_at) < 0.5) return;
    // Nothing came for a while: the broker has dropped the rest (QoS 0 allows it). Go on without.
    fanout_given_up = p->published * (uint64_t)fanout_readers - delivered;
    fanout_progress_at = now_ns();
    under_way = 0;
  }
  while (under_way < (uint64_t)opt.window && conn_pending(p) < 64 * 1024 && conn_publish(p)) under_way++;
  conn_flush(p);
}

static void make_fanout(int readers, int stalled) {
  make_conns(readers + stalled + 1);
  fanout_readers = readers;
  fanout_publisher = readers + stalled;
  const char *topic = text("%s/fanout", opt.topic);
  for (int i = 0; i < readers + stalled; i++) conns[i].filter = topic, conns[i].filter_qos = 0;
  conn_template(&conns[fanout_publisher], topic, (size_t)opt.payload, 0);
}

static void fanout(void) {
  make_fanout(opt.connections, 0);
  bring_up(0, conns_len);
  run_for(opt.warmup, fanout_tick);
  counts a = count_now();
  run_for(opt.seconds, fanout_tick);
  counts b = count_now();
  uint64_t expected = total_published * (uint64_t)fanout_readers;
  drain(expected);
  report("fanout", a, b);
  report_lost(expected);
  hang_up();
}

// ---- pairs and fan-in: publishers that keep --window QoS 1 messages unacknowledged ----

static bool publishing;

static void keep_window_full(conn *c) {
  while (publishing && c->unacked < (uint32_t)opt.window && conn_publish(c)) {}
}

static void saturate(const char *workload, int first_publisher) {
  bring_up(0, conns_len);
  publishing = true;
  for (int i = first_publisher; i < conns_len; i++) {
    conns[i].on_progress = keep_window_full;
    keep_window_full(&conns[i]);
    conn_flush(&conns[i]);
  }
  run_for(opt.warmup, no_tick);
  counts a = count_now();
  run_for(opt.seconds, no_tick);
  counts b = count_now();
  publishing = false;
  drain(total_published);
  report(workload, a, b);
  report_lost(total_published);
  hang_up();
}

static void pairs(void) {
  int n = opt.connections;
  make_conns(2 * n);
  for (int i = 0; i < n; i++) {
    const char *topic = text("%s/pair/%d", opt.topic, i);
    conns[i].filter = topic, conns[i].filter_qos = opt.qos;
    conn_template(&conns[n + i], topic, (size_t)opt.payload, 1);
  }
  saturate("pairs", n);
}

static void fanin(void) {
  int n = opt.connections;
  make_conns(n + 1);
  conns[0].filter = text("%s/in/+", opt.topic), conns[0].filter_qos = opt.qos;
  for (int i = 1; i <= n; i++) conn_template(&conns[i], text("%s/in/%d", opt.topic, i), (size_t)opt.payload, 1);
  saturate("fanin", 1);
}

// ---- durable: QoS 1 publishers, sessions that outlive their connections, half of which are away ----

static void durable(void) {
  int n = opt.connections, sessions = opt.readers, topics = sessions / 2;
  if (topics < 1) fail("durable needs --readers of at least 2");
  make_conns(sessions + n);
  ack_window = opt.window;
  for (int i = 0; i < sessions; i++) {
    conns[i].durable = true;
    conns[i].filter = text("%s/durable/%d", opt.topic, i % topics), conns[i].filter_qos = opt.qos;
  }
  for (int i = 0; i < n; i++) {
    conn *c = &conns[sessions + i];
    conn_template(c, text("%s/durable/%d", opt.topic, i % topics), (size_t)opt.payload, 1);
    c->sent_at = allocate((size_t)opt.window * sizeof *c->sent_at);
  }
  bring_up(0, sessions);
  for (int i = topics; i < 2 * topics; i++) conn_close(&conns[i], true); // each topic's second session is away
  bring_up(sessions, conns_len);
  publishing = true;
  for (int i = sessions; i < conns_len; i++) {
    conns[i].on_progress = keep_window_full;
    keep_window_full(&conns[i]);
    conn_flush(&conns[i]);
  }
  run_for(opt.warmup, no_tick);
  latency_reset();
  uint64_t written = written_bytes(opt.pid);
  counts a = count_now();
  run_for(opt.seconds, no_tick);
  counts b = count_now();
  written = written_bytes(opt.pid) - written;
  publishing = false;
  drain(total_published);
  report("durable", a, b);
  report_latency();
  double acked = (double)(b.acked - a.acked);
  printf(",\"durablePerSecond\":%.0f,\"writtenBytesPerMessage\":%.0f,\"publishedInAll\":%lu",
         acked / ((double)(b.at.now - a.at.now) / 1e9), acked > 0 ? (double)written / acked : 0, total_published);
  report_lost(total_published);
  hang_up();
}

// ---- ward: devices with their own certificates at a fixed rate, a few readers of all, latency ----

static identity *device;
static double ward_period;    // seconds between two messages of one device
static uint64_t ward_begin, ward_next; // start of the schedule; index of the next message in it
static double *ward_phase;    // of each device, ascending, [0, 1)
static uint64_t ward_latest;  // how late the generator itself was at worst, nanoseconds

static uint64_t ward_due(uint64_t index) {
  uint64_t round = index / (uint64_t)opt.connections;
  double at = ((double)round + ward_phase[index % (uint64_t)opt.connections]) * ward_period;
  return ward_begin + (uint64_t)(at * 1e9);
}

static void ward_tick(void) {
  uint64_t now = now_ns(), due;
  while ((due = ward_due(ward_next)) <= now) {
    conn *c = &conns[opt.readers + (int)(ward_next % (uint64_t)opt.connections)];
    if (!conn_publish(c)) fail("the broker does not keep up with %.0f messages a second", opt.rate);
    conn_flush(c);
    if (now - due > ward_latest) ward_latest = now - due;
    ward_next++;
  }
  wire_timer(due);
}

static int by_name(const void *a, const void *b) { return strcmp(((const identity *)a)->name, ((const identity *)b)->name); }

static int by_value(const void *a, const void *b) { return *(const double *)a < *(const double *)b ? -1 : 1; }

static void load_devices(int wanted) {
  if (!opt.devices) fail("ward needs --devices DIR with a folder <uuid>/ (cert.pem, key.pem) for each device");
  DIR *folder = opendir(opt.devices);
  if (!folder) fail("cannot open %s: %s", opt.devices, strerror(errno));
  device = allocate((size_t)wanted * sizeof *device);
  int found = 0;
  for (struct dirent *entry; found < wanted && (entry = readdir(folder));) {
    struct stat info;
    if (entry->d_name[0] == '.' || stat(text("%s/%s/cert.pem", opt.devices, entry->d_name), &info) != 0) continue;
    load_identity(&device[found++], text("%s/%s", opt.devices, entry->d_name));
  }
  closedir(folder);
  if (found < wanted) fail("%s holds %d devices, %d are needed", opt.devices, found, wanted);
  qsort(device, (size_t)found, sizeof *device, by_name);
}

static void ward_begins(void) {
  ward_begin = now_ns();
  ward_next = 0;
}

static void ward_measure(void) {
  latency_reset();
  ward_latest = 0;
  counts a = count_now();
  run_for(opt.seconds, ward_tick);
  counts b = count_now();
  uint64_t expected = total_published * (uint64_t)opt.readers;
  drain(expected);
  ward_begins(); // nobody is late for what was not sent meanwhile
  report("ward", a, b);
  report_latency();
  printf(",\"generatorLateMs\":%.3f", (double)ward_latest / 1e6);
  report_lost(expected);
  fflush(stdout);
}

static void ward(void) {
  int n = opt.connections, readers = opt.readers;
  if (opt.payload < 8) fail("ward needs --payload of at least 8: the time stamp");
  load_devices(n);
  make_conns(readers + n);
  for (int i = 0; i < readers; i++) {
    conns[i].filter = opt.filter ? opt.filter : text("%s/device/+/telemetry", opt.topic);
    conns[i].filter_qos = opt.qos;
    conns[i].stamped = true;
  }
  for (int i = 0; i < n; i++) {
    conn *c = &conns[readers + i];
    c->who = &device[i];
    c->stamped = true;
    snprintf(c->client_id, sizeof c->client_id, "%s", device[i].name);
    conn_template(c, text("%s/device/%s/telemetry", opt.topic, device[i].name), (size_t)opt.payload, 1);
  }
  ward_period = n / opt.rate;
  ward_phase = allocate((size_t)n * sizeof *ward_phase);
  srand48(1); // devices are not in step with each other, and every broker gets the same schedule
  for (int i = 0; i < n; i++) ward_phase[i] = drand48();
  qsort(ward_phase, (size_t)n, sizeof *ward_phase, by_value);

  bring_up(0, conns_len);
  ward_begins();
  run_for(opt.warmup, ward_tick);
  if (opt.led) say_ready();
  while (may_begin(ward_tick)) {
    ward_measure();
    if (!opt.led) break;
  }
  hang_up();
}

// ---- floods: bad tokens at --rate, evenly spread, from many addresses ----

static uint64_t flood_begin, flood_sent;

static uint64_t flood_due(void) { return flood_begin + (uint64_t)((double)flood_sent * 1e9 / opt.rate); }

// Everything of it is right but the signature, so that every check is made.
static char *with_bad_signature(const char *token) {
  const char *signature = token ? strrchr(token, '.') : NULL;
  if (!signature || strlen(signature) < 20) fail("--token with a signed token is needed");
  char *bad = strdup(token);
  if (!bad) fail("out of memory");
  char *spoiled = bad + (signature - token) + 10;
  *spoiled = *spoiled == 'A' ? 'B' : 'A';
  return bad;
}

// Ticks until SIGTERM, at most for --seconds.
static void flood_until_over(void (*tick)(void), counts *a, counts *b) {
  signal(SIGTERM, end);
  flood_begin = now_ns();
  *a = count_now();
  while (!is_over && since(flood_begin) < opt.seconds) {
    tick();
    wire_poll(10);
  }
  *b = count_now();
}

// flood: clients with a good token that send bad ones to follow it

static void flood_tick(void) {
  uint64_t due;
  while ((due = flood_due()) <= now_ns()) {
    conn *c = &conns[flood_sent++ % (uint64_t)conns_len];
    if (c->state == READY && conn_publish(c)) conn_flush(c);
  }
  wire_timer(due);
}

static void flood(void) {
  char *bad = with_bad_signature(opt.to.token);
  make_conns(opt.connections);
  for (int i = 0; i < conns_len; i++) {
    conn *c = &conns[i];
    c->from = opt.from + (uint32_t)i; // nobody is banned for what another one does
    conn_template(c, "$token/renew", strlen(bad), 0);
    memcpy(c->template + c->stamp_at, bad, strlen(bad));
  }
  bring_up(0, conns_len);
  for (int i = 0; i < conns_len; i++) conns[i].may_close = true;
  say_ready();
  if (!may_begin(no_tick)) return;
  counts a, b;
  flood_until_over(flood_tick, &a, &b);
  report("flood", a, b);
  printf(",\"open\":%lu}\n", total_ready);
  hang_up();
}

// connect-flood: clients whose CONNECT brings a bad one, each on a connection of its own, --concurrency handshakes at once

enum { PLACES = 5000 }; // connections at once: the broker takes up to 4 s for its refusal
static uint64_t flood_place;

static conn *free_place(void) {
  for (int tries = 0; tries < 64; tries++) {
    conn *c = &conns[flood_place++ % PLACES];
    if (c->state == IDLE || c->state == CLOSED) return c;
  }
  return NULL;
}

static void connect_flood_tick(void) {
  conn *c;
  while (flood_due() <= now_ns() && total_shaking < (uint64_t)opt.concurrency && (c = free_place())) {
    c->from = opt.from + (uint32_t)(flood_sent++ % (uint64_t)opt.connections);
    conn_open(c);
  }
  if (flood_due() > now_ns()) wire_timer(flood_due());
}

static void connect_flood(void) {
  make_conns(PLACES);
  for (int i = 0; i < conns_len; i++) conns[i].may_close = true;
  say_ready();
  if (!may_begin(no_tick)) return;
  counts a, b;
  flood_until_over(connect_flood_tick, &a, &b);
  double seconds = (double)(b.at.now - a.at.now) / 1e9;
  report("connect-flood", a, b);
  printf(",\"opened\":%lu,\"openedPerSecond\":%.1f,\"connects\":%lu,\"connectsPerSecond\":%.1f", flood_sent,
         (double)flood_sent / seconds, total_connects, (double)total_connects / seconds);
  uint64_t shed = flood_sent - total_shaking - total_connects, closed = total_closed - total_refused - shed;
  printf(",\"refused\":%lu,\"closed\":%lu,\"shed\":%lu,\"waiting\":%lu}\n", total_refused, closed, shed,
         total_connects - total_refused - closed);
  hang_up();
}

// ---- sink: where floods go to see what they cost by themselves ----

static void sink(void) {
  signal(SIGTERM, end);
  sink_serve(&service, &opt.to, opt.refuses, &is_over);
}

// ---- connect: full handshakes and MQTT CONNECT, one after the other on each of --concurrency slots ----

static uint64_t connected;

static void connect_tick(void) {
  for (int i = 0; i < conns_len; i++) {
    conn *c = &conns[i];
    if (c->state == READY) {
      connected++;
      latency_add(now_ns() - c->opened_at);
      conn_close(c, true);
    }
    if (c->state == CLOSED || c->state == IDLE) conn_open(c);
  }
}

static void connect_workload(void) {
  make_conns(opt.concurrency);
  run_for(opt.warmup, connect_tick);
  latency_reset();
  uint64_t before = connected;
  counts a = count_now();
  run_for(opt.seconds, connect_tick);
  counts b = count_now();
  double seconds = (double)(b.at.now - a.at.now) / 1e9, done = (double)(connected - before);
  report("connect", a, b);
  printf(",\"connects\":%.0f,\"connectsPerSecond\":%.1f", done, done / seconds);
  if (opt.pid && done > 0) printf(",\"brokerCpuMsPerConnect\":%.4f", (b.at.cpu - a.at.cpu) * 1e3 / done);
  if (opt.beside && done > 0) printf(",\"besideCpuMsPerConnect\":%.4f", (b.at.beside - a.at.beside) * 1e3 / done);
  report_latency();
  printf("}\n");
  for (int i = 0; i < conns_len; i++) conn_close(&conns[i], true);
}

// ---- idle: how much memory a connection that says nothing costs the broker ----

// Waits until the broker's RSS has stayed within 0.5 % for 3 s (garbage collectors work late), at most 30 s.
static void settle(long *rss, long *pss) {
  uint64_t begin = now_ns(), still_since = begin;
  long reference = 0;
  do {
    run_for(0.25, no_tick);
    memory_kb(opt.pid, rss, pss);
    if (labs(*rss - reference) > reference / 200) {
      reference = *rss;
      still_since = now_ns();
    }
  } while (since(still_since) < 3 && since(begin) < 30);
}

static void idle(void) {
  if (!opt.pid) fail("idle needs --pid: the process whose memory is measured");
  // The cost of one more connection: what a broker loads and compiles for its first ones is not counted. They stay open,
  // or the memory they give back would be counted for those that follow.
  int warm = opt.connections / 2;
  make_conns(opt.connections + warm);
  bring_up(0, warm);
  long rss_before, pss_before, rss, pss;
  settle(&rss_before, &pss_before);
  counts a = count_now();
  bring_up(warm, conns_len);
  counts b = count_now();
  settle(&rss, &pss);
  double n = opt.connections;
  report("idle", a, b);
  printf(",\"rssKb\":[%ld,%ld],\"pssKb\":[%ld,%ld],\"rssKbPerConnection\":%.2f,\"pssKbPerConnection\":%.2f}\n", rss_before, rss,
         pss_before, pss, (double)(rss - rss_before) / n, (double)(pss - pss_before) / n);
  hang_up();
}

// ---- slow-reader: fan-out, then one more reader that stops reading ----

static long slow_peak;
static uint64_t slow_sampled;

static void slow_tick(void) {
  fanout_tick();
  if (since(slow_sampled) < 0.05) return;
  long rss, pss;
  memory_kb(opt.pid, &rss, &pss);
  if (rss > slow_peak) slow_peak = rss;
  slow_sampled = now_ns();
}

static void slow_reader(void) {
  if (!opt.pid) fail("slow-reader needs --pid: the process whose memory is measured");
  make_fanout(opt.connections, 1);
  conn *stalled = &conns[opt.connections];
  stalled->small_window = true;
  bring_up(0, conns_len);
  run_for(opt.warmup, slow_tick);
  slow_peak = 0;
  counts a = count_now();
  run_for(opt.seconds, slow_tick);
  counts b = count_now();
  long peak_before = slow_peak;
  uint64_t closed_before = total_closed;
  stalled->may_close = true;
  conn_pause(stalled, true);
  counts c = count_now();
  run_for(opt.seconds, slow_tick);
  counts d = count_now();
  bool closed = total_closed > closed_before;
  if (!closed) conn_pause(stalled, false);
  uint64_t missed = total_published - stalled->delivered;
  drain(total_published * (uint64_t)(fanout_readers + 1));
  double before = (double)(b.delivered - a.delivered) / ((double)(b.at.now - a.at.now) / 1e9) * opt.connections / (opt.connections + 1);
  double during = (double)(d.delivered - c.delivered) / ((double)(d.at.now - c.at.now) / 1e9);
  report("slow-reader", c, d);
  printf(",\"peakRssKb\":[%ld,%ld],\"outPerSecondBefore\":%.0f,\"othersKept\":%.3f", peak_before, slow_peak, before, during / before);
  printf(",\"stalledClosed\":%s,\"stalledBehind\":%lu,\"stalledMissed\":%lu", closed ? "true" : "false", missed,
         total_published - stalled->delivered);
  report_lost(total_published * (uint64_t)fanout_readers + stalled->delivered);
  hang_up();
}

// ---- options ----

typedef struct {
  const char *name;
  void (*run)(void);
  int connections, readers, window, payload, qos; // defaults
  const char *summary;
} workload;

static const workload workloads[] = {
    {"fanout", fanout, 100, 0, 1000, 64, 0, "one publisher, --connections QoS 0 readers, --window messages on their way"},
    {"pairs", pairs, 100, 0, 10, 64, 1, "--connections publisher-reader pairs, QoS 1, --window unacknowledged each"},
    {"fanin", fanin, 50, 0, 20, 64, 0, "--connections QoS 1 publishers with --window each, one reader with --qos"},
    {"durable", durable, 100, 20, 20, 900, 1, "--connections QoS 1 publishers to --readers durable sessions, two a topic, one of them away"},
    {"ward", ward, 200, 4, 0, 900, 1, "--connections devices of --devices, --rate messages a second in all, --readers"},
    {"flood", flood, 1000, 0, 0, 0, 0, "--connections with --token, each from an address of its own, send --rate bad tokens a second"},
    {"connect-flood", connect_flood, 1000, 0, 0, 0, 0, "CONNECTs with --token made bad, --rate a second, from --connections addresses in turn"},
    {"sink", sink, 0, 0, 0, 0, 0, "serves a flood, with the certificate of --service, and reads and throws away all of it"},
    {"connect", connect_workload, 0, 0, 0, 0, 0, "full handshakes and CONNECTs, --concurrency at a time"},
    {"idle", idle, 2000, 0, 0, 0, 0, "--connections that say nothing; memory of --pid"},
    {"slow-reader", slow_reader, 20, 0, 200, 1000, 0, "fan-out, then one more reader stops reading; memory of --pid"},
};
enum { WORKLOADS = sizeof workloads / sizeof *workloads };

static _Noreturn void usage(FILE *to, int code) {
  fputs("usage: load WORKLOAD --port PORT --service DIR [option...]\n\nworkloads:\n", to);
  for (int i = 0; i < WORKLOADS; i++) fprintf(to, "  %-13s %s\n", workloads[i].name, workloads[i].summary);
  fputs("\noptions:\n"
        "  --host ADDRESS      IPv4 address of the broker (127.0.0.1)\n"
        "  --port PORT         its MQTT over TLS port (8883)\n"
        "  --sni NAME          server name to ask for and to verify (localhost)\n"
        "  --service DIR       cert.pem and key.pem for all connections except the ward's devices\n"
        "  --ca FILE           trust anchors (DIR/ca.pem of --service)\n"
        "  --devices DIR       a folder <uuid>/ with cert.pem and key.pem for each device; its name is the client id\n"
        "  --topic PREFIX      topics are PREFIX/fanout, PREFIX/pair/N, PREFIX/in/N, PREFIX/durable/N, PREFIX/device/UUID/telemetry (bench)\n"
        "  --filter FILTER     what the ward's readers subscribe to (PREFIX/device/+/telemetry)\n"
        "  --mqtt 3|5          MQTT 3.1.1 or 5.0 (3)\n"
        "  --seconds S         measured time (5); --warmup S before it (2)\n"
        "  --connections N  --readers N  --window N  --payload BYTES  --qos 0|1  --rate PER_SECOND  --concurrency N\n"
        "  --pid PID           the broker: its CPU and memory are reported; --beside PID a second process, CPU only\n"
        "  --token FILE        an access token to send as the password, without a client certificate\n"
        "  --from ADDRESS      the first of the addresses a flood comes from (127.1.0.1)\n"
        "  --led               ward: measures --seconds at each SIGUSR1; floods: begin at SIGUSR1; both end at SIGTERM\n"
        "  --refuse            sink: answers each CONNECT with a refusal\n"
        "  --groups LIST       TLS groups to offer (P-256); --ciphers LIST  TLS 1.3 suites (TLS_AES_256_GCM_SHA384)\n",
        to);
  exit(code);
}

static double number(const char *name, const char *value, double least, double most) {
  char *end;
  double parsed = strtod(value, &end);
  if (*end || end == value || !(parsed >= least && parsed <= most)) fail("--%s %s: a number from %g to %g is expected", name, value, least, most);
  return parsed;
}

static uint32_t address_of(const char *value) {
  struct in_addr address;
  if (inet_pton(AF_INET, value, &address) != 1) fail("--from %s is not an IPv4 address", value);
  return ntohl(address.s_addr);
}

// What stands in a small file, without a line end: a token is no argument, for everybody can read those.
static const char *text_of(const char *path) {
  static char text[12288];
  FILE *file = fopen(path, "r");
  if (!file) fail("cannot read %s: %s", path, strerror(errno));
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
  text[strcspn(text, "\n")] = 0;
  return text;
}

static void parse_options(int argc, char **argv) {
  static const struct option known[] = {
      {"host", 1, 0, 'h'}, {"port", 1, 0, 'p'}, {"sni", 1, 0, 'n'}, {"service", 1, 0, 's'}, {"ca", 1, 0, 'a'},
      {"devices", 1, 0, 'd'}, {"topic", 1, 0, 't'}, {"filter", 1, 0, 'f'}, {"mqtt", 1, 0, 'm'}, {"seconds", 1, 0, 'S'},
      {"warmup", 1, 0, 'W'}, {"connections", 1, 0, 'c'}, {"readers", 1, 0, 'r'}, {"window", 1, 0, 'w'}, {"payload", 1, 0, 'l'},
      {"qos", 1, 0, 'q'}, {"rate", 1, 0, 'R'}, {"concurrency", 1, 0, 'C'}, {"pid", 1, 0, 'P'}, {"beside", 1, 0, 'B'},
      {"token", 1, 0, 'k'}, {"groups", 1, 0, 'g'}, {"ciphers", 1, 0, 'x'}, {"from", 1, 0, 'F'}, {"led", 0, 0, 'L'}, {"refuse", 0, 0, 'N'}, {"help", 0, 0, '?'}, {0, 0, 0, 0}};
  int index = 0;
  for (int o; (o = getopt_long(argc, argv, "", known, &index)) != -1;) {
    const char *name = known[index].name, *v = optarg;
    switch (o) {
      case 'h': opt.to.host = v; break;
      case 'p': opt.to.port = (int)number(name, v, 1, 65535); break;
      case 'n': opt.to.sni = v; break;
      case 's': opt.service = v; break;
      case 'a': opt.to.ca = v; break;
      case 'd': opt.devices = v; break;
      case 't': opt.topic = v; break;
      case 'f': opt.filter = v; break;
      case 'm': opt.to.mqtt = (int)number(name, v, 3, 5); break;
      case 'S': opt.seconds = number(name, v, 0.1, 3600); break;
      case 'W': opt.warmup = number(name, v, 0, 600); break;
      case 'c': opt.connections = (int)number(name, v, 1, 100000); break;
      case 'r': opt.readers = (int)number(name, v, 1, 1000); break;
      case 'w': opt.window = (int)number(name, v, 1, 60000); break;
      case 'l': opt.payload = (int)number(name, v, 0, 60000); break;
      case 'q': opt.qos = (int)number(name, v, 0, 1); break;
      case 'R': opt.rate = number(name, v, 1, 1000000); break;
      case 'C': opt.concurrency = (int)number(name, v, 1, 1000); break;
      case 'P': opt.pid = (int)number(name, v, 1, 1 << 30); break;
      case 'B': opt.beside = (int)number(name, v, 1, 1 << 30); break;
      case 'k': opt.to.token = text_of(v); break;
      case 'g': opt.to.groups = v; break;
      case 'x': opt.to.ciphers = v; break;
      case 'F': opt.from = address_of(v); break;
      case 'L': opt.led = true; break;
      case 'N': opt.refuses = true; break;
      default: usage(optopt ? stderr : stdout, optopt ? 2 : 0);
    }
  }
}

int main(int argc, char **argv) {
  if (argc < 2) usage(stderr, 2);
  const workload *chosen = NULL;
  for (int i = 0; i < WORKLOADS; i++) {
    if (strcmp(argv[1], workloads[i].name) == 0) chosen = &workloads[i];
  }
  if (!chosen && strcmp(argv[1], "--help") != 0) fail("there is no workload %s; --help lists them", argv[1]);
  parse_options(argc - (chosen != NULL), argv + (chosen != NULL));
  if (!opt.service) fail("--service DIR is missing: the folder with cert.pem and key.pem");
  if (!opt.to.ca) opt.to.ca = text("%s/ca.pem", opt.service);
  if (opt.connections < 0) opt.connections = chosen->connections;
  if (opt.readers < 0) opt.readers = chosen->readers;
  if (opt.window < 0) opt.window = chosen->window;
  if (opt.payload < 0) opt.payload = chosen->payload;
  if (opt.qos < 0) opt.qos = chosen->qos;
  opt.to.small_buffers = chosen->run == idle || chosen->run == connect_workload || chosen->run == connect_flood;
  if (chosen->run == connect_flood) opt.to.token = with_bad_signature(opt.to.token);
  if (opt.led) {
    signal(SIGUSR1, begin);
    signal(SIGTERM, end);
  }

  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  wire_start(&opt.to);
  load_identity(&service, opt.service);
  chosen->run();
  return 0;
}

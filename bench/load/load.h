// What the parts of the load generator say to each other.
// wire.c: one MQTT client over TLS 1.3. sink.c: a server that throws away. measure.c: clocks, /proc, percentiles.
// load.c: options and workloads.
#ifndef WARDMQ_LOAD_H
#define WARDMQ_LOAD_H

#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *allocate(size_t size); // zeroed; ends the program when there is no memory

// ---- measure.c ----

typedef struct {
  uint64_t now;      // CLOCK_MONOTONIC, nanoseconds
  double cpu;        // seconds of CPU of the broker process, all threads
  double beside;     // the same of the second process (--beside), 0 without one
  double own;        // the same of this process
  double machine;    // the same of everything on this machine
  double stolen;     // seconds of this machine's CPUs that a hypervisor gave to others
} snapshot;

uint64_t now_ns(void);
double cpu_seconds(int pid);            // utime + stime of /proc/PID/stat
void memory_kb(int pid, long *rss, long *pss);
uint64_t written_bytes(int pid);        // what the process has sent to the disk; 0 where the system does not tell
snapshot take_snapshot(int pid, int beside);
void latency_add(uint64_t nanoseconds); // keeps at most a fixed number of samples
void latency_reset(void);
size_t latency_count(void);
double latency_ms(double quantile);

// ---- wire.c ----

typedef struct {
  char name[128]; // of the folder; a device's client id
  X509 *leaf;
  STACK_OF(X509) *chain;
  EVP_PKEY *key;
} identity;

enum conn_state { IDLE, TCP_CONNECT, TLS_HANDSHAKE, AWAIT_CONNACK, AWAIT_SUBACK, READY, CLOSED };

typedef struct conn {
  // set by the workload before conn_open
  const identity *who;
  char client_id[128];
  uint32_t from;                        // the IPv4 address it comes from; 0: the system's choice
  const char *filter;                   // NULL: no subscription
  int filter_qos;
  bool stamped;                         // deliveries carry a time stamp to measure
  bool small_window;                    // the kernel keeps little for it while it does not read
  bool durable;                         // the session outlives the connection
  uint64_t *sent_at;                    // of the --window latest PUBLISHes, whose PUBACKs are timed; NULL: they are not
  bool may_close;                       // the broker refusing or closing it is a result, not an error
  void (*on_progress)(struct conn *);   // after each batch of packets that was read, once READY

  // state
  enum conn_state state;
  int fd;
  uint32_t events;
  SSL *ssl;
  uint8_t *out;                         // [out_start, out_end) waits to be written
  size_t out_start, out_end, out_size;
  uint8_t *rest;                        // a packet of which only the beginning has arrived
  size_t rest_len, rest_size;
  uint8_t *template;                    // the PUBLISH this connection sends, encoded once
  size_t template_len, id_at, stamp_at; // id_at 0: QoS 0
  uint16_t packet_id;
  uint64_t opened_at;                   // when conn_open was called
  uint32_t unacked;
  uint64_t published, acked, delivered;
} conn;

extern int ack_window;                  // how long `sent_at` is

typedef struct {
  const char *host, *sni, *ca, *groups, *ciphers;
  int port, mqtt;                       // mqtt: 3 (3.1.1) or 5
  bool small_buffers;                   // many idle connections
  const char *token; // sent as the password, in the place of a client certificate; NULL: none
} endpoint;

extern uint64_t total_published, total_acked, total_delivered, total_ready, total_closed;
extern uint64_t total_connects, total_refused; // CONNECTs sent; CONNACKs that refuse
extern uint64_t total_shaking;          // connections whose handshake, TCP's or that of TLS, is not over
extern char negotiated[96];             // version, suite and group of the last handshake

void wire_start(const endpoint *target);
void load_identity(identity *into, const char *folder);
void conn_open(conn *c);
void conn_close(conn *c, bool politely);
void conn_template(conn *c, const char *topic, size_t payload, int qos);
bool conn_publish(conn *c);             // queues one PUBLISH; false when the output buffer is full
void conn_flush(conn *c);
void conn_pause(conn *c, bool paused);  // stop or go on reading
size_t conn_pending(const conn *c);
void wire_timer(uint64_t at_ns);        // the next wire_poll returns at this time at the latest
void wire_poll(int timeout_ms);

// ---- sink.c ----

// Serves on a free port, which it prints, until `is_over`. A CONNECT is accepted, or refused and the connection closed.
void sink_serve(const identity *server, const endpoint *at, bool refuses, const volatile sig_atomic_t *is_over);

#endif

// One MQTT client (3.1.1 or 5.0) over mutual TLS 1.3, written so that the broker is what is measured:
// one epoll loop, packets parsed where SSL_read put them, everything a batch causes written with one SSL_write.
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum packet_type { CONNECT = 1, CONNACK = 2, PUBLISH = 3, PUBACK = 4, SUBSCRIBE = 8, SUBACK = 9, PINGRESP = 13, DISCONNECT = 14 };
enum { OUT_LIMIT = 256 * 1024, INPUT_SIZE = 256 * 1024, RECORD = 16 * 1024, KEEP_ALIVE = 600 };

int ack_window = 1;
uint64_t total_published, total_acked, total_delivered, total_ready, total_closed;
uint64_t total_connects, total_refused, total_shaking;
char negotiated[96];

static endpoint to;
static SSL_CTX *context;
static int epoll_fd, timer_fd;
static struct sockaddr_in address;
static uint8_t input[INPUT_SIZE]; // shared: what is left of a packet moves to its connection

// ---- TLS ----

// Verifies the broker's chain at the first handshake; a later one must show the same certificate. Building the chain
// anew each time would only make the generator slower.
static int verify_once(X509_STORE_CTX *chain, void *unused) {
  (void)unused;
  static X509 *verified;
  X509 *shown = X509_STORE_CTX_get0_cert(chain);
  if (verified && X509_cmp(verified, shown) == 0) {
    X509_STORE_CTX_set_error(chain, X509_V_OK);
    return 1;
  }
  if (X509_verify_cert(chain) != 1) return 0;
  X509_free(verified);
  X509_up_ref(shown);
  verified = shown;
  return 1;
}

void wire_start(const endpoint *target) {
  to = *target;
  address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)to.port)};
  if (inet_pton(AF_INET, to.host, &address.sin_addr) != 1) fail("--host %s is not an IPv4 address", to.host);

  context = SSL_CTX_new(TLS_client_method());
  if (!context) fail("OpenSSL cannot make a context");
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  if (SSL_CTX_set_ciphersuites(context, to.ciphers) != 1) fail("OpenSSL does not know the suites %s", to.ciphers);
  if (SSL_CTX_set1_groups_list(context, to.groups) != 1) fail("OpenSSL does not know the groups %s", to.groups);
  if (SSL_CTX_load_verify_locations(context, to.ca, NULL) != 1) fail("cannot read CA certificates from %s", to.ca);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_cert_verify_callback(context, verify_once, NULL);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); // every handshake is a full one
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (to.small_buffers) {
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  } else {
    SSL_CTX_set_read_ahead(context, 1); // several records with one read(2)
    SSL_CTX_set_default_read_buffer_len(context, 64 * 1024);
  }

  epoll_fd = epoll_create1(0);
  timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_fd < 0 || timer_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, timer_fd, &event) != 0)
    fail("cannot make an epoll loop: %s", strerror(errno));
}

void load_identity(identity *into, const char *folder) {
  char path[1024];
  const char *name = strrchr(folder, '/');
  snprintf(into->name, sizeof into->name, "%s", name ? name + 1 : folder);

  snprintf(path, sizeof path, "%s/cert.pem", folder);
  FILE *file = fopen(path, "r");
  if (!file) fail("cannot read %s: %s", path, strerror(errno));
  into->leaf = PEM_read_X509(file, NULL, NULL, NULL);
  if (!into->leaf) fail("%s holds no certificate", path);
  into->chain = sk_X509_new_null();
  for (X509 *next; (next = PEM_read_X509(file, NULL, NULL, NULL));) sk_X509_push(into->chain, next);
  ERR_clear_error(); // reading past the last certificate leaves "no start line" behind
  fclose(file);

  snprintf(path, sizeof path, "%s/key.pem", folder);
  file = fopen(path, "r");
  if (!file) fail("cannot read %s: %s", path, strerror(errno));
  into->key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
  if (!into->key) fail("%s holds no private key", path);
  fclose(file);
}

static const char *state_name(const conn *c) {
  static const char *names[] = {"before it was opened",  "in the TCP connect",      "in the TLS handshake",
                                "waiting for CONNACK", "waiting for SUBACK", "in use", "after it was closed"};
  return names[c->state];
}

static void watch(conn *c, uint32_t events) {
  if (c->events == events) return;
  struct epoll_event event = {.events = events, .data.ptr = c};
  if (epoll_ctl(epoll_fd, c->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &event) != 0)
    fail("epoll_ctl: %s", strerror(errno));
  c->events = events;
}

void conn_open(conn *c) {
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (c->fd < 0) fail("cannot make a socket: %s (ulimit -n?)", strerror(errno));
  int on = 1;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int small = 16 * 1024;
  if (c->small_window) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(c->from)};
  if (c->from && bind(c->fd, (struct sockaddr *)&local, sizeof local) != 0)
    fail("cannot come from 0x%08x: %s", c->from, strerror(errno));
  if (connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS)
    fail("cannot connect to %s:%d: %s", to.host, to.port, strerror(errno));

  c->ssl = SSL_new(context);
  if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1) fail("OpenSSL cannot make a connection");
  SSL_set_tlsext_host_name(c->ssl, to.sni);
  SSL_set1_host(c->ssl, to.sni);
  if (!to.token && SSL_use_cert_and_key(c->ssl, c->who->leaf, c->who->key, c->who->chain, 1) != 1)
    fail("certificate and key of %s do not belong together", c->who->name);
  SSL_set_connect_state(c->ssl);
  c->state = TCP_CONNECT;
  total_shaking++;
  c->opened_at = now_ns();
  c->events = 0;
  watch(c, EPOLLOUT);
}

void conn_close(conn *c, bool politely) {
  if (c->state == CLOSED || c->state == IDLE) return;
  if (politely && c->state == READY && conn_pending(c) == 0) {
    static const uint8_t disconnect[] = {DISCONNECT << 4, 0};
    SSL_write(c->ssl, disconnect, sizeof disconnect);
    SSL_shutdown(c->ssl);
  }
  if (c->state == READY) total_ready--;
  if (c->state == TCP_CONNECT || c->state == TLS_HANDSHAKE) total_shaking--;
  total_closed++;
  ERR_clear_error();
  SSL_free(c->ssl);
  close(c->fd); // also takes it out of the epoll set
  free(c->out);
  free(c->rest);
  c->out = c->rest = NULL;
  c->out_start = c->out_end = c->out_size = c->rest_len = c->rest_size = 0;
  c->unacked = 0;
  c->state = CLOSED;
}

// The broker, or the network, ended the connection. `n` is what the SSL_ function returned.
static void broken(conn *c, int n) {
  if (c->may_close) return conn_close(c, false);
  int why = SSL_get_error(c->ssl, n);
  unsigned long code = ERR_peek_error();
  char reason[256];
  if (code) ERR_error_string_n(code, reason, sizeof reason);
  else snprintf(reason, sizeof reason, "%s", why == SSL_ERROR_ZERO_RETURN || errno == 0 ? "closed by the broker (its log may tell why)" : strerror(errno));
  long verified = SSL_get_verify_result(c->ssl);
  if (verified != X509_V_OK && c->state == TLS_HANDSHAKE)
    fail("the broker's certificate is refused: %s", X509_verify_cert_error_string(verified));
  fail("connection %s (certificate %s) ended %s: %s", c->client_id, c->who->name, state_name(c), reason);
}

// ---- writing ----

size_t conn_pending(const conn *c) { return c->out_end - c->out_start; }

// Room for `size` more bytes at the end of the output buffer, which grows up to OUT_LIMIT; NULL when full.
static uint8_t *reserve(conn *c, size_t size) {
  if (c->out_end + size > c->out_size) {
    if (c->out_start > 0) {
      memmove(c->out, c->out + c->out_start, c->out_end - c->out_start);
      c->out_end -= c->out_start;
      c->out_start = 0;
    }
    size_t wanted = c->out_size ? c->out_size : 256;
    while (wanted < c->out_end + size) wanted *= 2;
    if (wanted > OUT_LIMIT) return NULL;
    if (wanted > c->out_size) {
      c->out = realloc(c->out, wanted);
      if (!c->out) fail("out of memory");
      c->out_size = wanted;
    }
  }
  uint8_t *room = c->out + c->out_end;
  c->out_end += size;
  return room;
}

static uint8_t *reserve_or_fail(conn *c, size_t size) {
  uint8_t *room = reserve(c, size);
  if (!room) fail("connection %s: %d kB of acknowledgements wait: the broker does not read", c->client_id, OUT_LIMIT / 1024);
  return room;
}

void conn_flush(conn *c) {
  while (c->out_start < c->out_end) {
    int n = SSL_write(c->ssl, c->out + c->out_start, (int)(c->out_end - c->out_start));
    if (n > 0) {
      c->out_start += (size_t)n;
      continue;
    }
    if (SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_WRITE) return watch(c, c->events | EPOLLOUT);
    return broken(c, n);
  }
  c->out_start = c->out_end = 0;
  watch(c, c->events & ~(uint32_t)EPOLLOUT);
}

void conn_pause(conn *c, bool paused) {
  // EPOLLRDHUP keeps a paused connection in the epoll set: an empty set of events would too, but reads as a mistake.
  watch(c, paused ? EPOLLRDHUP : EPOLLIN);
}

static uint8_t *put_string(uint8_t *at, const char *text) {
  size_t length = strlen(text);
  *at++ = (uint8_t)(length >> 8);
  *at++ = (uint8_t)length;
  memcpy(at, text, length);
  return at + length;
}

// Fixed header for a body of `length` bytes.
static uint8_t *put_header(uint8_t *at, uint8_t first, size_t length) {
  *at++ = first;
  do {
    *at++ = (uint8_t)((length & 0x7f) | (length > 0x7f ? 0x80 : 0));
    length >>= 7;
  } while (length > 0);
  return at;
}

static void queue_packet(conn *c, uint8_t first, const uint8_t *body, size_t length) {
  uint8_t header[5];
  size_t header_len = (size_t)(put_header(header, first, length) - header);
  uint8_t *at = reserve_or_fail(c, header_len + length);
  memcpy(at, header, header_len);
  memcpy(at + header_len, body, length);
}

static void queue_connect(conn *c) {
  static uint8_t body[16384]; // room for a token
  uint8_t *at = put_string(body, "MQTT");
  *at++ = to.mqtt == 5 ? 5 : 4;
  *at++ = (c->durable ? 0 : 0x02) | (to.token ? 0xc0 : 0); // clean session / clean start, user name and password
  *at++ = KEEP_ALIVE >> 8;
  *at++ = KEEP_ALIVE & 0xff;
  if (to.mqtt == 5 && c->durable) {
    static const uint8_t expiry[] = {5, 0x11, 0, 0, 0x0e, 0x10}; // Session Expiry Interval: an hour
    memcpy(at, expiry, sizeof expiry);
    at += sizeof expiry;
  } else if (to.mqtt == 5) *at++ = 0; // no properties: Receive Maximum is 65,535
  at = put_string(at, c->client_id);
  if (to.token) at = put_string(put_string(at, ""), to.token);
  queue_packet(c, CONNECT << 4, body, (size_t)(at - body));
}

static void queue_subscribe(conn *c) {
  uint8_t body[1024], *at = body;
  if (strlen(c->filter) > 900) fail("the filter %s is too long", c->filter);
  *at++ = 0;
  *at++ = 1; // packet id
  if (to.mqtt == 5) *at++ = 0;
  at = put_string(at, c->filter);
  *at++ = (uint8_t)c->filter_qos;
  queue_packet(c, SUBSCRIBE << 4 | 2, body, (size_t)(at - body));
}

void conn_template(conn *c, const char *topic, size_t payload, int qos) {
  size_t topic_len = strlen(topic);
  size_t body = 2 + topic_len + (qos ? 2 : 0) + (to.mqtt == 5 ? 1 : 0) + payload;
  c->template = allocate(body + 5);
  uint8_t *at = put_header(c->template, (uint8_t)(PUBLISH << 4 | qos << 1), body);
  at = put_string(at, topic);
  if (qos) {
    c->id_at = (size_t)(at - c->template);
    at += 2;
  }
  if (to.mqtt == 5) *at++ = 0;
  c->stamp_at = (size_t)(at - c->template);
  for (size_t i = 0; i < payload; i++) at[i] = (uint8_t)('0' + i % 75);
  c->template_len = (size_t)(at - c->template) + payload;
}

bool conn_publish(conn *c) {
  uint8_t *at = reserve(c, c->template_len);
  if (!at) return false;
  memcpy(at, c->template, c->template_len);
  if (c->id_at) {
    if (++c->packet_id == 0) c->packet_id = 1;
    at[c->id_at] = (uint8_t)(c->packet_id >> 8);
    at[c->id_at + 1] = (uint8_t)c->packet_id;
    c->unacked++;
    if (c->sent_at) c->sent_at[c->published % (uint64_t)ack_window] = now_ns();
  }
  if (c->stamped) {
    uint64_t now = now_ns();
    memcpy(at + c->stamp_at, &now, sizeof now);
  }
  c->published++;
  total_published++;
  return true;
}

// ---- reading ----

static void became_ready(conn *c) {
  c->state = READY;
  total_ready++;
}

static void handle_connack(conn *c, const uint8_t *body, size_t length) {
  if (length < 2 || c->state != AWAIT_CONNACK) fail("connection %s: CONNACK that was not expected", c->client_id);
  if (body[1] != 0 && c->may_close) {
    total_refused++;
    return conn_close(c, false);
  }
  if (body[1] != 0)
    fail("connection %s (certificate %s): CONNACK refuses with 0x%02x; see the broker's log", c->client_id, c->who->name, body[1]);
  if (!c->filter) return became_ready(c);
  queue_subscribe(c);
  c->state = AWAIT_SUBACK;
}

static void handle_suback(conn *c, const uint8_t *body, size_t length) {
  if (length < 3 || c->state != AWAIT_SUBACK) fail("connection %s: SUBACK that was not expected", c->client_id);
  if (body[length - 1] >= 0x80)
    fail("connection %s: the subscription to %s is refused with 0x%02x; check policy or access list", c->client_id, c->filter, body[length - 1]);
  if (body[length - 1] != c->filter_qos)
    fail("connection %s: the subscription to %s got QoS %d instead of %d", c->client_id, c->filter, body[length - 1], c->filter_qos);
  became_ready(c);
}

static void handle_control(conn *c, uint8_t first, const uint8_t *body, size_t length) {
  switch (first >> 4) {
    case PUBACK:
      // 5.0: a third byte is the Reason Code; 0x10 says that nobody was subscribed.
      if (length > 2 && body[2] >= 0x80)
        fail("connection %s: PUBACK refuses with 0x%02x; check policy or access list", c->client_id, body[2]);
      if (c->unacked == 0) fail("connection %s: PUBACK without a PUBLISH", c->client_id);
      c->unacked--;
      if (c->sent_at) latency_add(now_ns() - c->sent_at[c->acked % (uint64_t)ack_window]);
      c->acked++;
      total_acked++;
      return;
    case CONNACK: return handle_connack(c, body, length);
    case SUBACK: return handle_suback(c, body, length);
    case PINGRESP: return;
    case DISCONNECT:
      if (!c->may_close) fail("connection %s: DISCONNECT 0x%02x from the broker", c->client_id, length ? body[0] : 0);
      return;
    default: fail("connection %s: packet 0x%02x was not expected: does the generator still read in step?", c->client_id, first);
  }
}

// Hot path: counts, acknowledges QoS 1, and looks at the payload only for a time stamp.
static inline void handle_publish(conn *c, uint8_t first, const uint8_t *body, size_t length) {
  c->delivered++;
  total_delivered++;
  unsigned qos = (first >> 1) & 3;
  if (qos == 0 && !c->stamped) return;
  size_t at = 2u + ((size_t)body[0] << 8 | body[1]);
  if (at + 2 > length) fail("connection %s: PUBLISH is cut short", c->client_id);
  if (qos) {
    uint8_t *ack = reserve_or_fail(c, 4);
    ack[0] = PUBACK << 4;
    ack[1] = 2;
    ack[2] = body[at];
    ack[3] = body[at + 1];
    at += 2;
  }
  if (!c->stamped) return;
  if (to.mqtt == 5) at += 1u + body[at]; // properties, fewer than 128 bytes: nobody sends any here
  uint64_t sent;
  if (at + sizeof sent > length) fail("connection %s: PUBLISH without a time stamp", c->client_id);
  memcpy(&sent, body + at, sizeof sent);
  latency_add(now_ns() - sent);
}

// Handles every whole packet in [p, p + length) and returns how many bytes they had.
static size_t parse(conn *c, const uint8_t *p, size_t length) {
  size_t at = 0;
  while (length - at >= 2) {
    size_t remaining = 0, header = 1;
    bool whole = false;
    for (unsigned shift = 0; at + header < length && shift <= 21 && !whole; shift += 7) {
      uint8_t byte = p[at + header++];
      remaining |= (size_t)(byte & 0x7f) << shift;
      whole = byte < 0x80;
    }
    if (!whole && header > 4) fail("connection %s: malformed Remaining Length", c->client_id);
    if (!whole || length - at < header + remaining) break;
    const uint8_t *body = p + at + header;
    if (p[at] >> 4 == PUBLISH) handle_publish(c, p[at], body, remaining);
    else handle_control(c, p[at], body, remaining);
    if (c->state == CLOSED) return length;
    at += header + remaining;
  }
  return at;
}

static void keep_rest(conn *c, size_t from, size_t to_) {
  c->rest_len = to_ - from;
  if (c->rest_len == 0) return;
  if (c->rest_len > c->rest_size) {
    c->rest_size = c->rest_len * 2;
    c->rest = realloc(c->rest, c->rest_size);
    if (!c->rest) fail("out of memory");
  }
  memcpy(c->rest, input + from, c->rest_len);
}

// Reads until nothing is left: with read-ahead, epoll does not tell of what already is in OpenSSL's buffer.
// It ends because every workload bounds what is on its way.
static void readable(conn *c) {
  size_t have = c->rest_len;
  if (have) memcpy(input, c->rest, have);
  for (;;) {
    int n = SSL_read(c->ssl, input + have, (int)(INPUT_SIZE - have));
    if (n > 0) have += (size_t)n;
    if (n > 0 && have + RECORD <= INPUT_SIZE) continue;
    size_t used = parse(c, input, have);
    if (c->state == CLOSED) return;
    if (n > 0) {
      if (used == 0) fail("connection %s: a packet of more than %d kB", c->client_id, INPUT_SIZE / 1024);
      memmove(input, input + used, have - used);
      have -= used;
      continue;
    }
    if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ) return broken(c, n);
    keep_rest(c, used, have);
    break;
  }
  if (c->state == READY && c->on_progress) c->on_progress(c);
  if (c->state != CLOSED && conn_pending(c)) conn_flush(c);
}

static void handshake(conn *c) {
  if (c->state == TCP_CONNECT) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error && c->may_close) return conn_close(c, false);
    if (error) fail("cannot connect to %s:%d: %s", to.host, to.port, strerror(error));
    c->state = TLS_HANDSHAKE;
  }
  errno = 0;
  int n = SSL_do_handshake(c->ssl);
  if (n == 1) {
    snprintf(negotiated, sizeof negotiated, "%s %s %s", SSL_get_version(c->ssl), SSL_get_cipher_name(c->ssl),
             OBJ_nid2sn(SSL_get_negotiated_group(c->ssl)));
    c->state = AWAIT_CONNACK;
    total_shaking--;
    total_connects++;
    watch(c, EPOLLIN);
    queue_connect(c);
    return conn_flush(c);
  }
  switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ: return watch(c, EPOLLIN);
    case SSL_ERROR_WANT_WRITE: return watch(c, EPOLLOUT);
    default: return broken(c, n);
  }
}

// ---- the loop ----

void wire_timer(uint64_t at_ns) {
  struct itimerspec when = {.it_value = {.tv_sec = (time_t)(at_ns / 1000000000u), .tv_nsec = (long)(at_ns % 1000000000u)}};
  timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void ready_event(conn *c, uint32_t events) {
  ERR_clear_error(); // SSL_get_error looks at the whole queue
  errno = 0;
  if (c->state == TCP_CONNECT || c->state == TLS_HANDSHAKE) return handshake(c);
  if (events & EPOLLOUT) conn_flush(c);
  if (c->state == CLOSED) return;
  if (c->events & EPOLLIN) readable(c);
  else if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) broken(c, 0); // paused, and the broker has closed it
}

void wire_poll(int timeout_ms) {
  struct epoll_event events[256];
  int n = epoll_wait(epoll_fd, events, 256, timeout_ms);
  if (n < 0 && errno != EINTR) fail("epoll_wait: %s", strerror(errno));
  for (int i = 0; i < n; i++) {
    conn *c = events[i].data.ptr;
    uint64_t expirations;
    if (c) ready_event(c, events[i].events);
    else if (read(timer_fd, &expirations, sizeof expirations) < 0 && errno != EAGAIN) fail("timerfd: %s", strerror(errno));
  }
}

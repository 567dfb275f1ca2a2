// A TLS 1.3 server that reads and throws away: what a flood costs this machine where nobody judges it.
#define _GNU_SOURCE // accept4
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
  int fd;
  SSL *ssl;
  bool is_answered; // its CONNECT has come
} peer;

static SSL_CTX *context;
static int epoll_fd;

static void hang_up(peer *p) {
  ERR_clear_error();
  SSL_free(p->ssl);
  close(p->fd); // also takes it out of the epoll set
  free(p);
}

static void welcome(int listener) {
  for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    peer *p = allocate(sizeof *p);
    p->fd = fd;
    p->ssl = SSL_new(context);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    if (!p->ssl || SSL_set_fd(p->ssl, fd) != 1 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
      fail("the sink cannot take a connection: %s", strerror(errno));
    SSL_set_accept_state(p->ssl); // SSL_read makes the handshake first
  }
}

// Whatever comes first is taken for a CONNECT.
static bool answer(peer *p, int mqtt, bool refuses) {
  uint8_t connack[] = {0x20, mqtt == 5 ? 3 : 2, 0, refuses ? (mqtt == 5 ? 0x87 : 5) : 0, 0};
  p->is_answered = true;
  return SSL_write(p->ssl, connack, 2 + connack[1]) > 0 && !refuses;
}

static void take(peer *p, int mqtt, bool refuses) {
  static uint8_t thrown_away[64 * 1024];
  int n;
  while ((n = SSL_read(p->ssl, thrown_away, sizeof thrown_away)) > 0) {
    if (p->is_answered || answer(p, mqtt, refuses)) continue;
    SSL_shutdown(p->ssl);
    return hang_up(p);
  }
  if (SSL_get_error(p->ssl, n) != SSL_ERROR_WANT_READ) hang_up(p);
}

void sink_serve(const identity *server, const endpoint *at, bool refuses, const volatile sig_atomic_t *is_over) {
  context = SSL_CTX_new(TLS_server_method());
  if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1) fail("OpenSSL cannot make a context");
  if (SSL_CTX_use_cert_and_key(context, server->leaf, server->key, server->chain, 1) != 1)
    fail("certificate and key of %s do not belong together", server->name);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);

  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1024) != 0 ||
      getsockname(listener, (struct sockaddr *)&address, &size) != 0)
    fail("the sink cannot listen: %s", strerror(errno));
  epoll_fd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) != 0)
    fail("cannot make an epoll loop: %s", strerror(errno));
  printf("{\"port\":%d}\n", ntohs(address.sin_port));
  fflush(stdout);

  for (uint64_t from = now_ns(); !*is_over && now_ns() - from < 3600 * 1000000000ull;) {
    struct epoll_event events[256];
    int n = epoll_wait(epoll_fd, events, 256, 100);
    for (int i = 0; i < n; i++) {
      if (events[i].data.ptr) take(events[i].data.ptr, at->mqtt, refuses);
      else welcome(listener);
    }
  }
}

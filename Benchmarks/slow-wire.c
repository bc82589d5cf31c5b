// A wire with delay, loss and a rate, for kernels without sch_netem.
//
//   slow-wire NAMESPACE-A ADDRESS-A NAMESPACE-B ADDRESS-B DELAY-MS LOSS-PER-1000 RATE-MBIT
//
// It joins two network namespaces with one TUN device each ("wire0") and carries IP packets between them. The delay is
// of one direction; a rate of 0 is no limit. It says "up" on standard output and runs until it is killed.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { packet_bytes_max = 1536, queue_packets_max = 8192, batch_packets = 64 };

struct packet {
  uint64_t due;
  int length;
  unsigned char bytes[packet_bytes_max];
};

// One direction: a ring of packets in the order in which they leave.
struct direction {
  int from, to;
  struct packet *ring;
  unsigned first, count;
  uint64_t wire_free_at;
};

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void run(const char *program, const char *line) {
  if (system(line) != 0) {
    fprintf(stderr, "%s: '%s' failed\n", program, line);
    exit(1);
  }
}

// Enters the namespace and makes the device there; the descriptor works from anywhere afterwards.
static int device_in(const char *program, const char *name, const char *address) {
  char text[256];
  snprintf(text, sizeof text, "/run/netns/%s", name);
  int space = open(text, O_RDONLY | O_CLOEXEC);
  if (space < 0 || setns(space, CLONE_NEWNET) != 0) die(text);
  close(space);
  int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device < 0) die("/dev/net/tun");
  struct ifreq request;
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  strcpy(request.ifr_name, "wire0");
  if (ioctl(device, TUNSETIFF, &request) != 0) die("TUNSETIFF");
  snprintf(text, sizeof text, "ip addr add %s dev wire0", address);
  run(program, text);
  run(program, "ip link set wire0 mtu 1500 txqueuelen 4000 up");
  run(program, "ip link set lo up");
  return device;
}

static struct direction direction(int from, int to) {
  struct direction made = {from, to, calloc(queue_packets_max, sizeof(struct packet)), 0, 0, 0};
  if (made.ring == NULL) die("memory");
  return made;
}

// Takes what the sender has; what finds the queue full is lost, as in a router.
static void take(struct direction *way, double delay_ms, double loss, double rate_mbit) {
  for (int turn = 0; turn < batch_packets; turn++) {
    unsigned char spill[packet_bytes_max];
    int full = way->count == queue_packets_max;
    struct packet *slot = &way->ring[(way->first + way->count) % queue_packets_max];
    ssize_t length = read(way->from, full ? spill : slot->bytes, packet_bytes_max);
    if (length <= 0) return;
    if (full || drand48() < loss) continue;
    uint64_t leaves = now_ns();
    if (rate_mbit > 0) {
      if (way->wire_free_at < leaves) way->wire_free_at = leaves;
      way->wire_free_at += (uint64_t)((double)length * 8000.0 / rate_mbit);
      leaves = way->wire_free_at;
    }
    slot->due = leaves + (uint64_t)(delay_ms * 1e6);
    slot->length = (int)length;
    way->count++;
  }
}

static void deliver(struct direction *way, uint64_t now) {
  while (way->count > 0) {
    struct packet *packet = &way->ring[way->first];
    if (packet->due > now) return;
    // A receiver that has no room loses it, as a network card does.
    if (write(way->to, packet->bytes, (size_t)packet->length) < 0 && errno != EAGAIN && errno != EIO) die("write");
    way->first = (way->first + 1) % queue_packets_max;
    way->count--;
  }
}

int main(int count, char **words) {
  if (count != 8) {
    fprintf(stderr, "usage: %s NAMESPACE-A ADDRESS-A NAMESPACE-B ADDRESS-B DELAY-MS LOSS-PER-1000 RATE-MBIT\n", words[0]);
    return 2;
  }
  double delay_ms = atof(words[5]), loss = atof(words[6]) / 1000, rate_mbit = atof(words[7]);
  int a = device_in(words[0], words[1], words[2]), b = device_in(words[0], words[3], words[4]);
  struct direction ways[2] = {direction(a, b), direction(b, a)};
  srand48(42);
  puts("up");
  fflush(stdout);
  for (;;) {
    uint64_t now = now_ns(), next = now + 1000000000u;
    for (int i = 0; i < 2; i++) {
      deliver(&ways[i], now);
      if (ways[i].count > 0 && ways[i].ring[ways[i].first].due < next) next = ways[i].ring[ways[i].first].due;
    }
    struct pollfd ready[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
    uint64_t wait = next > now ? next - now : 0;
    struct timespec time = {(time_t)(wait / 1000000000u), (long)(wait % 1000000000u)};
    if (ppoll(ready, 2, &time, NULL) < 0 && errno != EINTR) die("poll");
    for (int i = 0; i < 2; i++) {
      if (ready[i].revents) take(&ways[i], delay_ms, loss, rate_mbit);
    }
  }
}

/* An echo for an Erlang port with {packet, 4}: a length of four bytes, and so many more. It reads what there is, and
 * answers each message with a write of its own. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put(const unsigned char *p, size_t n) {
	while (n > 0) {
		ssize_t k = write(1, p, n);
		if (k < 0 && errno == EINTR) continue;
		if (k <= 0) exit(1);
		p += k;
		n -= (size_t)k;
	}
}

int main(void) {
	size_t room = 1 << 16, have = 0;
	unsigned char *buf = malloc(room);
	while (buf != NULL) {
		ssize_t k = read(0, buf + have, room - have);
		if (k < 0 && errno == EINTR) continue;
		if (k <= 0) return k < 0;
		have += (size_t)k;
		size_t at = 0;
		while (have - at >= 4) {
			const unsigned char *p = buf + at;
			size_t n = 4 + ((size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | (size_t)p[3]);
			if (n > room) {
				memmove(buf, buf + at, have - at);
				have -= at;
				at = 0;
				room = n;
				if ((buf = realloc(buf, room)) == NULL) return 1;
			}
			if (have - at < n) break;
			put(buf + at, n);
			at += n;
		}
		memmove(buf, buf + at, have - at);
		have -= at;
	}
	return 1;
}

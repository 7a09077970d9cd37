/* An echo that is a worker of fandango, as small as the one behind the Erlang port: it reads what there is, and answers
 * each request with a write of its own. ipc/PROTOCOL.md says what it reads and writes. */
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

static size_t big(const unsigned char *p, int bytes) {
	size_t n = 0;
	while (bytes-- > 0) n = n << 8 | *p++;
	return n;
}

/* skip returns where the value at p ends; or NULL when that is not before end, and how far it reaches at least in *need. */
static const unsigned char *skip(const unsigned char *p, const unsigned char *end, const unsigned char **need) {
	for (size_t left = 1; left > 0; left--) {
		size_t head = 1, body = 0, items = 0;
		unsigned char c = p < end ? *p : 0xc0;
		if (c >= 0xe0 || c < 0x80) body = 0;
		else if (c < 0x90) items = 2 * (size_t)(c & 15);
		else if (c < 0xa0) items = c & 15;
		else if (c < 0xc0) body = c & 31;
		else {
			static const unsigned char fixed[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8, 2, 3, 5, 9, 17};
			int bytes = 0;
			switch (c) {
			case 0xc4: case 0xc7: case 0xd9: bytes = 1; break;
			case 0xc5: case 0xc8: case 0xda: case 0xdc: case 0xde: bytes = 2; break;
			case 0xc6: case 0xc9: case 0xdb: case 0xdd: case 0xdf: bytes = 4; break;
			default: body = fixed[c - 0xc0];
			}
			head += (size_t)bytes;
			size_t n = (size_t)(end - p) >= head ? big(p + 1, bytes) : 0;
			if (c >= 0xdc) items = c >= 0xde ? 2 * n : n;
			else if (bytes > 0) body = n + (c >= 0xc7 && c <= 0xc9);
		}
		if ((size_t)(end - p) < head + body) {
			*need = p + head + body;
			return NULL;
		}
		p += head + body;
		left += items;
	}
	return p;
}

static const char claims[] = "\x82\xa4name\xa4" "echo\xa7ordered\xc3";

int main(void) {
	size_t room = 1 << 16, have = 0, answers = room;
	unsigned char *buf = malloc(room), *answer = malloc(answers);
	while (buf != NULL && answer != NULL) {
		ssize_t k = read(0, buf + have, room - have);
		if (k < 0 && errno == EINTR) continue;
		if (k <= 0) return k < 0;
		have += (size_t)k;
		const unsigned char *at = buf, *end = buf + have, *need = NULL;
		while (at < end) {
			if (*at != 0x93) return 1; /* no options were claimed, so there is no fourth item */
			const unsigned char *key = at + 1, *target = skip(key, end, &need);
			const unsigned char *args = target ? skip(target, end, &need) : NULL;
			const unsigned char *next = args ? skip(args, end, &need) : NULL;
			if (next == NULL) break;
			size_t keys = (size_t)(target - key), values = (size_t)(next - args);
			const void *value = args;
			if (keys == 8 && memcmp(key, "\xa7__HELLO", 8) == 0) {
				value = claims;
				values = sizeof claims - 1;
			}
			if (1 + keys + values > answers && (answer = realloc(answer, answers = 1 + keys + values)) == NULL) return 1;
			answer[0] = 0x92;
			memcpy(answer + 1, key, keys);
			memcpy(answer + 1 + keys, value, values);
			put(answer, 1 + keys + values);
			at = next;
		}
		size_t wanted = at < end ? (size_t)(need - at) : 0;
		memmove(buf, at, (size_t)(end - at));
		have = (size_t)(end - at);
		if (wanted > room && (buf = realloc(buf, room = wanted)) == NULL) return 1;
	}
	return 1;
}

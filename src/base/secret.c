#include "base/secret.h"

#include <ctype.h>
#include <strings.h>

#include "base/mem.h"

/* Anywhere in a name, with - and _ and . left out of it. */
static const char *const smells[] = {"token", "secret", "passw", "passphrase", "pwd",
    "authorization", "credential", "apikey", "accesskey", "privatekey", "signature", "cookie",
    "session", "jwt", "bearer", "otp"};
/* A whole part of a name: "auth" is one, "author" is none. */
static const char *const parts[] = {"auth", "sid", "pin", "key", "sign", "sig", "ak", "sk"};

static bool is_separator(uint8_t c)
{
	return c == '-' || c == '_' || c == '.' || c == ' ';
}

static bool has_part(struct slice name)
{
	size_t from = 0;

	for (size_t i = 0; i <= name.len; i++) {
		if (i < name.len && !is_separator(name.data[i]))
			continue;
		for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
			size_t len = strlen(parts[p]);

			if (i - from == len &&
			    strncasecmp((const char *)name.data + from, parts[p], len) == 0)
				return true;
		}
		from = i + 1;
	}
	return false;
}

bool secret_is_named(struct slice name)
{
	char plain[256];
	size_t n = 0;

	for (size_t i = 0; i < name.len && n < sizeof plain - 1; i++)
		if (!is_separator(name.data[i]))
			plain[n++] = (char)tolower(name.data[i]);
	plain[n] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(smells); i++)
		if (strstr(plain, smells[i]))
			return true;
	return name.len && has_part(name);
}

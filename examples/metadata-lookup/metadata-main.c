/* To try it: prints what is known of the call on its standard input, a connection. */
#include <stdio.h>
#include <stdlib.h>

#include "metadata.h"

int main(int argc, char **argv)
{
	static char json[1 << 20];
	int32_t seq = argc > 2 ? (int32_t)atol(argv[2]) : 0;
	int status;

	if (argc < 2) {
		fprintf(stderr, "usage: metadata METADATA_SOCKET [SEQ] <&CONNECTION\n");
		return 2;
	}
	status = metadata_of(0, argc > 2 ? &seq : NULL, argv[1], json, sizeof json);
	if (status < 0)
		perror("metadata");
	else
		fputs(json, stdout);
	return status != 200;
}

/* The protocols by the names they have in the configuration, in logs and in metrics. */
#ifndef BRIDLE_BASE_PROTOCOL_H
#define BRIDLE_BASE_PROTOCOL_H

enum protocol {
	PROTOCOL_BUFFERED,
	PROTOCOL_FRAMED,
	PROTOCOL_TTHEADER, /* bare and with the inner frame */
	PROTOCOL_TTHEADER_STREAMING,
	PROTOCOL_GRPC,
	PROTOCOL_TCP,
	PROTOCOL_COUNT,
};

#define PROTOCOL_BIT(protocol) (1u << (protocol))

const char *protocol_name(enum protocol protocol);

#endif

#include "base/protocol.h"

const char *protocol_name(enum protocol protocol)
{
	switch (protocol) {
	case PROTOCOL_BUFFERED:
		return "buffered";
	case PROTOCOL_FRAMED:
		return "framed";
	case PROTOCOL_TTHEADER:
		return "ttheader";
	case PROTOCOL_TTHEADER_STREAMING:
		return "ttheader_streaming";
	case PROTOCOL_GRPC:
		return "grpc";
	case PROTOCOL_TCP:
		return "tcp";
	case PROTOCOL_COUNT:
		break;
	}
	return "unknown";
}

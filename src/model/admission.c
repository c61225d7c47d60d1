#include "model/admission.h"

const enum level admission_slot_order[LEVELS] = {
    LEVEL_METHOD, LEVEL_ROUTE, LEVEL_SERVICE, LEVEL_DEFAULTS};

enum breaker_outcome admission_outcome(enum reason reason)
{
	switch (reason) {
	case REASON_OK:
	case REASON_BIZ_ERROR:
		return BREAKER_SUCCESS;
	case REASON_APP_EXCEPTION:
	case REASON_CONNECT_FAILED:
	case REASON_RESET:
	case REASON_TIMEOUT:
	case REASON_CALLER_DEADLINE:
	case REASON_BAD_REPLY:
		return BREAKER_FAILURE;
	default:
		return BREAKER_IGNORED;
	}
}

/*
 * What stands between a simulated call's route and its first try, in the order of proxy/admit.c:
 * rates, slots, breakers, the injected delay and abort.
 */
#ifndef BRIDLE_CTL_SIMULATED_ADMIT_H
#define BRIDLE_CTL_SIMULATED_ADMIT_H

#include "ctl/simulated_call.h"

/* Now or later: simulated_call_try, or simulated_call_finish. */
void simulated_admit(struct simulated_call *call);
/* The call is over: breakers hear of it, what it holds goes back, and to those who wait for it. */
void simulated_admit_finish(struct simulated_call *call, enum reason reason);

#endif

/* The policy of an explained call, value by value, with the place where each was written. */
#ifndef BRIDLE_MODEL_EXPLAIN_POLICY_H
#define BRIDLE_MODEL_EXPLAIN_POLICY_H

struct explanation;

/* Fills the values of @e, whose decision has a policy. */
void explain_policy(struct explanation *e);

#endif

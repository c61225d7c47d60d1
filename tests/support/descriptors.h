/* Open descriptors of this process, for tests that look for leaks. */
#ifndef BRIDLE_TESTS_SUPPORT_DESCRIPTORS_H
#define BRIDLE_TESTS_SUPPORT_DESCRIPTORS_H

int descriptors_open(void);

#endif

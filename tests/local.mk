# Unit tests: one program for each module, in the folder that mirrors src/. A test program's name is
# its source; add it to UNIT_TESTS.

UNIT_TESTS =

if HAVE_CHECK
check_PROGRAMS += $(UNIT_TESTS)
TESTS += $(UNIT_TESTS)
endif

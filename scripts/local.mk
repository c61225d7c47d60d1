# The commands of a developer. Those that check the sources are tests as well.

dist_noinst_SCRIPTS += scripts/install-missing scripts/quickstart scripts/test
dist_check_SCRIPTS += scripts/check-format scripts/check-layers

TESTS += scripts/check-layers

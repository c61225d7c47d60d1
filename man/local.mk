# Manual pages. The keys in bridled.yaml(5) come out of the program itself; a test compares. Another looks
# for commands, options and requests in the others.

dist_man_MANS = man/bridlectl.1 man/bridled.8 man/bridled.yaml.5 man/bridled-protocols.7
dist_check_SCRIPTS += man/check-keys man/check-lint man/check-names
TESTS += man/check-keys man/check-lint man/check-names
